"""What the reader's benchmark times, in a process of its own: WORK FILE THREADS TIMES.

Prints what was counted (or the peak memory in bytes, for the peak-* works) and CPU seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from data.media import open_video, probe


def opened(path: str, threads: int) -> int:
    with open_video(path, threads) as video:
        return int(video.info.size[0] > 0)


def packets(path: str, threads: int) -> int:
    info = probe(path)
    return info.found.packets if info.found else 0


def decoded(path: str, threads: int) -> int:
    count = 0
    with open_video(path, threads) as video:
        for frame in video.frames():
            count += frame.time >= 0
    return count


def rgb(path: str, threads: int) -> int:
    count = 0
    with open_video(path, threads) as video:
        for frame in video.frames():
            count += frame.rgb().dtype == "uint8"
    return count


def keyframes(path: str, threads: int) -> int:
    with open_video(path, threads) as video:
        return sum(frame.rgb().ndim == 3 for frame in video.frames(keyframes=True))


def sound(path: str, threads: int) -> int:
    count, start = 0, 0
    with open_video(path, threads) as video:
        stop = int(video.info.seconds_claimed or 0)
        for start in range(0, stop, 10):
            count += len(video.audio(start, min(start + 10, stop), 16000))
    return count


WORK: dict[str, Callable[[str, int], int]] = {
    "open": opened,
    "probe": packets,
    "decode": decoded,
    "rgb": rgb,
    "peak-probe": packets,
    "peak-keyframes": keyframes,
    "peak-sound": sound,
}


def main(what: str, path: str, threads: str, times: str) -> None:
    if what.startswith("peak-"):
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        count, seconds = timed(what, path, int(threads), 1)
        lines = Path("/proc/self/status").read_text().splitlines()
        status = dict(line.split(":") for line in lines)
        count = int(status["VmHWM"].split()[0]) * 1024
    else:
        timed(what, path, int(threads), int(times))  # to warm up
        count, seconds = timed(what, path, int(threads), int(times))
    print(count, f"{seconds:.6f}")


def timed(what: str, path: str, threads: int, times: int) -> tuple[int, float]:
    start = time.process_time()
    count = sum(WORK[what](path, threads) for _ in range(times))
    return count, time.process_time() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
