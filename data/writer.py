"""Write one frame database: into a working file, checked and synced, then under its name.

A reader never sees half a database: `publish` renames a file that is complete. The predecessor's
`n_frames` goes first and frames.db last, so whoever finds frames.db finds everything.
"""

from __future__ import annotations

import os
import sqlite3
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from data import schema
from data.database import AT_ONCE, Database
from data.schema import (
    COUNT,
    DATABASE,
    StoreError,
    crc32,
    facts_crc32,
    frame_id,
    level_file,
    times_crc32,
)

SETUP = (
    f"PRAGMA page_size = {schema.PAGE_SIZE}",
    f"PRAGMA application_id = {schema.APPLICATION_ID}",
    f"PRAGMA user_version = {schema.FORMAT}",
    # Nobody reads the working file; if the machine goes down, it is thrown away.
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA temp_store = MEMORY",
    schema.CREATE_IMAGES,
    schema.CREATE_SOUND,
    "BEGIN",
)
ADD = "INSERT INTO Images VALUES (?, ?, ?)"
ADD_SOUND = "INSERT INTO Sound VALUES (?, ?, ?)"


class StoreWriter:
    """Frames in their order, then the rest: `add` ..., `finish`. Without `finish`, no file."""

    def __init__(self, path: Path, video: str) -> None:
        self.path = path
        self._video = video
        self._pts, self._checksums = array("q"), array("q")
        self._seconds = 0
        path.unlink(missing_ok=True)
        with writing(path):
            self._connection: Any = sqlite3.connect(path, isolation_level=None)
            for statement in SETUP:
                self._connection.execute(statement)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        """Throw away what was not finished."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self.path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._pts)

    def add(self, jpeg: bytes, width: int, pts: int) -> None:
        if self._pts and pts <= self._pts[-1]:
            raise ValueError(f"frame {len(self)} is shown at {pts}, not after {self._pts[-1]}")
        self._pts.append(pts)
        self._checksums.append(crc32(jpeg))
        name = frame_id(self._video, len(self._pts))
        with writing(self.path):
            self._connection.execute(ADD, (name, jpeg, width))

    def add_sound(self, samples: np.ndarray) -> None:
        """The next second of sound, int16."""
        data = samples.astype("<i2").tobytes()
        with writing(self.path):
            self._connection.execute(ADD_SOUND, (self._seconds, data, crc32(data)))
        self._seconds += 1

    def finish(self, meta: Mapping[str, object]) -> None:
        """Write times and facts, check everything, sync."""
        facts = {key: str(value) for key, value in meta.items()}
        numbers = range(1, len(self) + 1)
        facts[schema.SOUND_SECONDS] = str(self._seconds)
        facts["times_crc32"] = str(times_crc32(numbers, self._pts, self._checksums))
        facts[schema.CHECK] = str(facts_crc32(facts))
        with writing(self.path):
            write = self._connection.executemany
            for statement in (schema.CREATE_INDEX, schema.CREATE_FRAMES, schema.CREATE_META):
                self._connection.execute(statement)
            rows = zip(numbers, self._pts, self._checksums, strict=True)
            write("INSERT INTO Frames VALUES (?, ?, ?)", rows)
            write("INSERT INTO Meta VALUES (?, ?)", facts.items())
            self._connection.execute("COMMIT")
            self._connection.close()
        self._connection = None
        try:
            _check(self.path, len(self), self._seconds)
            sync(self.path)
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What SQLite complains about while writing becomes a StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        advice = "free some space and run it again" if "full" in str(error) else "check the disk"
        raise StoreError(path, f"cannot be written ({error})", advice) from None


def _check(path: Path, frames: int, seconds: int) -> None:
    """Read back what was written, as any reader does."""
    database = Database(str(path))
    try:
        for start in range(1, frames + 1, AT_ONCE):
            database.read(range(start, min(start + AT_ONCE, frames + 1)))
        assert len(database.read_times()) == database.facts.frames == frames
        for second in range(seconds):
            assert second in database.read_sound(second, second)
    finally:
        database.close()


def publish(folder: Path, main: Path | None, levels: Mapping[int, Path], frames: int) -> None:
    """Bring finished files under their names; frames.db comes last and makes it count."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in made:
        sync(one.parent)
    if main is not None:
        _write_count(folder, main.with_suffix(".count"), frames)
    for short_side, path in levels.items():
        path.replace(folder / level_file(short_side))
    sync(folder)
    if main is not None:
        main.replace(folder / DATABASE)
        sync(folder)


def restore_count(folder: Path, frames: int) -> None:
    """Write `n_frames` again if it is gone or wrong."""
    path = folder / COUNT
    if path.is_file() and path.read_bytes() == str(frames).encode():
        return
    _write_count(folder, folder / f".{COUNT}.{os.getpid()}", frames)
    sync(folder)


def _write_count(folder: Path, beside: Path, frames: int) -> None:
    """The predecessor's n_frames, written beside and then under its name."""
    beside.write_text(str(frames))
    sync(beside)
    beside.replace(folder / COUNT)


def sync(path: Path) -> None:
    """Bring a file or a folder's list of names onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
