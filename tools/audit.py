"""Read one video's databases whole and say everything that is wrong with them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from data import schema
from data.database import AT_ONCE, Database
from data.jpeg import JpegError, decode
from data.schema import COUNT, DATABASE, StoreError, crc32, frame_id
from data.store import level_paths

AT_MOST = 20  # faults of one file: one that is bad throughout need not be told frame by frame
WANTED = {schema.CREATE_IMAGES, schema.CREATE_INDEX, schema.CREATE_FRAMES, schema.CREATE_SOUND,
          schema.CREATE_META}  # fmt: skip
ROWS = "SELECT rowid, ObjId, frames, size FROM Images WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
FRAMES = "SELECT number, pts, crc32 FROM Frames WHERE number BETWEEN ? AND ? ORDER BY number"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: in which file, at which frame (0-based; None: in the whole)."""

    file: str
    frame: int | None
    what: str


@dataclass(frozen=True)
class Report:
    """What reading a video whole gave."""

    name: str
    frames: int
    faults: tuple[Fault, ...]


def audit(task: tuple[str, str], report: Callable[[int], None]) -> Report:
    """Read everything in a video's folder. The task is the video's name and its folder."""
    name, folder = task
    files = [os.path.join(folder, DATABASE), *level_paths(folder)]
    faults: list[Fault] = []
    main: Database | None = None
    frames = 0
    for path in files:
        database, found = _open(path)
        if database is not None:
            found += list(islice(_faults(database, main), AT_MOST))
            frames += database.facts.frames
            main = main or database
            database.close()
            report(frames)
        faults += found
    faults += _count_faults(folder, main)
    return Report(name, frames, tuple(faults))


def _open(path: str) -> tuple[Database | None, list[Fault]]:
    if not os.path.exists(path):
        return None, [Fault(path, None, "is missing: its conversion was cut short")]
    try:
        return Database(path), []
    except StoreError as error:
        return None, [Fault(path, None, error.reason)]


def _count_faults(folder: str, main: Database | None) -> Iterator[Fault]:
    """The predecessor's readers take the number of frames from a file of its own."""
    path = os.path.join(folder, COUNT)
    if main is None:
        return
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError):
        yield Fault(path, None, "is missing or cannot be read")
        return
    if text.strip() != str(main.facts.frames):
        yield Fault(path, None, f"says {text.strip()[:20]!r}, the frames are {main.facts.frames}")


def _faults(database: Database, main: Database | None) -> Iterator[Fault]:
    """Everything that is wrong in one database; `main` is the frames.db of a level."""
    path = database.path
    try:
        yield from _structure(database)
        if database.ours:
            yield from _times(database)
            yield from _sound(database)
            yield from _against_main(database, main)
        yield from _pictures(database)
    except StoreError as error:
        yield Fault(path, None, error.reason)


def _structure(database: Database) -> Iterator[Fault]:
    for (line,) in database.execute("PRAGMA integrity_check(5)"):
        if line != "ok":
            yield Fault(database.path, None, f"is damaged: {' '.join(line.split())}")
    if not database.ours:
        return
    tables = {_normal(sql) for (sql,) in database.execute("SELECT sql FROM sqlite_schema")}
    for sql in sorted({_normal(sql) for sql in WANTED} - tables):
        yield Fault(database.path, None, f"has another schema; missing is: {sql[:60]}")
    for pragma, value in (("application_id", schema.APPLICATION_ID), ("user_version", 1)):
        if database.execute(f"PRAGMA {pragma}") != [(value,)]:
            yield Fault(database.path, None, f"has another {pragma}")


def _normal(sql: str | None) -> str:
    return re.sub(r"\s+", " ", sql or "")


