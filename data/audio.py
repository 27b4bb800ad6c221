"""A clip's sound as a picture: how loud each frequency is at each moment.

    look = Spectrogram(cutoff=8000, scale="mel")
    start, stop = look.heard(clip_start, clip_stop)
    sound = store.audio(start - look.reach, stop + look.reach)
    square = picture(sound, rate, look, 224, around=round(look.reach * rate))

Low frequencies are at the bottom, time goes from left to right. Black is silence (or no sound),
white a sine at full scale. Nothing is scaled by the loudest moment of the clip: how loud it is
says as much as what it is, and a shout has to look different from the same voice talking.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from numbers import Rational
from typing import Literal, NamedTuple, get_args

import numpy as np

Scale = Literal["linear", "log", "mel"]
WHITE = 255
LOWEST = 50.0  # Hz: a logarithmic axis has to begin somewhere; below is hum, above are voices
# Blackman and Harris's window: what a loud sine leaves beside its peak is below -92 dB, unseen.
WINDOW = 0.35875, 0.48829, 0.14128, 0.01168
APART = Fraction(2, 5)  # of a window, at most: a click between two is 8 dB paler than within one
POINTS_APART = 0.5  # bins, at most: a sine between two of them is 0.2 dB paler
SHORTEST = 8  # samples of a window
MOST_DECIBELS = 200  # 16 bits have 98, and float32 can tell as many apart
WINDOWS_AT_ONCE = 128  # they fit in the processor's cache


@dataclass(frozen=True)
class Spectrogram:
    """What a picture of sound shows."""

    cutoff: int = 8000  # Hz at the upper edge; above half the sound's own rate all is black
    decibels: float = 80.0  # from black to white
    scale: Scale = "mel"  # of frequencies: mel is how far apart people hear them
    # Seconds of sound that one moment is made from: longer ones part tones, shorter ones moments.
    window: Fraction = Fraction(8, 125)
    seconds: Fraction | None = None  # of sound up to the clip's end; None: as long as the clip

    def __post_init__(self) -> None:
        if self.scale not in get_args(Scale):
            raise ValueError(f"scale is {self.scale!r}; allowed are {', '.join(get_args(Scale))}")
        lowest = LOWEST if self.scale == "log" else 0
        if not lowest < self.cutoff < math.inf:
            raise ValueError(f"cutoff is {self.cutoff!r} Hz; allowed is more than {lowest:g} on a "
                             f"{self.scale} scale")  # fmt: skip
        if not 0 < self.decibels <= MOST_DECIBELS:
            raise ValueError(f"decibels is {self.decibels!r}; allowed is more than 0, up to "
                             f"{MOST_DECIBELS}")  # fmt: skip
        _check_seconds("window", self.window)
        if self.seconds is not None:
            _check_seconds("seconds", self.seconds)

    def heard(self, start: Fraction, stop: Fraction) -> tuple[Fraction, Fraction]:
        """The range of sound that a clip of this range shows; it may begin before the video."""
        return (start if self.seconds is None else stop - self.seconds), stop

    @property
    def reach(self) -> Fraction:
        """Seconds of sound on both sides of a moment that it is made from."""
        return Fraction(self.window) / 2


def picture(
    samples: np.ndarray, rate: int, spectrogram: Spectrogram, size: int, around: int = 0
) -> np.ndarray:
    """uint8 size x size x 3 of one channel of sound, -1 to 1; the columns divide it evenly.

    `around` samples at both ends are not part of it, but heard in its first and last columns.
    Without them these take what is missing from the sound's mirror image: an abrupt end would be a
    bright line from top to bottom. Of a loud tone even the mirror image leaves a pale one.
    """
    sound = _checked(samples)
    if size < 1 or rate < 1:
        raise ValueError(f"size is {size} and rate {rate}; allowed is at least 1")
    if not 0 <= 2 * around <= len(sound):
        raise ValueError(f"around is {around}; allowed is 0 to half of the {len(sound)} samples")
    grey = np.zeros((size, size), np.uint8)
    plan = _plan(spectrogram, rate, size)
    if len(sound) > 2 * around and len(plan.bins) and sound.any():
        levels = _rows(_columns(sound, around, plan, size), plan, spectrogram.decibels)
        shown = np.clip(1 + levels / spectrogram.decibels, 0, 1)
        grey[: len(levels)] = np.rint(WHITE * shown)
    return np.repeat(grey[::-1, :, None], 3, axis=2)


def edges(spectrogram: Spectrogram, size: int) -> np.ndarray:
    """Frequencies in Hz between the rows, from the bottom edge to the top one."""
    return _frequency(spectrogram, np.arange(size + 1) / size)


def _check_seconds(name: str, value: object) -> None:
    if not (isinstance(value, Rational) and Fraction(value) > 0):
        raise ValueError(f"{name} is {value!r}; allowed is a fraction of a second above 0, such "
                         "as Fraction(1, 25)")  # fmt: skip


def _checked(samples: np.ndarray) -> np.ndarray:
    if samples.dtype.kind != "f":
        raise TypeError(f"sound is floating point from -1 to 1, got {samples.dtype}")
    if samples.ndim != 1 and samples.shape[1:] != (1,):
        raise ValueError(f"sound has one channel, got {samples.shape}; mix its channels first")
    if not np.isfinite(samples).all():
        raise ValueError("sound holds values that are infinite or no numbers; read it again")
    return samples.reshape(-1)


# -- from frequencies to rows ---------------------------------------------------------------------


# Where on the axis, 0 to 1, up to which frequency -> which frequency.
AXES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "linear": lambda place, cutoff: place * cutoff,
    "log": lambda place, cutoff: LOWEST * (cutoff / LOWEST) ** place,
    "mel": lambda place, cutoff: 700 * np.expm1(place * math.log1p(cutoff / 700)),
}


def _frequency(spectrogram: Spectrogram, place: np.ndarray) -> np.ndarray:
    return AXES[spectrogram.scale](place, float(spectrogram.cutoff))


class _Plan(NamedTuple):
    """What does not depend on the sound. A row shows the loudest of one or more points in it, as
    many as leave no gap; a point lies between bins of the spectrum, of which it uses three."""

    window: np.ndarray  # so that a sine at full scale has the power 1
    transform: int  # its length padded to one that is quickly transformed
    bins: np.ndarray  # the middle one of each point's three
    weights: np.ndarray  # 3 x points x 1
    first: np.ndarray  # of each row's points; rows beyond half the rate are left out
    points: np.ndarray  # how many each row has


@cache
def _plan(spectrogram: Spectrogram, rate: int, size: int) -> _Plan:
    length = max(SHORTEST, round(rate * spectrogram.window))
    transform = _quick_length(length)
    turn = 2 * np.pi * np.arange(length) / length
    window = sum((-1) ** n * part * np.cos(n * turn) for n, part in enumerate(WINDOW))
    spacing = rate / transform
    bounds = edges(spectrogram, size)
    wanted = np.maximum(1, np.ceil(np.diff(bounds) / (spacing * POINTS_APART))).astype(int)
    place = [(row + (at + 0.5) / n) / size for row, n in enumerate(wanted) for at in range(n)]
    frequency = _frequency(spectrogram, np.array(place))
    row = np.repeat(np.arange(size), wanted)[frequency <= rate / 2]
    where = frequency[: len(row)] / spacing
    bins = np.clip(np.rint(where).astype(int), 1, transform // 2 - 1)
    off = where - bins
    # The parabola through three bins: around a sine's peak, levels in dB are nearly one.
    weights = np.stack([off * (off - 1) / 2, 1 - off**2, off * (off + 1) / 2])
    first, count = np.unique(row, return_index=True, return_counts=True)[1:]
    return _Plan(window * (2 / window.sum()), transform, bins,
                 weights[..., None].astype(np.float32), first, count)  # fmt: skip


def _quick_length(length: int) -> int:
    """The next number without a prime factor above 5."""
    powers = range(length.bit_length() + 1)
    smooth = (2**a * 3**b * 5**c for a in powers for b in powers for c in powers)
    return min(one for one in smooth if one >= length)


# -- from sound to columns ------------------------------------------------------------------------


def _columns(sound: np.ndarray, around: int, plan: _Plan, size: int) -> np.ndarray:
    """The mean power of each column in each bin that is needed, float32 bins x columns."""
    length, heard = len(plan.window), len(sound) - 2 * around
    each = math.ceil(heard / (size * length * APART))  # windows a column
    middles = (2 * np.arange(size * each) + 1) * heard // (2 * size * each)
    missing = max(0, length - length // 2 - around)
    padded = np.pad(sound, missing, mode="reflect")
    starts = middles + (around + missing - length // 2)
    every = np.lib.stride_tricks.sliding_window_view(padded, length)
    needed = int(plan.bins.max()) + 2
    power = np.empty((needed, size), np.float32)
    at_once = max(1, WINDOWS_AT_ONCE // each)
    for column in range(0, size, at_once):
        some = starts[column * each : (column + at_once) * each]
        waves = np.fft.rfft(every[some] * plan.window, plan.transform)[:, :needed]
        squares = waves.real**2 + waves.imag**2
        power[:, column : column + at_once] = squares.reshape(-1, each, needed).mean(axis=1).T
    return power


def _rows(power: np.ndarray, plan: _Plan, decibels: float) -> np.ndarray:
    """Levels in dB, rows x columns, the lowest row first."""
    # Zero has no logarithm; what is black anyway need not be told apart much further.
    faintest = np.float32(10 ** (-decibels / 10 - 2))
    levels = 10 * np.log10(np.maximum(power, faintest))
    before, at, after = plan.weights
    points = before * levels[plan.bins - 1] + at * levels[plan.bins]
    points += after * levels[plan.bins + 1]
    rows = points[plan.first]
    for more in range(1, plan.points.max()):
        wide = np.flatnonzero(plan.points > more)
        rows[wide] = np.maximum(rows[wide], points[plan.first[wide] + more])
    return rows
