"""Many drawn plans, and how to read them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from data.augment import Augmentation, draw_plan
from data.crops import Crop
from data.draws import Draws
from data.plan import Matrix, Plan

SIZE = (340, 256)
COUNT = 3000
DRAWS = tuple(Draws(3, position) for position in range(COUNT))
FEW = DRAWS[:250]
STILL = Crop("whole")


@cache
def plans(draws: tuple[Draws, ...] = DRAWS, **changes: Any) -> list[Plan]:
    """With everything off that is not asked for: no crop, no flip."""
    augmentation = replace(Augmentation(crop=STILL, flip=0), **changes)
    return [draw_plan(augmentation, one, SIZE) for one in draws]


def always(*operations: str, **changes: Any) -> list[Plan]:
    return plans(operations=operations, any=1.0, each=1.0, **changes)


def share(found: list[bool]) -> float:
    return sum(found) / len(found)


def even(values: list[float], low: float, high: float) -> None:
    """These are spread evenly from `low` up to `high`."""
    found = np.array(values)
    assert low <= found.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < found.max() <= high
    counts = np.histogram(found, 10, (low, high))[0]
    assert abs(counts - len(found) / 10).max() < 5 * math.sqrt(len(found) / 10)


def evenly(values: list[Any], options: list[Any]) -> None:
    """These are all the options and no others, each as often."""
    counts = Counter(values)
    assert set(counts) == set(options)
    middle = len(values) / len(options)
    assert max(abs(count - middle) for count in counts.values()) < 5 * math.sqrt(middle)


GREYS = np.array([0.299, 0.587, 0.114])


def saturation(factor: float) -> np.ndarray:
    """Each colour away from grey: 3 x 4."""
    return np.hstack([factor * np.eye(3) + (1 - factor) * GREYS, np.zeros((3, 1))])


def degrees(bend: Matrix) -> float | None:
    """How far this turns, clockwise; None if it is no rotation about the middle."""
    matrix = np.array(bend)
    turn = math.degrees(math.atan2(matrix[0, 1], matrix[0, 0]))
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    meant = [[cos, sin, 0.5 - (cos + sin) / 2], [-sin, cos, 0.5 - (cos - sin) / 2], [0, 0, 1]]
    return turn if matrix == pytest.approx(np.array(meant)) else None


CORNERS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float)  # clockwise from the upper left


def bent(bend: Matrix) -> np.ndarray:
    """Where the square's corners come from, and how deep they lie: x, y, depth."""
    found = np.hstack([CORNERS, np.ones((4, 1))]) @ np.array(bend).T
    return np.hstack([found[:, :2] / found[:, 2:], found[:, 2:]])


def moves(bend: Matrix) -> np.ndarray:
    """How far each corner moves, across and down."""
    return np.abs(bent(bend)[:, :2] - CORNERS)
