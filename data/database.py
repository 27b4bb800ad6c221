"""One frame database, ours or the predecessor's: its facts, and the bytes of any of its frames."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.connections import Key, fault, key_of, pool
from data.display import Size
from data.jpeg import JpegError, size_of
from data.schema import (
    CHECK,
    FORMAT,
    SOUND_SECONDS,
    StoreError,
    crc32,
    facts_crc32,
    number_of,
    times_crc32,
)

AT_ONCE = 500  # frames a statement: more would only cost memory
CHECK_IT = ("see what is whole, and convert the rest again: python -m tools.check DATASET "
            "--repair --videos VIDEOS")  # fmt: skip
CONVERT = "convert its video again: python -m tools.convert"
BYTES = """SELECT Images.rowid, frames, crc32 FROM Images JOIN Frames ON number = Images.rowid
           WHERE Images.rowid IN ({})"""
FOREIGN_BYTES = "SELECT rowid, frames FROM Images WHERE rowid IN ({})"


@dataclass(frozen=True)
class Facts:
    """What a database says of itself. The predecessor's says nothing but its frames' names."""

    frames: int
    size: Size
    meta: Mapping[str, str]
    rows: Mapping[int, int] | None  # frame number -> rowid, where that is not the same


class Database:
    """A file that stays the same file: if another takes its name, reading it is an error."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.key: Key = key_of(path)
        try:
            self.facts = self._read_facts()
        except BaseException:
            self.close()
            raise

    def execute(
        self, sql: str, values: Sequence[object] = (), places: Sequence[float] = ()
    ) -> list[tuple]:
        """All rows of a query; what SQLite complains about becomes a StoreError.

        `places` says where in the file it will find them, from 0 to 1.
        """
        try:
            with pool().use(self.key, *places) as connection:
                return connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise fault(self.path, error) from None

    def close(self) -> None:
        pool().close(self.key)

    def read(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """The JPEG bytes of these frames, each checked against its checksum."""
        found: dict[int, bytes] = {}
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            found.update(self._read_ours(some) if self.ours else self._read_foreign(some))
        if len(found) < len(numbers):
            missing = next(number for number in numbers if number not in found)
            reason = f"lacks frame {missing - 1}, though it should have {self.facts.frames}"
            raise StoreError(self.path, reason, CHECK_IT if self.ours else CONVERT)
        return found

    @property
    def ours(self) -> bool:
        return self.facts.rows is None

    def _read_ours(self, numbers: Sequence[int]) -> dict[int, bytes]:
        count = self.facts.frames  # which lie one after the other
        places = (numbers[0] / (count + 1), numbers[-1] / (count + 1))
        rows = self.execute(BYTES.format(_marks(numbers)), numbers, places)
        for number, data, checksum in rows:
            if not _is_intact(data, checksum):
                reason = f"has a damaged frame {number - 1}: its bytes do not match their checksum"
                raise StoreError(self.path, reason, CHECK_IT)
        return {number: data for number, data, _ in rows}

    def _read_foreign(self, numbers: Sequence[int]) -> dict[int, bytes]:
        assert self.facts.rows is not None
        by_row = {
            self.facts.rows[number]: number for number in numbers if number in self.facts.rows
        }
        rows = self.execute(FOREIGN_BYTES.format(_marks(list(by_row))), list(by_row))
        return {by_row[row]: data for row, data in rows if isinstance(data, bytes)}

    def read_time(self, number: int) -> int:
        """pts of one frame."""
        rows = self.execute("SELECT pts FROM Frames WHERE number = ?", (number,))
        if len(rows) != 1 or not isinstance(rows[0][0], int):
            raise StoreError(self.path, f"has no time of frame {number - 1}", CHECK_IT)
        return int(rows[0][0])

    def read_times(self) -> np.ndarray:
        """pts of all frames, in units of the time base."""
        rows = self.execute("SELECT number, pts, crc32 FROM Frames ORDER BY number")
        numbers, pts, checksums = zip(*rows, strict=True) if rows else ((), (), ())
        try:
            found = str(times_crc32(numbers, pts, checksums))
        except (TypeError, ValueError, OverflowError):  # no integers any more
            found = "nothing"
        if found != self.facts.meta.get("times_crc32"):
            raise StoreError(self.path, "has a damaged table of times", CHECK_IT)
        times = np.array(pts, np.int64)
        times.setflags(write=False)  # kept and given out to everyone
        return times

    def read_sound(self, first: int, last: int) -> dict[int, np.ndarray]:
        """int16 samples of the seconds from `first` to `last`, each checked."""
        rows = self.execute(
            "SELECT second, samples, crc32 FROM Sound WHERE second BETWEEN ? AND ?", (first, last)
        )
        for second, data, checksum in rows:
            if not _is_intact(data, checksum):
                reason = f"has damaged sound in second {second}: it does not match its checksum"
                raise StoreError(self.path, reason, CHECK_IT)
        found = {second: np.frombuffer(data, "<i2") for second, data, _ in rows}
        seconds = int(self.facts.meta[SOUND_SECONDS])
        for second in range(max(0, first), min(last + 1, seconds)):
            if second not in found:
                reason = f"lacks the sound of second {second}, though it should have {seconds}"
                raise StoreError(self.path, reason, CHECK_IT)
        return found

    # -- facts -----------------------------------------------------------------------------------

    def _read_facts(self) -> Facts:
        tables = {name for (name,) in self.execute("SELECT name FROM sqlite_schema")}
        if "Images" not in tables:
            raise StoreError(self.path, "is not a frame database: it has no table Images", CONVERT)
        if "Meta" not in tables:
            return self._foreign_facts()
        meta = {str(key): str(value) for key, value in self.execute("SELECT key, value FROM Meta")}
        if str(facts_crc32(meta)) != meta.get(CHECK):
            raise StoreError(self.path, "has damaged facts (table Meta)", CHECK_IT)
        if int(meta["format"]) > FORMAT:
            raise StoreError(self.path, f"is of format {meta['format']}, this reads up to {FORMAT}",
                             "use a newer Reelgrid")  # fmt: skip
        size = int(meta["width"]), int(meta["height"])
        return Facts(int(meta["frames"]), size, meta, None)

    def _foreign_facts(self) -> Facts:
        """The predecessor's rows come in any order; the number in a frame's name is its place."""
        rows: dict[int, int] = {}
        for row, name in self.execute("SELECT rowid, ObjId FROM Images ORDER BY rowid"):
            rows.setdefault(number_of(str(name)), row)
        rows.pop(0, None)
        if not rows:
            raise StoreError(self.path, "holds no frames: its conversion failed", CONVERT)
        first = min(rows)
        ((_, data),) = self.execute(FOREIGN_BYTES.format("?"), [rows[first]])
        try:
            size = size_of(data if isinstance(data, bytes) else b"")
        except JpegError as error:
            reason = f"has a frame {first - 1} that {error}"
            raise StoreError(self.path, reason, CONVERT) from None
        return Facts(max(rows), size, {}, rows)


def _is_intact(data: object, checksum: object) -> bool:
    return isinstance(data, bytes) and crc32(data) == checksum


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
