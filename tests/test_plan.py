"""A plan in numbers: where the pixels of its square lie in a picture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.display import Size
from data.plan import (
    SHARPEST,
    WHOLE,
    Matrix,
    Plan,
    perspective,
    pixels_shown,
    place,
    rotation,
)
from tests.scenes import meant_places

# -- bending ---------------------------------------------------------------------------------------


def bent(bend: Matrix, *points: tuple[float, float]) -> list[tuple[float, float]]:
    """Where these points of the square come from."""
    found = np.array([(x, y, 1.0) for x, y in points]) @ np.array(bend).T
    return [tuple(one) for one in np.round(found[:, :2] / found[:, 2:], 9).tolist()]


CORNERS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))  # clockwise from the upper left
TURNED: dict[float, tuple[tuple[float, float], ...]] = {  # what is then seen at these corners
    0: CORNERS,
    90: ((0, 1), (0, 0), (1, 0), (1, 1)),  # at the upper left what was at the lower left
    180: ((1, 1), (0, 1), (0, 0), (1, 0)),
    -90: ((1, 0), (1, 1), (0, 1), (0, 0)),
    360: CORNERS,
}


@pytest.mark.parametrize("degrees", TURNED)
def test_a_rotation_is_clockwise_about_the_middle(degrees: float):
    bend = rotation(degrees)
    assert bent(bend, *CORNERS) == list(TURNED[degrees])
    assert bent(bend, (0.5, 0.5)) == [(0.5, 0.5)]
    assert bend[2] == (0, 0, 1)


def test_a_little_clockwise_looks_up_and_right_of_the_upper_edge_to_the_left():
    """The upper edge's middle shows what was left of it, and lower."""
    (x, y), (right_x, right_y) = bent(rotation(30), (0.5, 0), (1, 0.5))
    assert (x, y) == pytest.approx((0.5 - 0.25, 0.5 - 0.5 * math.cos(math.radians(30))))
    assert (right_x, right_y) == pytest.approx((0.5 + 0.5 * math.cos(math.radians(30)), 0.25))


def test_rotations_add_up():
    twice = np.array(rotation(7)) @ np.array(rotation(11))
    assert twice == pytest.approx(np.array(rotation(18)))
    assert np.linalg.det(rotation(33)) == pytest.approx(1)


QUADRANGLES = {
    "nothing": CORNERS,
    "a smaller square": ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)),
    "a wall seen from the left": ((0, 0), (1, 0.2), (1, 0.7), (0, 1)),
    "a floor": ((0.2, 0.1), (0.8, 0.1), (1, 1), (0, 1)),
    "any": ((0.05, 0.1), (0.93, 0.02), (0.98, 0.9), (0.07, 0.95)),
}


@pytest.mark.parametrize("case", QUADRANGLES)
def test_a_perspective_shows_what_lies_between_its_corners(case: str):
    corners = QUADRANGLES[case]
    bend = perspective(corners)
    assert bent(bend, *CORNERS) == [pytest.approx(corner, abs=1e-9) for corner in corners]
    middle = np.array(bent(bend, (0.5, 0.5))[0])  # straight lines stay: the diagonals meet in it
    for one, other in ((0, 2), (1, 3)):
        diagonal, half = np.array(corners[other]) - corners[one], middle - corners[one]
        assert diagonal[0] * half[1] - diagonal[1] * half[0] == pytest.approx(0, abs=1e-8)


def test_no_perspective_is_no_bend():
    assert np.array(perspective(CORNERS)) == pytest.approx(np.eye(3))


# -- where the pixels are --------------------------------------------------------------------------


NEARER = perspective(QUADRANGLES["any"])
BOXES = {"whole": WHOLE, "a part": (0.2, 0.31, 0.77, 0.83), "a corner": (0.9, 0.88, 1.0, 1.0),
         "less than a pixel": (0.5, 0.5, 0.5001, 0.5001)}  # fmt: skip
BENDS = {"straight": None, "turned": rotation(10), "turned back": rotation(-40), "nearer": NEARER}
SIZES = [(340, 256), (256, 340), (97, 61), (1920, 1080), (1, 1), (2000, 3), (3, 2000), (7, 1)]
SIDES = [1, 7, 80, 224]
PLACED = [
    pytest.param(Plan(box, bend), id=f"{box_name}, {bend_name}")
    for box_name, box in BOXES.items()
    for bend_name, bend in BENDS.items()
]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("plan", PLACED)
def test_a_region_lies_in_the_picture_in_whole_groups(plan: Plan, size: Size):
    for side in SIDES:
        placement = place(plan, size, side)
        left, top, right, bottom = placement.region
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        across, down = placement.shrink
        assert (right - left) % across == 0
        assert (bottom - top) % down == 0
        assert (placement.matrix is None) is (plan.bend is None)


def rates(plan: Plan, size: Size, side: int) -> tuple[float, float]:
    """How many of the picture's pixels a step of one pixel passes, across and down, on average."""
    places = meant_places(plan, size, side)
    (x_right, y_right), (x_down, y_down) = (
        np.mean([places[row, -1] - places[row, 0] for row in (0, -1)], axis=0) / (side - 1),
        np.mean([places[-1, column] - places[0, column] for column in (0, -1)], axis=0)
        / (side - 1),
    )
    return math.hypot(x_right, x_down), math.hypot(y_right, y_down)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("plan", PLACED)
