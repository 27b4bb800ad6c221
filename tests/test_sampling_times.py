"""Clips by the clock: strides in seconds, passages to the tick, windows along a stream."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.draws import Draws
from data.sampling import Passage, Rolling, Sampling, Short, Times, choose, passage_of
from tests.test_sampling import DRAWS, FIFTIETH, FRAMES, alike, close, timed_passages

INT64 = np.iinfo(np.int64)


def times(pts: list[int], time_base: Fraction = Fraction(1, 1000)) -> Times:
    return Times(np.array(pts, np.int64), time_base)


def whole(video: Times) -> Passage:
    return Passage(0, len(video.pts), video)


# -- strides in seconds ---------------------------------------------------------------------------

# 50 frames a second, then half a second that stands still, then 100.
VARIABLE = times([*range(0, 200, 20), *range(700, 901, 10)])
TENTHS = times(list(range(0, 10_000, 1000)), Fraction(1, 10_000))  # 10 frames, 10 a second


def on_screen(video: Times, passage: Passage, moment: Fraction) -> int:
    """By definition: the last frame of the passage whose time has come."""
    shown = range(passage.first, passage.stop)
    return max(at for at in shown if int(video.pts[at]) * video.time_base <= moment)


def test_each_moment_shows_the_frame_on_screen_then():
    chosen = choose(Sampling("centre", seconds=Fraction(1, 10)), 10, whole(VARIABLE))
    assert chosen.tolist() == [0, 5, 9, 9, 9, 9, 9, 10, 20, 30]


@given(timed_passages(), FRAMES, st.fractions(Fraction(1, 300), 1, max_denominator=1001), DRAWS)
def test_moments_are_exact(passage, frames, seconds, draws):
    video = passage.times
    stamps = video.pts * 1
    chosen = choose(Sampling("random", seconds=seconds), frames, passage, draws)
    start = int(stamps[chosen[0]]) * video.time_base
    end = int(stamps[passage.stop - 1]) * video.time_base
    moments = [start + seconds * step for step in range(frames)]
    if moments[-1] <= end:
        assert chosen.tolist() == [on_screen(video, passage, moment) for moment in moments]
    else:  # then not even the first frame leaves room for it, and what there is comes again
        begin = int(stamps[passage.first]) * video.time_base
        assert begin + seconds * (frames - 1) > end
        assert chosen[0] == passage.first


def test_at_a_constant_rate_a_stride_in_seconds_is_one_in_frames():
    ntsc = times(list(range(0, 300 * 1001, 1001)), Fraction(1, 30000))
    passage = Passage(10, 290, ntsc)
    for at in range(50):
        for interval in (1, 3, (1, 2, 2, 3), 200):
            in_frames = Sampling("random", interval)
            in_seconds = replace(in_frames, seconds=Fraction(1001, 30000))
            one, other = (choose(way, 16, passage, Draws(1, at)) for way in (in_frames, in_seconds))
            assert one.tolist() == other.tolist()


def test_the_same_moments_whatever_the_rate():
    """Of a video at twice the rate every second frame is taken."""
    slow, fast = times(list(range(0, 4000, 40))), times(list(range(0, 4000, 20)))
    sampling = Sampling("centre", 3, seconds=Fraction(1, 25))
    few, more = (choose(sampling, 9, whole(video)) for video in (slow, fast))
    assert set(np.diff(few).tolist()) == {3}
    assert set(np.diff(more).tolist()) == {6}


def test_every_start_that_leaves_room_is_as_likely_in_seconds():
    sampling = Sampling("random", seconds=Fraction(1, 10))
    starts = [int(choose(sampling, 8, whole(VARIABLE), Draws(1, at))[0]) for at in range(2000)]
    # The last moment is 0.7 s after the first and not after 0.9 s.
    assert close(Counter(starts), alike(list(range(10))))


def test_a_start_from_which_the_last_moment_is_a_third_of_a_tick_late_does_not_fit():
    sampling = Sampling("random", seconds=Fraction(1, 3))
    video = whole(times([0, 1, 334]))
    clips = {tuple(choose(sampling, 2, video, Draws(1, at)).tolist()) for at in range(40)}
    assert clips == {(0, 1)}


def test_moments_do_not_drift_by_rounding():
    """49 times a 49th is 1, but not in float64."""
    video = Times(np.arange(9), Fraction(1))
    chosen = choose(Sampling("random", seconds=Fraction(1, 49)), 393, whole(video), Draws(1, 1))
    assert chosen.tolist() == [step // 49 for step in range(393)]


def test_one_frame_is_any_frame_however_long_the_stride():
    sampling = Sampling("random", seconds=Fraction(60))
    chosen = [int(choose(sampling, 1, whole(TENTHS), Draws(1, at))[0]) for at in range(2000)]
    assert close(Counter(chosen), alike(list(range(10))))


LONG_STRIDES = {
    "loop": [0, 10, 20, 0, 10],
    "hold": [0, 10, 20, 24, 24],
    "mirror": [0, 10, 20, 10, 0],
}


@pytest.mark.parametrize("short", LONG_STRIDES)
def test_what_is_too_short_for_one_stride_in_seconds_is_shown_again(short: Short):
    video = times(list(range(0, 2500, 100)))
    chosen = choose(Sampling("random", 2, seconds=Fraction(1), short=short), 5, whole(video))
    assert chosen.tolist() == LONG_STRIDES[short]


def test_an_interval_that_does_not_fit_is_shortened_in_seconds_too():
    video = times(list(range(0, 2500, 100)))
    chosen = choose(Sampling("centre", 9, seconds=Fraction(1, 2)), 3, whole(video))
    assert chosen.tolist() == [2, 12, 22]  # two halves of a second: 1 s


def test_times_near_the_end_of_int64_do_not_overflow():
    last = INT64.max
    video = times([last - 300, last - 200, last - 100, last])
    for short in get_args(Short):
        chosen = choose(Sampling("random", seconds=Fraction(1), short=short), 3, whole(video))
        assert chosen.tolist() == ([0, 3, 3] if short == "hold" else [0, 0, 0])
    exact = choose(Sampling("centre", seconds=Fraction(1, 10)), 4, whole(video))
    assert exact.tolist() == [0, 1, 2, 3]


# -- the frames of a passage ----------------------------------------------------------------------

PASSAGES = {
    "the whole": (None, None, 0, (0, 10)),
    "the start is in it, the stop is not": (Fraction(2, 10), Fraction(5, 10), 0, (2, 5)),
    "a tick later": (Fraction(2001, 10_000), Fraction(5001, 10_000), 0, (3, 6)),
    "a tick earlier": (Fraction(1999, 10_000), Fraction(4999, 10_000), 0, (2, 5)),
    "less than a tick later": (Fraction(200_001, 10**6), Fraction(500_001, 10**6), 0, (3, 6)),
    "from a start": (Fraction(9, 10), None, 0, (9, 10)),
    "to a stop": (None, Fraction(1, 10**9), 0, (0, 1)),
    "before the video": (Fraction(-5), Fraction(1, 10), 0, (0, 1)),
    "all before": (Fraction(-5), Fraction(0), 0, (0, 0)),
    "beyond the end": (Fraction(5, 10), Fraction(99), 0, (5, 10)),
    "all beyond": (Fraction(98), Fraction(99), 0, (10, 10)),
    "between two frames": (Fraction(21, 100), Fraction(22, 100), 0, (3, 3)),
    "beyond what int64 holds": (Fraction(-(2**80)), Fraction(2**80), 0, (0, 10)),
    "all beyond int64": (Fraction(2**80), None, 0, (10, 10)),
    "another clock": (Fraction(102, 10), Fraction(105, 10), 10, (2, 5)),
    "a third": (Fraction(1, 3), Fraction(2, 3), 0, (4, 7)),
}


@pytest.mark.parametrize("case", PASSAGES)
def test_bounds_are_honoured_to_the_frame(case: str):
    start, stop, first_time, meant = PASSAGES[case]
    assert passage_of(*TENTHS, start, stop, Fraction(first_time)) == meant


def test_floats_in_bounds_are_the_fractions_they_stand_for():
    video = times(list(range(0, 100)), Fraction(1, 10))
    assert passage_of(*video, 0.1 * 3, 0.7) == (3, 7)  # type: ignore[arg-type]


def test_bounds_at_the_ends_of_int64():
    video = Times(np.array([INT64.min, 0, INT64.max]), Fraction(1))
    assert passage_of(*video, Fraction(INT64.max), None) == (2, 3)
    assert passage_of(*video, Fraction(INT64.max) + 1, None) == (3, 3)
    assert passage_of(*video, Fraction(INT64.min), Fraction(INT64.max)) == (0, 2)
    # A float64 would not tell these two apart.
    near = Times(np.array([2**60, 2**60 + 1]), Fraction(1))
    assert passage_of(*near, Fraction(2**60 + 1), None) == (1, 2)
    assert passage_of(*near, None, Fraction(2**60 + 1)) == (0, 1)


BOUNDS = st.none() | st.fractions(-1, 20, max_denominator=5000)


@given(timed_passages(), BOUNDS, BOUNDS, st.fractions(0, 3, max_denominator=100))
def test_bounds_are_what_the_definition_says(passage, start, stop, first_time):
    pts, time_base = passage.times
    pts = pts - pts[0]
    if None not in (start, stop) and start >= stop:
        with pytest.raises(ValueError, match="is no passage; start is less than stop"):
            passage_of(pts, time_base, start, stop, first_time)
        return
    first, last = passage_of(pts, time_base, start, stop, first_time)
    for at, stamp in enumerate(pts.tolist()):
        time = first_time + stamp * time_base
        inside = (start is None or start <= time) and (stop is None or time < stop)
        assert inside == (first <= at < last)


def test_a_video_without_frames_has_no_passage():
    assert passage_of(np.array([], np.int64), FIFTIETH, Fraction(0), None) == (0, 0)


# -- along a stream -------------------------------------------------------------------------------

STREAMS = {
    "whole windows": (Rolling(3, 2, 3), 12, [[0, 2, 4], [3, 5, 7], [6, 8, 10], [7, 9, 11]]),
    "the last one ends with the stream": (Rolling(3, 1, 3), 6, [[0, 1, 2], [3, 4, 5]]),
    "one window": (Rolling(4), 4, [[0, 1, 2, 3]]),
    "gaps between windows": (Rolling(2, 1, 10), 14, [[0, 1], [10, 11], [12, 13]]),
    "filled": (Rolling(3, 1, 1, filled=True), 4, [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]),
    "filled, in hops": (
        Rolling(3, 2, 3, filled=True), 6, [[0, 0, 0], [0, 1, 3], [1, 3, 5]]
    ),
    "filled, of one frame": (Rolling(3, 2, 3, filled=True), 1, [[0, 0, 0]]),
    "too short: a smaller stride": (Rolling(3, 4), 6, [[0, 2, 4], [1, 3, 5]]),
    "too short for that: loop": (Rolling(4, 2, short="loop"), 3, [[0, 1, 2, 0]]),
    "too short for that: hold": (Rolling(4, 2, short="hold"), 3, [[0, 1, 2, 2]]),
    "too short for that: mirror": (Rolling(4, 2, short="mirror"), 3, [[0, 1, 2, 1]]),
    "one frame": (Rolling(3), 1, [[0, 0, 0]]),
    "windows of one frame": (Rolling(1, 7, 2), 4, [[0], [2], [3]]),
    "nothing": (Rolling(3), 0, []),
    "nothing, filled": (Rolling(3, filled=True), 0, []),
}  # fmt: skip


@pytest.mark.parametrize("case", STREAMS)
def test_windows_along_a_stream(case: str):
    rolling, count, meant = STREAMS[case]
    assert [window.tolist() for window in rolling.all(count)] == meant


ROLLINGS = st.builds(
    Rolling,
    frames=st.integers(1, 6),
    stride=st.integers(1, 5),
    hop=st.integers(1, 9),
    filled=st.booleans(),
    short=st.sampled_from(get_args(Short)),
)


@given(ROLLINGS, st.lists(st.integers(1, 7), max_size=12))
def test_pieces_give_the_same_windows_as_the_whole_in_order_and_from_a_short_memory(
    rolling, pieces
):
    got, seen = [], 0
    for piece in pieces:
        for window in rolling.due(seen, seen + piece):
            assert window.max() < seen + piece
            # Had the frames come one by one, the last `span` would have been enough.
            assert window.min() >= max(0, int(window[-1]) + 1 - rolling.span)
            got.append(window.tolist())
        seen += piece
    for window in rolling.rest(seen):
        assert window.min() >= max(0, seen - rolling.span)
        got.append(window.tolist())
    assert got == [window.tolist() for window in rolling.all(seen)]
    lasts = [max(window) for window in got]
    assert lasts == sorted(set(lasts))
    assert all(0 <= index < seen for window in got for index in window)
    assert not seen or lasts[-1] == seen - 1


def test_filled_windows_are_those_of_a_queue_that_begins_full_of_the_first_frame():
    queue = deque([0] * 8, maxlen=8)
    for frame, window in enumerate(Rolling(8, filled=True).all(30)):
        queue.append(frame)
        assert window.tolist() == list(queue)


# -- what is refused ------------------------------------------------------------------------------

WRONG_ROLLINGS: dict[str, tuple[dict[str, Any], str]] = {
    "no hop": ({"hop": 0}, "hop is 0; allowed is a whole number of at least 1"),
    "no stride": ({"stride": 0}, "stride is 0; allowed is a whole"),
    "no frames": ({"frames": 0}, "frames is 0; allowed is a whole"),
    "half a frame": ({"frames": 1.5}, "frames is 1.5; allowed is a whole"),
    "stretched": ({"short": "stretch"}, "short is 'stretch'; allowed are loop, hold, mirror"),
}


@pytest.mark.parametrize("case", WRONG_ROLLINGS)
def test_rolling_settings_that_are_refused(case: str):
    wrong, message = WRONG_ROLLINGS[case]
    with pytest.raises(ValueError, match=message):
        Rolling(**{"frames": 8, **wrong})


TICKS = np.array([0, 1], np.int64)


def test_a_passage_has_a_time_for_every_frame():
    with pytest.raises(ValueError, match="frames 0 to 3 were asked for, but times were given of 2"):
        Passage(0, 3, Times(TICKS, FIFTIETH))


WRONG_TIMES: dict[str, tuple[np.ndarray, Any, str]] = {
    "floats": (np.array([0.0, 0.1]), FIFTIETH, "times are whole numbers in one row, got float64"),
    "two rows": (np.zeros((2, 2), np.int64), FIFTIETH, r"in one row, got int64 \(2, 2\)"),
    "a float base": (TICKS, 0.02, "a time base is a fraction above 0, got 0.02"),
    "no base": (TICKS, Fraction(0), r"a time base is a fraction above 0, got Fraction\(0, 1\)"),
}


@pytest.mark.parametrize("case", WRONG_TIMES)
def test_times_must_be_exact(case: str):
    pts, time_base, message = WRONG_TIMES[case]
    with pytest.raises(TypeError, match=message):
        Passage(0, 2, Times(pts, time_base))
    with pytest.raises(TypeError, match=message):
        passage_of(pts, time_base, None, None)
