"""Pictures that imgaug made, the predecessor's library: ours come out alike, step for step.

Where they cannot be equal it is said by how much and why. tests/golden/imgaug/make.py made them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from data.augment import MIDDLE, NOISE
from data.plan import KEEP, SIDE, Blur, HueShift, Matrix, Noise, Plan, chain, perspective, rotation
from data.render import render
from tests.plans import saturation
from tests.scenes import flat, meant_places

HERE = Path(__file__).parent / "golden" / "imgaug"
GOLDEN = json.loads((HERE / "golden.json").read_text())
Step = dict[str, Any]


def picture(name: str) -> np.ndarray:
    """RGB."""
    read = cv2.imread(str(HERE / name))
    assert read is not None, f"{name} cannot be read"
    return np.ascontiguousarray(read[..., ::-1])


# -- imgaug's steps as a plan ----------------------------------------------------------------------


def rows(matrix: np.ndarray) -> Matrix:
    return tuple(tuple(map(float, row)) for row in matrix)


def moved(values: list[float]) -> Matrix:
    return rows(np.hstack([np.eye(3), np.array(values, float)[:, None]]))


def contrasted(factor: float) -> Matrix:
    return rows(np.hstack([factor * np.eye(3), np.full((3, 1), MIDDLE * (1 - factor))]))


def corners_of(moves: list[float]) -> Matrix:
    """From how far the corners move in to where they then are."""
    ends = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    return rows(np.abs(ends - np.array(moves).reshape(4, 2)))


STEPS: dict[str, Callable[[dict[str, Any], Step, float], dict[str, Any]]] = {
    "Add": lambda so_far, step, _: {"before": chain(so_far["before"], moved(step["values"]))},
    "EnhanceColor": lambda so_far, step, _: {
        "before": chain(so_far["before"], rows(saturation(step["factor"])))
    },
    "AddToHueAndSaturation": lambda so_far, step, _: {
        "hue": HueShift(2 * step["hue_steps"], step["saturation"])
    },
    "LinearContrast": lambda so_far, step, _: {"after": contrasted(step["alpha"])},
    "GaussianBlur": lambda so_far, step, scale: {
        "blur": so_far["blur"]._replace(sigma=step["sigma"] * scale)
    },
    "MotionBlur": lambda so_far, step, scale: {
        "blur": Blur(so_far["blur"].sigma, step["k"] * scale, step["angle"], step["direction"])
    },
    "Rotate": lambda so_far, step, _: {"bend": rotation(step["degrees"])},
    "PerspectiveTransform": lambda so_far, step, _: {
        "bend": perspective(corners_of(step["corners"]))
    },
    "Fliplr": lambda so_far, step, _: {"flip": True},
}  # fmt: skip


def plan_of(steps: list[Step], side: int) -> Plan:
    """Ours blurs after bending: there a motion is turned and mirrored with the picture."""
    so_far: dict[str, Any] = {"before": KEEP, "blur": Blur()}
    for step in steps:
        so_far |= STEPS[step["operation"]](so_far, step, SIDE / side)
    turned = sum(step.get("degrees", 0) for step in steps)
    sign = -1 if so_far.get("flip") else 1
    blur = so_far["blur"]
    return Plan(**so_far | {"blur": blur._replace(angle=sign * (blur.angle + turned))})


# -- picture by picture ----------------------------------------------------------------------------


class Tolerance(NamedTuple):
    """Of 255: on average, at the 99th percentile, at most."""

    mean: float
    at_99: float
    most: float


TOLERANCES = {
    "Add": Tolerance(0, 0, 0),
    "AddToHueAndSaturation": Tolerance(0, 0, 0),
    # imgaug cuts to whole numbers, we round: half a level on average, one at most
    "EnhanceColor": Tolerance(0.4, 1, 1),
    "LinearContrast": Tolerance(0.6, 1, 1),
    # its weights are 256ths there
    "GaussianBlur": Tolerance(0.01, 0, 1),
    # there a line is drawn in a square and turned, so that its ends are cut off and it is wider
    "MotionBlur": Tolerance(0.4, 4, 14),
    "MotionBlur, upright or level": Tolerance(0, 0, 0),
    # a 32nd of a pixel here or there, next to black
    "Rotate": Tolerance(0.06, 1, 8),
    # bent to whole pixels there, and then enlarged once more
    "PerspectiveTransform": Tolerance(0.8, 8, 25),
    # the halves of the levels that were cut add up, and hue makes more of them where all is grey
    "colours": Tolerance(1, 6, 12),
    # that, and bent before the blur, not after it
    "the whole set": Tolerance(1.6, 10, 60),
}


def kind_of(steps: list[Step]) -> str:
    if len(steps) == 1:
        upright = steps[0].get("angle", 1) % 90 == 0
        return steps[0]["operation"] + ", upright or level" * upright
    return "the whole set" if steps[-1]["operation"] == "Fliplr" else "colours"


@pytest.mark.parametrize("golden", GOLDEN["pictures"], ids=lambda golden: golden["file"])
def test_as_imgaug_makes_it(golden: dict[str, Any]):
    source, meant = picture(golden["source"]), picture(golden["file"])
    side = len(source)
    assert source.shape == meant.shape == (side, side, 3)
    plan = plan_of(golden["steps"], side)
    made = np.empty((1, side, side, 3), np.uint8)
    render(source[None], plan, made)
    away = cv2.absdiff(made[0], meant)[seen(plan, side)]
    found = Tolerance(float(away.mean()), float(np.percentile(away, 99)), float(away.max()))
    allowed = TOLERANCES[kind_of(golden["steps"])]
    assert all(is_ <= may_be for is_, may_be in zip(found, allowed, strict=True)), found


def seen(plan: Plan, side: int) -> np.ndarray:
    """What is not beyond the picture: imgaug leaves that black, we colour and blur it too."""
    if plan == Plan(bend=plan.bend):
        return np.ones((side, side), bool)
    places = meant_places(plan, (side, side), side)
    return np.all((places >= 3) & (places <= side - 4), axis=-1)


def test_every_operation_has_its_pictures():
    listed = {step["operation"] for golden in GOLDEN["pictures"] for step in golden["steps"]}
    assert listed == set(STEPS)
    assert {kind_of(golden["steps"]) for golden in GOLDEN["pictures"]} == set(TOLERANCES)


@pytest.mark.parametrize("golden", GOLDEN["pictures"], ids=lambda golden: golden["file"])
def test_a_golden_picture_differs_from_its_source(golden: dict[str, Any]):
    """Else being like it says nothing."""
    away = cv2.absdiff(picture(golden["source"]), picture(golden["file"])).mean()
    step = golden["steps"][0]
    none = len(golden["steps"]) == 1 and (step.get("sigma") or step.get("alpha") == 1)
    assert away < 0.1 if none else away > 1


# -- numbers ---------------------------------------------------------------------------------------


BENT = [
    (step, golden["source"]) for golden in GOLDEN["pictures"] for step in golden["steps"]
    if "matrix" in step and len(golden["steps"]) == 1
]  # fmt: skip


@pytest.mark.parametrize(("step", "source"), BENT, ids=lambda one: str(one)[:60])
def test_a_bend_looks_where_imgaug_looks(step: Step, source: str):
    """Perspectives to a pixel: imgaug takes edges for the middles of pixels, and bends to a
    picture of whole pixels."""
    side = len(picture(source))
    found = meant_places(plan_of([step], side), (side, side), side)
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    across, down, depth = np.einsum("ij,jhw->ihw", np.array(step["matrix"]),
                                    np.stack([x, y, np.ones_like(x)]))  # fmt: skip
    away = np.abs(found - np.stack([across / depth, down / depth], axis=-1))
    assert away.max() < (1e-6 if step["operation"] == "Rotate" else 1)


def test_noise_is_as_imgaugs():
    meant = GOLDEN["noise"]
    assert pytest.approx(meant["scale"]) == NOISE
    frames = flat((256, 256), (128, 128, 128), 2)
    plan = Plan(noise=Noise(NOISE, 1, 2))
    grey, black = (np.empty((2, 256, 256, 3), np.uint8) for _ in range(2))
    render(frames, plan, grey)
    render(np.zeros_like(frames), plan, black)
    assert meant["same_field_for_every_frame"]
    assert (grey[0] == grey[1]).all()
    field = grey[0].reshape(-1, 3).astype(float) - 128
    assert field.mean(axis=0) == pytest.approx(meant["mean"], abs=0.1)
    assert field.std(axis=0) == pytest.approx(meant["deviation"], abs=0.1)
    correlation = np.abs(np.corrcoef(field.T) - np.eye(3)).max()
    assert correlation < meant["largest_correlation_of_channels"] + 0.01
    assert black.mean() == pytest.approx(meant["mean_on_black"], abs=0.05)
