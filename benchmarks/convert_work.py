"""What the converter's benchmark times, in a process of its own: WORK WARM_UP FILE FOLDER [Q].

Prints the number of pictures and CPU seconds: of this process for what is done in it, after a
warm-up on the file WARM_UP; of the child, whole, for commands. Names that begin with wall- print
seconds on the wall, with two cores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2

from data.memory import keep_large_blocks
from data.store import FrameStore
from tools.conversion import Task, convert_source
from tools.settings import Settings
from tools.sources import Source

LEVELS = (160, 96)
SHORT_SIDE = 256


def one_level(path: str, folder: Path, quality: str) -> int:
    return _convert(path, folder, Settings())


def three_levels(path: str, folder: Path, quality: str) -> int:
    return _convert(path, folder, Settings(levels=LEVELS))


def _convert(path: str, folder: Path, settings: Settings) -> int:
    source = Source(path, os.path.basename(path), "_/video")
    (folder / "jpg").mkdir()
    (folder / "work").mkdir()
    task = Task(source, settings, str(folder / "jpg"), str(folder / "work"))
    outcome = convert_source(task, lambda count: None)
    assert outcome.status == "converted", outcome
    return outcome.frames


def bare(path: str, folder: Path, quality: str) -> int:
    """Nothing but PyAV's decoder, one thread."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def command(path: str, folder: Path, quality: str, jobs: int = 1) -> int:
    arguments = [path, str(folder / "dataset"), "--jobs", str(jobs)]
    subprocess.run([sys.executable, "-m", "tools.convert", *arguments], check=True,
                   capture_output=True)  # fmt: skip
    with FrameStore(next((folder / "dataset").rglob("frames.db"))) as store:
        return len(store)


def ffmpeg(path: str, folder: Path, quality: str, threads: int = 1) -> int:
    few = ["-threads", str(threads)]
    scale = ["-filter_threads", str(threads), "-vf", f"scale=-2:{SHORT_SIDE}"]
    out = [*few, "-q:v", quality, str(folder / "%05d.jpg")]
    subprocess.run(["ffmpeg", "-v", "error", *few, "-i", path, *scale, "-fps_mode", "passthrough",
                    *out], check=True)  # fmt: skip
    return sum(1 for _ in folder.glob("*.jpg"))


def two_cores(path: str, folder: Path, quality: str) -> int:
    return command(path, folder, quality, 2)


def ffmpeg_two_cores(path: str, folder: Path, quality: str) -> int:
    return ffmpeg(path, folder, quality, 2)


Work = Callable[[str, Path, str], int]
INSIDE: dict[str, Work] = {"one": one_level, "three": three_levels, "bare": bare}
CHILD: dict[str, Work] = {"command": command, "ffmpeg": ffmpeg}
WALL: dict[str, Work] = {"wall-command": two_cores, "wall-ffmpeg": ffmpeg_two_cores}


def child_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main(what: str, warm_up: str, path: str, parent: str, quality: str = "2") -> None:
    cv2.setNumThreads(1)
    keep_large_blocks()  # as our reader does, for bare decoding too
    folder = Path(tempfile.mkdtemp(dir=parent))
    clock: Callable[[], float] = time.perf_counter if what in WALL else child_seconds
    if what in INSIDE:
        clock = time.process_time
        (folder / "warm").mkdir()
        INSIDE[what](warm_up, folder / "warm", quality)
    (folder / "out").mkdir()
    start = clock()
    count = {**INSIDE, **CHILD, **WALL}[what](path, folder / "out", quality)
    seconds = clock() - start
    shutil.rmtree(folder)
    print(count, f"{seconds:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
