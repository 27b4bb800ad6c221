"""The converter beside bare decoding and beside FFmpeg writing JPEG files.

    python -m benchmarks.convert

Writes benchmarks/convert.md. FFmpeg's command is left out, by name, where there is none.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.convert_work import LEVELS, SHORT_SIDE
from benchmarks.reader import FOOTAGE, SECONDS, record
from data.display import Size
from data.media import open_video
from data.store import FrameStore
from tools.bench import Contender, Timing, head, markdown, race, ratio, spread
from tools.convert import convert
from tools.encode import repeat_video
from tools.terminal import start_logging

log = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
TURNS = 3  # how often the piece follows itself in what is converted
QUALITIES = range(2, 8)
SAMPLE = range(5, 60, 6)  # pictures that are compared with the source
NEAR = 0.5  # dB
TITLES = {
    "bare": "bare decoding, PyAV",
    "one": "Reelgrid, one level and sound",
    "three": f"Reelgrid, two more levels ({', '.join(map(str, LEVELS))}) and sound",
    "command": "Reelgrid, the whole command, start included",
    "ffmpeg": "ffmpeg -i F -vf scale=-2:{} -q:v {} %05d.jpg",
}
FOUND_NONE = "there is no ffmpeg on the PATH"


@dataclass(frozen=True)
class Likeness:
    """How near FFmpeg's pictures and ours are to exactly scaled ones, and what they take up."""

    quality: int
    theirs: float
    ours: float
    their_bytes: int
    our_bytes: int


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder))
    print(report)
    (HERE / "convert.md").write_text(report)
    return 0


def measure(folder: Path, rounds: int = 5) -> str:
    log.info("making %s", FOOTAGE[0].name)
    piece = record(FOOTAGE[0], folder)
    path = repeat_video(piece, folder / "longer.mp4", SECONDS, TURNS)
    likeness = compare(piece, folder) if shutil.which("ffmpeg") else None
    names = ["bare", "one", "three", "command"]
    walls = ["wall-command"]
    if likeness is not None:
        names, walls = [*names, "ffmpeg"], [*walls, "wall-ffmpeg"]
    quality = str(likeness.quality) if likeness else "2"
    log.info("measuring")
    work = [sys.executable, "-m", "benchmarks.convert_work"]
    rest = [str(piece), str(path), str(folder), quality]
    cpu = race([Contender(name, [*work, name, *rest]) for name in names], rounds)
    wall = race([Contender(name, [*work, name, *rest]) for name in walls], max(3, rounds - 2))
    return write(cpu, wall, likeness)


# -- how near to the source ------------------------------------------------------------------------


def compare(piece: Path, folder: Path) -> Likeness:
    """The quality at which FFmpeg's JPEGs come nearest to ours in PSNR."""
    convert(piece, folder / "compared", audio=False, jobs=1)
    with FrameStore(next((folder / "compared").rglob("frames.db"))) as store:
        ours = _psnr(store.frames(SAMPLE), _scaled(piece, store.size, cv2.INTER_AREA))
        our_bytes = sum(map(len, store.read(range(len(store)))))
    theirs = {quality: _of_ffmpeg(piece, folder, quality) for quality in QUALITIES}
    nearest = min(QUALITIES, key=lambda quality: abs(theirs[quality][0] - ours))
    psnr, their_bytes = theirs[nearest]
    log.info("PSNR: ours %.2f dB, ffmpeg's %.2f dB at -q:v %d", ours, psnr, nearest)
    return Likeness(nearest, psnr, ours, their_bytes, our_bytes)


def _of_ffmpeg(piece: Path, folder: Path, quality: int) -> tuple[float, int]:
    out = folder / f"q{quality}"
    out.mkdir()
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(piece), "-vf", f"scale=-2:{SHORT_SIDE}",
                    "-fps_mode", "passthrough", "-q:v", str(quality), str(out / "%05d.jpg")],
                   check=True)  # fmt: skip
    pictures = [cv2.imread(str(out / f"{number + 1:05d}.jpg")) for number in SAMPLE]
    found = np.stack([picture[..., ::-1] for picture in pictures if picture is not None])
    size = found.shape[2], found.shape[1]
    total = sum(path.stat().st_size for path in out.iterdir())
    shutil.rmtree(out)
    return _psnr(found, _scaled(piece, size, cv2.INTER_CUBIC)), total


def _scaled(piece: Path, size: Size, way: int) -> list[np.ndarray]:
    """Source pictures, exact RGB, scaled the way that the contender does, unrounded."""
    scaled = []
    with open_video(piece, 1) as video:
        for number, frame in enumerate(video.frames()):
            if number in SAMPLE:
                scaled.append(_shrink(frame.rgb().astype(np.float32), size, way))
            if number == SAMPLE[-1]:
                break
    return scaled


def _shrink(picture: np.ndarray, size: Size, way: int) -> np.ndarray:
    """swscale's bicubic kernel widens when it shrinks; OpenCV's does not, so blur by area first."""
    if way == cv2.INTER_AREA:
        return np.asarray(cv2.resize(picture, size, interpolation=way))
    return _widened_cubic(_widened_cubic(picture, size[1], 0), size[0], 1)


