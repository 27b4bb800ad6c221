"""How strong, and that nothing which is switched on or off shifts anything else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from data.augment import SEED_SET, Augmentation, Jitter, draw_plan
from data.crops import Crop
from data.draws import Draws
from data.plan import KEEP, WHOLE, Plan, chain
from tests.plans import (
    COUNT,
    FEW,
    GREYS,
    SIZE,
    STILL,
    always,
    bent,
    degrees,
    even,
    evenly,
    moves,
    plans,
    saturation,
)

# -- strength ------------------------------------------------------------------------------------


def test_without_strength_only_the_part_shown_is_drawn():
    crop = Crop("jitter")
    still = plans(crop=crop, flip=0.5, strength=0.0, each=1.0, any=1.0)
    assert still == plans(crop=crop, flip=0.5, any=0.0)
    assert len({plan.box for plan in still}) == COUNT


DOUBLED: dict[str, Callable[[Plan], list[float]]] = {
    "gaussian_blur": lambda plan: [plan.blur.sigma],
    "noise": lambda plan: [plan.noise.scale if plan.noise else 0],
    "enhance": lambda plan: [-plan.before[0][1]],
    "motion_blur": lambda plan: [plan.blur.length - 1],
    "contrast": lambda plan: [plan.after[0][0] - 1, plan.after[0][3]],
}


@pytest.mark.parametrize("name", DOUBLED)
@pytest.mark.parametrize("strength", [0.5, 2])
def test_strength_is_how_far_from_nothing(name: str, strength: float):
    amounts = DOUBLED[name]
    for once, often in zip(always(name, draws=FEW), always(name, draws=FEW, strength=strength),
                           strict=True):  # fmt: skip
        assert amounts(often) == pytest.approx([strength * value for value in amounts(once)])
        assert often.blur[2:] == once.blur[2:]  # where to is no question of strength


@pytest.mark.parametrize("strength", [0.5, 2])
def test_strength_of_what_is_rounded(strength: float):
    for once, often in zip(always("add", draws=FEW),
                           always("add", draws=FEW, strength=strength), strict=True):  # fmt: skip
        steps = np.array(once.before)[:, 3], np.array(often.before)[:, 3]
        assert steps[1] == pytest.approx(strength * steps[0], abs=0.5 + strength / 2)
    shifts = [plan.hue for plan in always("hue_saturation", strength=strength) if plan.hue]
    limit = round(16 * strength)
    evenly([shift.saturation for shift in shifts], list(range(-limit, limit + 1)))
    most = 2 * int(limit / 255 * 180)
    assert {-most, most} <= {shift.degrees for shift in shifts}
    assert max(abs(shift.degrees) for shift in shifts) == most


@pytest.mark.parametrize("strength", [0.5, 2])
def test_strength_of_a_warp(strength: float):
    for once, often in zip(always("warp", draws=FEW), always("warp", draws=FEW, strength=strength),
                           strict=True):  # fmt: skip
        assert once.bend is not None
        assert often.bend is not None
        turn = degrees(once.bend)
        if turn is None:
            assert moves(often.bend) == pytest.approx(strength * moves(once.bend))
        else:
            assert degrees(often.bend) == pytest.approx(strength * turn)


def test_the_strongest_warp_never_folds_the_picture():
    """The corners' quadrangle turns the same way at each of them."""
    for plan in always("warp", strength=4.0):
        assert plan.bend is not None
        corners = bent(plan.bend)
        assert corners[:, 2].min() > 0
        sides = np.roll(corners, -1, axis=0) - corners
        following = np.roll(sides, -1, axis=0)
        assert (sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]).min() > 0


# -- what shifts nothing -------------------------------------------------------------------------


def test_the_same_place_gets_the_same_plan():
    wide = Augmentation(jitter=Jitter(0.4, 0.4, 0.4, 0.1), grayscale=0.2, erase=0.5)
    for position in (0, 7, 10**12, 2**64 - 1):
        first, second = (draw_plan(wide, Draws(5, position), SIZE) for _ in range(2))
        assert first == second
        assert first != draw_plan(wide, Draws(6, position), SIZE)
        assert first != draw_plan(wide, Draws(5, position, part=1), SIZE)
    assert len({str(plan) for plan in plans(FEW, crop=Crop())}) == len(FEW)


