"""Golden pictures: what imgaug 0.4.0, the predecessor's augmentation library, does to two pictures.

    python -m tests.golden.imgaug.make        # makes golden.json and the pictures beside it anew

imgaug needs a NumPy older than 1.24 and so Python 3.11; it runs in the environment of its own that
benchmarks/peers.py makes, unpatched, with numpy 1.23.5, opencv-python-headless 4.9.0.80, pillow
10.4.0, scipy 1.11.4, scikit-image 0.22.0, imageio 2.33.1 and six 1.17.0.

golden.json lists the pictures: the source, the steps with every parameter fixed, and the file.
Pictures are RGB; steps follow one another on uint8. Beside what imgaug was given, a step says what
follows from it:

hue_steps   AddToHueAndSaturation: its hue counts 255 to the circle and is cut to whole steps of
            OpenCV's 180, its saturation counts as OpenCV's, 255 to full.
kernel      MotionBlur: the weights, correlated with the picture mirrored at its outermost pixels.
matrix      Rotate and PerspectiveTransform: a pixel of the result -> where it is read in the
            picture before, as (x, y, 1), the centre of the first pixel at (0, 0).
            PerspectiveTransform warps to a smaller picture and then enlarges that; its matrix is
            of both together.
"""

from __future__ import annotations

import importlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.peers import IMGAUG, PEERS, ROOT, find_peers, python_of

HERE = Path(__file__).resolve().parent
Step = dict[str, Any]

ADDS = ([-5, 0, 15], [15, 15, 15], [7, -5, -3])
CORNERS = (  # how far the corners move in, as shares of width and height: x, y from the top left on
    [0.06, 0.02, 0.01, 0.07, 0.04, 0.05, 0.03, 0.0],
    [0.0, 0.09, 0.08, 0.01, 0.02, 0.02, 0.05, 0.06],
)
MOTIONS = ((3, 0, 0.0), (3, 45, 0.5), (5, 30, -0.4), (5, 90, 0.0), (7, 120, 1.0), (7, 250, -0.7))
HUES = ((-16, -16), (-8, -8), (8, 8), (16, 16), (16, 0), (0, 16), (-16, 16), (13, -16))


def add(values: Sequence[int]) -> Step:
    return {"operation": "Add", "values": values}


def enhance(factor: float) -> Step:
    return {"operation": "EnhanceColor", "factor": factor}


def hue(value_hue: int, value_saturation: int) -> Step:
    return {"operation": "AddToHueAndSaturation", "hue": value_hue, "saturation": value_saturation}


def contrast(alpha: float) -> Step:
    return {"operation": "LinearContrast", "alpha": alpha}


def blur(sigma: float) -> Step:
    return {"operation": "GaussianBlur", "sigma": sigma}


def motion(k: int, angle: float, direction: float) -> Step:
    return {"operation": "MotionBlur", "k": k, "angle": angle, "direction": direction}


def rotate(degrees: float) -> Step:
    return {"operation": "Rotate", "degrees": degrees}


def perspective(corners: Sequence[float]) -> Step:
    return {"operation": "PerspectiveTransform", "corners": corners}


COLOURS: list[list[Step]] = [
    *([add(values)] for values in ADDS),
    *([enhance(factor)] for factor in (1.2, 1.4, 1.6)),
    *([hue(*values)] for values in HUES),
    *([contrast(alpha)] for alpha in (0.85, 1.0, 1.115)),
    [add([-5, 0, 15]), enhance(1.4), hue(16, -8), contrast(1.115)],
    [add([15, 15, 15]), enhance(1.2), hue(-16, -16), contrast(0.85)],
    [add([10, -5, 3]), enhance(1.6), hue(8, 16), contrast(1.05)],
]
COMPOSED = COLOURS[-3:]
EDGES: list[list[Step]] = [[blur(0.3)]]  # too little a blur to be seen in what is smooth
BLURS: list[list[Step]] = [
    *([blur(sigma)] for sigma in (0.1, 0.2, 0.3)),
    *([motion(*values)] for values in MOTIONS),
]
WARPS: list[list[Step]] = [
    *([rotate(degrees)] for degrees in (10, -10, 3.5)),
    *([perspective(corners)] for corners in CORNERS),
]
# the predecessor's whole set in its order, but for the noise
WHOLE: list[list[Step]] = [
    [blur(0.3), add([-5, 0, 15]), enhance(1.4), motion(5, 30, -0.4), hue(16, -8), contrast(1.115),
     warp, {"operation": "Fliplr"}]
    for warp in (rotate(-10), perspective(CORNERS[0]))
]  # fmt: skip
PLANS = {"colours": [*COLOURS, *EDGES], "scene": [*COMPOSED, *BLURS, *WARPS, *WHOLE]}


