"""Which part is shown: inside the picture, of the sizes asked for, every place reachable."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest

from data.crops import (
    CROPS,
    ERASED_AREA,
    ERASED_RATIO,
    PLACES,
    SCALES,
    VIEWS,
    Crop,
    draw_box,
    erased_box,
    square,
    view_plan,
)
from data.display import Size
from data.draws import Draws
from data.plan import WHOLE, Box, place

SHAPES: dict[str, Size] = {
    "wide": (340, 256),
    "tall": (256, 340),
    "square": (300, 300),
    "one pixel": (1, 1),
    "a strip": (2000, 3),
    "a pillar": (3, 2000),
}
DRAWS = [Draws(11, position) for position in range(1500)]
FEW = DRAWS[:200]


def boxes(crop: Crop, size: Size, draws: list[Draws]) -> np.ndarray:
    """Left, top, right, bottom in pixels, one row a draw."""
    drawn = np.array([draw_box(crop, one, size) for one in draws])
    return drawn * np.array([*size, *size])


def extents(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]


CASES = {
    "jitter": Crop("jitter"),
    "jitter without zoom": Crop("jitter", zoom=(1, 1)),
    "resized": Crop("resized"),
    "resized, very wide": Crop("resized", area=(0.5, 1), ratio=(4, 16)),
    "scales": Crop("scales"),
    "centre": Crop("centre"),
    "whole": Crop("whole"),
}


def test_every_kind_is_a_case():
    assert {crop.kind for crop in CASES.values()} == set(CROPS)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_a_box_lies_in_the_picture(case: str, shape: str):
    for draws in FEW:
        left, top, right, bottom = draw_box(CASES[case], draws, SHAPES[shape])
        assert 0 <= left < right <= 1 + 1e-12
        assert 0 <= top < bottom <= 1 + 1e-12


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_the_number_of_pixels_changes_no_box(case: str, shape: str):
    """So that any level of a store may serve."""
    size = SHAPES[shape]
    larger = size[0] * 4, size[1] * 4
    for draws in FEW[:20]:
        box = draw_box(CASES[case], draws, size)
        assert draw_box(CASES[case], draws, larger) == pytest.approx(box)


def reaches(values: np.ndarray, low: float, high: float) -> bool:
    """Whether these lie between the two and come near both."""
    tolerance = 1e-9 + 0.02 * (high - low)
    inside = low - 1e-9 <= values.min() and values.max() <= high + 1e-9
    return bool(inside and values.min() < low + tolerance and values.max() > high - tolerance)


# -- jitter, centre, whole -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_jitter_shows_squares_of_every_size_and_place(shape: str):
    size = SHAPES[shape]
    found = boxes(Crop("jitter", zoom=(1.25, 2.5)), size, DRAWS)
    across, down = extents(found)
    assert across == pytest.approx(down)
    assert reaches(across / min(size), 1 / 2.5, 1 / 1.25)
    zooms = min(size) / across
    assert zooms.mean() == pytest.approx((1.25 + 2.5) / 2, abs=0.05)  # the zoom is even, not 1/zoom
    for before, extent, length in ((found[:, 0], across, size[0]), (found[:, 1], down, size[1])):
        share = before / (length - extent)
        assert reaches(share, 0, 1)
        assert share.mean() == pytest.approx(0.5, abs=0.04)


def test_jitter_places_are_independent_across_and_down():
    found = boxes(Crop("jitter", zoom=(2, 2)), (300, 300), DRAWS)
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 0.1


def test_jitter_zooms_as_the_networks_of_its_day():
    """224 of a short side of 256 to 320."""
    across, _ = extents(boxes(Crop(), (340, 256), DRAWS))
    assert reaches(across, 256 * 224 / 320, 256 * 224 / 256)


@pytest.mark.parametrize("shape", SHAPES)
def test_centre_is_the_middle_square(shape: str):
    size = SHAPES[shape]
    found = boxes(Crop("centre", zoom=(1.25, 3)), size, FEW[:3])
    across, down = extents(found)
    assert across == pytest.approx([min(size) / 1.25] * 3)
    assert down == pytest.approx(across)
    assert found[:, 0] + found[:, 2] == pytest.approx([size[0]] * 3)
    assert found[:, 1] + found[:, 3] == pytest.approx([size[1]] * 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_whole_is_everything(shape: str):
    assert {draw_box(Crop("whole"), draws, SHAPES[shape]) for draws in FEW} == {WHOLE}


# -- resized -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["wide", "tall", "square"])
def test_resized_has_the_areas_and_ratios_asked_for(shape: str):
    size = SHAPES[shape]
    across, down = extents(boxes(Crop("resized", (1, 1), (0.1, 0.3), (0.5, 3)), size, DRAWS))
    area, ratio = across * down / (size[0] * size[1]), across / down
    assert reaches(area, 0.1, 0.3)
    assert area.mean() == pytest.approx(0.2, abs=0.01)
    assert reaches(np.log(ratio), math.log(0.5), math.log(3))
    assert np.log(ratio).mean() == pytest.approx(math.log(1.5) / 2, abs=0.06)  # even in its log
    assert abs(np.corrcoef(area, np.log(ratio))[0, 1]) < 0.1


@pytest.mark.parametrize("shape", ["wide", "tall", "square"])
def test_resized_reaches_every_place(shape: str):
    size = SHAPES[shape]
    found = boxes(Crop("resized", area=(0.1, 0.3)), size, DRAWS)
    for before, extent, length in zip(found.T[:2], extents(found), size, strict=True):
        assert reaches(before / (length - extent), 0, 1)


NARROW = {  # nothing of these ratios and areas fits: the picture, and what is shown in pixels
    "a strip": (Crop("resized", area=(0.9, 1)), (2000, 3), (998, 0, 1002, 3)),
    "a pillar": (Crop("resized", area=(0.9, 1)), (3, 2000), (0, 998, 3, 1002)),
    "very wide": (Crop("resized", area=(1, 1), ratio=(8, 9)), (100, 100), (0, 43.75, 100, 56.25)),
}


@pytest.mark.parametrize("case", NARROW)
def test_resized_falls_back_on_the_middle(case: str):
    """As much of it as the nearest allowed ratio lets in."""
    crop, size, meant = NARROW[case]
    assert boxes(crop, size, FEW[:1])[0] == pytest.approx(np.array(meant, float))


def test_resized_of_all_that_there_is():
    """A square of a square is the whole."""
    assert draw_box(Crop("resized", (1, 1), (1, 1), (1, 1)), FEW[0], (64, 64)) == WHOLE


# -- scales --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["wide", "tall", "square"])
def test_scales_are_exactly_the_allowed_pairs_at_exactly_the_thirteen_places(shape: str):
    size = SHAPES[shape]
    found = boxes(Crop("scales"), size, DRAWS)
    across, down = extents(found)
    pairs = Counter(zip(np.round(across / min(size), 6).tolist(),
                        np.round(down / min(size), 6).tolist(), strict=True))  # fmt: skip
    neighbours = {(wide, high) for wide, high in product(SCALES, SCALES)
                  if abs(SCALES.index(wide) - SCALES.index(high)) <= 1}  # fmt: skip
    assert set(pairs) == neighbours
    assert len(neighbours) == 10
    assert min(pairs.values()) > 0.6 * len(DRAWS) / 10
    fits = (across < size[0] - 1e-6) & (down < size[1] - 1e-6)  # else there is but one place
    left = np.round(4 * found[fits, 0] / (size[0] - across[fits]), 6)
    top = np.round(4 * found[fits, 1] / (size[1] - down[fits]), 6)
    assert set(zip(left.tolist(), top.tolist(), strict=True)) == set(PLACES)


def test_the_thirteen_places():
    """Corners, centre, middles of the sides, and the middles between centre and corners."""
    assert len(set(PLACES)) == 13
    ends, inner = (0, 2, 4), (1, 3)
    assert set(PLACES) == set(product(ends, ends)) | set(product(inner, inner))


# -- fixed views ---------------------------------------------------------------------------------


VIEWED = {  # kind, number, size: the box in pixels, flipped or not, all with a zoom of 1.25
    ("one", 0, (200, 100)): ((60, 10, 140, 90), False),
    ("three", 0, (200, 100)): ((0, 0, 100, 100), False),
    ("three", 1, (200, 100)): ((50, 0, 150, 100), False),
    ("three", 2, (200, 100)): ((100, 0, 200, 100), False),
    ("three", 0, (100, 200)): ((0, 0, 100, 100), False),
    ("three", 2, (100, 200)): ((0, 100, 100, 200), False),
    ("ten", 0, (200, 100)): ((0, 0, 80, 80), False),
    ("ten", 1, (200, 100)): ((120, 0, 200, 80), False),
    ("ten", 2, (200, 100)): ((0, 20, 80, 100), False),
    ("ten", 3, (200, 100)): ((120, 20, 200, 100), False),
    ("ten", 4, (200, 100)): ((60, 10, 140, 90), False),
    ("ten", 5, (200, 100)): ((0, 0, 80, 80), True),
    ("ten", 9, (200, 100)): ((60, 10, 140, 90), True),
    ("one", 0, (1, 1)): ((0.1, 0.1, 0.9, 0.9), False),
}


@pytest.mark.parametrize("case", VIEWED, ids=str)
def test_a_fixed_view(case: tuple):
    views, number, size = case
    box, flip = VIEWED[case]
    plan = view_plan(views, number, 1.25, size)
    assert np.array(plan.box) * [*size, *size] == pytest.approx(np.array(box, float))
    assert plan.flip is flip
    assert plan == view_plan(views, number, 1.25, size)
    assert plan.bend is None


def test_how_many_views_there_are():
    assert {name: len(views) for name, views in VIEWS.items()} == {"one": 1, "three": 3, "ten": 10}
    boxes = [view_plan("ten", number, 1.1, (90, 70)).box for number in range(10)]
    assert boxes[:5] == boxes[5:]
    assert len(set(boxes)) == 5


@pytest.mark.parametrize("size", [(340, 256), (256, 340), (97, 61)])
@pytest.mark.parametrize("views", VIEWS)
def test_views_show_squares_of_pixels(views, size: Size):
    for number in range(len(VIEWS[views])):
        left, top, right, bottom = place(view_plan(views, number, 8 / 7, size), size, 64).region
        assert right - left == bottom - top


def test_a_square_of_so_many_short_sides():
    assert square((200, 100), 0.5, 0, 1) == (0, 0.5, 0.25, 1)
    assert square((100, 200), 1, 0.5, 0.25) == (0, 0.125, 1, 0.625)


# -- what is refused -----------------------------------------------------------------------------


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown kind": (
        {"kind": "zoomed"},
        "crop is 'zoomed'; allowed: jitter, resized, scales, centre, whole",
    ),
    "more than the picture": ({"zoom": (0.9, 1.2)}, "zoom is 0.9 to 1.2; .* within 1 to 16"),
    "a range that falls": ({"area": (0.5, 0.2)}, "area is 0.5 to 0.2; .* within 0.001 to 1"),
    "no area": ({"area": (0, 1)}, "area is 0 to 1; "),
    "more area": ({"area": (0.5, 1.5)}, "area is 0.5 to 1.5; "),
    "a ratio of nothing": ({"ratio": (0, 1)}, "ratio is 0 to 1; .* within 0.0625 to 16"),
    "not a number": ({"ratio": (math.nan, 1)}, "ratio is nan to 1; "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_crop_is_named(case: str):
    given, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        Crop(**given)


# -- boxes to erase ------------------------------------------------------------------------------


def test_erased_boxes_have_the_usual_areas_and_shapes_at_any_place():
    found = np.array([erased_box(draws) for draws in DRAWS])
    assert found.min() >= 0
    assert found.max() <= 1
    across, down = extents(found)
    whole = (across < 1) & (down < 1)  # the others were cut
    assert reaches((across * down)[whole], *ERASED_AREA)
    assert reaches(np.log(across / down)[whole], *(math.log(end) for end in ERASED_RATIO))
    for before, extent in zip(found.T[:2], (across, down), strict=True):
        assert reaches(before[whole] / (1 - extent[whole]), 0, 1)
        assert (before[whole] / (1 - extent[whole])).mean() == pytest.approx(0.5, abs=0.04)
    shares = found[whole, :2] / (1 - np.stack([across, down], axis=1)[whole])
    assert abs(np.corrcoef(shares.T)[0, 1]) < 0.1


def test_an_erased_box_that_does_not_fit_is_cut():
    found = [erased_box(draws, (0.5, 0.5), (4, 4)) for draws in FEW]
    box: Box = found[0]
    assert (box[0], box[2]) == (0, 1)
    assert {round(bottom - top, 6) for _, top, _, bottom in found} == {round(math.sqrt(1 / 8), 6)}