SWITCHES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {  # what may change with it
    "another crop": ({"crop": Crop("resized")}, ("box",)),
    "flip": ({"flip": 1.0}, ("flip",)),
    "flip off": ({"flip": 0.0}, ("flip",)),
    "noise per frame": ({"noise_per_frame": True}, ("noise",)),
    "jitter of hue": ({"jitter": Jitter(hue=0.1)}, ("hue",)),
    "jitter of brightness": ({"jitter": Jitter(brightness=0.4)}, ("after",)),
    "grayscale": ({"grayscale": 1.0}, ("after",)),
    "erase": ({"erase": 1.0}, ("erased",)),
    "erase of sound": ({"erase_sound": 1.0}, ()),
    "without blur": ({"operations": SEED_SET[1:]}, ("blur",)),
    "without add": ({"operations": (SEED_SET[0], *SEED_SET[2:])}, ("before",)),
    "another order": ({"operations": SEED_SET[::-1]}, ("before",)),
    "without warp": ({"operations": SEED_SET[:-1]}, ("bend",)),
}


@pytest.mark.parametrize("case", SWITCHES)
def test_a_switch_shifts_nothing_else(case: str):
    changes, may_change = SWITCHES[case]
    before, after = (plans(FEW, crop=Crop(), flip=0.5), plans(FEW, **{"crop": Crop(), "flip": 0.5}
                                                              | changes))  # fmt: skip
    assert (before == after) is (not may_change)
    for one, other in zip(before, after, strict=True):
        same = {name: getattr(one, name) for name in may_change}
        assert replace(other, **same) == one


def test_operations_one_by_one_are_those_of_the_whole_set():
    alone = {name: plans(FEW, operations=(name,)) for name in SEED_SET}
    for number, whole in enumerate(plans(FEW)):
        one = {name: alone[name][number] for name in SEED_SET}
        blur = one["motion_blur"].blur._replace(sigma=one["gaussian_blur"].blur.sigma)
        composed = chain(one["add"].before, one["enhance"].before)
        assert np.array(whole.before) == pytest.approx(np.array(composed))
        assert replace(whole, before=KEEP) == Plan(
            bend=one["warp"].bend, blur=blur, hue=one["hue_saturation"].hue,
            after=one["contrast"].after, noise=one["noise"].noise,
        )  # fmt: skip


def test_jitter_of_one_thing_shifts_no_other():
    both = plans(FEW, any=0.0, jitter=Jitter(contrast=0.3, saturation=0.3))
    contrast = plans(FEW, any=0.0, jitter=Jitter(contrast=0.3))
    saturated = plans(FEW, any=0.0, jitter=Jitter(saturation=0.3))
    for one, first, second in zip(both, contrast, saturated, strict=True):
        assert np.array(one.after) == pytest.approx(np.array(chain(first.after, second.after)))


# -- jitter and grey -----------------------------------------------------------------------------


def test_jitter_ranges():
    drawn = plans(any=0.0, jitter=Jitter(brightness=0.4))
    even([plan.after[0][0] for plan in drawn], 0.6, 1.4)
    assert all(row[3] == 0 for plan in drawn for row in plan.after)
    drawn = plans(any=0.0, jitter=Jitter(contrast=0.3))
    even([plan.after[0][0] for plan in drawn], 0.7, 1.3)
    middles = np.array([plan.after for plan in drawn]) @ [127, 127, 127, 1]
    assert middles == pytest.approx(np.full((COUNT, 3), 127.0))
    drawn = plans(any=0.0, jitter=Jitter(saturation=0.5))
    factors = [1 - plan.after[0][1] / GREYS[1] for plan in drawn]
    even(factors, 0.5, 1.5)
    assert np.array(drawn[0].after) == pytest.approx(saturation(factors[0]))
    drawn = plans(any=0.0, jitter=Jitter(hue=0.1))
    even([plan.hue.degrees for plan in drawn if plan.hue], -36, 36)
    assert {plan.hue.saturation for plan in drawn if plan.hue} == {0}
    assert all(plan == Plan() for plan in plans(FEW, any=0.0, jitter=Jitter()))