# -- the pictures, from formulas -----------------------------------------------------------------


def from_hsv(turn: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """RGB, 0 to 1, of hues as shares of the circle."""
    sectors = np.array([5.0, 3.0, 1.0]) + turn[..., None] * 6
    away = np.clip(np.abs(sectors % 6 - 3) - 1, 0, 1)  # 0 in the channel that leads
    return value[..., None] * (1 - saturation[..., None] * (1 - away))


def colours() -> np.ndarray:
    """64x64: all hues bright to dark and strong to pale, greys 0 to 255, skin and dark colours."""
    across, down = np.meshgrid(np.arange(64) / 63, np.arange(64) / 63)
    strong = from_hsv(across[:20], np.full((20, 64), 0.95), 0.1 + 0.9 * down[:20] / down[19, 0])
    pale = from_hsv(across[:20], down[:20] / down[19, 0], np.full((20, 64), 0.85))
    grey = np.repeat(across[:8, :, None], 3, 2)
    tones = [(241, 194, 160), (198, 134, 94), (141, 85, 56), (74, 44, 30), (24, 28, 40),
             (40, 60, 20), (52, 18, 22), (128, 128, 128)]  # fmt: skip
    patches = np.repeat(np.array(tones) / 255, 8, 0)[None] * np.ones((16, 1, 1))
    texture = 0.03 * np.sin(across[:16] * 120) * np.cos(down[:16] * 200)
    return np.concatenate([strong, pale, grey, patches + texture[..., None]]) * 255


def scene() -> np.ndarray:
    """72x72, smooth: sky and sun over hills, a shaded ball, a little grain."""
    across, down = np.meshgrid(np.arange(72) / 71, np.arange(72) / 71)
    sky = np.stack([0.35 + 0.4 * down, 0.5 + 0.3 * down, 0.9 - 0.15 * down], 2)
    land = np.stack([0.25 + 0.3 * across, 0.45 - 0.2 * down, 0.15 + 0.1 * across], 2)
    ridge = 0.55 + 0.08 * np.sin(across * 7) + 0.03 * np.sin(across * 19)
    picture = _over(sky, land, (down - ridge) * 25)
    sun = 1 - np.hypot(across - 0.75, down - 0.25) / 0.1
    picture = _over(picture, np.array([1.0, 0.93, 0.6]) * np.ones_like(sky), sun * 4)
    away = np.hypot(across - 0.28, down - 0.68) / 0.14
    light = np.clip(1 - np.hypot(across - 0.24, down - 0.6) / 0.3, 0.1, 1)
    picture = _over(picture, light[..., None] * np.array([0.85, 0.2, 0.15]), (1 - away) * 6)
    grain = 0.012 * np.sin(across * 171 + down * 59) * np.sin(down * 143 - across * 31)
    return (picture + grain[..., None]) * 255


def _over(below: np.ndarray, above: np.ndarray, weight: np.ndarray) -> np.ndarray:
    share = np.clip(weight + 0.5, 0, 1)[..., None]
    return below * (1 - share) + above * share


# -- imgaug: this half runs in its environment -----------------------------------------------------


def augmenter(step: Step) -> Any:
    """imgaug's object for a step; all its parameters are given, so nothing is drawn."""
    iaa: Any = importlib.import_module("imgaug.augmenters")
    fixed: Any = importlib.import_module("imgaug.parameters").DeterministicList
    make = {
        "Add": lambda values: iaa.Add(fixed(values), per_channel=True),
        "EnhanceColor": iaa.pillike.EnhanceColor,
        "AddToHueAndSaturation": lambda hue, saturation: iaa.AddToHueAndSaturation(
            value_hue=hue, value_saturation=saturation
        ),
        "LinearContrast": iaa.LinearContrast,
        "GaussianBlur": iaa.GaussianBlur,
        "MotionBlur": iaa.MotionBlur,
        "Rotate": lambda degrees: iaa.Rotate(rotate=degrees),
        "PerspectiveTransform": lambda corners: iaa.PerspectiveTransform(keep_size=True),
        "Fliplr": lambda: iaa.Fliplr(1.0),
    }[step["operation"]]
    made = make(**{name: value for name, value in step.items() if name != "operation"})
    if "corners" in step:
        made.jitter = fixed(step["corners"])
    return made


def consequences(step: Step, made: Any, size: tuple[int, int]) -> Step:
    """What follows from a step's parameters for a picture of this width and height."""
    if step["operation"] == "AddToHueAndSaturation":
        return {"hue_steps": int(np.float32(step["hue"]) / np.float32(255) * 180)}
    if step["operation"] == "MotionBlur":
        random: Any = importlib.import_module("imgaug.random")
        return {"kernel": numbers(made.matrix(None, 1, random.RNG(0))[0])}
    if step["operation"] == "Rotate":
        return {"matrix": numbers(rotation(step["degrees"], size))}
    if step["operation"] == "PerspectiveTransform":
        return {"matrix": numbers(homography(step["corners"], size))}
    return {}


def rotation(degrees: float, size: tuple[int, int]) -> np.ndarray:
    """Clockwise as seen, about the middle; result -> picture before."""
    x, y = size[0] / 2 - 0.5, size[1] / 2 - 0.5
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y],
                     [0, 0, 1]])  # fmt: skip