def _widened_cubic(picture: np.ndarray, length: int, axis: int) -> np.ndarray:
    """One direction of a bicubic scaling (a = -0.6, as in swscale) whose kernel is widened."""
    source = picture.shape[axis]
    step = source / length
    centres = (np.arange(length) + 0.5) * step - 0.5
    away = np.abs(np.arange(source)[None] - centres[:, None]) / max(step, 1)
    near = 1.4 * away**3 - 2.4 * away**2 + 1
    far = -0.6 * away**3 + 3 * away**2 - 4.8 * away + 2.4
    weights = np.where(away < 1, near, np.where(away < 2, far, 0))
    weights /= weights.sum(1, keepdims=True)
    return np.moveaxis(np.tensordot(weights.astype(np.float32), picture, (1, axis)), 0, axis)


def _psnr(found: np.ndarray, truth: list[np.ndarray]) -> float:
    errors = [np.mean((one.astype(float) - other) ** 2)
              for one, other in zip(found, truth, strict=True)]  # fmt: skip
    return float(np.mean(10 * np.log10(255**2 / np.array(errors))))


# -- the report ------------------------------------------------------------------------------------


def write(cpu: dict[str, Timing], wall: dict[str, Timing], likeness: Likeness | None) -> str:
    packages = ["av", "numpy", "opencv-python-headless", "simplejpeg", "zlib-ng"]
    extra = {"FFmpeg in av": av.ffmpeg_version_info, "ffmpeg": _ffmpeg_version()}
    return "\n".join([
        head("The converter, beside bare decoding and ffmpeg", packages, extra),
        f"{SECONDS * TURNS} s of {FOOTAGE[0].name} (H.264 veryfast, 2 s GOP, B-frames) with AAC; "
        f"one thread; each a process of its own, in turn. CPU seconds of the work after a warm-up, "
        "or of the whole child for the two commands. Writing and syncing included.\n",
        "## What was asked\n",
        markdown(verdicts(cpu)),
        "## CPU time\n",
        markdown(rows(cpu, likeness)),
        "## Wall time with two cores (--jobs 2, -threads 2)\n",
        markdown(wall_rows(wall, likeness)),
        _likeness(likeness),
        "Made by `python -m benchmarks.convert`.\n",
    ])  # fmt: skip


def _ffmpeg_version() -> str:
    if not shutil.which("ffmpeg"):
        return "none"
    done = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[2]


def _likeness(likeness: Likeness | None) -> str:
    if likeness is None:
        return f"Left out: ffmpeg ({FOUND_NONE}).\n"
    apart = abs(likeness.ours - likeness.theirs)
    found = "within" if apart <= NEAR else f"the nearest it offers; that is not within {NEAR}:"
    return (
        f"PSNR against exact pictures, scaled by area for ours and bicubic for ffmpeg's, as each "
        f"does it: ours {likeness.ours:.2f} dB in {likeness.our_bytes / 1e6:.2f} MB, ffmpeg's "
        f"{likeness.theirs:.2f} dB in {likeness.their_bytes / 1e6:.2f} MB at -q:v "
        f"{likeness.quality} ({found} {apart:.2f} dB).\n"
    )


def rows(cpu: dict[str, Timing], likeness: Likeness | None) -> list[tuple[str, ...]]:
    table: list[tuple[str, ...]] = [
        ("what", "CPU s", "pictures/s", "bare / this: median (middle half)",
         "ffmpeg / this: median (middle half)")
    ]  # fmt: skip
    for name, timing in cpu.items():
        speed = f"{timing.count / timing.median:.0f}"
        theirs = spread(cpu["ffmpeg"], timing) if "ffmpeg" in cpu else ""
        table.append((_title(name, likeness), f"{timing.median:.3f}", speed,
                      spread(cpu["bare"], timing), theirs))  # fmt: skip
    return table


def wall_rows(wall: dict[str, Timing], likeness: Likeness | None) -> list[tuple[str, ...]]:
    table: list[tuple[str, ...]] = [("what", "s", "pictures/s", "of ours")]
    for name, timing in wall.items():
        table.append((_title(name.removeprefix("wall-"), likeness), f"{timing.median:.3f}",
                      f"{timing.count / timing.median:.0f}",
                      spread(timing, wall["wall-command"])))  # fmt: skip
    return table


def _title(name: str, likeness: Likeness | None) -> str:
    return TITLES[name].format(SHORT_SIDE, likeness.quality if likeness else "")


def verdicts(cpu: dict[str, Timing]) -> list[tuple[str, ...]]:
    table: list[tuple[str, ...]] = [("asked", "measured", "")]
    for name, goal in (("one", 0.75), ("three", 0.62)):
        share = ratio(cpu["bare"], cpu[name])[1]
        met = "reached" if share >= goal else "missed"
        table.append((f"{TITLES[name]}: at least {goal} of bare decoding's speed",
                      f"{share:.3f}", met))  # fmt: skip
    if "ffmpeg" not in cpu:
        return [*table, ("at most 0.8 of ffmpeg's CPU time", "", f"not measured: {FOUND_NONE}")]
    for name in ("one", "command"):
        share = 1 / ratio(cpu["ffmpeg"], cpu[name])[1]
        met = "reached" if share <= 0.8 else "missed"
        table.append((f"{TITLES[name]}: at most 0.8 of ffmpeg's CPU time", f"{share:.3f}", met))
    return table


if __name__ == "__main__":
    start_logging()
    sys.exit(main())
