"""The same clips, byte for byte, whoever makes them and however often the run was stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.augment import Augmentation
from data.batching import BatchSampler, BatchShape, Order, Rank, constant
from data.clip import ClipShape
from data.crops import Crop
from data.iterator import ClipError, ClipIterator, Making
from data.ledger import Ledger, read_ledger
from data.sampling import Sampling
from data.views import IMAGENET, Part, View
from tests.clips import PLAIN, Video, iterator_of, labelled, whose, write_dataset
from tests.frames import Content
from tests.test_iterator import damage
from train.loader import Batch, Loader, Options, to_network

NAMES = ("run/a", "run/b", "jump/c", "jump/d", "sit/e", "sit/f", "sit/g")
LABELS = tuple(labelled(name) for name in NAMES)
TRAINING = Making(Sampling(interval=(1, 2)), Augmentation())
SEED = 7


def grid(step: int) -> BatchShape:
    return [BatchShape(8, ClipShape(2, 24)), BatchShape(4, ClipShape(4, 40))][step % 2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = [Video(name, Content(12 + number)) for number, name in enumerate(NAMES)]
    return write_dataset(tmp_path_factory.mktemp("dataset"), videos)


@dataclass(frozen=True)
class Run:
    """A way of running the same training."""

    workers: int = 0
    start: str | None = None
    rank: Rank = Rank()  # noqa: RUF009 - frozen
    chunk: int = 3
    tail: str = "short"

    def loader(self, clips: ClipIterator, epochs: int = 2) -> Loader:
        order = Order(len(clips), SEED)
        sampler = BatchSampler(order, grid, epochs, self.tail, self.rank, self.chunk)  # type: ignore[arg-type]
        return Loader(clips, sampler, Options(self.workers, self.start))  # type: ignore[arg-type]


def fingerprints(batches: Iterable[Batch]) -> dict[int, str]:
    """Every clip that counts, by its position: its bytes, its shape and its labels."""
    found = {}
    for batch in batches:
        for key, clip, weight, *targets in zip(
            batch.keys, batch.clips, batch.weights, *batch.targets.values(), strict=True
        ):
            if weight:
                assert key.position not in found
                text = f"{tuple(clip.shape)} {key.clip} {[int(one) for one in targets]}"
                digest = sha256(clip.numpy().tobytes() + text.encode())
                found[key.position] = digest.hexdigest()
    return found


@pytest.fixture(scope="module")
def truth(root: Path) -> dict[int, str]:
    found = fingerprints(Run().loader(iterator_of(root, LABELS, TRAINING, SEED)))
    assert sorted(found) == list(range(2 * len(NAMES)))
    assert len(set(found.values())) == len(found)
    return found


# -- the table of workers x ranks ------------------------------------------------------------------

WORKERS = {"none": Run(0), "one": Run(1), "two": Run(2), "eight": Run(8),
           "two, chunks of 64": Run(2, chunk=64), "spawned": Run(2, "spawn")}  # fmt: skip

# Spawning takes seconds: one rank shows it.
TOGETHER = [
    (case, ranks) for case in WORKERS for ranks in ((1,) if case == "spawned" else (1, 2, 4))
]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.parametrize(("case", "ranks"), TOGETHER)
def test_workers_and_ranks_change_no_byte(root: Path, truth: dict[int, str], case: str, ranks: int):
    clips = iterator_of(root, LABELS, TRAINING, SEED)
    found: dict[int, str] = {}
    lengths = set()
    for number in range(ranks):
        loader = replace(WORKERS[case], rank=Rank(number, ranks)).loader(clips)
        batches = list(loader)
        assert len(batches) == len(loader)
        lengths.add(tuple(len(batch.keys) for batch in batches))
        share = fingerprints(batches)
        assert not share.keys() & found.keys()
        found |= share
    assert found == truth
    assert len(lengths) == 1, "all ranks have equally many clips in every batch"


def test_a_batch_says_what_is_in_it(root: Path):
    batch = next(iter(Run().loader(iterator_of(root, LABELS, Making(Sampling(), PLAIN), SEED))))
    assert (batch.step, batch.shape, batch.counting, batch.silent) == (0, ClipShape(2, 24), 7, 0)
    assert batch.clips.shape == (7, 2, 24, 24, 3)
    assert batch.clips.dtype == torch.uint8
    assert sorted(key.clip for key in batch.keys) == list(range(7))
    for key, clip, target in zip(batch.keys, batch.clips, batch.targets["label"], strict=True):
        assert {frame and frame[0] for frame in whose(clip.numpy())} == {key.clip}
        assert int(target) == [1, 1, 0, 0, 2, 2, 2][key.clip]


# -- stopping and going on -------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("used", [0, 1, 2])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 0), (0, 2), (1, 3)])
def test_a_run_goes_on_with_other_workers(
    root: Path, truth: dict[int, str], used: int, before: int, after: int
):
    clips = iterator_of(root, LABELS, TRAINING, SEED)
    first = Run(before).loader(clips)
    found = fingerprints(islice(first, used))
    state = json.loads(json.dumps(first.state()))
    second = Run(after, chunk=2).loader(clips)
    second.resume(state)
    assert len(second) == 3 - used
    rest = fingerprints(second)
    assert not rest.keys() & found.keys()
    assert found | rest == truth


def test_a_run_goes_on_with_other_ranks(root: Path, truth: dict[int, str]):
    clips = iterator_of(root, LABELS, TRAINING, SEED)
    first = Run(2).loader(clips)
    found = fingerprints(islice(first, 1))
    for number in range(3):
        second = Run(1, rank=Rank(number, 3)).loader(clips)
        second.resume(first.state())
        found |= fingerprints(second)
    assert found == truth


VICTIM = """
import json, sys, time
from pathlib import Path
from tests.clips import iterator_of
from tests.test_loader import LABELS, SEED, TRAINING, Run, fingerprints
root, log, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
loader = Run(workers).loader(iterator_of(root, LABELS, TRAINING, SEED), epochs=40)
lines = log.read_text().splitlines() if log.exists() else []
if lines:
    loader.resume(json.loads(lines[-1])["state"])