def homography(corners: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The quadrangle between the corners becomes the whole picture; result -> picture before."""
    inwards = np.array(corners).reshape(4, 2)
    ends = np.abs(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - inwards) * size
    top, right, bottom, left = (np.hypot(*(ends[i] - ends[(i + 1) % 4])) for i in range(4))
    width, height = int(max(top, bottom)), int(max(right, left))
    smaller = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    back = cv2.getPerspectiveTransform(smaller, ends.astype(np.float32))
    wide, high = width / size[0], height / size[1]
    enlarged = np.array([[wide, 0, wide / 2 - 0.5], [0, high, high / 2 - 0.5], [0, 0, 1]])
    found = back @ enlarged
    return found / found[2, 2]


def numbers(matrix: np.ndarray) -> list[list[float]]:
    return [[round(float(value), 9) for value in row] for row in matrix]


def draw(folder: Path) -> None:
    """Write golden.json and its pictures."""
    listed = []
    for source, plans in PLANS.items():
        floats = {"colours": colours, "scene": scene}[source]()
        picture = np.clip(np.round(floats), 0, 255).astype(np.uint8)
        write(folder / f"{source}.png", picture)
        for number, plan in enumerate(plans):
            result, steps = picture.copy(), []
            for step in plan:
                made = augmenter(step)
                height, width = result.shape[:2]
                steps.append({**step, **consequences(step, made, (width, height))})
                result = made(image=result)
            names = plan[0]["operation"] if len(plan) == 1 else "several"
            file = f"{source}-{number:02d}-{names}.png"
            write(folder / file, result)
            listed.append({"file": file, "source": f"{source}.png", "steps": steps})
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in (need.split("==")[0] for need in IMGAUG)}
    facts = {"made_with": versions, "noise": noise(), "pictures": listed}
    (folder / "golden.json").write_text(in_lines(facts) + "\n")


def noise() -> dict[str, Any]:
    """AdditiveGaussianNoise as the predecessor calls it, on flat pictures of 256x256."""
    iaa: Any = importlib.import_module("imgaug.augmenters")
    scale = 0.03 * 255
    made = iaa.AdditiveGaussianNoise(scale=scale, per_channel=True, seed=1).to_deterministic()
    flat = np.full((256, 256, 3), 128, np.uint8)
    first, second = (made.augment_image(flat).astype(int) - 128 for _ in range(2))
    black = made.augment_image(np.zeros_like(flat))
    correlation = np.corrcoef(first.reshape(-1, 3).T)
    return {
        "scale": scale,
        "mean": [round(float(value), 4) for value in first.mean((0, 1))],
        "deviation": [round(float(value), 4) for value in first.std((0, 1))],
        "largest_correlation_of_channels": round(float(np.abs(correlation - np.eye(3)).max()), 4),
        "mean_on_black": round(float(black.mean()), 4),
        "same_field_for_every_frame": bool((first == second).all()),
    }


def write(path: Path, picture: np.ndarray) -> None:
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def in_lines(facts: Mapping[str, Any]) -> str:
    """JSON with a picture a line."""
    pictures = ",\n  ".join(json.dumps(one) for one in facts["pictures"])
    others = "".join(f' "{name}": {json.dumps(facts[name])},\n' for name in ("made_with", "noise"))
    return f'{{\n{others} "pictures": [\n  {pictures}\n ]\n}}'


def main() -> None:
    missing = find_peers("imgaug").left_out
    if missing:
        sys.exit(f"imgaug cannot be had here: {missing['imgaug']}")
    python = python_of(PEERS["imgaug"].home)
    subprocess.run([python, "-m", "tests.golden.imgaug.make", "draw"], cwd=ROOT, check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["draw"]:
        draw(HERE)
    else:
        main()
