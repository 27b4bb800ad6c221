"""Small frame databases with the truth about themselves: ours, and of the predecessor's kind.

Frame n carries n as a barcode, so whatever comes out says which frame it is.
"""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from data.display import Size, fit_short_side
from data.jpeg import encode
from data.schema import DATABASE, FORMAT
from data.store import FrameStore
from data.writer import StoreWriter, publish
from tests import barcode

SIZE = (48, 32)
SOUND_RATE = 16000
GLOB_ORDER = (7, 2, 0, 5, 1, 9, 3, 4, 8, 6)
FOREIGN_TABLE = "CREATE TABLE Images(ObjId STRING, frames BLOB, size INT)"


@cache
def picture(index: int, size: Size = SIZE) -> np.ndarray:
    """RGB of frame `index`: a barcode, so small that it is quick and so clear that it survives."""
    grey = np.round(255 * barcode.draw(index, *size)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


@cache
def jpeg(index: int, size: Size = SIZE) -> bytes:
    return encode(picture(index, size), 90, "4:2:0")


@cache
def speck(index: int) -> bytes:
    """The smallest picture, 8 x 8 of one grey that goes up by 2 with the index, modulo 125."""
    return encode(np.full((8, 8, 3), 2 * (index % 125), np.uint8), 90, "4:2:0")


def whose(pictures: np.ndarray) -> list[int | None]:
    """Which frames these THWC pictures are."""
    return [barcode.read(one) for one in pictures]


def noise(seconds: int, rate: int = SOUND_RATE) -> np.ndarray:
    """int16 samples, none of them alike for long."""
    return np.round(barcode.noise(seconds, rate)[:, 0] * 20000).astype(np.int16)


@dataclass(frozen=True)
class Content:
    """What a small store of ours holds."""

    count: int = 10
    size: Size = SIZE
    levels: tuple[int, ...] = ()
    seconds: int = 0  # of sound
    pts: Sequence[int] | None = None
    conversion: str = "1"
    facts: Mapping[str, object] = field(default_factory=dict)

    def meta(self) -> dict[str, object]:
        sound = {"sound_rate": SOUND_RATE} if self.seconds else {}
        return {
            "format": FORMAT, "conversion": self.conversion, "frames": self.count,
            "width": self.size[0], "height": self.size[1], "time_base": "1/30", "rate": "30",
            "source_name": "a.mp4", "source_hash": "abc", **sound, **self.facts,
        }  # fmt: skip


SMALL = Content()


def write_store(folder: Path, content: Content = SMALL) -> Path:
    """A store of ours in `folder`, published as the converter does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    sizes = {0: content.size} | {
        level: fit_short_side(content.size, level) for level in content.levels
    }
    paths = {}
    for level, size in sizes.items():
        path = folder.parent / f".{folder.name}-{level}.db"
        sized = replace(content, size=size)
        paths[level] = write_database(path, folder.name, sized, with_sound=not level)
    publish(folder, paths.pop(0), paths, content.count)
    return folder


def write_database(
    path: Path,
    video: str,
    content: Content,
    draw: Callable[[int], bytes] | None = None,
    with_sound: bool = True,
) -> Path:
    """One finished database under a working name, down to its last fact."""
    with StoreWriter(path, video) as writer:
        for index in range(content.count):
            data = draw(index) if draw else jpeg(index, content.size)
            writer.add(data, content.size[0], content.pts[index] if content.pts else index)
        if with_sound and content.seconds:
            for second in noise(content.seconds).reshape(content.seconds, -1):
                writer.add_sound(second)
        writer.finish(content.meta())
    return path


def write_foreign(
    folder: Path,
    rows: Iterable[tuple[object, object]] | None = None,
    table: str = FOREIGN_TABLE,
) -> Path:
    """A database as the predecessor writes it: no index, no facts, rows as its glob found them."""
    folder.mkdir(parents=True, exist_ok=True)
    if rows is None:
        rows = [(f"{folder.name}/frame_{index + 1:05d}", jpeg(index)) for index in GLOB_ORDER]
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute(table)
        connection.executemany(
            "INSERT INTO Images VALUES (?, ?, ?)", ((name, data, SIZE[0]) for name, data in rows)
        )
        connection.commit()
    return folder


def everything(path: Path) -> tuple[object, ...]:
    """All that can be read from a store, to be compared with what should be there."""
    with FrameStore(path) as store:
        sound = store.audio(-1, 6).tobytes() if "sound_rate" in store.meta else b""
        return (
            len(store), store.size, store.fps, dict(store.meta), store.levels, store.times, sound,
            [store.read(range(len(store)), min(size)) for size in store.levels],
        )  # fmt: skip


@dataclass(frozen=True)
class ReadOnly:
    """A folder, and processes of somebody who may read what lies in it and change nothing."""

    path: Path

    def somebody(self) -> ProcessPoolExecutor:
        for folder, _, files in os.walk(self.path):
            os.chmod(folder, 0o555)
            for name in files:
                os.chmod(os.path.join(folder, name), 0o444)
        context = multiprocessing.get_context("fork")
        return ProcessPoolExecutor(1, mp_context=context, initializer=_give_up_rights)


def _give_up_rights() -> None:
    if os.geteuid() == 0:  # root may write everywhere, whatever the folder says
        os.setgid(65534)
        os.setuid(65534)


@contextmanager
def read_only() -> Iterator[ReadOnly]:
    """Not below pytest's own folder, which nobody else may enter."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield ReadOnly(path)
        for folder, _, _ in os.walk(path):
            os.chmod(folder, 0o755)
