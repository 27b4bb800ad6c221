"""Pure arithmetic of turning, mirroring and squaring pixels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.colour import lay
from data.display import UPRIGHT, Turn, fit_short_side, square_pixels, turn_of

ONE = 1 << 16
# matrix (a, b, c, d) of x' = a x + c y, y' = b x + d y; degrees clockwise, mirrored
TURNS = [
    ((1, 0, 0, 1), 0, False),
    ((0, 1, -1, 0), 90, False),
    ((-1, 0, 0, -1), 180, False),
    ((0, -1, 1, 0), 270, False),
    ((-1, 0, 0, 1), 0, True),
    ((1, 0, 0, -1), 0, True),
    ((0, 1, 1, 0), 270, True),
    ((0, -1, -1, 0), 90, True),
]


def matrix(a: int, b: int, c: int, d: int) -> list[int]:
    return [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize(("terms", "degrees", "mirrored"), TURNS)
def test_every_display_matrix_moves_every_pixel_where_it_says(terms, degrees, mirrored):
    a, b, c, d = terms
    turn = turn_of(matrix(a, b, c, d))
    picture = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    laid = lay(picture, turn)
    corners = [(a * x + c * y, b * x + d * y) for x in (0, 6) for y in (0, 4)]
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    for y in range(5):
        for x in range(7):
            shown_x, shown_y = a * x + c * y - left, b * x + d * y - top
            assert (laid[shown_y, shown_x] == picture[y, x]).all()
    assert (turn.degrees, turn.mirrored) == (degrees, mirrored)
    assert turn.size((7, 5)) == laid.shape[1::-1]


def test_the_eight_turns_are_different():
    assert len({turn_of(matrix(*terms)) for terms, _, _ in TURNS}) == 8


def test_a_slight_tilt_counts_as_the_nearest_quarter():
    assert turn_of([65000, 3000, 0, -3000, 65000, 0, 0, 0, 1 << 30]) == UPRIGHT
    assert turn_of([3000, 65000, 0, -65000, 3000, 0, 0, 0, 1 << 30]).degrees == 90
    assert not Turn()
    assert Turn(flipped_x=True)


@pytest.mark.parametrize(
    ("size", "aspect", "square"),
    [
        ((640, 360), Fraction(2, 3), (427, 360)),
        ((720, 576), Fraction(16, 11), (1047, 576)),
        ((720, 480), Fraction(8, 9), (640, 480)),
        ((3, 4), Fraction(1, 2), (2, 4)),  # 1.5 rounds up
        ((1, 1), Fraction(1, 8), (1, 1)),
        ((321, 241), Fraction(1), (321, 241)),
    ],
)
def test_pixels_are_made_square_by_stretching_the_width(size, aspect, square):
    assert square_pixels(size, aspect) == square


@given(st.tuples(st.integers(1, 8000), st.integers(1, 8000)), st.integers(1, 4000))
def test_a_short_side_is_met_exactly_and_never_by_enlarging(size, short_side):
    fitted = fit_short_side(size, short_side)
    assert min(fitted) == min(short_side, min(size))
    assert fitted[0] <= size[0]
    assert fitted[1] <= size[1]
    if fitted != size:
        longer, at = max(size), size.index(max(size))
        assert abs(fitted[at] - longer * short_side / min(size)) <= 0.5


def test_a_short_side_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        fit_short_side((10, 10), 0)
