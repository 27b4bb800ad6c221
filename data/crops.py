"""Which part of a picture a square shows: random crops, fixed views, erased boxes. Fractions only.

A crop is drawn for a picture of a given shape; its number of pixels does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from data.display import Size
from data.draws import LANES, Draws, Slot
from data.plan import WHOLE, Box, Plan

Range = tuple[float, float]
Kind = Literal["jitter", "resized", "scales", "centre", "whole"]
SCALES = (1.0, 0.875, 0.75, 0.66)  # sides of the multi-scale crop, of the short side
# Quarters of what is left over, across and down: where a multi-scale crop may lie.
PLACES = ((0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1),
          (1, 3), (3, 3))  # fmt: skip
ERASED_AREA: Range = (0.02, 0.33)
ERASED_RATIO: Range = (0.3, 3.3)


@dataclass(frozen=True)
class Crop:
    """What may be shown of a picture."""

    kind: Kind = "jitter"
    """jitter: a square of random size and place; resized: random area and ratio; scales: TSN's
    multi-scale crop; centre: always the same middle square; whole: the whole picture, squashed."""
    zoom: Range = (256 / 224, 320 / 224)
    """jitter, and centre (its first value): the picture's short side, in sides of the square."""
    area: Range = (0.08, 1.0)
    """resized: the share of the picture that is shown."""
    ratio: Range = (3 / 4, 4 / 3)
    """resized: width by height of what is shown."""

    def __post_init__(self) -> None:
        if self.kind not in CROPS:
            raise ValueError(f"crop is {self.kind!r}; allowed: {', '.join(CROPS)}")
        for name, least, most in (("zoom", 1, 16), ("area", 1e-3, 1), ("ratio", 1 / 16, 16)):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(f"{name} is {low:g} to {high:g}; allowed: a range "
                                 f"within {least:g} to {most:g}")  # fmt: skip


def draw_box(crop: Crop, draws: Draws, size: Size) -> Box:
    """The part of a picture of this size that is shown."""
    return CROPS[crop.kind](crop, draws, size)


def square(size: Size, side: float, across: float, down: float) -> Box:
    """A square of `side` short sides; `across` and `down` of what is left over lie before it."""
    return _rectangle(size, side * min(size), side * min(size), across, down)


def _rectangle(size: Size, width: float, height: float, across: float, down: float) -> Box:
    share_x, share_y = min(1.0, width / size[0]), min(1.0, height / size[1])
    left, top = across * (1 - share_x), down * (1 - share_y)
    return left, top, left + share_x, top + share_y


def _whole(crop: Crop, draws: Draws, size: Size) -> Box:
    return WHOLE


def _centre(crop: Crop, draws: Draws, size: Size) -> Box:
    return square(size, 1 / crop.zoom[0], 0.5, 0.5)


def _jitter(crop: Crop, draws: Draws, size: Size) -> Box:
    side = 1 / draws.uniform(Slot.CROP_SCALE, *crop.zoom)
    return square(size, side, *_place(draws))


def _place(draws: Draws) -> tuple[float, float]:
    return draws.uniform(Slot.CROP_PLACE), draws.uniform(Slot.CROP_PLACE, lane=1)


def _resized(crop: Crop, draws: Draws, size: Size) -> Box:
    """The first of some random rectangles that fits, else the largest of an allowed ratio."""
    width, height = size
    low, high = (math.log(value) for value in crop.ratio)
    for lane in range(LANES):
        area = width * height * draws.uniform(Slot.CROP_SCALE, *crop.area, lane=lane)
        ratio = math.exp(draws.uniform(Slot.CROP_RATIO, low, high, lane=lane))
        across, down = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if across <= width and down <= height:
            return _rectangle(size, across, down, *_place(draws))
    ratio = min(max(width / height, crop.ratio[0]), crop.ratio[1])
    return _rectangle(size, min(width, height * ratio), min(height, width / ratio), 0.5, 0.5)


def _scales(crop: Crop, draws: Draws, size: Size) -> Box:
    """Width and height of the same or of neighbouring scales, at one of thirteen places."""
    pairs = [(wide, high) for one, wide in enumerate(SCALES) for other, high in enumerate(SCALES)
             if abs(one - other) <= 1]  # fmt: skip
    wide, high = draws.choice(Slot.CROP_SCALE, pairs)
    across, down = draws.choice(Slot.CROP_PLACE, PLACES)
    return _rectangle(size, wide * min(size), high * min(size), across / 4, down / 4)


CROPS: Mapping[str, Callable[[Crop, Draws, Size], Box]] = MappingProxyType(
    {
        "jitter": _jitter,
        "resized": _resized,
        "scales": _scales,
        "centre": _centre,
        "whole": _whole,
    }
)

# -- fixed views, for tests ------------------------------------------------------------

Views = Literal["one", "three", "ten"]
CORNERS_AND_CENTRE = ((0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5))
VIEWS: Mapping[str, tuple[tuple[float, float, bool], ...]] = MappingProxyType(
    {
        "one": ((0.5, 0.5, False),),
        "three": ((0, 0, False), (0.5, 0.5, False), (1, 1, False)),  # along the long side
        "ten": tuple((x, y, flip) for flip in (False, True) for x, y in CORNERS_AND_CENTRE),
    }
)


def view_plan(views: Views, number: int, zoom: float, size: Size) -> Plan:
    """One of several fixed views. Three show squares of the whole short side, one and ten show
    squares of the short side by `zoom`."""
    across, down, flip = VIEWS[views][number]
    side = 1.0 if views == "three" else 1 / zoom
    return Plan(square(size, side, across, down), flip=flip)


# -- boxes to erase ------------------------------------------------------------


def erased_box(draws: Draws, area: Range = ERASED_AREA, ratio: Range = ERASED_RATIO) -> Box:
    """A box of a random share of the square and of a random shape, cut where it does not fit."""
    share = draws.uniform(Slot.ERASE, *area, lane=1)
    low, high = (math.log(value) for value in ratio)
    shape = math.exp(draws.uniform(Slot.ERASE, low, high, lane=2))
    width, height = min(1.0, math.sqrt(share * shape)), min(1.0, math.sqrt(share / shape))
    left = draws.uniform(Slot.ERASE_BOX) * (1 - width)
    top = draws.uniform(Slot.ERASE_BOX, lane=1) * (1 - height)
    return left, top, left + width, top + height
