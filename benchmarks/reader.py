"""The reader against FFmpeg's own libraries driven bare (bare.c): opening, counting packets,
decoding, decoding to RGB, at 720p and 1080p; and an hour of 720p in constant memory.

    python -m benchmarks.reader

Writes benchmarks/reader.md. Needs a C compiler for the limit.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from tools.bench import Contender, Timing, head, markdown, race, ratio, spread
from tools.encode import PictureTrack, SoundTrack, repeat_video, write_video
from tools.terminal import start_logging

log = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
GOAL = 0.97
SECONDS = 8


@dataclass(frozen=True)
class Footage:
    name: str
    size: tuple[int, int]
    rate: int
    bits: str


FOOTAGE = (
    Footage("720p30, 3 Mb/s", (1280, 720), 30, "3M"),
    Footage("1080p60, 6 Mb/s", (1920, 1080), 60, "6M"),
)
# what -> how often in one measurement, what is counted, and in how many rounds
OPERATIONS = {
    "open": (20, "openings", 5),
    "probe": (20, "packets", 5),
    "decode": (1, "pictures", 7),
    "rgb": (1, "pictures", 5),
}
BESIDE = {"decode": ["held"], "rgb": ["quick"]}  # the limit done otherwise, for comparison
TITLES = {
    "open": "open, first picture, close",
    "probe": "probe: first picture, then all packets",
    "decode": "decode all, exact times",
    "rgb": "decode all to RGB, exact (bare: planes, not put together)",
    "quick": "bare itself, to RGB the quick way (up to 5/255 off)",
    "held": "bare itself, holding each picture while the next is decoded",
}


def main() -> int:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        log.error("no C compiler: the limit, bare.c, cannot be built; install one (gcc)")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), compiler)
    print(report)
    (HERE / "reader.md").write_text(report)
    return 0


def measure(folder: Path, compiler: str) -> str:
    bare = folder / "bare"
    source = str(HERE / "bare.c")
    subprocess.run([compiler, "-O2", "-o", str(bare), source, "-ldl"], check=True)
    libraries = _libraries()
    rows: list[tuple[str, ...]] = [("footage", "work", "counted", "bare, CPU s", "this, CPU s",
             "bare / this: median (middle half)", f"goal {GOAL}")]  # fmt: skip
    ours = [sys.executable, "-m", "benchmarks.reader_work"]
    pieces = {}
    for footage in FOOTAGE:
        log.info("making %s", footage.name)
        path = pieces[footage.name] = record(footage, folder)
        for what, (times, counted, rounds) in OPERATIONS.items():
            log.info("measuring %s, %s", footage.name, what)
            arguments = [str(path), "1", str(times)]
            contenders = [
                Contender("bare", [str(bare), what, *arguments, *libraries]),
                Contender("Reelgrid", [*ours, what, *arguments]),
            ]
            for other in BESIDE.get(what, ()):
                contenders.append(Contender(other, [str(bare), other, *arguments, *libraries]))
            results = race(contenders, rounds)
            rows += [
                row(footage.name, TITLES.get(name, TITLES[what]), results["bare"], timing, counted)
                for name, timing in results.items()
                if name != "bare"
            ]
    log.info("measuring an hour")
    memory = hour(pieces[FOOTAGE[0].name], folder)
    return "\n".join([
        head("The reader, beside FFmpeg's own libraries", ["av", "numpy"],
             {"FFmpeg": av.ffmpeg_version_info}),
        "One thread, each a process of its own, in turn, each doing its work once to warm up "
        "and once measured; CPU seconds, median of 5 to 7 rounds. "
        f"Footage: {SECONDS} s "
        "of H.264 (veryfast, 2 s GOP, B-frames) with AAC.\n",
        markdown(rows),
        "An hour of 720p30 at 3 Mb/s (1.3 GB), beside a minute of it: peak memory of a whole "
        "process. What grows is FFmpeg's table of the file's 280,000 packets, and 8 bytes a "
        "picture while probing.\n",
        memory,
        "Made by `python -m benchmarks.reader`.\n",
    ])  # fmt: skip


def row(footage: str, title: str, bare: Timing, timing: Timing, counted: str) -> tuple[str, ...]:
    verdict = "reached" if ratio(bare, timing)[1] >= GOAL else "missed"
    return (
        footage,
        title,
        f"{bare.count} {counted}",
        f"{bare.median:.3f}",
        f"{timing.median:.3f}",
        spread(bare, timing),
        "(no contender)" if title.startswith("bare itself") else verdict,
    )


def _libraries() -> list[str]:
    """The FFmpeg libraries that PyAV carries, so that both sides run the same code."""
    folder = Path(av.__file__).parent.parent / "av.libs"
    names = ("avutil", "avcodec", "avformat", "swscale")
    return [str(next(folder.glob(f"lib{name}-*.so*"))) for name in names]


def record(footage: Footage, folder: Path) -> Path:
    """A camera that pans over a landscape of noise, with grain: as hard as real footage."""
    options = {"preset": "veryfast", "b": footage.bits, "maxrate": footage.bits, "bufsize": "8M",
               "g": str(2 * footage.rate)}  # fmt: skip
    track = PictureTrack(rate=Fraction(footage.rate), options=options)
    noise = np.random.default_rng(1).uniform(-0.2, 0.2, (SECONDS * 48000, 2)).astype(np.float32)
    path = folder / f"{footage.size[1]}.mp4"
    return write_video(path, (track, _pan(footage)), (SoundTrack(), noise))


def _pan(footage: Footage) -> Iterator[av.VideoFrame]:
    random = np.random.default_rng(2)
    width, height = footage.size
    land: np.ndarray = np.zeros((height + 200, width + 800, 3), np.float32)
    for cells in (6, 24, 96):
        coarse = random.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        shape = (width + 800, height + 200)
        hills = cv2.resize(coarse, shape, interpolation=cv2.INTER_CUBIC)
        land = land + np.asarray(hills) * 50 / cells**0.3
    grains = [random.normal(0, 4, (height, width, 3)).astype(np.float32) for _ in range(5)]
    for number in range(SECONDS * footage.rate):
        x = int(400 + 390 * np.sin(number / footage.rate * 0.7))
        y = int(100 + 90 * np.sin(number / footage.rate * 0.4))
        view = land[y : y + height, x : x + width] + 128 + grains[number % 5]
        yield av.VideoFrame.from_ndarray(np.clip(view, 0, 255).astype(np.uint8), "rgb24")


HOUR_WORK = {"probe": "probe", "keyframes": "all keyframes to RGB",
             "sound": "all sound, 16 kHz, 10 s at a time"}  # fmt: skip


def hour(piece: Path, folder: Path) -> str:
    """Peak memory over a minute and over an hour of the same footage."""
    minute = repeat_video(piece, folder / "minute.mp4", SECONDS, 60 // SECONDS)
    long = repeat_video(piece, folder / "hour.mp4", SECONDS, 3600 // SECONDS)
    rows = [("work", "CPU s for the hour", "peak MB, a minute", "peak MB, an hour")]
    for what, title in HOUR_WORK.items():
        command = [sys.executable, "-m", "benchmarks.reader_work", f"peak-{what}"]
        less = subprocess.run([*command, str(minute), "1", "1"], capture_output=True, check=True)
        more = subprocess.run([*command, str(long), "1", "1"], capture_output=True, check=True)
        small, large = less.stdout.split(), more.stdout.split()
        rows.append((title, f"{float(large[1]):.1f}", f"{int(small[0]) / 1e6:.1f}",
                     f"{int(large[0]) / 1e6:.1f}"))  # fmt: skip
    return markdown(rows)


if __name__ == "__main__":
    start_logging()
    sys.exit(main())
