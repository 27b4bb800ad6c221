"""Opening a dataset of 100,000 videos: the time from nothing to the first clip.

python -m benchmarks.many
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.footage import loose_file, pictures
from data.jpeg import encode
from tools.bench import markdown
from tools.convert import convert
from tools.terminal import start_logging

CLASSES, VIDEOS, DIFFERENT = 400, 250, 200
TOTAL = CLASSES * VIDEOS
LENGTH = 16
ROUNDS = 7
GOAL = 0.3  # seconds


def measure_many(folder: Path, rounds: int = ROUNDS) -> tuple[str, float]:
    """A table, and the median seconds until the first clip."""
    dataset = make_dataset(folder)
    wall, cpu = _measure("make", dataset)
    rows = [("work", "wall, s: median (least to most)", "CPU, s"),
            ("make the catalogue, once", f"{wall:.1f}", f"{cpu:.1f}")]  # fmt: skip
    times = [_measure("open", dataset) for _ in range(rounds + 1)][1:]
    walls, cpus = zip(*times, strict=True)
    middle = statistics.median(walls)
    spread = f"**{middle:.3f}** ({min(walls):.3f} to {max(walls):.3f})"
    title = f"open the dataset, pick a video, decode {LENGTH} pictures"
    rows.append((title, spread, f"{statistics.median(cpus):.3f}"))
    return markdown(rows), middle


def make_dataset(folder: Path) -> Path:
    """A few small databases, each under many names."""
    place = folder / "few"
    (place / "loose").mkdir(parents=True)
    for number, picture in enumerate(pictures(LENGTH)):
        loose_file(place, number).write_bytes(encode(picture, 90, "4:2:0"))
    convert(place / "loose", place / "dataset", jobs=1)
    made = next((place / "dataset").rglob("frames.db")).parent
    copies = [Path(shutil.copytree(made, place / "copies" / str(n))) for n in range(DIFFERENT)]
    dataset = folder / "many"
    for number in range(TOTAL):
        video = dataset / "jpg" / f"class {number // VIDEOS:03d}" / f"video {number:06d}"
        video.mkdir(parents=True)
        for path in copies[number % DIFFERENT].iterdir():
            os.link(path, video / path.name)
    return dataset


def _measure(what: str, dataset: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.many_work", what, str(dataset)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    count, wall, cpu = done.stdout.split()
    assert int(count) == TOTAL, count
    return float(wall), float(cpu)


if __name__ == "__main__":
    start_logging()
    with tempfile.TemporaryDirectory() as temporary:
        table, seconds = measure_many(Path(temporary))
    print(table)
    sys.exit(seconds > GOAL)
