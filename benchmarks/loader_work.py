"""What the clips' benchmark asks of datasets, loaders and samplers, each in a process of its own:
MODE FOLDER ..., the answer as JSON.

make FOLDER                   two datasets of the same videos, `plain` and, with levels, `levels`
shapes FOLDER SHAPE ROUNDS    CPU seconds and seconds on the wall of making batches of that shape
scaling FOLDER SHAPE ROUNDS   seconds on the wall of one and of two workers, and their limits
memory FOLDER EPOCHS          MB of parent and workers in every epoch, at most
start FOLDER VIDEOS           what it takes to tell a spawned worker of so many videos
resume FOLDER ROUNDS          seconds until a sampler that goes on at step k gives its first keys
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from benchmarks.footage import QUALITY, pictures
from data.augment import Augmentation
from data.batching import CHUNK, BatchSampler, BatchShape, Order, constant
from data.catalog import JPG
from data.clip import ClipShape
from data.crops import Crop
from data.iterator import ClipIterator, Making
from data.jpeg import encode
from data.sampling import Sampling
from data.schema import COUNT, DATABASE
from data.table import ClipTable, whole_videos
from tools.convert import convert
from train.loader import Loader, Options

SEED = 7
VIDEOS, DIFFERENT, FRAMES = 1536, 4, 120
LEVELS = (160, 96)
KINDS = ("plain", "levels")
INTERVAL = 2  # frames from one to the next
SHAPES = {  # the predecessor's, and how many batches of each are one measurement
    "1536x4x80x80": (BatchShape(1536, ClipShape(4, 80)), 1),
    "384x8x112x112": (BatchShape(384, ClipShape(8, 112)), 1),
    "96x16x158x158": (BatchShape(96, ClipShape(16, 158)), 1),
    "48x16x224x224": (BatchShape(48, ClipShape(16, 224)), 2),
}
SQUASHED = 294 / 224  # the predecessor crops squares of 224 from pictures of 294
# what is drawn, and with how many workers
VARIANTS: Mapping[str, tuple[Augmentation, tuple[int, ...]]] = {
    "set": (Augmentation(), (0, 1, 2)),
    "set, squashed": (Augmentation(Crop(zoom=(SQUASHED, SQUASHED))), (0,)),
    "crop": (Augmentation(any=0), (0,)),
}
SCALING_CLIPS = {"1536x4x80x80": 1536, "48x16x224x224": 192}
TURNS = 60_000_000  # of an idle loop: about a second
STEPS = (0, 1_000, 100_000, 10_000_000)
MANY, BATCH, EPOCHS = 100_000, 48, 10_000  # clips, and epochs enough for the last of these steps
Taken = tuple[int, float, float]  # clips, CPU seconds of all processes, seconds on the wall


# -- the datasets ------------------------------------------------------------------------------


def make(folder: Path) -> int:
    """A few videos under many names each: every clip opens another file."""
    sources = folder / "sources"
    for number, picture in enumerate(pictures(DIFFERENT * FRAMES)):
        video, frame = divmod(number, FRAMES)
        path = sources / f"{video}" / f"frame_{frame + 1:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture, QUALITY, "4:2:0"))
    convert(sources, folder / "made", levels=LEVELS)
    made = sorted(path.parent for path in (folder / "made").rglob(DATABASE))
    for kind, number in product(KINDS, range(VIDEOS)):
        place = folder / kind / JPG / name_of(number)
        place.mkdir(parents=True)
        for path in made[number % DIFFERENT].iterdir():
            if kind == "levels" or path.name in (DATABASE, COUNT):
                os.link(path, place / path.name)
    return VIDEOS


def name_of(number: int) -> str:
    return f"class {number // 250:03d}/video {number:06d}"


def clips_of(folder: Path, kind: str, count: int, augmentation: Augmentation) -> ClipIterator:
    table = whole_videos(folder / kind / JPG, [name_of(number) for number in range(count)])
    return ClipIterator(table, Making(Sampling(interval=INTERVAL), augmentation), SEED)


def loader_of(clips: ClipIterator, batch: BatchShape, workers: int, epochs: int = 1) -> Loader:
    sampler = BatchSampler(Order(len(clips), SEED), constant(*batch), epochs)
    return Loader(clips, sampler, Options(workers))


# -- clips a second ----------------------------------------------------------------------------


def shapes(folder: Path, shape: str, rounds: str) -> dict[str, list[Taken]]:
    """Every variant with every number of workers, without levels and with them, in turn."""
    batch, batches = SHAPES[shape]
    count = batch.clips * batches
    clips = {
        variant: {kind: clips_of(folder, kind, count, augmentation) for kind in KINDS}
        for variant, (augmentation, _) in VARIANTS.items()
    }
    jobs = [(name, workers) for name, (_, numbers) in VARIANTS.items() for workers in numbers]
    found: dict[str, list[Taken]] = {}
    for turn in range(int(rounds) + 1):
        for variant, workers in jobs if turn else jobs[:1]:  # the first turn is to warm up
            race = by_batches if workers else by_chunks
            for kind, taken in race(clips[variant], batch, workers, turn):
                found.setdefault(f"{variant} {workers} {kind}", []).extend([taken] * bool(turn))
    return found


def by_batches(
    clips: Mapping[str, ClipIterator], batch: BatchShape, workers: int, turn: int
) -> Iterator[tuple[str, Taken]]:
    """Whole epochs, with the start and the end of the workers."""
    for kind in KINDS[:: -1 if turn % 2 else 1]:
        yield kind, measure(loader_of(clips[kind], batch, workers))


def by_chunks(
    clips: Mapping[str, ClipIterator], batch: BatchShape, workers: int, turn: int
) -> Iterator[tuple[str, Taken]]:
    """In this process, where a chunk is made when it is asked for, so that each can be a turn."""
    parts = -(-batch.clips // CHUNK)
    chunk = batch._replace(clips=batch.clips // parts)
    loaders = {kind: iter(loader_of(clips[kind], chunk, workers)) for kind in KINDS}
    for number in range(len(clips[KINDS[0]]) // chunk.clips):
        for kind in KINDS[:: -1 if (turn + number) % 2 else 1]:
            wall, cpu = time.perf_counter(), time.process_time()
            made = len(next(loaders[kind]).keys)
            yield kind, (made, time.process_time() - cpu, time.perf_counter() - wall)


def measure(loader: Loader) -> Taken:
    """An epoch, with the start and the end of its workers."""
    wall, cpu = time.perf_counter(), cpu_of_all()
    made = sum(len(batch.keys) for batch in loader)
    return made, cpu_of_all() - cpu, time.perf_counter() - wall


def cpu_of_all() -> float:
    """CPU seconds of this process and of all that it started and that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


