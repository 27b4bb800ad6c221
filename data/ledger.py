"""Clips that could not be read while training went on: counted, and written down.

Every rank writes a file of its own, `unread-<rank>.csv`; `merge` makes one of them all.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

HEADER = ("clip", "position", "label", "video", "reason")
MERGED = "unread.csv"


class Fault(NamedTuple):
    """One clip that kept its place in the stream and weighs nothing."""

    clip: int  # its number in the dataset
    position: int
    label: str  # file and line
    video: str
    reason: str


class Ledger:
    """The faults one rank has met."""

    def __init__(self, folder: str | os.PathLike[str], rank: int = 0) -> None:
        self.path = Path(folder) / f"unread-{rank}.csv"

    def add(self, faults: Iterable[Fault]) -> None:
        """Append them; nothing is kept in memory, so a run that is killed has lost none."""
        faults = list(faults)
        if not faults:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        if not new and _is_torn(self.path):
            _write(self.path, read_ledger(self.path))
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([HEADER, *faults] if new else faults)


def merge(folder: str | os.PathLike[str]) -> list[Fault]:
    """All ranks' faults in one file, each clip once, in the order of the dataset."""
    found: dict[int, Fault] = {}
    for path in sorted(Path(folder).glob("unread-*.csv")):
        for fault in read_ledger(path):
            found.setdefault(fault.clip, fault)
    faults = [found[clip] for clip in sorted(found)]
    if faults:
        _write(Path(folder) / MERGED, faults)
    return faults


def read_ledger(path: str | os.PathLike[str]) -> list[Fault]:
    """The faults of a file. A last line that a killed run left unfinished is left out."""
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        text = file.read()
    rows = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    return [
        Fault(int(row[0]), int(row[1]), *row[2:])
        for row in list(rows)[1:]
        if len(row) == len(HEADER)
    ]


def _is_torn(path: Path) -> bool:
    """Whether the last line has no end: one put behind it would be lost with it."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 2))
        return file.read() != b"\r\n"


def _write(path: Path, faults: Iterable[Fault]) -> None:
    """A file of just these, there at once or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(beside, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *faults])
    beside.replace(path)
