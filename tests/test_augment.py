"""What is drawn for a clip: how often, how much, and nothing that shifts anything else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from data.augment import OPERATIONS, SEED_SET, Augmentation, Jitter, draw_plan
from data.draws import Draws
from data.plan import KEEP, Noise, Plan
from tests.plans import (
    COUNT,
    FEW,
    GREYS,
    SIZE,
    always,
    bent,
    degrees,
    even,
    evenly,
    moves,
    plans,
    saturation,
    share,
)

# -- how often -----------------------------------------------------------------------------------


APPLIED: dict[str, Callable[[Plan], bool]] = {
    "gaussian_blur": lambda plan: plan.blur.sigma > 0,
    "add": lambda plan: any(row[3] for row in plan.before),
    "noise": lambda plan: plan.noise is not None,
    "enhance": lambda plan: plan.before[0][1] != 0,
    "motion_blur": lambda plan: plan.blur.length > 0,
    "hue_saturation": lambda plan: plan.hue is not None,
    "contrast": lambda plan: plan.after != KEEP,
    "warp": lambda plan: plan.bend is not None,
}
NEAR = 0.035  # four deviations of a share of COUNT


def test_the_set_is_the_predecessors():
    assert tuple(APPLIED) == SEED_SET
    assert set(SEED_SET) == set(OPERATIONS)
    standard = Augmentation()
    assert (standard.any, standard.each, standard.flip, standard.strength) == (0.8, 0.4, 0.5, 1)
    assert standard.operations == SEED_SET
    assert (standard.grayscale, standard.erase, standard.erase_sound) == (0, 0, 0)
    assert standard.jitter == Jitter(0, 0, 0, 0)
    assert not standard.noise_per_frame


@pytest.mark.parametrize("name", SEED_SET)
def test_each_operation_is_drawn_as_often_as_asked(name: str):
    applied = APPLIED[name]
    assert share([applied(plan) for plan in plans()]) == pytest.approx(0.8 * 0.4, abs=NEAR)
    alone = plans(operations=(name,), any=0.5, each=0.9)
    assert share([applied(plan) for plan in alone]) == pytest.approx(0.45, abs=NEAR)
    assert share([plan == Plan() for plan in alone]) == pytest.approx(0.55, abs=NEAR)


def test_any_is_one_decision_for_all_of_them():
    drawn = plans()
    untouched = share([plan == Plan() for plan in drawn])
    assert untouched == pytest.approx(0.2 + 0.8 * 0.6**8, abs=NEAR)
    touched = [[applied(plan) for applied in APPLIED.values()] for plan in plans(any=1.0)]
    for one, other in combinations(np.array(touched, float).T, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.08  # each by itself


def test_nothing_and_everything():
    assert all(plan == Plan() for plan in plans(any=0.0, each=1.0))
    assert all(plan == Plan() for plan in plans(any=1.0, each=0.0))
    assert all(plan == Plan() for plan in plans(any=1.0, each=1.0, operations=()))
    for plan in plans(FEW, any=1.0, each=1.0):
        assert sum(applied(plan) for applied in APPLIED.values()) >= len(SEED_SET) - 1  # add of 0


@pytest.mark.parametrize("chance", [0, 0.25, 0.5, 1])
def test_flip_grayscale_and_erase_are_drawn_as_often_as_asked(chance: float):
    drawn = plans(any=0.0, flip=chance, grayscale=chance, erase=chance)
    happened = [[plan.flip, plan.after != KEEP, bool(plan.erased)] for plan in drawn]
    assert np.mean(happened, axis=0) == pytest.approx([chance] * 3, abs=NEAR * (0 < chance < 1))
    if 0 < chance < 1:
        for one, other in combinations(np.array(happened, float).T, 2):
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.08


def test_erase_for_sound_is_no_business_of_pictures():
    assert not any(plan.erased for plan in plans(FEW, erase_sound=1.0))


# -- how much ------------------------------------------------------------------------------------


def test_gaussian_blur():
    evenly([plan.blur.sigma for plan in always("gaussian_blur")], [0.1, 0.2, 0.3])


def test_add_moves_each_colour_by_a_whole_step_of_its_own():
    drawn = np.array([plan.before for plan in always("add")])
    assert (drawn[:, :, :3] == np.eye(3)).all()
    for steps in drawn[:, :, 3].T:
        counts = Counter(steps.tolist())
        assert sorted(counts) == list(range(-5, 16))
        assert counts[-5] + counts[15] == pytest.approx(COUNT / 20, rel=0.35)  # each half as often
        assert min(counts[step] for step in range(-4, 15)) > 0.65 * COUNT / 20
    for one, other in combinations(drawn[:, :, 3].T, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.08


def test_noise_is_that_of_the_predecessors_code():
    for draws, plan in zip(FEW, always("noise"), strict=False):
        assert plan.noise == Noise(0.03 * 255, draws.seed, draws.position, 0, False)
    part = draw_plan(Augmentation(any=1, each=1, noise_per_frame=True), Draws(7, 9, 2), SIZE)
    assert part.noise == Noise(0.03 * 255, 7, 9, 2, True)


def test_enhance_takes_colours_away_from_grey():
    drawn = [np.array(plan.before) for plan in always("enhance")]
    factors = [1 - matrix[0, 1] / GREYS[1] for matrix in drawn]
    even(factors, 1.2, 1.6)
    for matrix, factor in zip(drawn[:50], factors, strict=False):
        assert matrix == pytest.approx(saturation(factor))


def test_motion_blur():
    blurs = [plan.blur for plan in always("motion_blur")]
    evenly([blur.length for blur in blurs], [3, 5, 7])
    even([blur.angle for blur in blurs], 0, 360)
    even([blur.direction for blur in blurs], -1, 1)
    assert not any(blur.sigma for blur in blurs)
    for one, other in combinations(np.array(blurs)[:, 1:].T, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.08


HUE_STEPS = [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 9, 10, 11]  # of imgaug's 0 to 16


def test_hue_in_imgaugs_units_and_saturation_in_whole_steps():
    shifts = [plan.hue for plan in always("hue_saturation")]
    degrees = Counter(shift.degrees for shift in shifts if shift)
    meant = Counter(2 * sign * HUE_STEPS[hue] for hue in range(1, 17) for sign in (-1, 1))
    meant[0] += 1
    assert set(degrees) == set(meant)
    for turn, ways in meant.items():
        assert degrees[turn] == pytest.approx(COUNT * ways / 33, rel=0.45)
    evenly([shift.saturation for shift in shifts if shift], list(range(-16, 17)))
    both = np.array([shift for shift in shifts if shift])
    assert abs(np.corrcoef(both.T)[0, 1]) < 0.08


def test_contrast_leaves_the_middle_grey_alone():
    drawn = np.array([plan.after for plan in always("contrast")])
    factors = drawn[:, 0, 0]
    even(factors.tolist(), 0.85, 1.115)
    assert (drawn[:, :, :3] == factors[:, None, None] * np.eye(3)).all()
    assert drawn @ [127, 127, 127, 1] == pytest.approx(np.full((COUNT, 3), 127.0))


def test_a_warp_is_a_rotation_or_a_perspective():
    bends = [plan.bend for plan in always("warp") if plan.bend is not None]
    turns = [turn for turn in map(degrees, bends) if turn is not None]
    even(turns, -10, 10)
    others = [bend for bend in bends if degrees(bend) is None]
    assert len(turns) / COUNT == pytest.approx(0.5, abs=NEAR)
    assert len(turns) + len(others) == COUNT
    places = np.array([bent(bend)[:, :2] for bend in others])
    assert places.min() > -1e-9  # nothing is shown but what lies in the square
    assert places.max() < 1 + 1e-9
    found = np.array([moves(bend).ravel() for bend in others])
    assert (found > 1e-6).mean() > 0.999  # every corner moves both ways
    spread = np.sqrt((found**2).mean())  # of a normal with a deviation of 0.02 to 0.05
    assert spread == pytest.approx(math.sqrt((0.05**3 - 0.02**3) / (3 * 0.03)), rel=0.03)
    assert found.mean(axis=0) == pytest.approx([0.035 * math.sqrt(2 / math.pi)] * 8, rel=0.08)
    a_clip = np.sqrt((found**2).mean(axis=1))  # one deviation for all corners of a clip
    assert a_clip.max() / a_clip.min() > 4
    for one, other in combinations(found.T, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.2


AMOUNTS: dict[str, tuple[str, Callable[[Plan], float], float, float]] = {
    "sigma": ("gaussian_blur", lambda plan: plan.blur.sigma, 0.1, 0.3),
    "red": ("add", lambda plan: plan.before[0][3], -5, 15),
    "blue": ("add", lambda plan: plan.before[2][3], -5, 15),
    "enhance": ("enhance", lambda plan: 1 - plan.before[0][1] / GREYS[1], 1.2, 1.6),
    "length": ("motion_blur", lambda plan: plan.blur.length, 3, 7),
    "angle": ("motion_blur", lambda plan: plan.blur.angle, 0, 360),
    "direction": ("motion_blur", lambda plan: plan.blur.direction, -1, 1),
    "hue": ("hue_saturation", lambda plan: plan.hue.degrees if plan.hue else 0, -22, 22),
    "saturation": ("hue_saturation", lambda plan: plan.hue.saturation if plan.hue else 0, -16, 16),
    "contrast": ("contrast", lambda plan: plan.after[0][0], 0.85, 1.115),
    "degrees": ("warp", lambda plan: degrees(plan.bend or KEEP) or 0, -10, 10),
    "perspective": ("warp", lambda plan: float(degrees(plan.bend or KEEP) is None), 0, 1),
}


@pytest.mark.parametrize("name", AMOUNTS)
def test_whether_and_how_much_are_drawn_apart(name: str):
    """What is seldom drawn still has its whole range."""
    operation, amount, low, high = AMOUNTS[name]
    drawn = plans(operations=(operation,), any=1.0, each=0.25)
    found = np.array([amount(plan) for plan in drawn if plan != Plan()])
    assert len(found) > COUNT / 5
    assert abs((found.mean() - (low + high) / 2) / (high - low)) < 0.08
    assert found.min() < low + 0.05 * (high - low)
    assert found.max() > high - 0.05 * (high - low)


# -- what is refused -----------------------------------------------------------------------------


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "an unknown operation": (
        lambda: Augmentation(operations=("add", "sharpen")),
        "operations has 'sharpen'; allowed: gaussian_blur, add, noise, enhance, motion_blur, "
        "hue_saturation, contrast, warp$",
    ),
    "more than always": (lambda: Augmentation(flip=1.5), "flip is 1.5; allowed: 0 to 1$"),
    "less than never": (lambda: Augmentation(any=-0.1), "any is -0.1; allowed: 0 to 1$"),
    "each": (lambda: Augmentation(each=2), "each is 2; allowed: 0 to 1$"),
    "grayscale": (lambda: Augmentation(grayscale=-1), "grayscale is -1; allowed: 0 to 1$"),
    "erase": (lambda: Augmentation(erase=1.01), "erase is 1.01; allowed: 0 to 1$"),
    "erase_sound": (lambda: Augmentation(erase_sound=7), "erase_sound is 7; allowed: 0 to 1$"),
    "not a number": (lambda: Augmentation(each=math.nan), "each is nan; allowed: 0 to 1$"),
    "too strong": (lambda: Augmentation(strength=4.5), "strength is 4.5; allowed: 0 to 4$"),
    "a negative strength": (lambda: Augmentation(strength=-1), "strength is -1; allowed: 0 to 4$"),
    "too much jitter": (lambda: Jitter(saturation=1.5), "saturation is 1.5; allowed: 0 to 1$"),
    "negative jitter": (lambda: Jitter(contrast=-0.5), "contrast is -0.5; allowed: 0 to 1$"),
    "more than all hues": (lambda: Jitter(hue=0.6), "hue is 0.6; allowed: 0 to 0.5$"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_drawn_is_named(case: str):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        make()
