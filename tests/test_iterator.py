"""From a key to a clip: the frames that were asked for, of the right size, and nothing silent."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.augment import Augmentation
from data.batching import ClipKey
from data.catalog import JPG
from data.clip import ClipShape
from data.crops import Crop
from data.database import Database
from data.iterator import ClipError, ClipIterator, Making
from data.sampling import Sampling
from data.table import UNKNOWN
from data.views import Part, View
from tests.clips import (
    PLAIN,
    SMALL,
    Video,
    iterator_of,
    key,
    labelled,
    table_of,
    whose,
    write_dataset,
)
from tests.frames import Content

PAIR = (Video("run/a", Content(40)), Video("jump/b", Content(25)))
LABELS = (labelled("run/a"), labelled("jump/b"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), PAIR)


# -- frames ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [1, 2, 3])
def test_frames_come_in_the_order_asked_for(root: Path, interval: int):
    clips = iterator_of(root, LABELS, Making(Sampling(interval=interval), PLAIN))
    for position in range(20):
        video = position % 2
        sample = clips[key(video, position=position)]
        first, *_ = found = whose(sample.clip)
        assert first is not None
        assert found == [(video, first[1] + step * interval) for step in range(4)]
        assert sample.facts.targets == {"label": [1, 0][video]}
        assert sample.facts.counts
        assert sample.clip.shape == (4, 32, 32, 3)


def test_every_start_is_drawn_and_none_beyond_the_end(root: Path):
    clips = iterator_of(root, LABELS)
    found = [whose(clips[key(1, position=position)].clip) for position in range(300)]
    assert {one[0] for one in found} == {(1, start) for start in range(22)}
    assert {one[-1] for one in found} == {(1, start + 3) for start in range(22)}


BOUNDS = {
    # start, stop, unit -> the first and last frame of the passage, at 30 frames a second
    "seconds": (Fraction(1, 3), Fraction(2, 3), "seconds", (10, 19)),
    "to the frame": (Fraction(31, 90), Fraction(61, 90), "seconds", (11, 20)),
    "from the beginning": (None, Fraction(1, 3), "seconds", (0, 9)),
    "to the end": (Fraction(1), None, "seconds", (30, 39)),
    "beyond the end": (Fraction(1), Fraction(10), "seconds", (30, 39)),
    "frames": (Fraction(5), Fraction(9), "frames", (5, 8)),
    "frames to the end": (Fraction(35), None, "frames", (35, 39)),
}


@pytest.mark.parametrize("case", BOUNDS)
def test_a_labels_bounds_are_honoured_to_the_frame(root: Path, case: str):
    start, stop, unit, (first, last) = BOUNDS[case]
    label = labelled("run/a", start=start, stop=stop, unit=unit)
    clips = iterator_of(root, [label], Making(Sampling("uniform"), PLAIN))
    found = whose(clips[key(shape=ClipShape(last - first + 1, 32))].clip)
    assert found == [(0, frame) for frame in range(first, last + 1)]


def test_a_passage_that_the_converter_cut_is_taken_whole(tmp_path: Path):
    root = write_dataset(tmp_path, [Video("run/a_000010_000020", Content(6))])
    label = labelled("run/a", start=Fraction(10), stop=Fraction(20))
    clips = iterator_of(root, [label], Making(Sampling("uniform"), PLAIN))
    assert whose(clips[key(shape=ClipShape(6, 32))].clip) == [(0, frame) for frame in range(6)]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("short", "order"), [
    ("loop", [0, 1, 2, 0, 1, 2]), ("hold", [0, 1, 2, 2, 2, 2]), ("mirror", [0, 1, 2, 1, 0, 1]),
])  # fmt: skip
def test_a_clip_longer_than_its_video(tmp_path: Path, count: int, short: str, order: Sequence[int]):
    root = write_dataset(tmp_path, [Video("run/a", Content(count))])
    making = Making(Sampling(short=short), PLAIN)  # type: ignore[arg-type]
    found = whose(iterator_of(root, [labelled("run/a")], making)[key(shape=ClipShape(6, 32))].clip)
    if count == 3:
        assert found == [(0, frame) for frame in order]
    assert set(found) <= {(0, frame) for frame in range(count)}


def test_a_stride_in_seconds_on_a_varying_rate(tmp_path: Path):
    pts = [0, 1, 2, 3, 10, 11, 20, 21, 22, 30]
    root = write_dataset(tmp_path, [Video("run/a", Content(10, pts=pts))])
    making = Making(Sampling("centre", seconds=Fraction(10, 30)))
    making = replace(making, view=View((Part("region"), Part("whole"))))
    (clip, _) = iterator_of(root, [labelled("run/a")], making)[key(shape=ClipShape(4, 32))]
    assert whose(clip[:, 32:]) == [(0, 0), (0, 4), (0, 6), (0, 9)]


# -- the same draws --------------------------------------------------------------------------------


def test_a_clip_follows_from_seed_and_position_alone(root: Path):
    making = Making(Sampling(interval=(1, 2)), Augmentation())
    clips = [iterator_of(root, LABELS, making, seed) for seed in (7, 7, 8)]
    for position in range(8):
        one, same, other = (many[key(0, position=position)].clip for many in clips)
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)
    drawn = {clips[0][key(0, position=position)].clip.tobytes() for position in range(8)}
    assert len(drawn) == 8


def test_a_test_is_the_same_at_every_position(root: Path):
    clips = iterator_of(root, LABELS, Making(Sampling("segments")))
    assert len({clips[key(0, position=position)].clip.tobytes() for position in range(4)}) == 1


def test_a_pickle_holds_no_files_and_makes_the_same(root: Path):
    clips = iterator_of(root, LABELS, Making(Sampling(), Augmentation()))
    before = clips[key()].clip
    again = pickle.loads(pickle.dumps(clips))
    assert np.array_equal(again[key()].clip, before)


def test_classes_that_tell_left_from_right_are_not_flipped(root: Path):
    always = Augmentation(Crop("whole"), flip=1, any=0)
    making = Making(Sampling(), always, keep_sides=frozenset([0]))
    clips = iterator_of(root, LABELS, making)
    assert None not in whose(clips[key(1)].clip)  # jump is class 0
    assert None in whose(clips[key(0)].clip)
    assert None not in whose(clips[key(0)].clip[:, :, ::-1])


# -- levels ----------------------------------------------------------------------------------------

LEVELS = {
    # side of the square, the zoom of the crop -> the short side that is decoded
    "large": (224, 1.0, 256),
    "no level is large enough": (160, 1.3, 256),
    "exactly a level": (96, 1.0, 96),
    "nearly a level": (104, 1.0, 96),  # 0.85 of the pixels
    "not quite": (110, 1.0, 160),  # 0.76
    "the usual jitter at 80": (80, 1.3125, 96),
    "the usual jitter at 112": (112, 1.3125, 160),
}


@pytest.fixture(scope="module")
def levelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = [Video("run/a", Content(6, (340, 256), levels=(160, 96)))]
    return write_dataset(tmp_path_factory.mktemp("levels"), videos)


@pytest.mark.parametrize("case", LEVELS)
def test_the_smallest_level_with_enough_pixels_is_decoded(levelled: Path, case: str):
    side, zoom, short_side = LEVELS[case]
    augmentation = Augmentation(Crop(zoom=(zoom, zoom)), any=0)
    clips = iterator_of(levelled, [labelled("run/a")], Making(Sampling(), augmentation))
    (square,) = clips.take(key(shape=ClipShape(2, side))).squares
    assert min(square.frames.shape[1:3]) == short_side


def test_a_level_shows_the_same_part_of_the_picture(levelled: Path):
    """What is drawn is in fractions: the level changes the sharpness and nothing else."""
    clips = iterator_of(levelled, [labelled("run/a")], Making(Sampling(), Augmentation(any=0)))
    for position in range(6):
        large, small = (clips.take(key(shape=ClipShape(2, side), position=position)).squares[0].plan
                        for side in (224, 80))  # fmt: skip
        assert large == small


# -- views -----------------------------------------------------------------------------------------

COMPOSITE = View((Part("region"), Part("whole"), Part("sound")), region=(0.0, 0.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = [Video("run/loud", Content(60, (96, 64), seconds=2)),
              Video("run/mute", Content(60, (96, 64)))]  # fmt: skip
    return write_dataset(tmp_path_factory.mktemp("heard"), videos)


def test_a_composite_is_a_column_of_squares(heard: Path):
    labels = [labelled("run/loud"), labelled("run/mute")]
    clips = iterator_of(heard, labels, Making(Sampling("centre"), view=COMPOSITE))
    loud, mute = (clips[key(clip, ClipShape(4, 48))] for clip in (0, 1))
    for number, sample in enumerate((loud, mute)):
        assert sample.clip.shape == (4, 144, 48, 3)
        for square in (sample.clip[:, :48], sample.clip[:, 48:96]):
            assert whose(square) == [(number, frame) for frame in range(28, 32)]
    assert loud.clip[:, 96:].mean() > 30
    assert not mute.clip[:, 96:].any()
    assert (loud.facts.silent, mute.facts.silent) == (False, True)


def test_a_labels_own_region_goes_before_the_sets(heard: Path):
    view = View((Part("region"), Part("whole")), region=(0.0, 0.0, 0.5, 0.5))
    labels = [
        labelled("run/loud", region=(0.5, 0.5, 1.0, 1.0)),
        labelled("run/loud", start=Fraction(0)),
    ]
    clips = iterator_of(heard, labels, Making(Sampling("centre"), view=view))
    for clip, (rows, columns) in enumerate(
        [(slice(24, 48), slice(24, 48)), (slice(24), slice(24))]
    ):
        whole = clips[key(clip, ClipShape(2, 48))].clip
        region, part = whole[:, :48], whole[:, 48:][:, rows, columns]
        assert np.abs(region[:, ::2, ::2].astype(int) - part).mean() < 12


def test_only_the_sound(heard: Path):
    clips = iterator_of(
        heard, [labelled("run/loud")], Making(Sampling(), PLAIN, View((Part("sound"),)))
    )
    assert clips[key(shape=ClipShape(2, 40))].clip.shape == (2, 40, 40, 3)


def test_overlays_are_black_before_anything_is_cut(heard: Path):
    view = View(
        (Part("whole"), Part("region")), (0.5, 0.0, 1.0, 1.0), black=((0.75, 0.0, 1.0, 1.0),)
    )
    clip = iterator_of(heard, [labelled("run/loud")], Making(Sampling(), view=view))[
        key(shape=ClipShape(2, 48))
    ].clip
    assert not clip[:, :48, 37:].any()
    assert not clip[:, 48:, 25:].any()
    assert clip[:, :48, :35].min() > 20


def test_a_box_of_the_sound_is_erased(heard: Path):
    def clip(erase: float) -> np.ndarray:
        augmentation = replace(PLAIN, erase_sound=erase)
        making = Making(Sampling(), augmentation, View((Part("sound"),)))
        return iterator_of(heard, [labelled("run/loud")], making)[key(shape=ClipShape(1, 64))].clip

    whole, cut = clip(0), clip(1)
    changed = (whole != cut).any(-1)
    rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (2, 1))
    assert 0.01 < changed.mean() < 0.4
    assert not cut[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].any()


VIEWS = {"one": 1, "three": 3, "ten": 10}


@pytest.mark.parametrize("tests", VIEWS)
def test_every_view_of_a_test_is_another_clip(heard: Path, tests: str):
    making = Making(Sampling("centre"), tests=tests, times=2)  # type: ignore[arg-type]
    assert making.views == 2 * VIEWS[tests]
    clips = iterator_of(heard, [labelled("run/loud")], making)
    found = [clips[key(shape=SMALL, view=view)].clip.tobytes() for view in range(making.views)]
    assert len(set(found)) == making.views


def test_two_times_are_the_passages_beginning_and_end(root: Path):
    making = Making(Sampling("centre"), times=2, view=View((Part("region"), Part("whole"))))
    clips = iterator_of(root, LABELS, making)
    found = [whose(clips[key(0, view=view)].clip[:, 32:]) for view in range(2)]
    assert found == [[(0, frame) for frame in range(4)], [(0, frame) for frame in range(36, 40)]]


# -- what cannot be read ---------------------------------------------------------------------------


def damage(root: Path, name: str, frame: int) -> None:
    with closing(sqlite3.connect(root / JPG / name / "frames.db")) as connection:
        connection.execute(
            "UPDATE Images SET frames = zeroblob(2000) WHERE rowid = ?", (frame + 1,)
        )
        connection.commit()


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    root = write_dataset(tmp_path, [Video("run/a", Content(4)), Video("jump/b", Content(4))])
    table_of(root, LABELS)
    damage(root, "run/a", 2)
    return root


def skipping(root: Path) -> ClipIterator:
    return ClipIterator(table_of(root, LABELS), Making(Sampling(), PLAIN), 7, on_error="skip")


def test_a_damaged_clip_stops_with_what_to_do(damaged: Path):
    clips = iterator_of(damaged, LABELS)
    with pytest.raises(ClipError) as caught:
        clips[key(0)]
    message = str(caught.value)
    for part in ("jpg/run/a/frames.db", "frame 2", "list.csv:2", "--on-error skip",
                 f"python -m tools.check {damaged} --repair"):  # fmt: skip
        assert part in message
    assert whose(clips[key(1)].clip) == [(1, frame) for frame in range(4)]


def test_a_damaged_clip_may_be_skipped_and_keeps_its_place(damaged: Path):
    clips = skipping(damaged)
    sample = clips[key(0, position=5)]
    assert not sample.clip.any()
    assert not sample.facts.counts
    assert sample.facts.targets == {"label": 1}
    fault = sample.facts.fault
    assert fault is not None
    assert fault[:4] == (0, 5, "list.csv:2", "run/a")
    assert "frame 2" in fault.reason
    assert clips[key(1)].facts.counts


def test_a_passage_without_a_frame_names_its_row(root: Path):
    label = labelled("run/a", start=Fraction(31, 3000), stop=Fraction(33, 3000), where="x.csv:9")
    with pytest.raises(ClipError) as caught:
        iterator_of(root, [label])[key()]
    message = str(caught.value)
    assert "shows no frame from 31/3000 to 11/1000 seconds; it has 40" in message
    assert "x.csv:9 asks for it; correct that row" in message
    assert "--repair" not in message


def test_places_that_only_fill_a_batch_do_not_count(root: Path):
    filler = ClipKey(0, SMALL, 0, counts=False)
    assert not iterator_of(root, LABELS)[filler].facts.counts


def test_a_clip_without_a_label_of_a_task(root: Path):
    labels = [labelled("run/a", targets={"verb": "take", "noun": "bag"}),
              labelled("jump/b", targets={"verb": "open"})]  # fmt: skip
    clips = iterator_of(root, labels)
    assert clips[key(1)].facts.targets == {"verb": 0, "noun": UNKNOWN}


# -- the cache -------------------------------------------------------------------------------------


def test_the_cache_is_read_from_and_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[int] = []
    original = Database.read

    def counted(self: Database, numbers: Sequence[int]) -> dict[int, bytes]:
        read.append(len(numbers))
        return original(self, numbers)

    monkeypatch.setattr(Database, "read", counted)
    plain = iterator_of(root, LABELS)
    cached = ClipIterator(plain.table, plain.making, plain.seed, cache_bytes=1 << 20)
    wanted = [plain[key(position % 2, position=position)].clip for position in range(6)]
    read.clear()
    for turn in range(2):
        for position, clip in enumerate(wanted):
            assert np.array_equal(cached[key(position % 2, position=position)].clip, clip)
        if not turn:
            first = sum(read)
    assert first > 0
    assert sum(read) == first, "the second time everything was in memory"


making: Any = Making
iterator: Any = ClipIterator
BAD: dict[str, tuple[Callable[[], object], str]] = {
    "no times": (lambda: making(Sampling(), times=0), "times is at least 1, got 0"),
    "unknown views": (lambda: making(Sampling(), tests="two"), "allowed: one, three, ten"),
    "unknown reaction": (lambda: iterator(None, None, on_error="ignore"), "stop, skip"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(case: str):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        make()
