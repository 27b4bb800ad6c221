"""What a frame database looks like: its tables, its names, its checksums. No door to anything.

docs/architecture.md holds the same SQL with the reasons; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

try:  # the same numbers as zlib's, ten times quicker: a fortieth of what a clip costs
    from zlib_ng.zlib_ng import crc32
except ImportError:
    from zlib import crc32

__all__ = ["StoreError", "crc32", "facts_crc32", "frame_id", "level_file", "times_crc32"]

FORMAT = 1
APPLICATION_ID = 0x5265656C  # "Reel"
PAGE_SIZE = 8192
DATABASE, COUNT = "frames.db", "n_frames"
LEVEL_FILE = re.compile(r"frames-(\d+)\.db")

CREATE_IMAGES = "CREATE TABLE Images (ObjId TEXT NOT NULL, frames BLOB NOT NULL, size INT NOT NULL)"
CREATE_INDEX = "CREATE UNIQUE INDEX ImagesByObjId ON Images (ObjId)"
CREATE_FRAMES = (
    "CREATE TABLE Frames (number INTEGER PRIMARY KEY, pts INTEGER NOT NULL, crc32 INTEGER NOT NULL)"
)
CREATE_SOUND = (
    "CREATE TABLE Sound (second INTEGER PRIMARY KEY, samples BLOB NOT NULL, crc32 INTEGER NOT NULL)"
)
CREATE_META = "CREATE TABLE Meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID"

CHECK = "meta_crc32"
SOUND_SECONDS = "sound_seconds"  # so that sound that is lost is not taken for silence


class StoreError(Exception):
    """A database that cannot be read or trusted: which one, what is wrong, and the next step."""

    def __init__(self, path: str | Path, reason: str, advice: str) -> None:
        super().__init__(f"{str(path)!r} {reason}; {advice}")
        self.path, self.reason, self.advice = str(path), reason, advice

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:  # workers send errors home
        return StoreError, (self.path, self.reason, self.advice)


def frame_id(video: str, number: int) -> str:
    """The predecessor's name of a frame, the first being number 1."""
    return f"{video}/frame_{number:05d}"


def number_of(name: str) -> int:
    """The number in such a name; 0 if it holds none."""
    digits = re.search(r"(\d+)$", name)
    return int(digits[1]) if digits else 0


def level_file(short_side: int) -> str:
    return f"frames-{short_side}.db"


def times_crc32(numbers: Iterable[int], pts: Iterable[int], crcs: Iterable[int]) -> int:
    """One checksum over the whole of table Frames."""
    table = [np.fromiter(column, np.int64) for column in (numbers, pts, crcs)]
    return int(crc32(np.stack(table).astype("<i8").tobytes()))


def facts_crc32(facts: Mapping[str, str]) -> int:
    """One checksum over all facts in table Meta but itself."""
    lines = [f"{key}={facts[key]}" for key in sorted(facts) if key != CHECK]
    return int(crc32("\n".join(lines).encode()))
