"""The frame store beside everything else that random clips are read from.

    python -m benchmarks.store

Writes benchmarks/store.md. Peers that are no requirement of ours get an environment of their own
(benchmarks/peers.py).
"""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.footage import (
    GOPS,
    HEIGHT,
    QUALITY,
    SMALL,
    WIDTH,
    bytes_on_disk,
    lay_out,
    store_folder,
)
from benchmarks.many import GOAL as OPENING_GOAL
from benchmarks.many import TOTAL, measure_many
from benchmarks.peers import Peers, find_peers
from benchmarks.store_work import LENGTH, STRIDE
from tools.bench import Contender, Timing, head, markdown, race, ratio, run_once, spread
from tools.terminal import start_logging

log = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
LENGTHS = (300, 3000, 9000)
MIDDLE = 3000  # what is measured at one length only
CLIPS, VIDEO_CLIPS, COLD_CLIPS = 40, 10, 30
TITLES = {
    "limit": "the limit: simplejpeg on bytes in memory",
    "plain": "the same loop, freed pictures handed back to the kernel (no contender)",
    "store": "Reelgrid, every checksum verified",
    "lmdb": "LMDB, views without a copy",
    "loose": "loose JPEG files",
    "old": "the predecessor's layout",
    **{f"torchcodec-{gop}": f"torchcodec, exact, decoder kept, GOP {gop}" for gop in GOPS},
    "pyav-250": "PyAV, seek and decode on, GOP 250",
}
# reader -> how often in one measurement
FAST = ("limit", "store", "loose", "lmdb")  # clip by clip in one process
FAST_TIMES = 8
APART = {"store": 2, "plain": 2, "old": 2}  # those would empty the caches for the others
VIDEO = {"store": 4, **{f"torchcodec-{gop}": 1 for gop in GOPS}, "pyav-250": 1}
BYTES = {"store-bytes": 50, "loose-bytes": 20, "old-bytes": 4, "lmdb-bytes": 50}
LEVELS = {"store": 2, "small": 6}
FILES = {"store": "", "lmdb": "lmdb", "loose": "loose", "old": "old.db", "pyav-250": "250.mp4",
         **{f"torchcodec-{gop}": f"{gop}.mp4" for gop in GOPS}}  # fmt: skip
Race = dict[str, Timing]


@dataclass
class Results:
    """Races by the length of the video, and what else was found out."""

    clips: dict[int, Race] = field(default_factory=dict)
    apart: dict[int, Race] = field(default_factory=dict)
    videos: dict[int, Race] = field(default_factory=dict)
    data: Race = field(default_factory=dict)
    levels: Race = field(default_factory=dict)
    cold: dict[str, Race] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    psnr: dict[str, float] = field(default_factory=dict)
    opening: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)  # peers that were seen to run

    def race_of(self, name: str, length: int) -> Race:
        """The race that a reader ran in; the store runs in all of them."""
        races = (self.clips[length], self.apart[length], self.videos[length])
        return next(race for race in races if name in race)


def main() -> int:
    peers = find_peers("lmdb", "torchcodec")
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), peers)
    print(report)
    (HERE / "store.md").write_text(report)
    return 0


def measure(folder: Path, peers: Peers, rounds: int = 5) -> str:
    results = Results(left_out=dict(peers.left_out))
    for length in LENGTHS:
        log.info("making %d frames in every layout", length)
        place = lay_out(folder, length)
        if "lmdb" in peers.versions:
            run_once(command(peers, ["make-lmdb", "lmdb", str(place)]))
        log.info("measuring clips of %d frames", length)
        results.clips[length] = compete_closely(place, peers, results)
        results.apart[length] = compete(APART, place, CLIPS, rounds, (peers, results))
        results.videos[length] = compete(VIDEO, place, VIDEO_CLIPS, 3, (peers, results))
    place = folder / str(MIDDLE)
    log.info("measuring bytes alone, the small level, cold reads")
    results.data = compete(BYTES, place, CLIPS, rounds, (peers, results))
    results.levels = compete(LEVELS, place, CLIPS, rounds, (peers, results))
    results.cold = measure_cold(place, max(3, rounds - 2))
    for name in TITLES:
        look_at(name, place, peers, results)
    log.info("measuring %d videos", TOTAL)
    opening, results.opening = measure_many(folder)
    return write(results, peers, opening)


def command(peers: Peers, arguments: Sequence[str]) -> list[str]:
    """All contenders run in the peers' environment, which is ours and more."""
    python = peers.python if peers.versions else sys.executable
    return [python, "-m", "benchmarks.store_work", *arguments]


