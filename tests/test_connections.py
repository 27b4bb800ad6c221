"""How a database is read: through memory where it is in memory already, from the disk otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.connections import pool
from data.store import FrameStore
from tests.frames import Content, write_foreign, write_store


def mapped(store: FrameStore) -> bool:
    """Whether SQLite reads this store's file through memory now."""
    ((size,),) = store._main.execute("PRAGMA mmap_size")
    return size > 0


def forget(path: Path) -> None:
    """Out of the page cache."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def can_tell(path: Path) -> bool:
    """Whether the system says what is in the page cache."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(handle, [bytearray(1)], 0, os.RWF_NOWAIT) == 1
    except (OSError, AttributeError):
        return False
    finally:
        os.close(handle)


def test_what_is_in_memory_is_read_through_memory_and_what_is_not_is_not(tmp_path: Path):
    folder = tmp_path / "v"
    write_store(folder, Content(count=400, size=(96, 64)))
    if not can_tell(folder / "frames.db"):
        pytest.skip("this file system does not say what is in the page cache")
    forget(folder / "frames.db")
    with FrameStore(folder) as store:
        from_disk = store.read(range(200, 216))
        assert not mapped(store)
        assert store.read(range(200, 216)) == from_disk
        assert mapped(store)


def test_the_predecessors_files_are_never_read_through_memory(tmp_path: Path):
    write_foreign(tmp_path / "v")
    with FrameStore(tmp_path / "v") as store:
        store.read([0, 1])
        assert not mapped(store)


def test_nothing_stays_open(tmp_path: Path, open_files):
    before, opened = open_files(), len(pool())
    for name in "abc":
        write_store(tmp_path / name, Content(count=3))
        with FrameStore(tmp_path / name) as store:
            store.read([0])
    assert (open_files(), len(pool())) == (before, opened)
