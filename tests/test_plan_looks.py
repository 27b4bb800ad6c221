"""A plan in numbers: how it blurs and colours, its noise, and what it says of itself."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from data.draws import normal_field
from data.plan import (
    GREY,
    KEEP,
    SIDE,
    WHOLE,
    Blur,
    Erased,
    HueShift,
    Matrix,
    Noise,
    Plan,
    chain,
    hue_steps,
    hue_table,
    kernel,
    perspective,
    rotation,
)

# -- blurring --------------------------------------------------------------------------------------


def moments(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of where the weights lie: x, y from the middle."""
    reach = len(weights) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    points = np.stack([x.ravel(), y.ravel()])
    return points @ weights.ravel(), np.cov(points, aweights=weights.ravel(), ddof=0)


def weights_of(blur: Blur, side: int = SIDE) -> np.ndarray:
    found = kernel(blur, side)
    assert found is not None
    return found


BLURS = {
    "gaussian, hardly": Blur(0.3),
    "gaussian": Blur(1.7),
    "motion down": Blur(0, 7, 0, 0.5),
    "motion across": Blur(0, 5, 90, -1),
    "motion aslant": Blur(0, 7, 211, 0.3),
    "both": Blur(0.8, 5, 30, 0.1),
}


@pytest.mark.parametrize("side", [SIDE, 112, 80, 448])
@pytest.mark.parametrize("blur", BLURS)
def test_a_kernel_is_an_average(blur: str, side: int):
    found = kernel(BLURS[blur], side)
    if found is None:
        assert (blur, side) in {("gaussian, hardly", 112), ("gaussian, hardly", 80)}
        return
    assert found.dtype == np.float32
    assert found.shape[0] == found.shape[1]
    assert len(found) % 2 == 1
    assert found.sum() == pytest.approx(1, abs=1e-6)
    assert found.min() >= 0