def compete(
    readers: Mapping[str, int],
    place: Path,
    clips: int,
    rounds: int,
    context: tuple[Peers, Results],
) -> Race:
    """A race of those that can be run; the others are left out by name."""
    peers, results = context
    contenders = []
    for name, times in readers.items():
        package = name.split("-")[0]
        if package in results.left_out:
            continue
        contender = Contender(
            name, command(peers, ["cpu", name, str(place), str(clips), str(times)])
        )
        new = package in peers.versions and package not in results.tried
        problem = why_not(contender) if new else ""
        results.tried.add(package)
        if problem:
            results.left_out[package] = problem
            log.warning("%s is left out: %s", name, problem)
        else:
            contenders.append(contender)
    return race(contenders, rounds)


def compete_closely(place: Path, peers: Peers, results: Results) -> Race:
    """Those who are so near to one another that they have to take turns at every clip."""
    names = [name for name in FAST if name not in results.left_out]
    arguments = ["beside", ",".join(names), str(place), str(CLIPS), str(FAST_TIMES)]
    done = subprocess.run(command(peers, arguments), capture_output=True, text=True, check=True)
    return {name: Timing(LENGTH, tuple(times)) for name, times in json.loads(done.stdout).items()}


def why_not(contender: Contender) -> str:
    """Why a peer cannot be run here; empty if it can."""
    try:
        run_once(contender.command)
    except RuntimeError as error:
        return str(error).strip().splitlines()[-1]
    return ""


def measure_cold(place: Path, rounds: int) -> dict[str, Race]:
    """Seconds on the wall, the page cache dropped or not; each clip opens its files."""
    work = [sys.executable, "-m", "benchmarks.cold_work"]
    return {
        mode: race(
            [
                Contender(layout, [*work, mode, layout, str(place), str(COLD_CLIPS)])
                for layout in ("store", "loose", "old")
            ],
            rounds,
        )
        for mode in ("warm", "cold")
    }


def look_at(name: str, place: Path, peers: Peers, results: Results) -> None:
    """What a layout takes up and how near its pictures are to the source."""
    if name.split("-")[0] in results.left_out:
        return
    _, results.psnr[name] = run_once(command(peers, ["psnr", name, str(place)]))
    if name == "store":
        results.sizes[name] = bytes_on_disk(store_folder(place) / "frames.db")
        results.sizes["small"] = bytes_on_disk(store_folder(place) / f"frames-{SMALL}.db")
    elif name in FILES:
        results.sizes[name] = bytes_on_disk(place / FILES[name])


# -- the report --------------------------------------------------------------------------------


def write(results: Results, peers: Peers, opening: str) -> str:
    left_out = "".join(f"Left out: {name} ({why}).\n\n" for name, why in results.left_out.items())
    extra = {**peers.versions, "SQLite": sqlite3.sqlite_version}
    packages = ["simplejpeg", "opencv-python-headless", "av", "numpy", "zlib-ng"]
    return "\n".join([
        head("The frame store, beside what else clips are read from", packages, extra),
        f"Random clips of {LENGTH} pictures, every {STRIDE}nd, {WIDTH}x{HEIGHT}, JPEG quality "
        f"{QUALITY}, 4:2:0, from videos of {', '.join(f'{n:,}' for n in LENGTHS)} frames. One "
        "thread; CPU seconds. What reads pictures one by one takes turns clip by clip in one "
        "process; the videos are read by a process each, in turn, after a warm-up. The video "
        "files are x264 (veryfast, crf 20) of the same pictures; H.264 needs a twelfth of the "
        "JPEGs' bytes for them, as it does for real films of this size. PSNR is against the "
        "source pictures. All processes keep freed memory as our "
        "store does (data/memory.py): with glibc's usual thresholds, the bare loop spends a third "
        "of its time more on page faults, which would flatter us.\n\n" + left_out,
        "## What was asked\n",
        markdown(verdicts(results)),
        "## Reading and decoding clips\n",
        "ms a clip, and CPU time as a multiple of ours: median (middle half), round by round. "
        f"Disk and PSNR at {MIDDLE:,} frames.\n",
        markdown(clip_rows(results)),
        f"## The bytes alone, {MIDDLE:,} frames\n",
        markdown(plain_rows(results.data, "store-bytes")),
        f"## The small level (short side {SMALL}) beside the full one, {MIDDLE:,} frames\n",
        f"It takes up {results.sizes['small'] / 1e6:.1f} MB more.\n",
        markdown(plain_rows(results.levels, "store")),
        f"## Cold and warm, {MIDDLE:,} frames\n",
        "Seconds on the wall. Every clip opens its files, reads, decodes, closes. Cold: the "
        "files were dropped from the page cache before each clip (folders were not); what the "
        "machine below keeps of its disk is not known.\n",
        markdown(cold_rows(results)),
        f"## A dataset of {TOTAL:,} videos\n",
        f"After imports, in a fresh process; databases of {LENGTH} frames, one name each.\n",
        opening,
        "Made by `python -m benchmarks.store`.\n",
    ])  # fmt: skip


