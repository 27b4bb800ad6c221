"""Both executors show the same: each operation alone, a hundred full plans, every odd size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
import torch

from data.augment import SEED_SET, Augmentation, Jitter, draw_plan
from data.crops import Crop
from data.display import Size
from data.draws import Draws
from data.plan import Blur, Erased, HueShift, Noise, Plan, perspective, rotation
from data.render import render
from tests.scenes import clip, flat
from train import device_augment

MEAN, MOST = 2.0, 8.0  # of 255: on average, and at the 99th percentile
SIZES: list[Size] = [(340, 256), (256, 340), (97, 61)]
SIDES = [80, 112, 224]


pytestmark = pytest.mark.usefixtures("one_thread")


def on_cpu(frames: np.ndarray, plan: Plan, side: int) -> np.ndarray:
    out = np.empty((len(frames), side, side, 3), np.uint8)
    render(frames, plan, out)
    return out


def on_device(frames: np.ndarray, plan: Plan, side: int, device: str = "cpu") -> np.ndarray:
    return device_augment.render(torch.from_numpy(frames).to(device), plan, side).cpu().numpy()


def apart(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """On average, and at the 99th percentile."""
    assert one.shape == other.shape
    assert one.dtype == other.dtype == np.uint8
    away = cv2.absdiff(one.ravel(), other.ravel())
    return float(away.mean()), float(np.percentile(away, 99))


# -- each operation alone --------------------------------------------------------------------------


NEARER = perspective(((0.05, 0.1), (0.93, 0.02), (0.98, 0.9), (0.07, 0.95)))
PART = (0.2, 0.31, 0.77, 0.83)
GREYER = tuple((*row, 20.0) for row in ((0.6, 0.2, 0.1), (0.1, 0.7, 0.1), (0.1, 0.2, 0.6)))
# What each may differ by at most, at the 99th percentile: less than the contract where it can be.
ALONE: dict[str, tuple[Plan, float]] = {
    "the whole": (Plan(), 0),
    "a part": (Plan(PART), 0),
    "flip": (Plan(flip=True), 0),
    "rotation": (Plan(bend=rotation(10)), 1),
    "rotation of a part, flipped": (Plan(PART, rotation(-7), True), 1),
    "perspective": (Plan(bend=NEARER), 1),
    "perspective of a part, flipped": (Plan(PART, NEARER, True), 1),
    "gaussian blur": (Plan(blur=Blur(1.2)), 1),
    "motion blur": (Plan(blur=Blur(0, 7, 30, 0.7)), 1),
    "both blurs": (Plan(blur=Blur(0.8, 5, 200, -1)), 1),
    "colours": (Plan(before=GREYER), 1),
    "hue": (Plan(hue=HueShift(22, 0)), 1),
    "hue back": (Plan(hue=HueShift(-22, 0)), 1),
    "saturation": (Plan(hue=HueShift(0, 16)), 1),
    "less saturation": (Plan(hue=HueShift(0, -16)), 1),
    "no saturation": (Plan(hue=HueShift(0, -255)), 1),
    "all saturation": (Plan(hue=HueShift(0, 255)), 5),  # the hue of greys is anyone's guess
    "colours after": (Plan(after=GREYER), 1),
    "noise": (Plan(noise=Noise(7.65, 3, 4)), 0),
    "noise per frame": (Plan(noise=Noise(7.65, 3, 4, 1, per_frame=True)), 0),
    "erased": (Plan(erased=(Erased((0.1, 0.2, 0.4, 0.5), (9, 8, 7)),)), 0),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", ALONE)
def test_each_operation_alone(case: str, side: int):
    plan, most = ALONE[case]
    for size in SIZES:
        frames = clip(size, 2)
        mean, at_99 = apart(on_cpu(frames, plan, side), on_device(frames, plan, side))
        assert mean <= 0.1 if most <= 1 else MEAN
        assert at_99 <= most


@pytest.mark.parametrize("name", SEED_SET)
def test_each_operation_as_it_is_drawn(name: str):
    only = Augmentation(operations=(name,), any=1, each=1)
    for position, size in enumerate(SIZES * 2):
        plan = draw_plan(only, Draws(2, position), size)
        frames, side = clip(size, 1), SIDES[position % 3]
        mean, at_99 = apart(on_cpu(frames, plan, side), on_device(frames, plan, side))
        assert mean <= 0.1
        assert at_99 <= 1


# -- full plans ------------------------------------------------------------------------------------


EVERYTHING = Augmentation(jitter=Jitter(0.4, 0.4, 0.4, 0.1), erase=0.5, grayscale=0.1)
KINDS = {"the set": Augmentation(), "the set, jitter, erasing, grey": EVERYTHING}


@cache
def full_plans(kind: str) -> list[tuple[Size, Plan]]:
    """A hundred in a row that do something beside crop and flip."""
    crops = [Crop(), Crop("resized"), Crop("scales"), Crop("whole")]
    found: list[tuple[Size, Plan]] = []
    for position in range(1000):
        size = SIZES[position % 3]
        chosen = replace(KINDS[kind], crop=crops[position % 4])
        plan = draw_plan(chosen, Draws(17, position), size)
        if plan != Plan(plan.box, flip=plan.flip):
            found.append((size, plan))
    return found[:100]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_full_plans(kind: str, side: int):
    """A third of them at each side: both executors show the same of every one."""
    plans = full_plans(kind)
    assert len(plans) == 100
    for size, plan in plans[SIDES.index(side) :: 3]:
        frames = clip(size, 1)
        made = on_cpu(frames, plan, side)
        mean, at_99 = apart(made, on_device(frames, plan, side))
        assert mean <= MEAN, plan
        assert at_99 <= MOST, plan
        assert apart(made, on_cpu(frames, Plan(plan.box, flip=plan.flip), side))[0] > 0, plan


def test_full_plans_differ_much_from_nothing():
    """Else agreeing on them would say little."""
    changed = []
    for size, plan in full_plans("the set")[:30]:
        frames = clip(size, 1)
        plain = on_cpu(frames, Plan(plan.box, flip=plan.flip), 80)
        changed.append(apart(on_cpu(frames, plan, 80), plain)[0])
    assert np.median(changed) > 3


# -- batches, sizes and edges ----------------------------------------------------------------------


def test_a_batch_is_its_clips():
    sizes: list[Size] = [(340, 256), (97, 61), (40, 90)]
    clips = [torch.from_numpy(clip(size, 3)) for size in sizes]
    plans = [Plan(PART, rotation(5)), Plan(flip=True, hue=HueShift(10, 5)),
             Plan(noise=Noise(7.65, 1, 2, per_frame=True))]  # fmt: skip
    batch = device_augment.render_batch(clips, plans, 48)
    assert batch.shape == (3, 3, 48, 48, 3)
    assert batch.dtype == torch.uint8
    assert batch.is_contiguous()
    for made, frames, plan in zip(batch, clips, plans, strict=True):
        alone = device_augment.render(frames, plan, 48)
        assert alone.is_contiguous()
        assert (made == alone).all()
    with pytest.raises(ValueError, match="zip"):
        device_augment.render_batch(clips, plans[:2], 48)


@pytest.mark.parametrize("case", ALONE)
def test_the_frames_given_stay_as_they_were(case: str):
    frames = clip((48, 48), 2)
    before = frames.copy()
    on_device(frames, ALONE[case][0], 48)
    assert (frames == before).all()


@pytest.mark.parametrize("case", ALONE)
def test_every_frame_gets_its_own(case: str):
    frames, plan = clip((97, 61), 3), ALONE[case][0]
    if plan.noise is None or not plan.noise.per_frame:
        together = on_device(frames, plan, 40)
        for number in range(3):
            assert (together[number] == on_device(frames[number : number + 1], plan, 40)[0]).all()
    else:
        made = on_device(flat((97, 61), (99, 99, 99), 3), plan, 40)
        assert (made == on_cpu(flat((97, 61), (99, 99, 99), 3), plan, 40)).all()
        assert len({frame.tobytes() for frame in made}) == 3


ODD: list[Size] = [(1, 1), (2, 1), (1, 7), (3, 3), (2000, 3), (3, 2000), (97, 61), (500, 400)]


@pytest.mark.parametrize("size", ODD, ids=str)
@pytest.mark.parametrize("plan", [Plan(), Plan(PART, flip=True), Plan(bend=rotation(10)),
                                  Plan(PART, NEARER, True), Plan(blur=Blur(1.2, 7, 30, 0))],
                         ids=["whole", "part", "turned", "nearer", "blurred"])  # fmt: skip
def test_any_size_can_be_drawn(plan: Plan, size: Size):
    """Averaged or enlarged, both look at the same pixels."""
    for side in (1, 2, 7, 33):
        away = cv2.absdiff(on_cpu(clip(size, 1), plan, side), on_device(clip(size, 1), plan, side))
        assert away.max() <= 3 if plan.bend is None else np.percentile(away, 90) <= 2


def test_colours_at_their_ends():
    """Black, white, greys and the purest colours, through hue and back."""
    levels = [0, 1, 2, 64, 127, 128, 200, 254, 255]
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, 27, 27, 3)
    frames = np.ascontiguousarray(colours, np.uint8)
    for turn in (0, 2, 22, 90, 180, -22):
        for change in (-16, 0, 16):
            plan = Plan(hue=HueShift(turn, change))
            away = cv2.absdiff(on_cpu(frames, plan, 27), on_device(frames, plan, 27))
            assert away.max() <= 1
            assert away.mean() < 0.03


# -- on a GPU --------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_full_plans_on_a_gpu(kind: str):
    for number, (size, plan) in enumerate(full_plans(kind)):
        frames, side = clip(size, 2), SIDES[number % 3]
        mean, at_99 = apart(on_cpu(frames, plan, side), on_device(frames, plan, side, "cuda"))
        assert mean <= MEAN, plan
        assert at_99 <= MOST, plan