NO_BLUR = {
    "nothing": (Blur(), SIDE),
    "sigma 0.1: the predecessor's does nothing": (Blur(0.1), SIDE),
    "nor does 0.2": (Blur(0.2), SIDE),
    "nor 0.3 at half the side": (Blur(0.3), 112),
    "a motion of one pixel": (Blur(0, 1, 30, 0.5), SIDE),
    "a motion of three, at a third": (Blur(0, 3, 30, 0.5), SIDE // 3),
    "at a pixel": (Blur(1.2, 25, 30, 0.5), 1),
}


@pytest.mark.parametrize("case", NO_BLUR)
def test_what_blurs_nothing_is_no_kernel(case: str):
    assert kernel(*NO_BLUR[case]) is None


@pytest.mark.parametrize("sigma", [0.8, 1.2, 3.0])
def test_a_gaussian_is_as_wide_as_its_deviation_at_any_side(sigma: float):
    for side in (SIDE, 2 * SIDE):
        mean, spread = moments(weights_of(Blur(sigma), side))
        scaled = sigma * side / SIDE
        assert mean == pytest.approx([0, 0], abs=1e-5)
        assert spread == pytest.approx(np.diag([scaled**2] * 2), rel=0.04, abs=1e-5)
    assert weights_of(Blur(sigma)) == pytest.approx(weights_of(Blur(sigma * 2), SIDE // 2))


def test_a_gaussian_of_03_is_imgaugs():
    line = weights_of(Blur(0.3)).sum(axis=0)
    assert line * 256 == pytest.approx([1, 254, 1], abs=0.1)


E, M, W = 0.0, 0.5, 1.0
LINES: dict[str, tuple[Blur, list[list[float]]]] = {  # shares of the whole
    "down, evenly": (Blur(0, 3, 0, 0), [[0, 1, 0], [0, 1, 0], [0, 1, 0]]),
    "down, its weight at the beginning": (Blur(0, 3, 0, 1), [[0, 2, 0], [0, 1, 0], [0, 0, 0]]),
    "down, its weight at the end": (Blur(0, 3, 0, -1), [[0, 0, 0], [0, 1, 0], [0, 2, 0]]),
    "clockwise: it begins at the right": (Blur(0, 3, 90, 1), [[0, 0, 0], [0, 1, 2], [0, 0, 0]]),
    "upwards": (Blur(0, 3, 180, 1), [[0, 0, 0], [0, 1, 0], [0, 2, 0]]),
    "it begins at the left": (Blur(0, 3, 270, 1), [[0, 0, 0], [2, 1, 0], [0, 0, 0]]),
}


@pytest.mark.parametrize("case", LINES)
def test_a_motion_written_out(case: str):
    blur, shares = LINES[case]
    assert weights_of(blur) == pytest.approx(np.array(shares) / 3, abs=1e-6)


@pytest.mark.parametrize("length", [3, 5, 7])
@pytest.mark.parametrize("angle", [0, 30, 45, 90, 200])
def test_a_motion_is_as_long_as_asked_and_lies_at_its_angle(length: int, angle: float):
    mean, spread = moments(weights_of(Blur(0, length, angle, 0)))
    assert mean == pytest.approx([0, 0], abs=1e-6)
    along = np.array([-math.sin(math.radians(angle)), math.cos(math.radians(angle))])
    aside = np.array([along[1], -along[0]])
    assert along @ spread @ along == pytest.approx((length**2 - 1) / 12, abs=0.2)
    assert aside @ spread @ aside < 0.2  # a line, drawn into pixels


@pytest.mark.parametrize("direction", [-1, -0.5, 0.5, 1])
def test_a_motions_weight_lies_where_it_is_directed(direction: float):
    mean, _ = moments(weights_of(Blur(0, 7, 0, direction)))
    assert mean[0] == pytest.approx(0, abs=1e-6)
    assert mean[1] == pytest.approx(-direction * 4 / 3, rel=0.01)


def test_a_motion_scales_with_the_side():
    sizes = [len(weights_of(Blur(0, 7, 0, 0), side)) for side in (80, 112, SIDE, 2 * SIDE)]
    assert sizes == [3, 5, 7, 15]  # 2.5, 3.5, 7 and 14 pixels
    assert weights_of(Blur(0, 8, 20, 0.5), 112) == pytest.approx(weights_of(Blur(0, 4, 20, 0.5)))
    assert moments(weights_of(Blur(0, 7, 0, 0), 112))[1][1, 1] == pytest.approx(0.9, abs=0.2)


def test_two_blurs_are_one_after_the_other():
    spreads = [moments(weights_of(blur))[1] for blur in
               (Blur(0.9), Blur(0, 7, 40, 0.3), Blur(0.9, 7, 40, 0.3))]  # fmt: skip
    assert spreads[2] == pytest.approx(spreads[0] + spreads[1], abs=1e-4)


def test_kernels_are_remembered_and_forgotten():
    """Every motion is another: what is kept of them must not grow with the clips."""
    assert kernel(Blur(0.9), SIDE) is kernel(Blur(0.9), SIDE)
    most = kernel.cache_info().maxsize
    assert most is not None
    assert most <= 1000


# -- colours ---------------------------------------------------------------------------------------


def test_two_colour_matrices_as_one():
    rng = np.random.default_rng(1)
    first, then = (tuple(map(tuple, rng.normal(size=(3, 4)).tolist())) for _ in range(2))
    colour = rng.uniform(0, 255, 3)

    def apply(matrix: Matrix, to: np.ndarray) -> np.ndarray:
        return np.array(matrix) @ [*to, 1]

    assert apply(chain(first, then), colour) == pytest.approx(apply(then, apply(first, colour)))
    assert chain(KEEP, then) == then
    assert chain(first, KEEP) == first
    assert all(isinstance(value, float) for row in chain(first, then) for value in row)


def test_grey_is_what_the_eye_sees():
    assert GREY == (0.299, 0.587, 0.114)
    assert sum(GREY) == pytest.approx(1)


STEPS = {
    HueShift(0, 0): (0, 0),
    HueShift(2, 5): (1, 5),
    HueShift(22, 16): (11, 16),
    HueShift(-2, -16): (179, -16),
    HueShift(-22, 0): (169, 0),
    HueShift(360, 0): (0, 0),
    HueShift(365, 0): (2, 0),
    HueShift(7.2, 3.4): (4, 3),
    HueShift(0, 300): (0, 255),
    HueShift(0, -300): (0, -255),
}


@pytest.mark.parametrize("shift", STEPS, ids=str)
def test_hues_in_steps_of_two_degrees(shift: HueShift):
    assert hue_steps(shift) == STEPS[shift]


def test_hues_are_a_circle():
    assert hue_table(0)[:180].tolist() == list(range(180))
    assert hue_table(11)[[0, 168, 169, 179]].tolist() == [11, 179, 0, 10]
    assert hue_table(169)[[0, 10, 11, 179]].tolist() == [169, 179, 0, 168]
    assert hue_table(5).dtype == np.uint8
    assert hue_table(5).shape == (256,)


# -- noise -----------------------------------------------------------------------------------------


def test_noise_is_one_field_or_one_for_each_frame():
    once, often = Noise(7.65, 4, 9), Noise(7.65, 4, 9, per_frame=True)
    assert once.field(0, 300).tolist() == once.field(5, 300).tolist()
    fields = [often.field(frame, 300).tolist() for frame in range(4)]
    for one, other in combinations([once.field(0, 300).tolist(), *fields], 2):
        assert one != other
    assert fields[2] == often.field(2, 300).tolist()


def test_noise_is_of_its_clip_and_part():
    keys = ((4, 9), (5, 9), (4, 10), (4, 9, 1), (4, 9, 2))
    fields = [Noise(7.65, *key).field(0, 300).tolist() for key in keys]
    for one, other in combinations(fields, 2):
        assert one != other
    assert fields[0] == normal_field(4, 9, 0, 300, 7.65).tolist()
    assert fields[3] == normal_field(4, 9, 1 << 32, 300, 7.65).tolist()
    parts = [Noise(7.65, 4, 9, part, per_frame=True).field(0, 300).tolist() for part in range(3)]
    for one, other in combinations(parts, 2):
        assert one != other


# -- words -----------------------------------------------------------------------------------------


PART = (0.2, 0.31, 0.77, 0.83)
MOVED: Matrix = ((1, 0, 0, -5), (0, 1, 0, 0), (0, 0, 1, 15))
WORDS = {
    "as it is": Plan(),
    "box 0.20 0.31 0.77 0.83, flipped": Plan(PART, flip=True),
    "turned +5.0°": Plan(bend=rotation(5)),
    "corners at (0.100 0.000) (1.000 0.000) (1.000 0.900) (0.000 1.000)": Plan(
        bend=perspective(((0.1, 0), (1, 0), (1, 0.9), (0, 1)))
    ),
    "enhance 1.30, hue +4° saturation +2": Plan(
        before=MOVED, hue=HueShift(4, 2), said=("enhance 1.30",)
    ),
    "blur 0.3": Plan(blur=Blur(0.3)),
    "motion 5 at 30° -0.40": Plan(blur=Blur(0, 5, 30.2, -0.4)),
    "colours 1 0 0 -5 | 0 1 0 0 | 0 0 1 15": Plan(before=MOVED),
    "hue -22° saturation +16": Plan(hue=HueShift(-22, 16)),
    "then colours 1 0 0 -5 | 0 1 0 0 | 0 0 1 15": Plan(after=MOVED),
    "noise 7.65": Plan(noise=Noise(7.65, 1, 2)),
    "noise 7.65 per frame": Plan(noise=Noise(7.65, 1, 2, per_frame=True)),
    "erased 0.10 0.20 0.30 0.40": Plan(erased=(Erased((0.1, 0.2, 0.3, 0.4), (1, 2, 3)),)),
}


@pytest.mark.parametrize("words", WORDS)
def test_a_plan_in_words(words: str):
    assert str(WORDS[words]) == words


FULL = Plan(PART, rotation(5), True, Blur(0.3, 5, 30, 0.1), MOVED, HueShift(4, 5), MOVED,
            Noise(7.65, 1, 2), (Erased((0.1, 0.2, 0.3, 0.4), (1, 2, 3)),))  # fmt: skip
CHANGES: list[dict[str, Any]] = [
    {"box": WHOLE}, {"bend": rotation(-5)}, {"bend": None}, {"bend": rotation(5.2)},
    {"flip": False},
    {"blur": Blur(0.2, 5, 30, 0.1)}, {"blur": Blur(0.3, 7, 30, 0.1)},
    {"blur": Blur(0.3, 5, 31, 0.1)}, {"blur": Blur(0.3, 5, 30, -0.1)}, {"before": KEEP},
    {"hue": HueShift(6, 5)}, {"hue": HueShift(4, -5)}, {"hue": None}, {"after": KEEP},
    {"noise": Noise(15.3, 1, 2)}, {"noise": Noise(7.65, 1, 2, per_frame=True)}, {"noise": None},
    {"erased": ()}, {"erased": (Erased((0.1, 0.2, 0.3, 0.5), (1, 2, 3)),)},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_words_say_all_that_was_drawn(change: dict[str, Any]):
    assert str(replace(FULL, **change)) != str(FULL)