def clip_rows(results: Results) -> list[tuple[str, ...]]:
    lengths = [f"{length:,} frames" for length in LENGTHS]
    rows: list[tuple[str, ...]] = [
        ("read from", *(f"ms, {text}" for text in lengths),
         *(f"of ours, {text}" for text in lengths), "MB", "PSNR, dB")
    ]  # fmt: skip
    for name, title in TITLES.items():
        if name not in results.psnr:
            continue
        races = [results.race_of(name, length) for length in LENGTHS]
        size = f"{results.sizes[name] / 1e6:.1f}" if name in results.sizes else ""
        times = [ms_a_clip(one[name]) for one in races]
        shares = [spread(one[name], one["store"], ".3g") for one in races]
        rows.append((title, *times, *shares, size, f"{results.psnr[name]:.2f}"))
    return rows


def plain_rows(races: Race, ours: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("read from", "ms a clip", "of the first one's")]
    titles = {"small": f"Reelgrid, short_side={SMALL}", **TITLES}
    for name, timing in races.items():
        title = titles[name.removesuffix("-bytes")]
        rows.append((title, ms_a_clip(timing), spread(timing, races[ours], ".3g")))
    return rows


def cold_rows(results: Results) -> list[tuple[str, ...]]:
    races = [results.cold["warm"], results.cold["cold"]]
    rows: list[tuple[str, ...]] = [
        ("read from", "warm, ms a clip", "cold, ms a clip", "warm, of ours", "cold, of ours")
    ]
    for name in races[0]:
        times = [ms_a_clip(one[name]) for one in races]
        shares = [spread(one[name], one["store"], ".3g") for one in races]
        rows.append((TITLES[name], *times, *shares))
    return rows


def ms_a_clip(timing: Timing) -> str:
    value = timing.median / (timing.count / LENGTH) * 1000
    return f"{value:.2f}" if value > 1 else f"{value:.3f}"


def verdicts(results: Results) -> list[tuple[str, ...]]:
    """Every demand, what was measured, and whether it is met."""
    share = {n: ratio(one["limit"], one["store"])[1] for n, one in results.clips.items()}
    files = {n: ratio(one["loose"], one["store"])[1] for n, one in results.clips.items()}
    old = ratio(results.data["old-bytes"], results.data["store-bytes"])[1]
    small = ratio(results.levels["store"], results.levels["small"])[1]
    first, *_, last = LENGTHS
    flat = f"flat: at {last:,} frames at least 0.9 of its share of the limit at {first}"
    opening = f"{TOTAL:,} videos: first clip within {OPENING_GOAL} s after imports"
    return [
        ("asked", "measured", ""),
        verdict(f"at least 0.96 of the limit{by_length(share)}", min(share.values()), 0.96),
        verdict(flat, share[last] / share[first], 0.9),
        *video_verdicts(results),
        verdict(f"never slower than loose files{by_length(files)}", min(files.values()), 1.0),
        verdict(f"at least 5x the predecessor, bytes alone, {MIDDLE:,} frames", old, 5.0),
        verdict("the small level at least 3x the full one", small, 3.0),
        (opening, f"{results.opening:.3f} s", met(results.opening <= OPENING_GOAL)),
    ]


def video_verdicts(results: Results) -> Iterator[tuple[str, ...]]:
    for gop, goal in ((250, 11.0), (12, 4.0)):
        name = f"torchcodec-{gop}"
        times = {
            n: ratio(one[name], one["store"])[1] for n, one in results.videos.items() if name in one
        }
        title = f"at least {goal:.0f}x torchcodec, GOP {gop}"
        if times:
            yield verdict(title + by_length(times), min(times.values()), goal)
        else:
            yield title, "", "not measured"


def by_length(values: Mapping[int, float]) -> str:
    listed = ", ".join(f"{value:.3g}" for value in values.values())
    return f" (by length: {listed})"


def met(is_met: bool) -> str:
    return "reached" if is_met else "missed"


def verdict(title: str, measured: float, goal: float) -> tuple[str, str, str]:
    return title, f"{measured:.3g}", met(measured >= goal)


if __name__ == "__main__":
    start_logging()
    sys.exit(main())
