"""What is done to every frame of one clip, settled before any frame is touched.

A plan is plain numbers: where the picture is cut and bent, one blur, one colour transform, one
noise, some erased boxes. It knows nothing of a picture's size: boxes are fractions, so that any
level of the store may serve. `place` says where its pixels lie in a picture of a given size; the
executors (data/render.py with OpenCV, train/device_augment.py with torch) do exactly that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from data.display import Size
from data.draws import normal_field

Matrix = tuple[tuple[float, ...], ...]  # rows
Box = tuple[float, float, float, float]  # left, top, right, bottom; fractions
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
KEEP: Matrix = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
SIDE = 224  # the blurs are drawn in pixels of a square this large
SHARPEST = 1.5  # a picture shrunk by more than this is averaged first
HUES = 180  # of 8-bit HSV: two degrees each
SMALLEST_BLUR = 1 / 512  # a weight beside the middle that changes no 8-bit value


class Blur(NamedTuple):
    """Gaussian and motion blur, in pixels of a square of SIDE; 0 is none."""

    sigma: float = 0.0
    length: float = 0.0  # of the motion
    angle: float = 0.0  # degrees, clockwise; at 0 the motion is from top to bottom
    direction: float = 0.0  # where the weight is: -1 at its end, 0 evenly, 1 at its beginning


class HueShift(NamedTuple):
    """In HSV: the hue turned by so many degrees, the saturation (0 to 255) moved by so much."""

    degrees: float
    saturation: float


class Noise(NamedTuple):
    """Normal noise of this deviation: one field for all frames, or one for each."""

    scale: float
    seed: int
    position: int
    part: int = 0
    per_frame: bool = False

    def field(self, frame: int, count: int) -> np.ndarray:
        """int16, to be added to frame `frame`'s values."""
        which = self.part << 32 | (1 + frame if self.per_frame else 0)
        return normal_field(self.seed, self.position, which, count, self.scale)


class Erased(NamedTuple):
    """A box of the square, filled with one colour."""

    box: Box
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Plan:
    """Everything that is done to the frames of a clip, in the order of its fields."""

    box: Box = WHOLE  # the part of the picture that is shown
    bend: Matrix | None = (
        None  # where each place of the square comes from in that box, if not there
    )
    flip: bool = False  # left and right, after bending
    blur: Blur = Blur()  # noqa: RUF009 - a tuple
    before: Matrix = KEEP  # colours: 3 x 4, then hue and saturation, then 3 x 4
    hue: HueShift | None = None
    after: Matrix = KEEP
    noise: Noise | None = None
    erased: tuple[Erased, ...] = ()
    said: tuple[str, ...] = field(default=(), compare=False)  # what the colours are composed of

    def __str__(self) -> str:
        return ", ".join(_words(self)) or "as it is"


# -- where the pixels are --------------------------------------------------------------------------


class Placement(NamedTuple):
    """Where a plan's square lies in one picture: a region, averaged by whole factors, and then
    either stretched over the square or looked up through `matrix` (square's pixels to region's)."""

    region: tuple[int, int, int, int]  # left, top, right, bottom
    shrink: tuple[int, int]  # across, down
    matrix: np.ndarray | None
    flip: bool


def place(plan: Plan, picture: Size, side: int) -> Placement:
    """Where the plan's square of `side` pixels lies in a picture of this size."""
    if plan.bend is None:
        spans = [_straight(plan.box[axis], plan.box[axis + 2], picture[axis], side)
                 for axis in (0, 1)]  # fmt: skip
        (left, right, across), (top, bottom, down) = spans
        return Placement((left, top, right, bottom), (across, down), None, plan.flip)
    matrix = _through(plan, picture, side)
    corners = _map(matrix, [(-0.5, -0.5), (side - 0.5, -0.5), (side - 0.5, side - 0.5),
                            (-0.5, side - 0.5)])  # fmt: skip
    across, down = (_factor(rate) for rate in _rates(corners, side))
    low, high = corners.min(axis=0), corners.max(axis=0)
    left, right = _bent(low[0], high[0], picture[0], across)
    top, bottom = _bent(low[1], high[1], picture[1], down)
    into = np.array([[1 / across, 0, (0.5 - left) / across - 0.5],
                     [0, 1 / down, (0.5 - top) / down - 0.5], [0, 0, 1]])  # fmt: skip
    return Placement((left, top, right, bottom), (across, down), into @ matrix, False)


