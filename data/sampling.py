"""Which frames of a video make a clip: pure arithmetic on indices and exact times.

    passage = Passage(*passage_of(store.pts, store.time_base, clip.start, clip.stop))
    choose(Sampling("random", interval=(1, 2, 2, 3)), 16, passage, Draws(seed, position))
    choose(Sampling("centre", interval=2), 16, passage, view=(0, 10))     # the first of ten views

Indices are those of the whole video and never leave the passage. A frame is shown or it is not:
what is too short shows frames again, in a named way, and nothing is ever mixed from two.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from numbers import Rational
from statistics import NormalDist
from typing import Literal, NamedTuple, get_args

import numpy as np

from data.draws import Draws, Slot
from data.seconds import as_time

How = Literal["uniform", "segments", "random", "centre", "normal"]
Short = Literal["loop", "hold", "mirror"]
View = tuple[int, int]

SPREAD = ("uniform", "segments")  # they take their frames from all of the passage
WIDTH = 2  # deviations from the middle of the normal distribution to where it is cut
CUT = NormalDist().cdf(-WIDTH), NormalDist().cdf(WIDTH)


@dataclass(frozen=True)
class Sampling:
    """How frames are chosen from a passage. Without draws (testing) nothing is random.

    Spread over the passage, whatever its length:
      uniform   from the first frame to the last at equal steps; of one frame, the first
      segments  one from each of as many equal parts: any of its frames, in testing the middle one
    With an interval between them:
      random    from any frame that leaves room; in testing from the middle one of these
      centre    always from the middle one
      normal    like random, but more often near the middle: a quarter of the room is the
                deviation, and what would fall outside the room is drawn inside it

    If no interval that is allowed fits, the largest that does is taken; if not even 1 fits, the
    passage is shown again as `short` says: from its start, its last frame held, or back and forth.
    """

    how: How = "random"
    # Frames from one to the next, or several of which one is drawn: (1, 2, 2, 3) takes 2 half the
    # time. In testing it is the middle one.
    interval: int | tuple[int, ...] = 1
    # Any whole number up to the interval is drawn instead, each as likely.
    up_to: bool = False
    # What an interval of 1 is, if not one frame. Each moment shows what is on screen then.
    seconds: Fraction | None = None
    short: Short = "loop"
    # A clip of fewer frames than this draws its interval from the given one to as many times it
    # as brings it to the span of a clip of this many (multigrid training).
    base_frames: int | None = None

    def __post_init__(self) -> None:
        _check_name("how", self.how, get_args(How))
        _check_name("short", self.short, get_args(Short))
        if not self.given or not all(map(_is_count, self.given)):
            raise ValueError(f"interval is {self.interval!r}; allowed are whole numbers of at "
                             "least 1: one of them, or a tuple of which one is drawn")  # fmt: skip
        if self.up_to and len(self.given) > 1:
            raise ValueError(f"up_to needs one interval, the largest; got {self.interval}")
        if self.seconds is not None and not _is_positive_fraction(self.seconds):
            raise ValueError(f"seconds is {self.seconds!r}; allowed is a fraction above 0, such "
                             "as Fraction(1, 25)")  # fmt: skip
        if self.base_frames is not None and not _is_count(self.base_frames):
            raise ValueError(f"base_frames is {self.base_frames!r}; allowed is a whole number of "
                             "at least 1")  # fmt: skip
        strided = self.given != (1,) or self.up_to or self.seconds is not None
        if self.how in SPREAD and strided:
            raise ValueError(f"{self.how} spreads its frames over all of the passage, so it takes "
                             "no interval, up_to or seconds; leave them out, or choose random, "
                             "centre or normal")  # fmt: skip

    @property
    def given(self) -> tuple[int, ...]:
        return self.interval if isinstance(self.interval, tuple) else (self.interval,)

    @property
    def intervals(self) -> Sequence[int]:
        """All that may be drawn, in ascending order, repeats included."""
        return range(1, self.given[0] + 1) if self.up_to else sorted(self.given)


class Times(NamedTuple):
    """When each frame of the whole video is shown: int64 `pts` in units of `time_base` seconds."""

    pts: np.ndarray
    time_base: Fraction


@dataclass(frozen=True)
class Passage:
    """The frames from `first` up to, but not including, `stop`; times for strides in seconds."""

    first: int
    stop: int
    times: Times | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.stop:
            raise ValueError(f"frames {self.first} to {self.stop} are no passage: the first is at "
                             "least 0 and less than the stop; is its label beyond the video's "
                             "end, or shorter than a frame?")  # fmt: skip
        if self.times is not None:
            _check_pts(self.times.pts)
            _check_time_base(self.times.time_base)
            if self.stop > len(self.times.pts):
                raise ValueError(f"frames {self.first} to {self.stop} were asked for, but times "
                                 f"were given of {len(self.times.pts)}")  # fmt: skip


def passage_of(
    pts: Sequence[int] | np.ndarray,
    time_base: Fraction,
    start: Fraction | None,
    stop: Fraction | None,
    first_time: Fraction = Fraction(0),
) -> tuple[int, int]:
    """The frames with `start` <= time < `stop`, as first and stop; None: no bound.

    `first_time` is what the clock of start and stop says at pts 0. Both numbers are the same where
    no frame lies between; the caller knows the video's name and says so.
    """
    _check_time_base(time_base)
    if isinstance(pts, np.ndarray):
        _check_pts(pts)
    if start is not None and stop is not None and start >= stop:
        raise ValueError(f"from {start} to {stop} s is no passage; start is less than stop")

    def frames_before(time: Fraction) -> int:
        # Python's whole numbers, of any size; a few of the times are looked at.
        return bisect_left(pts, math.ceil((as_time(time) - first_time) / time_base))

    first = 0 if start is None else frames_before(start)
    return first, len(pts) if stop is None else frames_before(stop)


def choose(
    sampling: Sampling,
    frames: int,
    passage: Passage,
    draws: Draws | None = None,
    view: View = (0, 1),
) -> np.ndarray:
    """int64 indices of `frames` frames, ascending but for loops and mirrors.

    Without draws, `view` (k, n) is the k-th of n clips at even distances, the first from the
    passage's first frame, the last to its last one; with segments, of n places in each of them.
    """
    which, views = view
    if frames < 1:
        raise ValueError(f"a clip has at least 1 frame, asked for {frames}")
    if not 0 <= which < views:
        raise ValueError(f"view is {view}; allowed is (k, n) with k from 0 to n - 1")
    if views > 1 and (draws is not None or sampling.how == "uniform"):
        reason = "uniform has one view" if draws is None else "a random clip has one view"
        raise ValueError(f"view is {view}, but {reason}; allowed is (0, 1)")
    count = passage.stop - passage.first
    if sampling.how == "uniform":
        picks = np.arange(frames) * (count - 1) // max(frames - 1, 1)
    elif sampling.how == "segments":
        picks = _one_of_each_segment(frames, count, draws, view)
    else:
        picks = _strided(sampling, frames, passage, draws, view)
    return passage.first + picks


def _one_of_each_segment(frames: int, count: int, draws: Draws | None, view: View) -> np.ndarray:
    """Each frame is cut into `frames` ticks, so that each segment has `count` of them: segments
    are equal to the tick, share the frames that they divide, and may be shorter than one."""
    which, views = view
    tick: int | np.ndarray = (2 * which + 1) * count // (2 * views)
    if draws is not None:
        # Draws end so far below 1 that their products are rounded to less than `count`.
        tick = (np.array(draws.many(Slot.SEGMENTS, frames)) * count).astype(np.int64)
    return (np.arange(frames) * count + tick) // frames


# -- at an interval -------------------------------------------------------------------------------


class _ByFrame(NamedTuple):
    """A passage whose steps are frames."""

    frames: int

    @property
    def steps(self) -> int:
        """How many lie between the first frame and the last."""
        return self.frames - 1

    def starts(self, reach: int) -> int:
        """From how many frames, the first among them, that many steps can be taken."""
        return self.frames - reach

    def shown(self, start: int, steps: Sequence[int]) -> np.ndarray:
        """What is seen that many steps after the start; after the end it is the last frame."""
        return np.minimum(start + np.array(steps, np.int64), self.frames - 1)


class _BySecond(NamedTuple):
    """A passage whose steps are `step` ticks long. A step is within it as long as it is not after
    the time of the last frame, since nobody knows how long that one is shown."""

    pts: np.ndarray
    step: Fraction

    @property
    def steps(self) -> int:
        return (int(self.pts[-1]) - int(self.pts[0])) // self.step

    def starts(self, reach: int) -> int:
        latest = int(self.pts[-1]) - math.ceil(reach * self.step)
        return int(np.searchsorted(self.pts, latest, side="right"))

    def shown(self, start: int, steps: Sequence[int]) -> np.ndarray:
        # A time is a whole number of ticks: what is before a moment is before its whole ticks.
        first, last = int(self.pts[start]), int(self.pts[-1])
        up, down = self.step.as_integer_ratio()
        moments = [min(first + step * up // down, last) for step in steps]
        return np.searchsorted(self.pts, np.array(moments, np.int64), side="right") - 1


def _steps_of(sampling: Sampling, passage: Passage) -> _ByFrame | _BySecond:
    if sampling.seconds is None:
        return _ByFrame(passage.stop - passage.first)
    if passage.times is None:
        raise ValueError(f"seconds is {sampling.seconds}, but this passage has no times; give "
                         "them, or an interval in frames (the predecessor's files record no "
                         "times: convert them again)")  # fmt: skip
    pts, time_base = passage.times
    return _BySecond(pts[passage.first : passage.stop], Fraction(sampling.seconds / time_base))


def _strided(
    sampling: Sampling, frames: int, passage: Passage, draws: Draws | None, view: View
) -> np.ndarray:
    passed = _steps_of(sampling, passage)
    longest = passed.steps // (frames - 1) if frames > 1 else max(sampling.given)
    if longest == 0:
        return passed.shown(0, shown_again(frames, passed.steps + 1, sampling.short))
    interval = _interval(sampling, frames, longest, draws)
    starts = passed.starts((frames - 1) * interval)
    start = _start(sampling.how, starts, draws, view)
    return passed.shown(start, range(0, frames * interval, interval))


def _interval(sampling: Sampling, frames: int, longest: int, draws: Draws | None) -> int:
    """One that fits, which are those up to `longest`."""
    allowed = sampling.intervals
    if draws is None:
        return min(allowed[len(allowed) // 2], longest)
    fitting = [one for one in allowed if one <= longest]
    if not fitting:
        return longest
    interval = draws.choice(Slot.INTERVAL, fitting)
    widest = interval * max(sampling.base_frames or 0, frames) // frames
    return interval + draws.integer(Slot.INTERVAL, min(widest, longest) - interval + 1, lane=1)


def _start(how: How, starts: int, draws: Draws | None, view: View) -> int:
    """One of so many."""
    which, views = view
    if draws is None and views > 1:
        return which * (starts - 1) // (views - 1)
    if draws is None or how == "centre":
        return (starts - 1) // 2
    if how == "random":
        return draws.integer(Slot.START, starts)
    place = NormalDist().inv_cdf(draws.uniform(Slot.START, *CUT))
    return min(max(0, int((place + WIDTH) / (2 * WIDTH) * starts)), starts - 1)


def shown_again(frames: int, count: int, short: Short) -> Sequence[int]:
    """Where so many steps lead if only `count` of them are within the passage."""
    if short == "hold":
        return range(frames)  # after the end the last frame is shown
    if short == "loop":
        return [step % count for step in range(frames)]
    there_and_back = max(2 * (count - 1), 1)  # each end is shown once a turn
    turns = (step % there_and_back for step in range(frames))
    return [min(step, there_and_back - step) for step in turns]


# -- along a stream -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rolling:
    """Windows that move along a stream by `hop` frames; its length is not known before its end.

        seen = 0
        for frame in stream:
            seen += 1
            for window in rolling.due(seen - 1, seen): ...
        for window in rolling.rest(seen): ...

    Windows come in the order of their last frames, and only the last `span` frames seen are ever
    needed. The first one begins with the stream; `filled`, it ends with the first frame, which
    then also stands for all that lies before the stream.
    """

    frames: int
    stride: int = 1
    hop: int = 1
    filled: bool = False
    short: Short = "loop"

    def __post_init__(self) -> None:
        _check_name("short", self.short, get_args(Short))
        for name in ("frames", "stride", "hop"):
            if not _is_count(value := getattr(self, name)):
                raise ValueError(f"{name} is {value!r}; allowed is a whole number of at least 1")

    @property
    def span(self) -> int:
        """Frames from the first of a window to its last, both counted."""
        return (self.frames - 1) * self.stride + 1

    def due(self, before: int, seen: int) -> Iterator[np.ndarray]:
        """The windows that are complete once `seen` frames are, and were not `before`."""
        for window in range(self._complete(before), self._complete(seen)):
            yield self._ending(self._last_frame(window))

    def rest(self, seen: int) -> Iterator[np.ndarray]:
        """What the end of the stream adds, so that its last frame is in a window: one that ends
        there, unless the last one did. What is shorter than a window is treated as by `choose`: at
        the largest stride that fits, or shown again."""
        if not seen:
            return
        complete = self._complete(seen)
        if complete and self._last_frame(complete - 1) == seen - 1:
            return
        if complete:
            yield self._ending(seen - 1)
        elif longest := (seen - 1) // (self.frames - 1):
            yield from replace(self, stride=longest).all(seen)
        else:
            yield _ByFrame(seen).shown(0, shown_again(self.frames, seen, self.short))

    def all(self, count: int) -> Iterator[np.ndarray]:
        """The windows of a stream of so many frames."""
        yield from self.due(0, count)
        yield from self.rest(count)

    def _complete(self, seen: int) -> int:
        """How many windows end within so many frames."""
        return max(0, (seen - 1 - self._last_frame(0)) // self.hop + 1)

    def _last_frame(self, window: int) -> int:
        return window * self.hop + (0 if self.filled else self.span - 1)

    def _ending(self, last: int) -> np.ndarray:
        return np.maximum(last - np.arange(self.frames)[::-1] * self.stride, 0)


# -- checks ---------------------------------------------------------------------------------------


def _check_name(what: str, name: str, allowed: Sequence[str]) -> None:
    if name not in allowed:
        raise ValueError(f"{what} is {name!r}; allowed are {', '.join(allowed)}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_positive_fraction(value: object) -> bool:
    return isinstance(value, Rational) and Fraction(value) > 0


def _check_pts(pts: np.ndarray) -> None:
    if pts.ndim != 1 or pts.dtype.kind != "i":
        raise TypeError(f"times are whole numbers in one row, got {pts.dtype} {pts.shape}")


def _check_time_base(time_base: Fraction) -> None:
    if not _is_positive_fraction(time_base):
        raise TypeError(f"a time base is a fraction above 0, got {time_base!r}")