def test_as_much_is_averaged_as_must_be_and_no_more(plan: Plan, size: Size):
    for side in SIDES[1:]:
        for rate, factor in zip(rates(plan, size, side), place(plan, size, side).shrink,
                                strict=True):  # fmt: skip
            pixel = 1 / side if plan.bend is None else 0.02 * rate  # straight: whole pixels
            assert rate - pixel <= SHARPEST * factor + 1e-9
            assert factor == 1 or rate + pixel > SHARPEST * (factor - 1)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("box", BOXES)
def test_a_straight_box_is_met_to_a_pixel(box: str, size: Size, side: int):
    """A pixel of the picture, or of the square where that is larger."""
    plan = Plan(BOXES[box])
    left, top, right, bottom = place(plan, size, side).region
    edges = np.array([left, top, right, bottom])
    meant = np.array(plan.box) * [*size, *size]
    large = np.array([max(1.0, (plan.box[axis + 2] - plan.box[axis]) * size[axis] / side)
                      for axis in (0, 1)])  # fmt: skip
    assert (np.abs(edges - meant) <= np.tile(large, 2) + 1e-9).all()


EXACT: dict[str, tuple[Plan, Size, int, tuple[tuple[int, ...], tuple[int, int]]]] = {
    "the whole, as large": (Plan(), (64, 64), 64, ((0, 0, 64, 64), (1, 1))),
    "1.5 is not averaged": (Plan(), (96, 96), 64, ((0, 0, 96, 96), (1, 1))),
    "more is": (Plan(), (97, 128), 64, ((0, 0, 96, 128), (2, 2))),
    "three times 1.5 and a bit": (Plan(), (289, 96), 64, ((0, 0, 288, 96), (4, 1))),
    "a box": (Plan((0.25, 0.5, 0.75, 1.0)), (100, 60), 64, ((25, 30, 75, 60), (1, 1))),
    "to the nearest pixel": (Plan((0.104, 0, 0.504, 1)), (100, 64), 64, ((10, 0, 50, 64), (1, 1))),
    "what is left over goes from both ends": (Plan(), (103, 64), 32, ((0, 0, 102, 64), (3, 2))),
    "at least a pixel": (Plan((0.99, 0, 0.991, 1)), (100, 50), 50, ((99, 0, 100, 50), (1, 1))),
    "a turned picture is averaged no more": (
        Plan(bend=rotation(20)), (3, 2000), 80, ((0, 0, 3, 1989), (1, 17)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EXACT)
def test_a_placement_written_out(case: str):
    plan, size, side, (region, shrink) = EXACT[case]
    placement = place(plan, size, side)
    assert placement.region == region
    assert placement.shrink == shrink


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [(340, 256), (97, 61), (1920, 1080), (2000, 3)], ids=str)
@pytest.mark.parametrize("bend", [rotation(10), NEARER, rotation(0)], ids=["turned", "nearer", "0"])
def test_a_bent_square_is_looked_up_exactly_where_the_plan_says(
    bend: Matrix, size: Size, flip: bool
):
    plan, side = Plan((0.2, 0.31, 0.77, 0.83), bend, flip), 50
    placement = place(plan, size, side)
    assert placement.matrix is not None
    assert not placement.flip  # it is in the matrix
    points = np.stack([*np.meshgrid(np.arange(side), np.arange(side)), np.ones((side, side))])
    x, y, depth = np.einsum("ij,jhw->ihw", placement.matrix, points)
    assert depth.min() > 0
    (left, top, *_), (across, down) = placement.region, placement.shrink
    found = [left + (x / depth + 0.5) * across - 0.5, top + (y / depth + 0.5) * down - 0.5]
    assert np.stack(found, -1) == pytest.approx(meant_places(plan, size, side), abs=1e-6)


@pytest.mark.parametrize("size", [(340, 256), (1920, 1080), (97, 61)], ids=str)
@pytest.mark.parametrize("plan", [Plan(BOXES["a part"], bend) for bend in (rotation(9), NEARER)])
def test_a_bent_square_finds_all_that_it_looks_at(plan: Plan, size: Size):
    """Between the centres of the outermost averages, but for what is left over at the end."""
    placement = place(plan, size, 80)
    places = meant_places(plan, size, 80)
    left, top, right, bottom = placement.region
    for axis, (low, high) in enumerate(((left, right), (top, bottom))):
        more = (placement.shrink[axis] - 1) / 2
        assert low == 0 or low <= places[..., axis].min() - more
        at_the_end = size[axis] - high < placement.shrink[axis]
        assert at_the_end or high - 1 >= places[..., axis].max() + more


def test_a_straight_placement_keeps_the_flip():
    assert place(Plan(flip=True), (64, 64), 64).flip
    assert not place(Plan(), (64, 64), 64).flip


def test_how_many_pixels_are_shown():
    assert pixels_shown(Plan(), (340, 256)) == 256
    assert pixels_shown(Plan((0.25, 0.5, 0.75, 1)), (200, 100)) == pytest.approx(50)