def pixels_shown(plan: Plan, picture: Size) -> float:
    """How many of a picture's pixels a side of the square is made of, the shorter way."""
    left, top, right, bottom = plan.box
    return min((right - left) * picture[0], (bottom - top) * picture[1])


def _straight(low: float, high: float, length: int, side: int) -> tuple[int, int, int]:
    """From and to which pixel, and how many of them are averaged to one."""
    wanted = max(1, min(length, round((high - low) * length)))
    factor = _factor(wanted / side)
    wanted -= wanted % factor
    middle = (low + high) / 2 * length
    first = max(0, min(length - wanted, round(middle - wanted / 2)))
    return first, first + wanted, factor


def _bent(low: float, high: float, length: int, factor: int) -> tuple[int, int]:
    """The pixels that bending may look at, in whole groups of `factor`."""
    first = max(0, min(length - 1, math.floor(low - factor)))
    last = max(first + 1, min(length, math.ceil(high + 1 + factor)))
    groups = max(1, (last - first) // factor)
    return first, min(length, first + groups * factor)


def _rates(corners: np.ndarray, side: int) -> np.ndarray:
    """How many of the picture's pixels a step of one pixel passes at most, across and down."""
    upper_left, upper_right, lower_right, lower_left = corners
    right = upper_right - upper_left + lower_right - lower_left
    down = lower_left - upper_left + lower_right - upper_right
    return np.hypot(right, down) / (2 * side)


def _factor(scale: float) -> int:
    return max(1, math.ceil(scale / SHARPEST - 1e-9))


def _through(plan: Plan, picture: Size, side: int) -> np.ndarray:
    """Pixel centres of the square to pixel centres of the picture."""
    left, top, right, bottom = plan.box
    width, height = picture
    to_unit = np.array([[1 / side, 0, 0.5 / side], [0, 1 / side, 0.5 / side], [0, 0, 1]])
    if plan.flip:
        to_unit = np.array([[-1, 0, 1], [0, 1, 0], [0, 0, 1]]) @ to_unit
    to_picture = np.array([[(right - left) * width, 0, left * width - 0.5],
                           [0, (bottom - top) * height, top * height - 0.5],
                           [0, 0, 1]])  # fmt: skip
    return to_picture @ np.array(plan.bend) @ to_unit


def _map(matrix: np.ndarray, points: list[tuple[float, float]]) -> np.ndarray:
    mapped = np.array([(x, y, 1) for x, y in points]) @ matrix.T
    return mapped[:, :2] / mapped[:, 2:]


# -- bending -------------------------------------------------------------------------------------


def rotation(degrees: float) -> Matrix:
    """The picture turned clockwise about its middle, in fractions of the square."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _rows(_about_middle(np.array([[cosine, sine], [-sine, cosine]])))


def _about_middle(turn: np.ndarray) -> np.ndarray:
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = 0.5 - turn @ (0.5, 0.5)
    return matrix


def perspective(corners: Matrix) -> Matrix:
    """The square shows what lies between these four corners: upper left, then clockwise."""
    rows, values = [], []
    square = ((0, 0), (1, 0), (1, 1), (0, 1))
    for (x, y), (to_x, to_y) in zip(square, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -to_x * x, -to_x * y], [0, 0, 0, x, y, 1, -to_y * x, -to_y * y]]
        values += [to_x, to_y]
    solved = np.linalg.solve(np.array(rows, float), np.array(values, float))
    return _rows(np.append(solved, 1.0).reshape(3, 3))


def _rows(matrix: np.ndarray) -> Matrix:
    return tuple(tuple(float(value) for value in row) for row in matrix)


# -- blurring ------------------------------------------------------------------------------------


@lru_cache
def kernel(blur: Blur, side: int) -> np.ndarray | None:
    """Both blurs as one, float32, of an odd size; None if it would change nothing."""
    scale = side / SIDE
    both = _spread(_motion(blur, scale), _gaussian(blur.sigma * scale))
    middle = len(both) // 2
    beside = both.copy()
    beside[middle, middle] = 0
    return None if beside.sum() < SMALLEST_BLUR else both.astype(np.float32)


def _gaussian(sigma: float) -> np.ndarray:
    """As wide as it has weights that count."""
    if not sigma:
        return np.ones((1, 1))
    reach = max(1, math.ceil(3 * sigma))
    line = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    return np.outer(line, line) / line.sum() ** 2


def _motion(blur: Blur, scale: float) -> np.ndarray:
    """A line through the middle, its weights rising or falling along it, laid at its angle."""
    length = blur.length * scale
    reach = math.ceil((length - 1) / 2 - 1e-9)
    if reach < 1:
        return np.ones((1, 1))
    steps = 2 * reach + 1  # no further apart than pixels, as imgaug has them
    along = np.linspace(-(length - 1) / 2, (length - 1) / 2, steps)
    first = (blur.direction + 1) / 2
    weights = np.linspace(first, 1 - first, steps)
    angle = math.radians(blur.angle)
    canvas = np.zeros((2 * reach + 1, 2 * reach + 1))
    for at, weight in zip(along, weights, strict=True):
        _drop(canvas, reach - at * math.sin(angle), reach + at * math.cos(angle), weight)
    return canvas / canvas.sum()


def _drop(canvas: np.ndarray, x: float, y: float, weight: float) -> None:
    """Share a weight among the four cells around a point."""
    left, top = math.floor(x), math.floor(y)
    for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            if share_x * share_y > 0:
                canvas[row, column] += weight * share_x * share_y


def _spread(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Two blurs, one after the other, as one."""
    size = len(one) + len(other) - 1
    both = np.zeros((size, size))
    for (row, column), weight in np.ndenumerate(other):
        both[row : row + len(one), column : column + len(one)] += weight * one
    return both


# -- colours -------------------------------------------------------------------------------------

GREY = (0.299, 0.587, 0.114)  # what the eye sees of R, G, B


def chain(first: Matrix, then: Matrix) -> Matrix:
    """Two colour matrices as one."""
    if first == KEEP or then == KEEP:
        return then if first == KEEP else first
    whole = np.vstack([np.array(then), (0, 0, 0, 1)]) @ np.vstack([np.array(first), (0, 0, 0, 1)])
    return _rows(whole[:3])


def hue_steps(shift: HueShift) -> tuple[int, int]:
    """In 8-bit HSV: by how many of 180 hues to turn, and what to add to the saturation."""
    return round(shift.degrees / 2) % HUES, max(-255, min(255, round(shift.saturation)))


@lru_cache
def hue_table(turn: int) -> np.ndarray:
    """Where each 8-bit hue goes."""
    return ((np.arange(256) + turn) % HUES).astype(np.uint8)


# -- words ---------------------------------------------------------------------------------------


def _words(plan: Plan) -> list[str]:
    words = []
    if plan.box != WHOLE:
        words.append("box {:.2f} {:.2f} {:.2f} {:.2f}".format(*plan.box))
    if plan.bend is not None:
        words.append(_bend_words(np.array(plan.bend)))
    if plan.flip:
        words.append("flipped")
    if plan.blur.sigma:
        words.append(f"blur {plan.blur.sigma:g}")
    if plan.blur.length:
        words.append("motion {:g} at {:.0f}° {:+.2f}".format(*plan.blur[1:]))
    if plan.said:
        words += plan.said
    elif plan.before != KEEP:
        words.append(f"colours {_numbers(plan.before)}")
    if plan.hue is not None:
        words.append(f"hue {plan.hue.degrees:+.0f}° saturation {plan.hue.saturation:+.0f}")
    if plan.after != KEEP and not plan.said:
        words.append(f"then colours {_numbers(plan.after)}")
    if plan.noise is not None:
        words.append(f"noise {plan.noise.scale:.3g}" + " per frame" * plan.noise.per_frame)
    return words + [f"erased {' '.join(f'{edge:.2f}' for edge in one.box)}" for one in plan.erased]


def _bend_words(bend: np.ndarray) -> str:
    """A turn by its angle, anything else by where the square's corners come from."""
    turn = bend[:2, :2]
    if np.allclose(turn @ turn.T, np.eye(2)) and not bend[2, :2].any():
        return f"turned {math.degrees(math.atan2(turn[0, 1], turn[0, 0])):+.1f}°"
    corners = _map(bend, [(0, 0), (1, 0), (1, 1), (0, 1)])
    return "corners at " + " ".join("({:.3f} {:.3f})".format(*corner) for corner in corners)


def _numbers(matrix: Matrix) -> str:
    return " | ".join(" ".join(f"{value:.3g}" for value in row) for row in matrix)
