"""Which frames make a clip: within the passage, evenly drawn, every one of them reachable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.draws import Draws
from data.sampling import How, Passage, Sampling, Short, Times, choose

FIFTIETH = Fraction(1, 50)


def pick(sampling: Sampling, frames: int, first: int, stop: int, **more: Any) -> list[int]:
    return choose(sampling, frames, Passage(first, stop), **more).tolist()


# -- without draws: tables ------------------------------------------------------------------------

EXACT = {
    "uniform 40 to 8, the predecessor's": (
        Sampling("uniform"), 8, (0, 40), [0, 5, 11, 16, 22, 27, 33, 39]
    ),
    "uniform of a passage": (Sampling("uniform"), 3, (100, 111), [100, 105, 110]),
    "uniform, one frame: the first": (Sampling("uniform"), 1, (7, 50), [7]),
    "uniform of one frame": (Sampling("uniform"), 4, (7, 8), [7] * 4),
    "uniform, more than there are": (Sampling("uniform"), 8, (0, 3), [0, 0, 0, 0, 1, 1, 1, 2]),
    "segments": (Sampling("segments"), 8, (0, 40), [2, 7, 12, 17, 22, 27, 32, 37]),
    "segments of a passage": (Sampling("segments"), 2, (10, 16), [11, 14]),
    "segments of uneven length": (Sampling("segments"), 3, (0, 10), [1, 5, 8]),
    "segments of less than a frame": (Sampling("segments"), 4, (5, 7), [5, 5, 6, 6]),
    "segments, one frame": (Sampling("segments"), 1, (0, 9), [4]),
    "random is in the middle": (Sampling("random"), 4, (0, 10), [3, 4, 5, 6]),
    "so is centre": (Sampling("centre", 2), 4, (0, 10), [1, 3, 5, 7]),
    "so is normal": (Sampling("normal", 3), 4, (100, 110), [100, 103, 106, 109]),
    "it just fits": (Sampling("random", 2), 16, (9, 40), list(range(9, 40, 2))),
    "too short for 2: the predecessor's 16 times 18": (
        Sampling("random", 2), 16, (0, 20), list(range(2, 18))
    ),
    "too short for 9, not for 4": (Sampling("centre", 9), 3, (0, 10), [0, 4, 8]),
    "the middle of several intervals": (
        Sampling("random", (3, 1, 2, 2)), 4, (0, 7), [0, 2, 4, 6]
    ),
    "the larger one of two": (Sampling("random", (2, 1)), 4, (0, 7), [0, 2, 4, 6]),
    "the middle of those up to 5": (Sampling("random", 5, up_to=True), 3, (0, 9), [1, 4, 7]),
    "multigrid draws, testing does not": (
        Sampling("centre", 2, base_frames=16), 4, (0, 31), [12, 14, 16, 18]
    ),
    "one frame of any interval": (Sampling("centre", 30), 1, (0, 5), [2]),
    "loop": (Sampling("random", 4, short="loop"), 8, (10, 13), [10, 11, 12, 10, 11, 12, 10, 11]),
    "hold": (Sampling("random", 4, short="hold"), 6, (10, 13), [10, 11, 12, 12, 12, 12]),
    "mirror": (
        Sampling("random", 4, short="mirror"), 8, (10, 13), [10, 11, 12, 11, 10, 11, 12, 11]
    ),
    "mirror of two": (Sampling("random", short="mirror"), 5, (0, 2), [0, 1, 0, 1, 0]),
    "loop of one frame": (Sampling("random", short="loop"), 3, (4, 5), [4, 4, 4]),
    "hold of one frame": (Sampling("random", short="hold"), 3, (4, 5), [4, 4, 4]),
    "mirror of one frame": (Sampling("random", short="mirror"), 3, (4, 5), [4, 4, 4]),
}  # fmt: skip


@pytest.mark.parametrize("case", EXACT)
def test_testing_is_exact(case: str):
    sampling, frames, (first, stop), meant = EXACT[case]
    chosen = choose(sampling, frames, Passage(first, stop))
    assert chosen.tolist() == meant
    assert chosen.dtype == np.int64


VIEWS = {
    "three": (Sampling("random", 2), 4, (10, 27), [10, 15, 20]),
    "two touch both ends": (Sampling("centre", 1), 4, (0, 100), [0, 96]),
    "one is in the middle": (Sampling("normal", 1), 4, (0, 100), [48]),
    "more than there are places": (Sampling("random", 1), 4, (0, 5), [0, 0, 1]),
    "too short to differ": (Sampling("random", 5), 4, (0, 4), [0, 0]),
}


@pytest.mark.parametrize("case", VIEWS)
def test_views_are_spread_evenly_from_end_to_end(case: str):
    sampling, frames, (first, stop), starts = VIEWS[case]
    views = [pick(sampling, frames, first, stop, view=(k, len(starts))) for k in range(len(starts))]
    assert [view[0] for view in views] == starts
    if len(views) > 1:
        assert views[-1][-1] == stop - 1


def test_views_of_segments_are_places_within_each():
    views = [pick(Sampling("segments"), 2, 0, 20, view=(k, 2)) for k in range(2)]
    assert views == [[2, 12], [7, 17]]


# -- with draws -----------------------------------------------------------------------------------

FRAMES = st.integers(1, 40)
COUNTS = st.integers(1, 60) | st.integers(1, 200_000)
SAMPLINGS = st.one_of(
    st.builds(Sampling, how=st.sampled_from(["uniform", "segments"])),
    st.builds(
        Sampling,
        how=st.sampled_from(["random", "centre", "normal"]),
        interval=st.integers(1, 70) | st.lists(st.integers(1, 9), min_size=1).map(tuple),
        short=st.sampled_from(get_args(Short)),
        base_frames=st.none() | st.integers(1, 64),
    ),
    st.builds(
        Sampling,
        how=st.sampled_from(["random", "normal"]),
        interval=st.integers(1, 70),
        up_to=st.just(True),
        seconds=st.none() | st.fractions(Fraction(1, 300), 5, max_denominator=1001),
    ),
)
DRAWS = st.none() | st.builds(Draws, st.integers(0, 2**64 - 1), st.integers(0, 2**40))


@st.composite
def timed_passages(draw: st.DrawFn) -> Passage:
    """A passage within a video of variable rate."""
    before, count, after = (
        draw(st.integers(0, 5)),
        draw(st.integers(1, 40)),
        draw(st.integers(0, 5)),
    )
    total = before + count + after
    steps = draw(st.lists(st.integers(1, 400), min_size=total, max_size=total))
    begin = draw(st.sampled_from([0, 10**15]))
    pts = begin + np.cumsum(steps) - steps[0]
    return Passage(before, before + count, Times(pts, Fraction(1, 1000)))


@given(SAMPLINGS, FRAMES, timed_passages(), DRAWS)
def test_no_frame_is_outside_the_passage(sampling, frames, passage, draws):
    chosen = choose(sampling, frames, passage, draws)
    assert chosen.shape == (frames,)
    assert chosen.dtype == np.int64
    assert chosen.min() >= passage.first
    assert chosen.max() < passage.stop


@given(SAMPLINGS.filter(lambda one: one.seconds is None), FRAMES, COUNTS, DRAWS)
def test_equal_steps_if_anything_fits(sampling, frames, count, draws):
    chosen = choose(sampling, frames, Passage(0, count), draws)
    steps = set(np.diff(chosen).tolist())
    if sampling.how in ("uniform", "segments"):
        assert all(step >= 0 for step in steps)
    elif count >= frames:
        assert len(steps) <= 1
        longest = (count - 1) // max(1, frames - 1)
        given_ones = sampling.given[0], *sampling.given
        highest = max(given_ones) * max(frames, sampling.base_frames or 1) // frames
        assert all(1 <= step <= min(longest, highest) for step in steps)
        if not sampling.up_to and frames > 1:
            assert steps.pop() >= min(longest, min(given_ones))


@given(SAMPLINGS, FRAMES, timed_passages(), st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_the_same_draws_choose_the_same(sampling, frames, passage, seed, position):
    one, other = (choose(sampling, frames, passage, Draws(seed, position)) for _ in range(2))
    assert one.tolist() == other.tolist()


def many(sampling: Sampling, frames: int, first: int, stop: int, clips: int = 2000) -> np.ndarray:
    """Clips x frames, of consecutive positions."""
    passage = Passage(first, stop)
    return np.stack([choose(sampling, frames, passage, Draws(5, at)) for at in range(clips)])


def close(counts: Counter[int], meant: dict[int, float]) -> bool:
    """Chi-square: of 2,000 clips or so, further off than once in some thousand times is a fault."""
    total = counts.total()
    square = sum((counts[at] - total * p) ** 2 / (total * p) for at, p in meant.items())
    free = len(meant) - 1
    return set(counts) <= set(meant) and square <= free + 4 * (2 * free) ** 0.5


def alike(values: list[int]) -> dict[int, float]:
    return {value: values.count(value) / len(values) for value in values}


def test_every_start_is_as_likely():
    clips = many(Sampling("random", 3), 5, 20, 44)
    assert close(Counter(clips[:, 0].tolist()), alike(list(range(20, 32))))
    assert set(np.diff(clips).ravel().tolist()) == {3}


INTERVALS = {
    "one": (Sampling("random", 3), 100, [3]),
    "as often as it is named": (Sampling("random", (1, 2, 2, 3)), 100, [1, 2, 2, 3]),
    "of those that fit": (Sampling("random", (1, 2, 2, 9)), 20, [1, 2, 2]),
    "if none fits, the largest that does": (Sampling("random", (9, 12)), 20, [4]),
    "up to": (Sampling("random", 4, up_to=True), 100, [1, 2, 3, 4]),
    "up to what fits": (Sampling("random", 50, up_to=True), 20, [1, 2, 3, 4]),
    "multigrid, to the span of 13 frames": (
        Sampling("random", 2, base_frames=13), 100, [2, 3, 4, 5]
    ),
    "multigrid, to what fits": (Sampling("random", 2, base_frames=50), 20, [2, 3, 4]),
    "multigrid, of one that does not fit": (Sampling("random", 6, base_frames=50), 20, [4]),
    "multigrid, as long as the base": (Sampling("random", 2, base_frames=5), 100, [2]),
    "multigrid, longer than the base": (Sampling("random", 2, base_frames=3), 100, [2]),
    "centre draws it too": (Sampling("centre", (1, 2)), 100, [1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("case", INTERVALS)
def test_intervals_are_drawn(case: str):
    sampling, count, meant = INTERVALS[case]
    clips = many(sampling, 5, 0, count)
    assert close(Counter((clips[:, 1] - clips[:, 0]).tolist()), alike(meant))


def test_start_and_interval_are_drawn_apart():
    clips = many(Sampling("random", (1, 2)), 3, 0, 1000)
    near = clips[:, 0] < np.median(clips[:, 0])
    doubled = clips[:, 1] - clips[:, 0] == 2
    assert abs((near & doubled).mean() - 0.25) < 0.03


def test_normal_starts_are_near_the_middle_and_never_pile_up_at_the_ends():
    starts = many(Sampling("normal"), 5, 0, 104, clips=4000)[:, 0]
    assert starts.min() < 5
    assert starts.max() > 94
    # Of a normal distribution that is cut at two deviations, which are half of the 100 places.
    assert abs(starts.mean() - 49.5) < 1.5
    assert abs(starts.std() - 0.880 * 25) < 1
    assert (starts == 0).sum() < 20
    assert (starts == 99).sum() < 20
    nearest = ((starts >= 37) & (starts < 62)).mean()  # half a deviation to both sides
    assert abs(nearest - 0.401) < 0.03


def test_a_normal_start_reaches_every_place():
    assert set(many(Sampling("normal"), 5, 0, 9)[:, 0].tolist()) == {0, 1, 2, 3, 4}


SEGMENTS = [(8, 40), (8, 8), (3, 10), (7, 3), (4, 1), (1, 9), (16, 17)]


@pytest.mark.parametrize(("frames", "count"), SEGMENTS)
def test_segments_show_every_frame_as_often_and_never_leave_their_part(frames: int, count: int):
    clips = many(Sampling("segments"), frames, 100, 100 + count) - 100
    assert close(Counter(clips.ravel().tolist()), alike(list(range(count))))
    for part in range(frames):
        low, high = Fraction(part * count, frames), Fraction((part + 1) * count, frames)
        seen = set(clips[:, part].tolist())
        assert seen == {frame for frame in range(count) if frame < high and frame + 1 > low}


class Extreme(Draws):
    """The largest and the smallest numbers that draws can give."""

    def __init__(self, value: float) -> None:
        super().__init__(0, 0)
        self.value = value

    def many(self, slot: int, count: int) -> list[float]:
        return [self.value] * count


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000, 65536, 10**6 + 1, 2**31])
@pytest.mark.parametrize("frames", [1, 2, 7, 16, 64])
def test_the_most_extreme_draws_stay_in_their_segments(frames: int, count: int):
    passage = Passage(5, 5 + count)
    low = choose(Sampling("segments"), frames, passage, Extreme(0.0))
    high = choose(Sampling("segments"), frames, passage, Extreme(1 - 2**-53))
    assert low.tolist() == [5 + part * count // frames for part in range(frames)]
    assert high.tolist() == [5 + ((part + 1) * count - 1) // frames for part in range(frames)]


# -- what is refused ------------------------------------------------------------------------------

SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "how": ({"how": "middle"}, "how is 'middle'; allowed are uniform, segments, random"),
    "short": ({"short": "stretch"}, "short is 'stretch'; allowed are loop, hold, mirror"),
    "interval 0": ({"interval": 0}, "interval is 0; allowed are whole numbers of at least 1"),
    "no interval": ({"interval": ()}, r"interval is \(\); allowed are whole"),
    "interval -1": ({"interval": (2, -1)}, r"interval is \(2, -1\); allowed are"),
    "interval 1.5": ({"interval": 1.5}, r"interval is 1.5; allowed are whole"),
    "interval true": ({"interval": True}, r"interval is True; allowed are whole"),
    "a list": ({"interval": [1, 2]}, r"interval is \[1, 2\]; .* or a tuple"),
    "up to several": ({"interval": (1, 2), "up_to": True}, r"one interval, .*; got \(1, 2\)"),
    "0 seconds": ({"seconds": Fraction(0)}, r"seconds is Fraction\(0, 1\); allowed is a"),
    "float seconds": ({"seconds": 0.04}, "seconds is 0.04; allowed is a fraction above 0"),
    "base_frames": ({"base_frames": 0}, "base_frames is 0; allowed is a whole number"),
    "uniform at 2": ({"how": "uniform", "interval": 2}, "uniform spreads .* takes no interval"),
    "segments in s": ({"how": "segments", "seconds": FIFTIETH}, "segments spreads"),
    "segments up to": ({"how": "segments", "up_to": True}, "segments spreads"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_are_refused(case: str):
    wrong, message = SETTINGS[case]
    with pytest.raises(ValueError, match=message):
        Sampling(**wrong)


CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "an empty passage": (lambda: Passage(4, 4), "frames 4 to 4 are no passage: .*label beyond"),
    "a negative passage": (lambda: Passage(-1, 4), "frames -1 to 4 are no passage"),
    "no frames": (lambda: pick(Sampling(), 0, 0, 9), "at least 1 frame, asked for 0"),
    "view beyond": (lambda: pick(Sampling(), 4, 0, 9, view=(2, 2)), r"view is \(2, 2\); allowed"),
    "no view": (lambda: pick(Sampling(), 4, 0, 9, view=(0, 0)), r"view is \(0, 0\); allowed"),
    "views of uniform": (
        lambda: pick(Sampling("uniform"), 4, 0, 9, view=(0, 2)),
        r"view is \(0, 2\), but uniform has one view",
    ),
    "random views": (
        lambda: pick(Sampling(), 4, 0, 9, view=(0, 2), draws=Draws(1, 1)),
        r"view is \(0, 2\), but a random clip has one view",
    ),
    "no times": (
        lambda: pick(Sampling(seconds=FIFTIETH), 4, 0, 9),
        "seconds is 1/50, but this passage has no times; give them, or an interval in frames",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_calls_that_are_refused(case: str):
    attempt, message = CALLS[case]
    with pytest.raises(ValueError, match=message):
        attempt()


def test_every_way_is_in_the_tables():
    assert {sampling.how for sampling, *_ in EXACT.values()} == set(get_args(How))
