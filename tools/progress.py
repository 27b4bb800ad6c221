"""What people see while videos are converted: how many are done, how fast, how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tqdm import tqdm

from tools.conversion import Outcome, Progress


class ProgressBar:
    """Videos, frames a second, time left, by the bytes of the sources. Only on a terminal."""

    FORM = "{percentage:3.0f} %|{bar}| {desc}, {elapsed} gone, {remaining} left"

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = [max(1, size) for size in sizes]
        self._read = [0] * len(sizes)
        self._frames = [0] * len(sizes)
        self._finished = 0
        self._began = time.monotonic()

    def __enter__(self) -> ProgressBar:
        videos = f"0/{len(self._sizes)} videos"
        self._bar = tqdm(None, videos, sum(self._sizes), bar_format=self.FORM, disable=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def news(self, task: int, progress: Progress) -> None:
        self._show(task, progress.frames, progress.share)

    def done(self, task: int, outcome: Outcome) -> None:
        self._finished += 1
        self._show(task, outcome.frames if outcome.status == "converted" else 0, 1.0)

    def _show(self, task: int, frames: int, share: float) -> None:
        self._frames[task], before = frames, self._read[task]
        self._read[task] = int(self._sizes[task] * share)
        speed = sum(self._frames) / max(0.1, time.monotonic() - self._began)
        videos = f"{self._finished}/{len(self._sizes)} videos, {speed:.0f} frames/s"
        self._bar.set_description_str(videos, refresh=False)
        self._bar.update(self._read[task] - before)
