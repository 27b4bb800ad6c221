"""The frame store: what was written comes out, in the order asked for, at its exact time."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.jpeg import decode, size_of
from data.schema import StoreError, level_file
from data.sound import Block, resample
from data.store import FrameStore
from data.writer import publish
from tests.frames import (
    SIZE,
    SOUND_RATE,
    Content,
    jpeg,
    noise,
    speck,
    whose,
    write_database,
    write_store,
)

UNEVEN = (0, 3, 4, 50, 51, 52, 53, 54, 100, 1000)
CONTENT = Content(size=(96, 64), levels=(48, 32), seconds=3, pts=UNEVEN, facts={"rate": "30/7"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("stores") / "x y'z", CONTENT)


@pytest.fixture
def store(folder: Path):
    with FrameStore(folder) as store:
        yield store


# -- facts -----------------------------------------------------------------------------------------


def test_it_says_what_it_holds(store: FrameStore, folder: Path):
    assert len(store) == 10
    assert store.size == (96, 64)
    assert store.fps == Fraction(30, 7)
    assert store.time_base == Fraction(1, 30)
    assert store.meta["source_name"] == "a.mp4"
    assert store.levels == ((96, 64), (72, 48), (48, 32))
    assert repr(store) == f"FrameStore({str(folder / 'frames.db')!r})"
    assert (folder / "n_frames").read_text() == "10"


def test_times_are_exact(store: FrameStore):
    assert store.pts.dtype == np.int64
    assert tuple(store.pts) == UNEVEN
    assert store.times == tuple(Fraction(pts, 30) for pts in UNEVEN)
    assert all(type(time) is Fraction for time in store.times)


def test_times_of_ten_hours_are_exact(tmp_path: Path):
    """Far beyond what a float holds."""
    pts = (0, 1, 10**15, 10**15 + 1, 2**62)
    content = Content(count=5, pts=pts, facts={"time_base": "1/90000"})
    with FrameStore(write_store(tmp_path / "v", content)) as store:
        assert store.times == tuple(Fraction(one, 90000) for one in pts)


@pytest.mark.parametrize("name", ["folder", "file", "text", "relative"])
def test_it_opens_by_folder_or_file(name: str, folder: Path, monkeypatch):
    monkeypatch.chdir(folder)
    paths: dict[str, Any] = {
        "folder": folder,
        "file": folder / "frames.db",
        "text": str(folder),
        "relative": ".",
    }
    with FrameStore(paths[name]) as store:
        assert whose(store.frames([4], short_side=64)) == [4]
        assert len(store.levels) == 3


def test_a_level_is_a_store_of_its_own(folder: Path):
    with FrameStore(folder / level_file(32)) as store:
        assert store.size == (48, 32)
        assert store.levels == ((48, 32),)
        assert whose(store.frames([9, 0])) == [9, 0]


@pytest.mark.parametrize("name", ["a#b", "a?b=c", "100%", "%41", "emoji 🎬", "'; DROP", "-x"])
def test_any_name_will_do(name: str, tmp_path: Path):
    with FrameStore(write_store(tmp_path / name, Content(count=3))) as store:
        assert whose(store.frames([2, 1])) == [2, 1]


# -- which frames ----------------------------------------------------------------------------------

WANTED = {
    "a range": (lambda: range(2, 9, 3), [2, 5, 8]),
    "backwards": (lambda: range(9, -1, -1), list(range(9, -1, -1))),
    "repeats": (lambda: [5, 5, 0, 9, 5], [5, 5, 0, 9, 5]),
    "a tuple": (lambda: (3,), [3]),
    "a generator": (lambda: (index for index in (7, 1)), [7, 1]),
    "numpy": (lambda: np.array([8, 2, 8]), [8, 2, 8]),
    "small numpy": (lambda: np.array([8, 2], np.uint8), [8, 2]),
    "nothing": (lambda: [], []),
}


@pytest.mark.parametrize("case", WANTED)
def test_order_and_repeats_are_kept(case: str, store: FrameStore):
    ask, meant = WANTED[case]
    assert store.read(ask()) == [jpeg(index, (96, 64)) for index in meant]
    pictures = store.frames(ask())
    assert pictures.shape == (len(meant), 64, 96, 3)
    assert pictures.dtype == np.uint8
    assert whose(pictures) == meant
    for at, index in enumerate(meant):
        assert (pictures[at] == decode(jpeg(index, (96, 64)))).all()


@pytest.mark.parametrize("index", [-1, -10, 10, 11, 2**40, np.int64(-1), np.int64(10)])
@pytest.mark.parametrize("way", ["read", "frames"])
def test_an_index_beyond_is_refused_by_number(way: str, index: int, store: FrameStore):
    with pytest.raises(IndexError, match=rf"frame {index} of .*: it has frames 0 to 9"):
        getattr(store, way)([3, index])


@pytest.mark.parametrize("index", [1.0, "1", None, np.float32(2)])
def test_what_is_no_whole_number_is_refused(index: object, store: FrameStore):
    with pytest.raises(TypeError, match="integer"):
        store.read([index])  # type: ignore[list-item]


# -- levels ----------------------------------------------------------------------------------------

CHOICE = [(1, 32), (31, 32), (32, 32), (33, 48), (48, 48), (49, 64), (64, 64), (65, 64), (999, 64)]


@pytest.mark.parametrize(("asked", "given"), CHOICE)
def test_the_smallest_level_that_covers(asked: int, given: int, store: FrameStore):
    (data,) = store.read([6], short_side=asked)
    assert min(size_of(data)) == given
    pictures = store.frames([6, 1], short_side=asked)
    assert min(pictures.shape[1:3]) == given
    assert whose(pictures) == [6, 1]


@pytest.mark.parametrize("asked", [0, -5])
def test_no_side_is_shorter_than_one(asked: int, store: FrameStore):
    with pytest.raises(ValueError, match=f"short_side is at least 1, got {asked}"):
        store.read([0], short_side=asked)


def test_a_level_of_another_conversion_is_left_alone(tmp_path: Path):
    """What a conversion leaves that was killed while it replaced an older one."""
    folder = write_store(tmp_path / "v", Content(levels=(16,), conversion="old"))
    newer = write_database(tmp_path / "new.db", "v", Content(count=7, conversion="new"))
    publish(folder, newer, {}, 7)
    with FrameStore(folder) as store:
        assert store.levels == (SIZE,)
        assert whose(store.frames([6], short_side=16)) == [6]


def test_a_level_with_other_frames_is_refused(tmp_path: Path):
    folder = write_store(tmp_path / "v")
    level = write_database(tmp_path / "l.db", "v", Content(count=9, size=(24, 16)))
    publish(folder, None, {16: level}, 9)
    with FrameStore(folder) as store:
        with pytest.raises(StoreError, match=r"frames-16.db' has 9 frames, frames.db has 10; see"):
            store.read([0], short_side=16)
        assert whose(store.frames([0])) == [0]


# -- into an array that is there -------------------------------------------------------------------


def test_frames_go_into_the_array_given(store: FrameStore):
    batch = np.zeros((3, 4, 64, 96, 3), np.uint8)
    given = store.frames([5, 1, 5, 9], out=batch[1])
    assert np.shares_memory(given, batch)
    assert whose(batch[1]) == [5, 1, 5, 9]
    assert not batch[[0, 2]].any()


OTHER = [
    np.zeros((1, 64, 96, 3), np.uint8), np.zeros((2, 64, 96), np.uint8),
    np.zeros((2, 96, 64, 3), np.uint8), np.zeros((2, 64, 96, 3), np.float32),
]  # fmt: skip


@pytest.mark.parametrize("out", OTHER, ids=lambda out: f"{out.dtype}{out.shape}")
def test_one_that_does_not_fit_is_refused(out: np.ndarray, store: FrameStore):
    with pytest.raises(ValueError, match=r"these frames need uint8 \(2, 64, 96, 3\)"):
        store.frames([1, 2], out=out)


def test_pictures_may_lie_apart_but_not_in_pieces(store: FrameStore):
    out = np.zeros((4, 64, 96, 3), np.uint8)
    assert whose(store.frames([1, 2], out=out[::2])) == [1, 2]
    assert whose(out[::2]) == [1, 2]
    read_only = out[:2]
    read_only.flags.writeable = False
    for bad in (np.zeros((2, 128, 96, 3), np.uint8)[:, ::2], read_only):
        with pytest.raises(ValueError, match="read-only or not contiguous in memory; give another"):
            store.frames([1, 2], out=bad)


# -- sound -----------------------------------------------------------------------------------------


def as_float(samples: np.ndarray) -> np.ndarray:
    return (samples.astype(np.float32) / 32768)[:, None]


@pytest.mark.parametrize("start", [Fraction(-3, 2), -1, 0, Fraction(1, 7), 0.5, 2, Fraction(14, 5)])
@pytest.mark.parametrize("length", [Fraction(1, 100), 1, 1.3, 5])
def test_sound_of_any_range(start, length, store: FrameStore):
    """Silence before and after; the samples themselves within."""
    first = round(Fraction(start).limit_denominator(1000) * SOUND_RATE)
    stop = Fraction(start).limit_denominator(1000) + Fraction(length).limit_denominator(1000)
    heard = store.audio(start, stop)
    around = np.pad(as_float(noise(3)), ((2 * SOUND_RATE, 9 * SOUND_RATE), (0, 0)))
    begin = first + 2 * SOUND_RATE
    assert heard.dtype == np.float32
    assert (heard == around[begin : begin + len(heard)]).all()
    assert len(heard) == round(stop * SOUND_RATE) - first


def test_ranges_join_without_a_seam(store: FrameStore):
    cuts = [Fraction(at, 7) for at in range(-3, 25)]
    pieces = [store.audio(a, b) for a, b in pairwise(cuts)]
    assert (np.concatenate(pieces) == store.audio(cuts[0], cuts[-1])).all()


@pytest.mark.parametrize("stop", [1, 0])
def test_an_empty_range_is_empty(stop, store: FrameStore):
    assert store.audio(1, stop).shape == (0, 1)
    assert store.audio(1, stop, 8000).shape == (0, 1)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 16000])
def test_other_rates_are_the_resamplers(rate: int, store: FrameStore):
    """A piece is what the same piece of the whole is, resampled at once."""
    padded = np.pad(as_float(noise(3)), ((SOUND_RATE, SOUND_RATE), (0, 0)))
    where, whole = resample(Block(-SOUND_RATE, SOUND_RATE, padded), rate, 1)
    for start, stop in [("0", "3"), ("1/3", "5/3"), ("-1/5", "1"), ("2", "7/2")]:
        first, last = (round(Fraction(at) * rate) for at in (start, stop))
        heard = store.audio(Fraction(start), Fraction(stop), rate)
        assert heard.shape == (last - first, 1)
        assert np.abs(heard - whole[first - where : last - where]).max() < 2e-3


def test_resampled_ranges_join(store: FrameStore):
    cuts = [Fraction(at, 10) for at in range(21)]
    pieces = [store.audio(a, b, 11025) for a, b in pairwise(cuts)]
    whole = store.audio(0, 2, 11025)
    assert len(np.concatenate(pieces)) == len(whole)
    assert np.abs(np.concatenate(pieces) - whole).max() < 2e-3


def test_no_rate_below_one(store: FrameStore):
    with pytest.raises(ValueError, match="at least 1 sample a second, got 0"):
        store.audio(0, 1, 0)


def test_a_store_without_sound_says_so(tmp_path: Path):
    with (
        FrameStore(write_store(tmp_path / "v")) as store,
        pytest.raises(StoreError, match="holds no sound; convert it again with --audio"),
    ):
        store.audio(0, 1)


# -- closing ---------------------------------------------------------------------------------------


def test_a_closed_store_says_so(folder: Path, open_files):
    with FrameStore(folder) as store:
        store.read([0], short_side=32)
        assert open_files(folder) > 0
    assert open_files(folder) == 0
    store.close()
    for use in (lambda: len(store), lambda: store.read([0]), lambda: store.frames([0], 32),
                lambda: store.levels, lambda: store.audio(0, 1)):  # fmt: skip
        with pytest.raises(ValueError, match="is closed; open it again to read from it"):
            use()


def test_closing_one_does_not_close_another(folder: Path):
    with FrameStore(folder) as other:
        with FrameStore(folder) as store:
            store.read([1], short_side=32)
            other.read([1], short_side=32)
        assert whose(other.frames([2], short_side=32)) == [2]


# -- many frames -----------------------------------------------------------------------------------

MANY = 100_003


@pytest.fixture(scope="module")
def long_store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("long") / "v"
    content = Content(count=MANY, size=(8, 8))
    publish(folder, write_database(folder.parent / "v.db", "v", content, speck), {}, MANY)
    return folder


def test_more_than_99_999_frames(long_store: Path):
    """Where the predecessor's five digits become six."""
    wanted = [MANY - 1, 0, 100_000, 99_999, 99_998, 50_007, 99_999]
    with FrameStore(long_store) as store:
        assert len(store) == len(store.pts) == MANY
        assert store.read(wanted) == [speck(index) for index in wanted]
        assert store.frames(range(99_990, MANY)).shape == (13, 8, 8, 3)
        assert store.read(range(MANY - 1, -1, -37)) == [
            speck(index) for index in range(MANY - 1, -1, -37)
        ]
