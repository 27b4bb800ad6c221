"""Every random decision of a clip, from nothing but the seed and its place in the stream.

    draws = Draws(seed=42, position=1_000_000)
    if draws.uniform(Slot.FLIP) < 0.5: ...

The numbers are raw output of Philox 4x64-10, whose bits are fixed by its definition; how they
become floats is ours, so a new NumPy changes nothing. Each decision has a slot of its own with
LANES numbers: what one decision draws never shifts another, and a new one goes to a new slot.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from enum import IntEnum
from functools import cache, lru_cache
from statistics import NormalDist
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")
LANES = 8
WORD = 1 << 64
FIELD_STEPS = 1 << 16  # so fine is a normal field's distribution cut


class Domain(IntEnum):
    """What a stream of numbers is for: streams of different domains have nothing in common."""

    CLIP = 0  # which: the part of a composite picture
    ORDER = 1  # which: the epoch
    WEIGHTS = 2  # which: the epoch
    FIELD = 3  # which: the frame


class Slot(IntEnum):
    """Where each decision finds its numbers. Only add at the end: a clip's draws depend on it."""

    START = 0
    INTERVAL = 1
    SEGMENTS = 2
    ANY = 3
    CROP_SCALE = 4
    CROP_RATIO = 5
    CROP_PLACE = 6
    FLIP = 7
    GAUSSIAN_BLUR = 8
    ADD = 9
    NOISE = 10
    ENHANCE = 11
    MOTION_BLUR = 12
    HUE_SATURATION = 13
    CONTRAST = 14
    WARP = 15
    PERSPECTIVE = 16
    ROTATION = 17
    JITTER = 18
    GRAYSCALE = 19
    ERASE = 20
    ERASE_BOX = 21


_of_thread = threading.local()
NOTHING = np.zeros(4, np.uint64)  # a generator's buffer that is used up


def check_seed(seed: int) -> None:
    if not 0 <= seed < WORD:
        raise ValueError(f"a seed is a whole number from 0 to 2**64 - 1, got {seed}")


def raw(seed: int, position: int, domain: Domain, which: int, count: int) -> np.ndarray:
    """`count` uint64 of the stream of this seed, position, domain and number."""
    check_seed(seed)
    generator = _generator()
    generator.state = {
        "bit_generator": "Philox",
        "state": {
            "counter": np.array([0, 0, which, domain], np.uint64),
            "key": np.array([seed, position], np.uint64),
        },
        "buffer": NOTHING,
        "buffer_pos": len(NOTHING),
        "has_uint32": 0,
        "uinteger": 0,
    }
    return generator.random_raw(count)


def _generator() -> np.random.Philox:
    """One a thread, set anew each time: a new one would ask the system for a seed that it does not
    use, which costs as much as all other decisions of a clip."""
    if not hasattr(_of_thread, "generator"):
        _of_thread.generator = np.random.Philox(key=0)
    return _of_thread.generator


def to_unit(numbers: np.ndarray) -> np.ndarray:
    """uint64 to float64 in [0, 1): their upper 53 bits."""
    return (numbers >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Draws:
    """The decisions of one clip; `part` is the square of a composite picture they are for."""

    def __init__(self, seed: int, position: int, part: int = 0) -> None:
        self.seed, self.position, self.part = seed, position, part
        count = LANES * len(Slot)
        self._numbers = to_unit(raw(seed, position, Domain.CLIP, part, count)).tolist()

    def uniform(self, slot: Slot, low: float = 0.0, high: float = 1.0, lane: int = 0) -> float:
        """From `low` up to, but not including, `high`."""
        if not 0 <= lane < LANES:
            raise IndexError(f"a slot has lanes 0 to {LANES - 1}, asked for {lane}")
        value = low + (high - low) * self._numbers[LANES * slot + lane]
        return min(value, math.nextafter(high, low))  # a sum may be rounded up

    def integer(self, slot: Slot, count: int, lane: int = 0) -> int:
        """A whole number from 0 to `count` - 1."""
        return min(int(self.uniform(slot, lane=lane) * count), count - 1)

    def choice(self, slot: Slot, options: Sequence[Option], lane: int = 0) -> Option:
        return options[self.integer(slot, len(options), lane)]

    def normal(self, slot: Slot, lane: int = 0) -> float:
        """Of mean 0 and deviation 1."""
        return NormalDist().inv_cdf(max(self.uniform(slot, lane=lane), 2.0**-54))

    def many(self, slot: Slot, count: int) -> list[float]:
        """As many uniform numbers as wanted, for decisions that are made once a frame."""
        which = (1 + slot) << 32 | self.part
        return to_unit(raw(self.seed, self.position, Domain.CLIP, which, count)).tolist()


def normal_field(seed: int, position: int, which: int, count: int, scale: float) -> np.ndarray:
    """`count` whole numbers (int16) of mean 0 and this deviation, quickly: from a table."""
    words = raw(seed, position, Domain.FIELD, which, -(-count // 4))
    return np.take(_normal_steps(scale), words.astype("<u8", copy=False).view("<u2")[:count])


@lru_cache(4)
def _normal_steps(scale: float) -> np.ndarray:
    return np.rint(scale * _normal_table()).astype(np.int16)


@cache
def _normal_table() -> np.ndarray:
    """The normal distribution's values at the middles of equal shares."""
    inverse = NormalDist().inv_cdf
    shares = (np.arange(FIELD_STEPS) + 0.5) / FIELD_STEPS
    return np.array([inverse(share) for share in shares.tolist()], np.float32)
