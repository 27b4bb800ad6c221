"""Clips for training: what they cost beside bare decoding and beside other libraries, how many
there are a second, and what more workers, more epochs and a later start change.

    python -m benchmarks.clips

Writes benchmarks/clips.md. Peers that are no requirement of ours get environments of their own
(benchmarks/peers.py).
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.augment_work import LENGTH, SIDE, STRIDE
from benchmarks.footage import HEIGHT, QUALITY, WIDTH
from benchmarks.loader_work import (
    BATCH,
    DIFFERENT,
    INTERVAL,
    LEVELS,
    MANY,
    SCALING_CLIPS,
    SHAPES,
    VARIANTS,
    VIDEOS,
    name_of,
)
from benchmarks.peers import PEERS, Peers, find_peers, python_of
from data.batching import CHUNK
from data.catalog import JPG
from tools.bench import Timing, head, markdown, ratio, spread
from tools.terminal import start_logging

log = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
WORK = "python -m benchmarks.loader_work"
CLIPS, TIMES, TIMES_OF_SET = 16, 8, 12
ROUNDS, SCALING_ROUNDS, EPOCHS, RESUMED = 3, 3, 3, 7
WHAT = {
    "crop": "crop of random area and ratio, flip",
    "zoom": "square crop of random size, flip",
    "jitter": "crop, flip, brightness, contrast, saturation, hue",
    "warp": "crop, flip, rotation",
    "bend": "crop, flip, perspective",
    "set": "crop, flip, the predecessor's set at its probabilities",
}
WHO = {"reelgrid": "Reelgrid", "torchvision": "torchvision v2", "albumentations": "Albumentations",
       "imgaug": "imgaug"}  # fmt: skip
LACKING = {"zoom": ("torchvision", "albumentations", "imgaug"), "jitter": ("imgaug",)}
AT_MOST = {"crop": 1.3, "zoom": 1.3, "warp": 1.6, "bend": 1.6, "set": 2.2}
DRAWN = {
    "set": "the whole set, scale jitter 256/224 to 320/224",
    "set, squashed": "the whole set, scale 294/224",
    "crop": "crop and flip alone, scale jitter 256/224 to 320/224",
}
PUBLISHED = dict(zip(SHAPES, ("1.05e6", "8.07e5", "8.53e4", "4.69e4"), strict=True))
FASTER = {"1536x4x80x80": 2.5, "384x8x112x112": 2.0}  # with levels
SIDES = {"workers": "the loader", "bare": "bare processes, the same clips, nothing sent",
         "idle": "idle loops"}  # fmt: skip
SCALING, LEVEL, SAME = 1.7, 1.05, 1.1
Race = dict[str, Timing]


@dataclass
class Results:
    """What was measured, by what it was measured of."""

    augmented: dict[str, Race] = field(default_factory=dict)
    imgaug: dict[str, Race] = field(default_factory=dict)  # in an environment of its own
    shapes: dict[str, Race] = field(default_factory=dict)  # CPU seconds
    walls: dict[str, Race] = field(default_factory=dict)
    scaling: dict[str, Race] = field(default_factory=dict)  # seconds on the wall
    memory: list[list[float]] = field(default_factory=list)
    resumed: dict[str, list[float]] = field(default_factory=dict)
    started: dict[int, Mapping[str, float]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)


def main() -> int:
    peers = find_peers("albumentations", "imgaug")
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), peers)
    report = write(results, peers)
    print(report)
    (HERE / "clips.md").write_text(report)
    return 0


def measure(folder: Path, peers: Peers) -> Results:
    results = Results()
    results.load.append(os.getloadavg()[0])
    log.info("making %d videos, without levels and with them", VIDEOS)
    ask("make", folder)
    store = folder / "plain" / JPG / name_of(0)
    for what in WHAT:
        log.info("measuring one clip: %s", WHAT[what])
        results.augmented[what] = compete(what, store, peers)
        if "imgaug" in peers.versions and "imgaug" not in LACKING.get(what, ()):
            results.imgaug[what] = compete(what, store, peers, alone="imgaug")
    for shape in SHAPES:
        log.info("measuring batches of %s", shape)
        found = ask("shapes", folder, shape, ROUNDS)
        for which, races in ((1, results.shapes), (2, results.walls)):
            races[shape] = {job: Timing(taken[0][0], tuple(one[which] for one in taken))
                            for job, taken in found.items()}  # fmt: skip
    for shape, count in SCALING_CLIPS.items():
        log.info("measuring one worker and two: %s", shape)
        found = ask("scaling", folder, shape, SCALING_ROUNDS)
        results.scaling[shape] = {job: Timing(count, tuple(all)) for job, all in found.items()}
    log.info("measuring memory, going on, and many videos")
    results.memory = ask("memory", folder, EPOCHS)
    results.resumed = ask("resume", folder, RESUMED)
    results.started = {count: ask("start", folder, count) for count in (1000, MANY)}
    results.load.append(os.getloadavg()[0])
    return results


def ask(mode: str, folder: Path, *rest: object) -> Any:
    command = [sys.executable, "-m", "benchmarks.loader_work", mode, str(folder), *map(str, rest)]
    return json.loads(last_line(command))


def compete(what: str, store: Path, peers: Peers, alone: str = "") -> Race:
    """Everyone who can do it, in turn at every clip; those that live alone, beside ours."""
    python = peers.python if "albumentations" in peers.versions else sys.executable
    names = [name for name in ("torchvision", "albumentations")
             if name not in peers.left_out and name not in LACKING.get(what, ())]  # fmt: skip
    if alone:
        python, names = python_of(PEERS[alone].home), [alone]
    workers = ["bare", *(f"{name}-{what}" for name in ["reelgrid", *names])]
    times = TIMES_OF_SET if what == "set" else TIMES
    arguments = ["beside", ",".join(workers), str(store), str(CLIPS), str(times)]
    found = json.loads(last_line([python, "-m", "benchmarks.augment_work", *arguments]))
    return {name: timing_of(what, seconds) for name, seconds in found.items()}


def timing_of(what: str, seconds: Sequence[float]) -> Timing:
    """Clip by clip; where clips differ, since each draws what is done to it, by rounds of them."""
    if what != "set":
        return Timing(LENGTH, tuple(seconds))
    rounds = [seconds[first : first + CLIPS] for first in range(0, len(seconds), CLIPS)]
    return Timing(LENGTH * CLIPS, tuple(map(sum, rounds)))


def last_line(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout.splitlines()[-1]


# -- the report --------------------------------------------------------------------------------


def write(results: Results, peers: Peers) -> str:
    left_out = "".join(f"Left out: {name} ({why}).\n\n" for name, why in peers.left_out.items())
    packages = ["simplejpeg", "opencv-python-headless", "numpy", "torch", "torchvision"]
    before, after = results.load
    return "\n".join([
        head("Clips for training, beside bare decoding and other libraries", packages,
             peers.versions),
        f"All clips are of videos of {WIDTH}x{HEIGHT}, JPEG quality {QUALITY}, 4:2:0. CPU seconds, "
        "unless it says wall; medians (middle half). The load average of the machine was "
        f"{before:.1f} before and {after:.1f} after; what of it was not this benchmark took time "
        "on the wall away, and some CPU time too, since neighbours share its caches.\n\n"
        f"The commands below that show a figure again want the videos: `{WORK} make FOLDER`.\n\n"
        + left_out,
        "## What was asked\n",
        markdown(verdicts(results)),
        *about_one_clip(results),
        *about_batches(results),
        *about_long_runs(results),
        "Made by `python -m benchmarks.clips`.\n",
    ])  # fmt: skip


def about_one_clip(results: Results) -> list[str]:
    return [
        "## One augmented clip on one core\n",
        f"{LENGTH} pictures, every {STRIDE}nd, to {SIDE}x{SIDE}, uint8, every picture alike; all "
        "read the same frames and take turns clip by clip in one process. Bare: they are read and "
        "decoded, no more. Ours go through the door of training, the clip iterator. The set is "
        "the predecessor's: anything at all for 0.8 of the clips, then each of eight operations "
        f"for 0.4; what is drawn differs from clip to clip, so there {CLIPS} clips are summed up "
        "before ratios are taken. torchvision has no motion blur, so it does less; its noise is "
        "another one for every picture. In the set, ours crop a square of random size, these two "
        "a part of random area and ratio. imgaug crops as the predecessor does, a square of 224 "
        "from 294, and takes turns with bare and with ours in an environment of its own (NumPy "
        "1.23, OpenCV 4.9, which bends more slowly than ours), where its ratios are from.\n",
        markdown(augmented_rows(results)),
        "`.venv/peers/bin/python -m benchmarks.augment_work beside bare,reelgrid-set,"
        f'torchvision-set "FOLDER/plain/{JPG}/{name_of(0)}" {CLIPS} {TIMES_OF_SET}`\n',
    ]  # fmt: skip


def about_batches(results: Results) -> list[str]:
    first = next(iter(SHAPES))
    return [
        "## Clips a second at the predecessor's batch shapes\n",
        f"{VIDEOS:,} videos ({DIFFERENT} different ones under as many names), each clip of another "
        f"one, every {INTERVAL}nd frame; one batch (of the last shape two). A clip therefore opens "
        "a database, as it does in training on many videos. CPU seconds of all processes, workers' "
        "start and end included; without workers the two datasets take turns at every chunk of "
        f"48 or {CHUNK} clips. Levels: short sides {' and '.join(map(str, LEVELS))}; the smallest "
        "is taken that has 0.8 of the square's pixels, which at 158 and 224 none has. "
        "The predecessor's figures are not comparable: they time `next()` on a loader whose "
        "batches have been made ahead meanwhile, on another machine.\n",
        markdown(shape_rows(results)),
        f"`{WORK} shapes FOLDER {first} {ROUNDS}`\n",
        "## Two workers beside one\n",
        "Seconds on the wall, for the whole set with levels. What two processes can gain here at "
        "all is said by those that make the same clips and send them nowhere, and by idle loops: "
        "where these do not come to 2, the cores were not free, or share what they need.\n",
        markdown(scaling_rows(results)),
        f"`{WORK} scaling FOLDER {first} {SCALING_ROUNDS}`\n",
    ]


def about_long_runs(results: Results) -> list[str]:
    return [
        "## Memory\n",
        f"MB at most in each epoch of {VIDEOS:,} clips in batches of 128x4x80x80, two workers; a "
        "page that processes share counts for each by its part (PSS).\n",
        markdown(memory_rows(results)),
        f"`{WORK} memory FOLDER {EPOCHS}`\n",
        "## Going on at step k\n",
        f"ms from nothing to the first keys: order, sampler, state, chunk; {MANY:,} clips, batches "
        f"of {BATCH}. What takes the time is the order of one epoch.\n",
        markdown(resume_rows(results)),
        f"`{WORK} resume FOLDER {RESUMED}`\n",
        "## Many videos\n",
        "What a worker is told when it starts (a forked one is told nothing), and seconds on the "
        "wall until a spawned one has given the first batch of 64x4x80x80; most of it is its "
        "imports.\n",
        markdown(start_rows(results)),
        f"`{WORK} start FOLDER {MANY}`\n",
    ]


def augmented_rows(results: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("what", "who", "ms a clip", "of bare", "of ours")]
    bare = results.augmented["crop"]["bare"]
    rows.append(("read and decode", "bare", ms_a_clip(bare), spread(bare, bare, ".3g"), ""))
    for what, title in WHAT.items():
        rows += peer_rows(title, results.augmented[what], f"reelgrid-{what}")
        rows += peer_rows(title, results.imgaug.get(what, {}), f"reelgrid-{what}")[1:]
    return rows


def peer_rows(title: str, race: Race, ours: str) -> list[tuple[str, ...]]:
    """Ours first."""
    rows = []
    for name in [name for name in race if name != "bare"]:
        shares = (spread(race[name], race[other], ".3g") for other in ("bare", ours))
        rows.append((title, WHO[name.split("-")[0]], ms_a_clip(race[name]), *shares))
    return rows


def ms_a_clip(timing: Timing) -> str:
    return f"{timing.median / (timing.count / LENGTH) * 1000:.2f}"


def shape_rows(results: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("batch", "what is drawn", "workers", "clips a CPU second, without levels", "with levels",
         "with / without", "clips a second on the wall, without levels", "with levels",
         "the predecessor's figure")
    ]  # fmt: skip
    for shape, race in results.shapes.items():
        for name, (_, numbers) in VARIANTS.items():
            for workers in numbers:
                jobs = [f"{name} {workers} {kind}" for kind in ("plain", "levels")]
                cpu = [f"{race[job].count / race[job].median:,.0f}" for job in jobs]
                walls = [results.walls[shape][job] for job in jobs]
                wall = [f"{one.count / one.median:,.0f}" for one in walls]
                gain = spread(race[jobs[0]], race[jobs[1]], ".3g")
                rows.append((shape, DRAWN[name], str(workers), *cpu, gain, *wall,
                             PUBLISHED[shape]))  # fmt: skip
    return rows


def scaling_rows(results: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("batch", "who", "1, s", "2, s", "1 / 2")]
    for shape, race in results.scaling.items():
        for name, title in SIDES.items():
            one, two = (race[f"{name} {number}"] for number in (1, 2))
            seconds = (f"{timing.median:.2f}" for timing in (one, two))
            rows.append((shape, title, *seconds, spread(one, two, ".3g")))
    return rows


def memory_rows(results: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("epoch", "parent", "worker", "worker", "all")]
    for number, values in enumerate(results.memory, start=1):
        rows.append((str(number), *(f"{value:.0f}" for value in (*values, sum(values)))))
    return rows


def resume_rows(results: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("k", "ms: median (least to most)")]
    for step, seconds in results.resumed.items():
        middle, least, most = (1000 * how(seconds) for how in (statistics.median, min, max))
        rows.append((f"{int(step):,}", f"**{middle:.1f}** ({least:.1f} to {most:.1f})"))
    return rows


def start_rows(results: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("videos", "pickled, MB", "packed, ms", "unpacked, ms", "first batch, s")
    ]
    for count, found in results.started.items():
        times = (f"{1000 * found[what]:.1f}" for what in ("pack", "unpack"))
        rows.append((f"{count:,}", f"{found['MB']:.1f}", *times, f"{found['first batch']:.1f}"))
    return rows


# -- what was asked ----------------------------------------------------------------------------


def verdicts(results: Results) -> list[tuple[str, ...]]:
    """Every demand, what was measured, and whether it is met."""
    return [
        ("asked", "measured", ""),
        *cost_verdicts(results),
        *level_verdicts(results),
        *steady_verdicts(results),
    ]


def cost_verdicts(results: Results) -> Iterator[tuple[str, ...]]:
    for what, most in AT_MOST.items():
        race = results.augmented[what]
        share = ratio(race[f"reelgrid-{what}"], race["bare"])[1]
        yield verdict(f"{WHAT[what]}: at most {most}x bare reading and decoding", share, most)
    jitter = results.augmented["jitter"]
    gain = ratio(jitter["torchvision-jitter"], jitter["reelgrid-jitter"])[1]
    yield at_least("at least 4x torchvision v2 with hue jitter", gain, 4.0)


def level_verdicts(results: Results) -> Iterator[tuple[str, ...]]:
    for shape, least in FASTER.items():
        race = results.shapes[shape]
        for name, (_, numbers) in VARIANTS.items():
            gains = [ratio(race[f"{name} {workers} plain"], race[f"{name} {workers} levels"])[1]
                     for workers in numbers]  # fmt: skip
            listed = ", ".join(f"{gain:.3g}" for gain in gains)
            title = f"{shape}, {DRAWN[name]}: with levels at least {least}x (workers "
            title += f"{', '.join(map(str, numbers))}: {listed})"
            yield at_least(title, min(gains), least)


def steady_verdicts(results: Results) -> Iterator[tuple[str, ...]]:
    for shape, race in results.scaling.items():
        gains = {side: ratio(race[f"{side} 1"], race[f"{side} 2"])[1] for side in SIDES}
        title = f"{shape}: two workers at least {SCALING}x one (bare processes here: "
        title += f"{gains['bare']:.3g}, idle loops: {gains['idle']:.3g})"
        yield at_least(title, gains["workers"], SCALING)
    first, *_, last = (sum(values) for values in results.memory)
    yield verdict(f"memory in epoch {EPOCHS} at most {LEVEL}x that in the first", last / first,
                  LEVEL)  # fmt: skip
    times = [statistics.median(seconds) for seconds in results.resumed.values()]
    yield verdict(f"going on at any step costs the same: the dearest at most {SAME}x the cheapest",
                  max(times) / min(times), SAME)  # fmt: skip


def verdict(title: str, measured: float, most: float) -> tuple[str, str, str]:
    return title, f"{measured:.4g}", "reached" if measured <= most else "missed"


def at_least(title: str, measured: float, least: float) -> tuple[str, str, str]:
    return title, f"{measured:.4g}", "reached" if measured >= least else "missed"


if __name__ == "__main__":
    start_logging()
    sys.exit(main())