with open(log, "a") as file:
    for batch in loader:
        print(json.dumps({"seen": fingerprints([batch]), "state": loader.state()}), file=file,
              flush=True)
        time.sleep(0.01)
"""


def killed(root: Path, log: Path, workers: int, after: int | None) -> None:
    """Run on; kill it as soon as it has written `after` more lines."""
    had = len(log.read_text().splitlines()) if log.exists() else 0
    command = [sys.executable, "-c", VICTIM, str(root), str(log), str(workers)]
    process = subprocess.Popen(command, start_new_session=True)
    if after is None:
        assert process.wait(timeout=120) == 0
        return
    until = time.monotonic() + 120
    while not log.exists() or len(log.read_text().splitlines()) < had + after:
        assert process.poll() is None, "it ended before it was to be killed"
        assert time.monotonic() < until
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(line for line in lines if line.endswith("\n")))


def test_killed_at_random_steps_a_run_sees_what_it_would_have(root: Path, tmp_path: Path):
    chance = random.Random(11)
    log = tmp_path / "log"
    for workers in (2, 0):
        killed(root, log, workers, chance.randint(1, 25))
    killed(root, log, 1, None)
    found: dict[str, str] = {}
    for line in log.read_text().splitlines():
        seen = json.loads(line)["seen"]
        assert not seen.keys() & found.keys()
        found |= seen
    clips = iterator_of(root, LABELS, TRAINING, SEED)
    whole = fingerprints(Run().loader(clips, epochs=40))
    assert found == {str(position): digest for position, digest in whole.items()}


def test_a_state_before_the_first_batch_is_the_beginning(root: Path):
    loader = Run().loader(iterator_of(root, LABELS, TRAINING, SEED))
    assert (loader.state()["step"], loader.state()["position"]) == (0, 0)


# -- what cannot be read ---------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    root = write_dataset(tmp_path, [Video(name, Content(4)) for name in NAMES])
    iterator_of(root, LABELS)
    for frame in (1, 2):  # so that any two frames hold one of them
        damage(root, "jump/c", frame)
    return root


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_clip_stops_the_run_with_its_own_words(damaged: Path, workers: int):
    clips = iterator_of(damaged, LABELS, Making(Sampling(), PLAIN), SEED)
    with pytest.raises(ClipError) as caught:
        list(Run(workers).loader(clips))
    message = str(caught.value)
    assert message.count("\n") == 3
    assert "Traceback" not in message
    assert "jpg/jump/c/frames.db" in message


@pytest.mark.parametrize("workers", [0, 2])
def test_a_skipped_clip_weighs_nothing_and_is_written_down(
    damaged: Path, tmp_path: Path, workers: int
):
    clips = iterator_of(damaged, LABELS, Making(Sampling(), PLAIN), SEED)
    clips = ClipIterator(clips.table, clips.making, SEED, on_error="skip")
    folder = tmp_path / "run"
    for number in (1, 0):
        loader = Run(workers, rank=Rank(number, 2)).loader(clips)
        loader.ledger = Ledger(folder, number)
        for batch in loader:
            for key, clip, weight in zip(batch.keys, batch.clips, batch.weights, strict=True):
                good = key.counts and NAMES[key.clip] != "jump/c"
                assert bool(weight) == good
                assert bool(clip.any()) == (NAMES[key.clip] != "jump/c")
    (fault,) = read_ledger(folder / "unread.csv")
    assert (fault.clip, fault.video, fault.label) == (2, "jump/c", "list.csv:2")


# -- on the device ---------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_a_device_draws_the_same_plans(root: Path, workers: int):
    view = View((Part("whole"), Part("region"), Part("sound")), region=(0.25, 0.25, 1.0, 1.0))
    making = replace(TRAINING, view=view, augmentation=Augmentation(Crop("resized")))
    clips = iterator_of(root, LABELS, making, SEED)

    def batches(options: Options) -> Iterator[Batch]:
        sampler = BatchSampler(Order(len(clips), SEED), constant(4, ClipShape(3, 48)))
        yield from Loader(clips, sampler, options)

    for one, other in zip(batches(Options()), batches(Options(workers, augment="device")),
                          strict=True):  # fmt: skip
        assert one.keys == other.keys
        assert one.clips.shape == other.clips.shape == (len(one.keys), 3, 144, 48, 3)
        difference = (one.clips.int() - other.clips.int()).abs().float()
        assert difference.mean() <= 2
        assert torch.quantile(difference.flatten()[::7], 0.99) <= 8
        assert torch.equal(one.clips[:, :, 96:], other.clips[:, :, 96:])


# -- for the network -------------------------------------------------------------------------------


def test_each_part_has_its_own_mean(root: Path):
    halves = ((0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    view = View((Part("whole", IMAGENET), Part("region", halves), Part("sound", None)))
    clips = torch.randint(0, 256, (2, 3, 12, 4, 3), dtype=torch.uint8)
    floats = to_network(clips, view)
    assert floats.shape == (2, 3, 3, 12, 4)
    values = clips.numpy().astype(np.float64) / 255
    for part, norm in enumerate((IMAGENET, halves, ((0, 0, 0), (1, 1, 1)))):
        rows = slice(4 * part, 4 * part + 4)
        wanted = (values[:, :, rows] - norm[0]) / norm[1]
        assert np.allclose(floats[:, :, :, rows].permute(0, 2, 3, 4, 1), wanted, atol=1e-5)
    assert to_network(clips, view, torch.float16).dtype == torch.float16


options: Any = Options
BAD: dict[str, tuple[Callable[[], object], str]] = {
    "fewer than no workers": (lambda: Options(workers=-1), "workers is at least 0"),
    "nothing ahead": (lambda: Options(ahead=0), "ahead at least 1, got 0 and 0"),
    "unknown place": (lambda: options(augment="gpu"), "allowed: workers, device"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(case: str):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        make()
