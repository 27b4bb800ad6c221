"""Read-only connections to databases: opened when needed, few at a time, never across a fork.

One pool a process. A connection is used by one thread at a time; a forked child forgets those of
its parent without touching them and opens its own.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from data.schema import APPLICATION_ID, StoreError

CAPACITY = 64  # open databases a process
FILES_EACH = 2  # the database's, and ours to ask what of it is in the page cache
JOURNALS = ("-journal", "-wal")
WHOLE_FILE = 1 << 40
HEADER = b"SQLite format 3\0"
CONVERT_AGAIN = "convert its video again, or repair the store: python -m tools.check"


class Opened:
    """One open database, and the lock of those who share it."""

    def __init__(self, path: str) -> None:
        self.lock = threading.Lock()
        immutable = is_immutable(path)
        self.connection: sqlite3.Connection | None = connect(path, immutable)
        self._is_mapped = self._was_read = False
        self._file: int | None = None
        if immutable:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._bytes = os.fstat(self._file).st_size

    def close(self) -> None:
        with self.lock:
            if self.connection is not None:
                self.connection.close()
                self.connection = None
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def prepare(self, places: Sequence[float]) -> None:
        """Read what lies about these places (0 to 1) the quicker way.

        What is in the page cache costs half as much through memory (mmap); what is not costs
        three times as much that way, since the kernel reads less far ahead. To map and unmap costs
        as much as a few small pictures: not worth it for a clip of a video that may not come again.
        """
        if self._file is None or self.connection is None or not places:
            return
        if not self._was_read:
            self._was_read = True
            return
        cached = all(_is_cached(self._file, int(place * (self._bytes - 1))) for place in places)
        if cached != self._is_mapped:
            self.connection.execute(f"PRAGMA mmap_size = {WHOLE_FILE if cached else 0}")
            self._is_mapped = cached


def _is_cached(file: int, offset: int) -> bool:
    """Whether this byte could be read without waiting for the disk. A guess: no wherever the
    system or the file system cannot tell."""
    try:
        return os.preadv(file, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    except (OSError, AttributeError):
        return False


Key = tuple[str, int, int, int]  # path, device, inode, time of change: one file, not one name


class Pool:
    """The databases that are open now; the one unused for longest makes room."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._opened: OrderedDict[Key, Opened] = OrderedDict()

    @contextmanager
    def use(self, key: Key, *places: float) -> Iterator[sqlite3.Connection]:
        """The connection to a file, for this thread alone; `places` says where it will read."""
        while True:
            opened = self._get(key)
            with opened.lock:
                if opened.connection is not None:
                    opened.prepare(places)
                    yield opened.connection
                    return

    def _get(self, key: Key) -> Opened:
        with self._lock:
            opened = self._opened.get(key)
            if opened is not None and opened.connection is not None:
                self._opened.move_to_end(key)
                return opened
            if key_of(key[0]) != key:
                raise StoreError(key[0], "was replaced while it was open", "open it again")
            opened = self._opened[key] = Opened(key[0])
            if len(self._opened) > self._capacity:
                self._opened.popitem(last=False)[1].close()
        return opened

    def close(self, key: Key) -> None:
        with self._lock:
            opened = self._opened.pop(key, None)
            if opened is not None:
                opened.close()

    def hold(self) -> None:
        """Wait until no thread is inside SQLite, and let none in."""
        self._lock.acquire()
        for opened in self._opened.values():
            opened.lock.acquire()

    def release(self) -> None:
        for opened in self._opened.values():
            opened.lock.release()
        self._lock.release()

    def __len__(self) -> int:
        return len(self._opened)


_pool = Pool()
_inherited: list[Pool] = []  # of the parent: kept so that nothing closes them


def pool() -> Pool:
    """This process's pool."""
    return _pool


def _start_anew() -> None:
    global _pool
    _inherited.append(_pool)
    _pool = Pool()


# SQLite's own locks are copied as they are: a child of a process whose other thread was inside
# SQLite would wait for that thread for ever.
os.register_at_fork(
    before=lambda: _pool.hold(),
    after_in_parent=lambda: _pool.release(),
    after_in_child=_start_anew,
)


def key_of(path: str) -> Key:
    try:
        status = os.stat(path)
    except OSError as error:
        raise StoreError(path, f"cannot be reached ({error.strerror})", "check the path") from None
    return path, status.st_dev, status.st_ino, status.st_mtime_ns


def connect(path: str, immutable: bool) -> sqlite3.Connection:
    """Open for reading. Ours are taken as they are; others with SQLite's own care.

    `immutable` skips all locking and would read past a journal that has yet to be rolled back,
    so it is for finished files of ours only.
    """
    query = "?mode=ro&immutable=1" if immutable else "?mode=ro"
    uri = "file:" + quote(os.path.abspath(path)) + query
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # it quotes what it cannot read
        connection.close()
        raise fault(path, error) from None
    return connection


def is_immutable(path: str) -> bool:
    """Whether nobody will ever write to this file: a finished one of ours."""
    return _is_ours(path) and not _has_journal(path)


def _has_journal(path: str) -> bool:
    """Whether SQLite has left the file of an unfinished write beside this one."""
    return any(os.path.exists(path + journal) for journal in JOURNALS)


def _is_ours(path: str) -> bool:
    """Whether this is a database with our mark; an error if it is no database at all."""
    try:
        with open(path, "rb") as file:
            head = file.read(100)
        length = os.path.getsize(path)
    except OSError as error:
        raise StoreError(path, f"cannot be read ({error.strerror})", "check the path") from None
    if not head:
        raise StoreError(path, "is empty (0 bytes)", CONVERT_AGAIN)
    if head[:16] != HEADER or len(head) < 100:
        raise StoreError(path, "is not an SQLite database", "name a frames.db")
    page = int.from_bytes(head[16:18], "big")
    pages = int.from_bytes(head[28:32], "big")
    mine = int.from_bytes(head[68:72], "big") == APPLICATION_ID
    if mine and length < pages * page:
        reason = f"is truncated: it has {length:,} of {pages * page:,} bytes"
        raise StoreError(path, reason, CONVERT_AGAIN)
    return mine


def fault(path: str | Path, error: Exception) -> StoreError:
    """What SQLite complains about, in our words."""
    path = str(path)
    if _has_journal(path):
        reason = f"has an unfinished write beside it ({error})"
        advice = "let its writer finish, or open it once for writing (sqlite3 FILE .tables)"
        return StoreError(path, reason, advice)
    if "no such table" in str(error):
        return StoreError(path, f"is not a frame database ({error})", "name a frames.db")
    return StoreError(path, f"is damaged ({error})", CONVERT_AGAIN)
