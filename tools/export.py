"""Write the frames of a store back as JPEG files, byte for byte.

    python -m tools.export dataset/ --out pictures/
    python -m tools.export dataset/jpg/archery/x7Yz --out pictures/ --short-side 112

Every video becomes pictures/<class>/<video>/frame_00001.jpg and so on, as `convert` reads them.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from data.schema import StoreError, frame_id
from data.store import FrameStore
from tools.check import folders_of
from tools.terminal import start_logging, until_the_reader_leaves

log = logging.getLogger(__name__)
AT_ONCE = 100


@dataclass(frozen=True)
class Options:
    """Write the frames of a store back as JPEG files, byte for byte."""

    store: tyro.conf.Positional[Path]
    """A dataset, or the folder of one video."""
    out: Path
    """The folder to write to; one that exists must be empty."""
    short_side: int | None = None
    """Write the smallest level that has at least this short side, instead of the largest."""


def main(options: Options) -> int:
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        log.error("%s exists and is not an empty folder; name another: --out", options.out)
        return 2
    if options.short_side is not None and options.short_side < 1:
        log.error("--short-side is at least 1, got %d", options.short_side)
        return 2
    failed = frames = 0
    try:
        videos = folders_of(options.store)
        options.out.mkdir(parents=True, exist_ok=True)
    except StoreError as error:
        log.error("%s", error)
        return 2
    except OSError as error:
        log.error("%s cannot be made (%s); name another: --out", options.out, error.strerror)
        return 2
    for name, folder in tqdm(videos, unit="video", disable=None):
        try:
            frames += export(Path(folder), options.out / name, options.short_side)
        except StoreError as error:
            failed += 1
            log.error("%s", error)
    print(f"{len(videos) - failed} videos, {frames:,} pictures written to {options.out}")
    return 1 if failed else 0


def export(folder: Path, out: Path, short_side: int | None = None) -> int:
    """Write one video's frames; how many there were."""
    with FrameStore(folder) as store:
        out.mkdir(parents=True, exist_ok=True)
        for start in range(0, len(store), AT_ONCE):
            indices = range(start, min(start + AT_ONCE, len(store)))
            for index, jpeg in zip(indices, store.read(indices, short_side), strict=True):
                (out.parent / f"{frame_id(out.name, index + 1)}.jpg").write_bytes(jpeg)
        return len(store)


if __name__ == "__main__":
    start_logging()
    sys.exit(until_the_reader_leaves(main, tyro.cli(Options, prog="python -m tools.export")))
