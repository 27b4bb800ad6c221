"""What a network sees of a clip: the whole picture, or a stack of squares that belong together.

The composite is a column: the region of interest, the whole picture, the sound's spectrogram, each
of them optional. Every part has a mean and deviation of its own, or none: they belong to the
model, which is told them, and not to the augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from data.audio import Spectrogram
from data.crops import Crop
from data.plan import WHOLE, Box

Shows = Literal["whole", "region", "sound"]
SHOWS = ("whole", "region", "sound")
Colour = tuple[float, float, float]
IMAGENET: tuple[Colour, Colour] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KINETICS: tuple[Colour, Colour] = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))


@dataclass(frozen=True)
class Part:
    """One square of the composite."""

    shows: Shows = "whole"
    """whole: the picture; region: its region of interest; sound: the clip's spectrogram."""
    norm: tuple[Colour, Colour] | None = IMAGENET
    """Mean and deviation of 0 to 1; none leaves 0 to 1 as it is."""
    crop: Crop | None = None
    """What of it is shown in training, if not what the augmentation says."""

    def __post_init__(self) -> None:
        if self.shows not in SHOWS:
            raise ValueError(f"a part shows {self.shows!r}; allowed: {', '.join(SHOWS)}")
        if self.norm is not None and [len(numbers) for numbers in self.norm] != [3, 3]:
            raise ValueError(f"a norm is a mean and a deviation of three colours, got {self.norm}")
        if self.norm is not None and not all(value > 0 for value in self.norm[1]):
            raise ValueError(f"deviations are more than 0, got {self.norm[1]}")


@dataclass(frozen=True)
class View:
    """All squares, from top to bottom, and what they are made of."""

    parts: tuple[Part, ...] = (Part(),)
    region: Box = WHOLE
    """The region of interest of clips whose label gives none."""
    black: tuple[Box, ...] = ()
    """Burned-in overlays, painted black before anything else."""
    spectrogram: Spectrogram = field(default_factory=Spectrogram)

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("a view has at least one part: whole, region or sound")
        for box in (self.region, *self.black):
            check_box(box)

    def height(self, side: int) -> int:
        """Of the composite, in pixels."""
        return side * len(self.parts)


def check_box(box: Box) -> None:
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"the box {box} does not lie in the picture; it is left, top, right, "
                         "bottom, as fractions from 0 to 1")  # fmt: skip


def nested(outer: Box, inner: Box) -> Box:
    """A box of a box, as a box of the picture."""
    left, top, right, bottom = outer
    width, height = right - left, bottom - top
    return (left + inner[0] * width, top + inner[1] * height,
            left + inner[2] * width, top + inner[3] * height)  # fmt: skip


PLAIN = View()