def test_jitters_are_drawn_apart():
    drawn = (
        plans(any=0.0, jitter=Jitter(brightness=0.4)),
        plans(any=0.0, jitter=Jitter(contrast=0.4)),
    )
    factors = [[plan.after[0][0] for plan in one] for one in drawn]
    saturated = plans(any=0.0, jitter=Jitter(saturation=0.4))
    factors.append([-plan.after[0][1] for plan in saturated])
    hues = plans(any=0.0, jitter=Jitter(hue=0.4))
    factors.append([plan.hue.degrees for plan in hues if plan.hue])
    for one, other in combinations(factors, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.08


def test_a_jitter_of_hue_adds_to_the_shift_that_was_drawn():
    jitter = plans(FEW, any=0.0, jitter=Jitter(hue=0.1))
    shift = plans(FEW, any=1.0, each=1.0, operations=("hue_saturation",))
    both = plans(FEW, any=1.0, each=1.0, operations=("hue_saturation",), jitter=Jitter(hue=0.1))
    for one, first, second in zip(both, jitter, shift, strict=True):
        assert first.hue is not None
        assert second.hue is not None
        assert one.hue is not None
        assert one.hue.degrees == pytest.approx(first.hue.degrees + second.hue.degrees)
        assert one.hue.saturation == second.hue.saturation


def test_grayscale_makes_grey_whatever_went_before():
    colours = np.random.default_rng(0).uniform(0, 255, (3, 50))
    for plan in plans(FEW, grayscale=1.0, jitter=Jitter(0.4, 0.4, 0.4, 0.1)):
        after = np.array(plan.after)
        made = after[:, :3] @ colours + after[:, 3:]
        assert made[0] == pytest.approx(made[1])
        assert made[0] == pytest.approx(made[2])
    grey = plans(FEW[:1], any=0.0, grayscale=1.0)[0].after
    assert np.array(grey) == pytest.approx(saturation(0))


def test_an_erased_box_lies_in_the_square_and_has_the_usual_colour():
    drawn = [plan.erased for plan in plans(erase=1.0, any=0.0)]
    assert {len(erased) for erased in drawn} == {1}
    assert {erased[0].colour for erased in drawn} == {(124, 116, 104)}
    edges = np.array([erased[0].box for erased in drawn])
    assert edges.min() >= 0
    assert edges.max() <= 1
    assert len({erased[0].box for erased in drawn}) == COUNT


def test_the_crop_is_drawn_for_the_pictures_shape():
    tall = draw_plan(Augmentation(), Draws(0, 0), (256, 340)).box
    wide = draw_plan(Augmentation(), Draws(0, 0), (340, 256)).box
    assert tall == pytest.approx((wide[1], wide[0], wide[3], wide[2]), abs=0.5)
    assert tall != wide
    assert draw_plan(Augmentation(crop=STILL), Draws(0, 0), SIZE).box == WHOLE


WORDS = {
    "add": r"add [+-]\d+ [+-]\d+ [+-]\d+",
    "enhance": r"enhance 1\.\d\d",
    "contrast": r"contrast [01]\.\d\d",
    "hue_saturation": r"hue [+-]\d+° saturation [+-]\d+",
    "noise": r"noise 7\.65",
    "motion_blur": r"motion [357] at \d+° [+-]\d\.\d\d",
    "gaussian_blur": r"blur 0\.[123]",
    "warp": r"(turned [+-]\d+\.\d°|corners at( \(\d\.\d{3} \d\.\d{3}\)){4})",
}


@pytest.mark.parametrize("name", WORDS)
def test_what_was_drawn_is_said_in_words(name: str):
    alone = Augmentation(Crop("whole"), flip=0, any=1, each=1, operations=(name,))
    for position in range(20):
        words = str(draw_plan(alone, Draws(1, position), (340, 256)))
        assert re.fullmatch(WORDS[name], words), words
