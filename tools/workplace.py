"""The folder in a dataset where unfinished files lie, and who may write there.

A run holds a lock for its share of the work. The lock goes with its process, however that ends;
what a dead run left behind is cleared by the next one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FOLDER = ".converting"
LOCK = re.compile(r"(\d+)-of-(\d+)\.lock")


class BusyError(Exception):
    """Somebody else converts into this dataset."""


@dataclass(frozen=True)
class Shard:
    """The I-th of N equal parts of the work, I from 1."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(f"--shard is I/N with I from 1 to N, such as 2/8, got {text!r}")
        return cls(int(match[1]), int(match[2]))


@contextmanager
def workplace(out: Path, shard: Shard) -> Iterator[Path]:
    """An empty folder for this run's unfinished files; removed afterwards."""
    root = out / FOLDER
    if root.is_symlink():
        raise BusyError(f"{root} is a link; nothing outside the dataset is written to: remove it")
    root.mkdir(parents=True, exist_ok=True)
    held = _lock(root / f"{shard}.lock")
    if held is None:
        raise BusyError(f"another run converts into {out} (shard {shard}); wait for it, or stop it")
    try:
        _clear_after_the_dead(root, shard, out)
        folder = root / str(shard)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        (root / f"{shard}.lock").unlink(missing_ok=True)
        os.close(held)
        with suppress(OSError):  # another shard is at work
            root.rmdir()


def _clear_after_the_dead(root: Path, own: Shard, out: Path) -> None:
    """Remove unfinished files of runs that are gone; another cut of the work may not run."""
    shutil.rmtree(root / str(own), ignore_errors=True)
    for path in root.iterdir():
        match = LOCK.fullmatch(path.name)
        if not match or path.stem == str(own):
            continue
        held = _lock(path)
        if held is not None:
            shutil.rmtree(root / path.stem, ignore_errors=True)
            path.unlink(missing_ok=True)
            os.close(held)
        elif int(match[2]) != own.count:
            raise BusyError(f"another run converts into {out} (shard {path.stem}); wait for it, or "
                       "cut the work alike on all machines")  # fmt: skip


def _lock(path: Path) -> int | None:
    """A handle that holds the lock; None if somebody else does."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        if _is_still(handle, path):
            return handle
        os.close(handle)  # its holder removed the file in the meantime


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