def _times(database: Database) -> Iterator[Fault]:
    pts = database.read_times()
    if len(pts) != database.facts.frames:
        yield Fault(database.path, None, f"has times of {len(pts)} frames, not of "
                    f"{database.facts.frames}")  # fmt: skip
    if len(pts) and pts[0] != 0:
        yield Fault(database.path, 0, f"is shown at {pts[0]}, not at 0")
    for at in np.flatnonzero(np.diff(pts) <= 0):
        yield Fault(database.path, int(at) + 1, "is not shown later than the frame before it")


def _sound(database: Database) -> Iterator[Fault]:
    rate = int(database.facts.meta.get("sound_rate", 0))
    seconds = [second for (second,) in database.execute("SELECT second FROM Sound ORDER BY second")]
    if seconds != list(range(len(seconds))):
        yield Fault(database.path, None, "lacks seconds of its sound")
    for second in seconds:
        samples = database.read_sound(second, second)[second]
        if second != seconds[-1] and len(samples) != rate:
            yield Fault(database.path, None, f"has {len(samples)} samples in second {second}")


def _against_main(database: Database, main: Database | None) -> Iterator[Fault]:
    if main is None or not main.ours:
        return
    ours, theirs = database.facts, main.facts
    if ours.meta.get("conversion") != theirs.meta.get("conversion"):
        yield Fault(database.path, None, "is left over from another conversion; nobody reads it")
        return
    if ours.frames != theirs.frames:
        yield Fault(database.path, None, f"has {ours.frames} frames, {DATABASE} {theirs.frames}")
    elif not np.array_equal(database.read_times(), main.read_times()):
        yield Fault(database.path, None, f"has other times than {DATABASE}")
    (width, height), (full_width, full_height) = ours.size, theirs.size
    if abs(width * full_height / full_width - height) > 1 or width >= full_width:
        yield Fault(database.path, None, f"is {width}x{height}, no smaller copy of "
                    f"{full_width}x{full_height}")  # fmt: skip


def _pictures(database: Database) -> Iterator[Fault]:
    """Every row: its name, its checksum, its picture."""
    if not database.ours:
        yield from _foreign_pictures(database)
        return
    count, path = database.facts.frames, database.path
    (rows,) = database.execute("SELECT count(*) FROM Images")
    if rows[0] != count:
        yield Fault(path, None, f"holds {rows[0]} frames, should have {count}")
    for start in range(1, count + 1, AT_ONCE):
        stop = min(start + AT_ONCE - 1, count)
        checksums = {number: crc for number, _, crc in database.execute(FRAMES, (start, stop))}
        present = {row[0]: row[1:] for row in database.execute(ROWS, (start, stop))}
        for number in range(start, stop + 1):
            if number not in present:
                yield Fault(path, number - 1, "is missing")
                continue
            name, data, width = present[number]
            video = str(name).rsplit("/", 1)[0]
            if name != frame_id(video, number) or width != database.facts.size[0]:
                yield Fault(path, number - 1, f"is called {name!r} and {width} wide")
            if crc32(data) != checksums.get(number):
                yield Fault(path, number - 1, "does not match its checksum")
            else:
                yield from _picture(database, number, data)


def _foreign_pictures(database: Database) -> Iterator[Fault]:
    rows = database.facts.rows or {}
    names = [name for (name,) in database.execute("SELECT ObjId FROM Images")]
    if len(names) != len(rows):
        doubled = len(names) - len(rows)
        yield Fault(database.path, None, f"holds {doubled} frames twice or without a number")
    for number in range(1, database.facts.frames + 1):
        if number not in rows:
            yield Fault(database.path, number - 1, "is missing")
            continue
        yield from _picture(database, number, database.read([number])[number])


def _picture(database: Database, number: int, data: bytes) -> Iterator[Fault]:
    try:
        picture = decode(data)
    except JpegError as error:
        yield Fault(database.path, number - 1, str(error))
        return
    size = picture.shape[1], picture.shape[0]
    if size != database.facts.size:
        yield Fault(database.path, number - 1, f"is {size[0]}x{size[1]}, not "
                    "{}x{}".format(*database.facts.size))  # fmt: skip