# -- two workers beside one --------------------------------------------------------------------


def scaling(folder: Path, shape: str, rounds: str) -> dict[str, list[float]]:
    """The loader; the same clips made by bare processes that send nothing; idle loops."""
    batch, _ = SHAPES[shape]
    clips = clips_of(folder, "levels", SCALING_CLIPS[shape], Augmentation())
    jobs: dict[str, Callable[[], float]] = {}
    for number in (1, 2):
        jobs[f"workers {number}"] = partial(wall_of, clips, batch, number)
        jobs[f"bare {number}"] = partial(together, number, make_share, clips, batch.shape)
        jobs[f"idle {number}"] = partial(together, number, spin)
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(int(rounds) + 1):
        for name in list(jobs)[:: -1 if turn % 2 else 1]:
            seconds = jobs[name]()
            if turn:
                found[name].append(seconds)
    return found


def wall_of(clips: ClipIterator, batch: BatchShape, workers: int) -> float:
    return measure(loader_of(clips, batch, workers))[2]


def together(count: int, work: Callable[..., None], *arguments: object) -> float:
    """Seconds on the wall until so many processes have each done their share of the work."""
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=work, args=(n, count, *arguments)) for n in range(count)]
    wall = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert not any(process.exitcode for process in processes)
    return time.perf_counter() - wall


