"""What the benchmark of cold reads times, in a process of its own: MODE LAYOUT PLACE CLIPS.

MODE cold drops the files from the page cache before each clip, warm does not. Each clip opens its
files, reads, decodes and closes. Prints the number of pictures and seconds on the wall.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.footage import loose_file, old_name, store_folder
from benchmarks.store_work import OLD_QUERY, Clip, draw_clips, loose
from data.memory import keep_large_blocks
from data.store import FrameStore


def store(place: Path, clip: Clip) -> Any:
    with FrameStore(store_folder(place)) as opened:
        return opened.frames(clip)


def files(place: Path, clip: Clip) -> Any:
    return loose(place, [clip])(clip)


def old(place: Path, clip: Clip) -> Any:
    query = OLD_QUERY.format(",".join("?" * len(clip)))
    with closing(sqlite3.connect(place / "old.db")) as connection:
        rows = connection.execute(query, [old_name(number) for number in clip]).fetchall()
    return [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for _, data in rows]


LAYOUTS: dict[str, Callable[[Path, Clip], Any]] = {
    "store": store,
    "loose": files,
    "old": old,
}


def files_of(layout: str, place: Path, clip: Clip) -> list[Path]:
    if layout == "loose":
        return [loose_file(place, number) for number in clip]
    return [store_folder(place) / "frames.db" if layout == "store" else place / "old.db"]


def drop(path: Path) -> None:
    """Out of the page cache; what is not on the disk yet could not go."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def main(mode: str, layout: str, folder: str, clips: str) -> None:
    cv2.setNumThreads(1)
    keep_large_blocks()  # for all alike
    place = Path(folder)
    count, seconds = 0, 0.0
    read = LAYOUTS[layout]
    drawn = draw_clips(int(place.name), int(clips))
    read(place, drawn[-1])  # to warm up
    for clip in drawn:
        if mode == "cold":
            for path in files_of(layout, place, clip):
                drop(path)
        else:
            read(place, clip)
        start = time.perf_counter()
        count += len(read(place, clip))
        seconds += time.perf_counter() - start
    print(count, f"{seconds:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
