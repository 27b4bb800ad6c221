"""Pictures to be bent and coloured: one that looks natural, and some that say where they were."""

from __future__ import annotations

from functools import cache

import numpy as np

from data.display import Size
from data.plan import Plan

DARKEST = 20  # of a chart: black is beyond it


@cache
def scene(size: Size, frame: int = 0) -> np.ndarray:
    """Sky, hills, a ball, a fence: smooth parts, edges, fine detail, strong and pale colours."""
    width, height = size
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    softness = 1.5 / min(size)  # edges are about a pixel wide, as a camera's
    sky = np.stack([0.35 + 0.4 * y, 0.5 + 0.3 * y, 0.95 - 0.2 * y], -1)
    hills = np.stack([0.15 + 0.4 * x, 0.5 - 0.2 * y, 0.1 + 0.15 * x], -1)
    ridge = 0.5 + 0.1 * np.sin(6 * x + 0.3 * frame) + 0.03 * np.sin(23 * x)
    picture = _over(sky, hills, (y - ridge) / softness)
    ball = 0.16 - np.hypot(x - 0.3 - 0.02 * frame, (y - 0.62) * height / width)
    light = np.clip(1.1 - 3 * np.hypot(x - 0.25 - 0.02 * frame, y - 0.55), 0.15, 1)
    picture = _over(picture, light[..., None] * np.array([0.9, 0.2, 0.12]), ball / softness)
    fence = 0.03 * np.sin(x * 90) + 0.02
    posts = np.minimum(fence / 0.09, (y - 0.78) / 4 * (0.95 - y) * 40)
    picture = _over(picture, np.ones(3) * (0.85 - 0.2 * x[..., None]), posts / softness)
    grain = 0.02 * np.sin(x * 310 + 17 * y + frame) * np.sin(y * 280 - 13 * x)
    return np.clip(np.round((picture + grain[..., None]) * 255), 0, 255).astype(np.uint8)


def _over(below: np.ndarray, above: np.ndarray, inside: np.ndarray) -> np.ndarray:
    share = np.clip(inside + 0.5, 0, 1)[..., None]
    return below * (1 - share) + above * share


def clip(size: Size, frames: int = 3) -> np.ndarray:
    """THWC of a scene that moves."""
    return np.stack([scene(size, frame) for frame in range(frames)])


def flat(size: Size, colour: tuple[int, int, int], frames: int = 1) -> np.ndarray:
    """THWC of one colour."""
    return np.broadcast_to(np.array(colour, np.uint8), (frames, size[1], size[0], 3)).copy()


def chequered(size: Size) -> np.ndarray:
    """One frame of black and white pixels in turn."""
    black = np.indices(size[::-1]).sum(axis=0) % 2
    return np.repeat(255 * (1 - black)[None, :, :, None], 3, axis=3).astype(np.uint8)


def chart(size: Size) -> np.ndarray:
    """One frame whose red says how far right a pixel is, whose green how far down; blue is full."""
    if max(size) > 117:
        raise ValueError(f"a chart has at most 117 pixels each way, asked for {size}")
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    levels = [DARKEST + at * _step(length) for at, length in ((x, size[0]), (y, size[1]))]
    return np.stack([*levels, np.full_like(x, 255)], axis=-1).astype(np.uint8)[None]


def read_chart(picture: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of this picture lay in its chart: x and y, and which lay in it wholly."""
    places = [(picture[..., axis].astype(float) - DARKEST) / _step(size[axis]) for axis in (0, 1)]
    return np.stack(places, axis=-1), picture[..., 2] == 255


def _step(length: int) -> int:
    """How much the chart's colour changes from pixel to pixel: averages of two must be whole."""
    return 2 * ((254 - DARKEST) // (2 * length))


def meant_places(plan: Plan, size: Size, side: int) -> np.ndarray:
    """Where each pixel of the square is to come from, by the words of the plan alone."""
    left, top, right, bottom = plan.box
    across, down = np.meshgrid((np.arange(side) + 0.5) / side, (np.arange(side) + 0.5) / side)
    if plan.flip:
        across = 1 - across
    if plan.bend is not None:
        x, y, depth = np.einsum("ij,jhw->ihw", np.array(plan.bend),
                                np.stack([across, down, np.ones_like(down)]))  # fmt: skip
        across, down = x / depth, y / depth
    x = (left + (right - left) * across) * size[0] - 0.5
    y = (top + (bottom - top) * down) * size[1] - 0.5
    return np.stack([x, y], axis=-1)
