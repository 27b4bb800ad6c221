"""What a clip is never made of: leftovers, changed files, mirrored letters, another's level."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.augment import Augmentation
from data.batching import BatchSampler, Order, Rank, balanced, constant
from data.catalog import JPG
from data.clip import ClipShape
from data.crops import Crop
from data.database import Database
from data.iterator import ClipError, ClipIterator, Making
from data.ledger import Ledger, read_ledger
from data.plan import Plan
from data.sampling import Sampling
from data.store import FEW, FrameStore
from data.views import Part, View
from tests.clips import PLAIN, SMALL, Video, iterator_of, key, labelled, whose, write_dataset
from tests.frames import Content, speck, write_database, write_store
from tests.test_iterator import damage
from train.loader import Loader, Options, to_network

LEVELLED = Content(6, (192, 128), levels=(64,))
LABEL = labelled("run/a")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, [Video("run/a", LEVELLED)])


# -- files that change -----------------------------------------------------------------------------


def test_a_level_of_another_conversion_is_not_read(root: Path, tmp_path: Path):
    clips = iterator_of(root, [LABEL])
    other = replace(LEVELLED, conversion="2", size=(96, 64))
    path = write_database(tmp_path / "other.db", "a", other, with_sound=False)
    os.replace(path, root / JPG / "run/a/frames-64.db")
    with pytest.raises(ClipError, match=r"frames-64.db.*not what the catalogue says: 6 frames of "
                       r"conversion '2', not 6 of '1'.*delete catalog.db"):  # fmt: skip
        clips[key(shape=ClipShape(2, 64))]


def test_a_level_that_was_removed_is_done_without(root: Path):
    clips = iterator_of(root, [LABEL])
    (root / JPG / "run/a/frames-64.db").unlink()
    (square,) = clips.take(key(shape=ClipShape(2, 64))).squares
    assert square.frames.shape[1:3] == (128, 192)


def test_a_catalogue_that_is_out_of_date_is_noticed(root: Path):
    clips = iterator_of(root, [LABEL])
    write_store(root / JPG / "run/a", replace(LEVELLED, size=(128, 192)))
    with pytest.raises(ClipError, match=r"not what the catalogue says.*delete catalog.db"):
        clips[key(shape=ClipShape(2, 128))]


def test_the_cache_tells_a_replaced_file_from_the_old_one(root: Path):
    plain = iterator_of(root, [LABEL])
    clips = ClipIterator(plain.table, plain.making, 7, cache_bytes=1 << 22)
    assert None not in whose(clips[key(shape=ClipShape(4, 128))].clip)
    folder = root / JPG / "run/a"
    path = write_database(root / "x.db", "a", LEVELLED, speck)
    os.replace(path, folder / "frames.db")
    clips.close()
    with pytest.raises(ClipError):  # pictures of 8 x 8 where 192 x 128 are said to be
        clips[key(shape=ClipShape(4, 128))]


def test_a_mended_video_is_read_again(root: Path):
    folder = root / JPG / "run/a"
    whole = (folder / "frames.db").read_bytes()
    clips = iterator_of(root, [LABEL], Making(Sampling("uniform"), PLAIN))
    damage(root, "run/a", 2)
    with pytest.raises(ClipError):
        clips[key(shape=ClipShape(6, 128))]
    (folder / "mended").write_bytes(whole)
    os.replace(folder / "mended", folder / "frames.db")
    found = whose(clips[key(shape=ClipShape(6, 128))].clip)
    assert found == [(0, frame) for frame in range(6)]


# -- long videos -----------------------------------------------------------------------------------


def test_a_moment_of_a_long_video_is_found_in_a_few_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    count = 3000
    folder = tmp_path / JPG / "run" / "a"
    folder.mkdir(parents=True)
    content = Content(count, (8, 8), pts=[7 * index for index in range(count)])
    write_database(folder / "frames.db", "a", content, speck)
    label = labelled("run/a", start=Fraction(7 * 1000, 30), stop=Fraction(7 * 1100, 30))
    clips = iterator_of(tmp_path, [label], Making(Sampling("uniform"), PLAIN))
    rows = []
    original = Database.read_time
    monkeypatch.setattr(Database, "read_times", lambda self: pytest.fail("all times were read"))

    def counted(self: Database, number: int) -> int:
        rows.append(number)
        return original(self, number)

    monkeypatch.setattr(Database, "read_time", counted)
    (square,) = clips.take(key(shape=ClipShape(100, 8))).squares
    levels = square.frames.mean(axis=(1, 2, 3))
    assert np.abs(levels - [2 * (index % 125) for index in range(1000, 1100)]).max() <= 2
    assert 0 < len(rows) <= 30
    assert count > FEW
    with FrameStore(folder) as store:
        assert list(store.ticks[5:8]) == [35, 42, 49]
        assert store.ticks[-1] == 7 * (count - 1)
        with pytest.raises(IndexError):
            store.ticks[count]


# -- what belongs together -------------------------------------------------------------------------


def test_sides_are_kept_in_tests_too(root: Path):
    making = Making(Sampling("centre"), tests="ten", keep_sides=frozenset([0]))
    clips = iterator_of(root, [LABEL], making)
    found = [clips[key(shape=SMALL, view=view)].clip for view in range(10)]
    assert all(np.array_equal(found[view], found[view + 5]) for view in range(5))


def test_parts_of_a_composite_are_mirrored_together(root: Path):
    view = View((Part("region"), Part("whole", crop=Crop("whole"))))
    clips = iterator_of(root, [LABEL], Making(Sampling(), Augmentation(any=0), view))
    plans = [[square.plan for square in clips.take(key(position=position)).squares]
             for position in range(12)]  # fmt: skip
    assert {tuple(plan.flip for plan in two if plan) for two in plans} == {
        (False, False),
        (True, True),
    }
    assert all(two[1].box == (0, 0, 1, 1) for two in plans if two[1])


def test_a_composite_shows_most_of_what_it_is_about(root: Path):
    """In tests all of it; so in training at least half, not a square of any size."""
    view = View((Part("whole"), Part("sound")))
    clips = iterator_of(root, [LABEL], Making(Sampling(), Augmentation(any=0), view))
    for position in range(30):
        plan = clips.take(key(position=position)).squares[0].plan
        assert plan is not None
        left, top, right, bottom = plan.box
        assert (right - left) * (bottom - top) >= 0.49


def test_silence_is_no_sound_and_not_a_quiet_one(tmp_path: Path):
    root = write_dataset(tmp_path, [Video("run/a", Content(60, seconds=2)), Video("run/b")])
    labels = [LABEL, labelled("run/b")]
    view = View((Part("sound"),))
    quiet = replace(view, spectrogram=replace(view.spectrogram, decibels=1.0))
    clips = iterator_of(root, labels, Making(Sampling(), PLAIN, quiet))
    assert not clips[key(0)].clip.any()
    assert [clips[key(clip)].facts.silent for clip in (0, 1)] == [False, True]


def test_a_level_is_sharp_enough_both_ways(tmp_path: Path):
    """A wide picture has pixels enough, but not from top to bottom."""
    root = write_dataset(tmp_path, [Video("run/a", Content(2, (456, 256), levels=(160,)))])
    clips = iterator_of(root, [LABEL])
    assert clips._level(key(shape=ClipShape(2, 224)), [Plan()]) is None
    assert clips._level(key(shape=ClipShape(2, 170)), [Plan()]) == 160


# -- the loader ------------------------------------------------------------------------------------

CLIPS = 6


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = [Video(f"run/{name}", Content(4)) for name in "abcdef"]
    root = write_dataset(tmp_path_factory.mktemp("six"), videos)
    iterator_of(root, [LABEL])
    for name in "abcdef":
        for frame in range(4):
            damage(root, f"run/{name}", frame)
    return root


@pytest.mark.parametrize("tail", ["on", "short", "drop", "pad"])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_all_ranks_ledgers_are_merged_in_the_end(six: Path, tmp_path: Path, tail: str, ranks: int):
    plain = iterator_of(six, [labelled(f"run/{name}") for name in "abcdef"])
    clips = ClipIterator(plain.table, plain.making, 7, on_error="skip")
    seen = set()
    for number in range(ranks):
        sampler = BatchSampler(Order(CLIPS, 1), constant(4, SMALL), 2, tail, Rank(number, ranks))  # type: ignore[arg-type]
        for batch in Loader(clips, sampler, ledger=Ledger(tmp_path, number)):
            seen |= {fault.clip for fault in batch.faults}
    assert {fault.clip for fault in read_ledger(tmp_path / "unread.csv")} == seen


def loader_of(root: Path, **changes: object) -> Loader:
    clips = iterator_of(root, [LABEL], seed=int(str(changes.pop("seed", 7))))
    return Loader(clips, BatchSampler(Order(1, 1), constant(1, SMALL), 3))


def test_every_pass_begins_where_it_should(root: Path):
    loader = loader_of(root)
    for _batch in loader:
        break
    assert loader.state()["step"] == 1
    assert [batch.step for batch in loader] == [0, 1, 2]
    loader.resume({**loader.state(), "step": 1, "position": 1})
    assert [batch.step for batch in loader] == [1, 2]


def test_the_trainers_random_numbers_stay_as_they_are(root: Path):
    before = torch.random.get_rng_state()
    list(loader_of(root))
    assert torch.equal(before, torch.random.get_rng_state())


checked: Any = Making
part: Any = Part
options: Any = Options
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "another seed of draws": (
        lambda root: loader_of(root).resume(loader_of(root, seed=8).state()),
        "drawn with seed 7, those of the state with 8",
    ),
    "beyond the end": (
        lambda root: loader_of(root).resume({**loader_of(root).state(), "position": 4}),
        "this run goes from 0 to 3",
    ),
    "an order of more": (
        lambda root: Loader(iterator_of(root, [LABEL]), BatchSampler(Order(2), constant(1, SMALL))),
        "the order is of 2 clips with 1 views, there are 1 with 1",
    ),
    "an order without views": (
        lambda root: Loader(
            iterator_of(root, [LABEL], Making(Sampling("centre"), tests="ten")),
            BatchSampler(Order(1), constant(1, SMALL)),
        ),
        "there are 1 with 10",
    ),
    "views of a composite": (
        lambda root: checked(Sampling(), view=View((Part(), Part())), tests="ten"),
        "a composite shows all of its parts in one",
    ),
    "uniform twice": (lambda root: checked(Sampling("uniform"), times=2), "uniform takes one clip"),
    "a negative seed": (
        lambda root: iterator_of(root, [LABEL], seed=-1),
        "a seed is a whole number",
    ),
    "an unknown start": (lambda root: options(start="bogus"), "allowed: fork, spawn, forkserver"),
    "all weight skipped": (
        lambda root: Order(3, weights=np.array([1.0, 0, 0]), skip=[0]),
        "at least 0",
    ),
    "an endless sum": (lambda root: Order(3, weights=np.full(3, 1e308)), "their sum is a number"),
    "another height": (
        lambda root: to_network(np_clips(), View((Part(), Part()))),
        "8 high, these are 7",
    ),
    "two colours": (lambda root: part(norm=((0.5, 0.5), (0.5, 0.5))), "of three colours"),
    "no deviation": (lambda root: part(norm=((0, 0, 0), (1, 1, float("nan")))), "more than 0"),
}


def np_clips() -> torch.Tensor:
    return torch.zeros((1, 1, 7, 4, 3), dtype=torch.uint8)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_at_once(root: Path, case: str):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        make(root)


def test_lists_may_be_weighed_too():
    assert balanced([0, 0, 1]).tolist() == [0.5, 0.5, 1.0]  # type: ignore[arg-type]