def make_share(number: int, count: int, clips: ClipIterator, shape: ClipShape) -> None:
    sampler = BatchSampler(Order(len(clips), SEED), constant(len(clips), shape))
    for key in [key for chunk in sampler for key in chunk.keys][number::count]:
        _ = clips[key]


def spin(number: int, count: int) -> None:
    for _ in range(TURNS // count):
        pass


# -- memory ------------------------------------------------------------------------------------


def memory(folder: Path, epochs: str) -> list[list[float]]:
    """Each process's share of what it has in memory (PSS) when all have most; the parent first."""
    batch = BatchShape(128, ClipShape(4, 80))
    clips = clips_of(folder, "levels", VIDEOS, Augmentation())
    found: list[list[float]] = [[] for _ in range(int(epochs))]
    for made in loader_of(clips, batch, workers=2, epochs=len(found)):
        workers = sorted(process.pid or 0 for process in multiprocessing.active_children())
        now = [megabytes(process) for process in (os.getpid(), *workers)]
        epoch = made.step * batch.clips // len(clips)
        found[epoch] = max(found[epoch], now, key=sum)
    return found


def megabytes(process: int) -> float:
    """A page that several processes share counts for each by its part."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("Pss:"))
    return int(kilobytes) / 1000


# -- many videos -------------------------------------------------------------------------------


def start(folder: Path, videos: str) -> dict[str, float]:
    """A chunk of real clips from a table of so many."""
    count = int(videos)
    clips = clips_of(folder, "levels", 64, Augmentation())
    clips = ClipIterator(longer(clips.table, count), clips.making, SEED)
    began = time.perf_counter()
    packed = pickle.dumps(clips)
    between = time.perf_counter()
    assert len(pickle.loads(packed)) == count
    unpacked = time.perf_counter()
    order = Order(count, SEED, shuffled=False)
    sampler = BatchSampler(order, constant(64, ClipShape(4, 80)))
    started = time.perf_counter()
    batch = next(iter(Loader(clips, sampler, Options(1, "spawn"))))
    first = time.perf_counter()
    assert [key.clip for key in batch.keys] == list(range(64))
    return {"MB": len(packed) / 1e6, "pack": between - began, "unpack": unpacked - between,
            "first batch": first - started}  # fmt: skip


def longer(table: ClipTable, count: int) -> ClipTable:
    """A table of so many videos, of which the first are there."""
    rows = np.arange(count) % len(table)
    return replace(
        table,
        names=[name_of(number) for number in range(count)],
        where=[f"train.csv:{number + 2}" for number in range(count)],
        sizes=table.sizes[rows],
        level_of=table.level_of[rows],
        bounds=table.bounds[rows],
        targets={"label": np.arange(count) // 250},
        regions=table.regions[rows],
    )


# -- going on ----------------------------------------------------------------------------------


def resume(folder: Path, rounds: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {str(step): [] for step in STEPS}
    for turn in range(int(rounds) + 1):
        for step in STEPS[:: -1 if turn % 2 else 1]:
            seconds = resume_at(step)
            if turn:
                found[str(step)].append(seconds)
    return found


def resume_at(step: int) -> float:
    schedule = constant(BATCH, ClipShape(16, 224))
    state = BatchSampler(Order(MANY, SEED), schedule, EPOCHS).state(step, step * BATCH)
    began = time.perf_counter()
    sampler = BatchSampler(Order(MANY, SEED), schedule, EPOCHS)
    sampler.resume(state)
    chunk = next(iter(sampler))
    taken = time.perf_counter() - began
    assert (chunk.step, chunk.keys[0].position) == (step, step * BATCH)
    return taken


MODES: Mapping[str, Callable[..., object]] = {
    "make": make,
    "shapes": shapes,
    "scaling": scaling,
    "memory": memory,
    "start": start,
    "resume": resume,
}


def main(mode: str, folder: str, *rest: str) -> None:
    cv2.setNumThreads(1)
    print(json.dumps(MODES[mode](Path(folder), *rest)))


if __name__ == "__main__":
    main(*sys.argv[1:])
