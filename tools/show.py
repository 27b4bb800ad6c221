"""Draw a contact sheet of a store: every video a row, its frames with index and time.

python -m tools.show dataset/ --out sheet.png
python -m tools.show dataset/jpg/archery/x7Yz --out sheet.png
python -m tools.show dataset/ --augment --seed 3 --out sheet.png    # as a network will see them
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import tyro

from data.augment import Augmentation
from data.batching import ClipKey
from data.clip import ClipShape
from data.iterator import ClipIterator, Making, draw
from data.sampling import Sampling
from data.schema import StoreError
from data.store import FrameStore
from data.table import whole_videos
from tools.check import folders_of
from tools.sheet import Row, draw_sheet, pictures_that_fit
from tools.terminal import rate_text, start_logging, time_text, until_the_reader_leaves

log = logging.getLogger(__name__)
STRETCHES = 2000  # of the sound, each shown by its loudest sample


@dataclass(frozen=True)
class ClipOptions:
    """What clips are drawn; only with --augment."""

    seed: int = 0
    """Decides, with the row's number, all that is drawn."""
    frames: int = 16
    """Of a clip."""
    size: int = 224
    """Side of the square that the network sees."""
    interval: int = 2
    """From one frame of a clip to the next."""
    strength: float = 1.0
    """Of the augmentation; 0 leaves crop and flip."""


@dataclass(frozen=True)
class Options:
    """Draw a contact sheet of a store: every video a row, its frames with index and time."""

    store: tyro.conf.Positional[Path]
    """A dataset, or the folder of one video."""
    out: Path
    """The picture to write: .png or .jpg."""
    rows: int = 12
    """At most so many videos, evenly from all of them; with --augment so many clips."""
    augment: bool = False
    """Draw training clips as a network will see them, each with its plan."""
    clips: tyro.conf.OmitArgPrefixes[ClipOptions] = ClipOptions()


def main(options: Options) -> int:
    if options.rows < 1:
        log.error("--rows is at least 1, got %d", options.rows)
        return 2
    if options.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        log.error("--out is a picture, .png or .jpg; got %s", options.out)
        return 2
    if not options.augment and options.clips != ClipOptions():
        log.error("--seed, --frames, --size, --interval and --strength go with --augment")
        return 2
    try:
        videos = folders_of(options.store)
        chosen = [videos[at] for at in evenly(len(videos), options.rows)]
        if options.augment:
            rows = clip_rows([(name, Path(folder)) for name, folder in chosen], options)
            what = f"{len(rows)} training clips of {len(videos)} videos, seed {options.clips.seed}"
        else:
            rows = [row_or_fault(name, Path(folder)) for name, folder in chosen]
            what = f"{len(rows)} of {len(videos)} videos"
        draw_sheet(f"{options.store.name}: {what}", rows).save(options.out)
    except ValueError as error:
        log.error("%s", error)
        return 2
    except StoreError as error:
        log.error("%s", error)
        return 1
    except OSError as error:
        log.error("%s cannot be written (%s)", options.out, error.strerror or error)
        return 2
    print(f"{options.out}: {what}")
    return 0 if all(row.pictures for row in rows) else 1


def evenly(count: int, wanted: int) -> list[int]:
    """`wanted` places of `count`, the middles of equal parts; all if there are fewer."""
    wanted = min(count, wanted)
    return [(2 * at + 1) * count // (2 * wanted) for at in range(wanted)]


def row_or_fault(name: str, folder: Path) -> Row:
    """A video that cannot be read has a row too, which says why."""
    try:
        return row(name, folder)
    except StoreError as error:
        log.error("%s", error)
        return Row(name, [error.reason], [], [])


def row(name: str, folder: Path) -> Row:
    """One video: frames evenly from it, its facts, its sound."""
    with FrameStore(folder) as store:
        width, height = store.size
        indices = evenly(len(store), pictures_that_fit((max(width, height), height)))
        levels = ", ".join("{}x{}".format(*size) for size in store.levels)
        lines = [f"{len(store)} frames, {levels}"]
        captions = [f"#{index}" for index in indices]
        sound = None
        if store.fps is not None:
            times = store.times
            lines.append(f"{rate_text(store.fps)} fps, {time_text(times[-1])} long")
            captions = [f"#{index}  {time_text(times[index])}" for index in indices]
            if "sound_rate" in store.meta:
                sound = loudness(store, times[-1])
        if store.meta.get("damage"):
            lines.append(f"damaged source: {store.meta['damage']}")
        pictures = list(store.frames(indices))
    return Row(name, lines, pictures, captions, sound)


def clip_rows(videos: Sequence[tuple[str, Path]], options: Options) -> list[Row]:
    """Training clips of the videos in turn, every one with its plan below it."""
    turns = [videos[row % len(videos)] for row in range(options.rows)]
    return [clip_row(name, folder, row, options) for row, (name, folder) in enumerate(turns)]


def clip_row(name: str, folder: Path, position: int, options: Options) -> Row:
    """Frames evenly from one clip, or why there is none."""
    wish = options.clips
    shape = ClipShape(wish.frames, wish.size)
    making = Making(Sampling(interval=wish.interval), Augmentation(strength=wish.strength))
    try:
        table = whole_videos(folder.parent, [folder.name])
        clips = ClipIterator(table, making, wish.seed, on_error="skip")
        squares, facts = clips.take(ClipKey(0, shape, position))
        clips.close()
    except StoreError as error:
        log.error("%s", error)
        return Row(name, [error.reason], [], [])
    if facts.fault is not None:
        log.error("%s", facts.fault.reason)
        return Row(name, [facts.fault.reason], [], [])
    pictures = np.empty(clips.shape(shape), np.uint8)
    draw(squares, pictures)
    shown = evenly(len(pictures), pictures_that_fit((1, 1)))
    height, width = squares[0].frames.shape[1:3]
    lines = [f"{shape}, drawn as number {position}", f"from pictures of {width}x{height}"]
    captions = [f"frame {at}" for at in shown]
    return Row(name, lines, [pictures[at] for at in shown], captions, foot=str(squares[0].plan))


def loudness(store: FrameStore, length: Fraction) -> np.ndarray:
    """The loudest sample of every stretch of the sound; hours of it in little memory."""
    rate = int(store.meta["sound_rate"])
    step = max(1, int(length * rate) // STRETCHES)
    loudest = []
    for start in range(0, int(length * rate), step):
        samples = store.audio(Fraction(start, rate), Fraction(start + step, rate))
        loudest.append(np.abs(samples).max())
    return np.array(loudest, np.float32)


if __name__ == "__main__":
    start_logging()
    sys.exit(until_the_reader_leaves(main, tyro.cli(Options, prog="python -m tools.show")))
