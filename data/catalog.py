"""The index of a whole dataset: what is in it, without opening every database.

    catalog = Catalog("kinetics")                     # 100,000 videos in a tenth of a second
    entry = catalog["archery/x7Yz"]
    with catalog.store(entry.name) as store: ...

catalog.db is derived: it can be deleted at any time and is made again when the folders have
changed. Where it cannot be written it is made in memory.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from data.display import Size
from data.folders import walk
from data.lazy import Lazy
from data.schema import COUNT, DATABASE, LEVEL_FILE, StoreError
from data.store import FrameStore

JPG, CATALOG = "jpg", "catalog.db"
FORMAT = 2
TABLES = f"""
PRAGMA user_version = {FORMAT};
CREATE TABLE Videos (
    name   TEXT PRIMARY KEY,       -- its folder below jpg/
    frames INTEGER NOT NULL,       -- 0: the database cannot be read
    width  INTEGER NOT NULL,
    height INTEGER NOT NULL,
    rate   TEXT NOT NULL,          -- frames a second, exact; empty if unknown
    levels TEXT NOT NULL,          -- smaller short sides: '160,96'
    conversion TEXT NOT NULL       -- the beginning of Meta.conversion; empty: the predecessor's
) WITHOUT ROWID;
CREATE TABLE Origins (             -- what only a conversion needs, apart: it is three times as much
    name        TEXT PRIMARY KEY,
    source_name TEXT NOT NULL,
    source_hash TEXT NOT NULL,
    facts       TEXT NOT NULL,     -- what a repair needs to convert it again, as JSON
    stamp       TEXT NOT NULL      -- size and time of change of its databases when this was read
) WITHOUT ROWID;
CREATE TABLE Folders (             -- those that lie above the videos', and when they changed
    path    TEXT PRIMARY KEY,
    changed INTEGER NOT NULL
) WITHOUT ROWID;
"""
CONVERSION = 16  # characters that tell conversions apart
REPAIR_FACTS = ("settings", "source_range", "label_offset")


class Entry(NamedTuple):
    """One video of a dataset."""

    name: str
    frames: int
    width: int
    height: int
    rate: str
    levels: str
    conversion: str

    @property
    def size(self) -> Size:
        return self.width, self.height

    @property
    def short_sides(self) -> tuple[int, ...]:
        """Of its smaller levels."""
        return tuple(int(side) for side in self.levels.split(",") if side)

    @property
    def fps(self) -> Fraction | None:
        return Fraction(self.rate) if self.rate else None


class Origin(NamedTuple):
    """Where a video's databases come from."""

    name: str
    source_name: str = ""
    source_hash: str = ""
    facts: str = "{}"
    stamp: str = ""


class Catalog:
    """All videos of a dataset, in the order of their names.

    It is made anew if the folders changed; with `look`, if any database did.
    """

    def __init__(self, dataset: str | os.PathLike[str], look: bool = False) -> None:
        self.dataset = Path(dataset)
        self._root = self.dataset / JPG
        self._folders: dict[str, int] = {}
        if not self._root.is_dir():
            raise StoreError(self.dataset, f"is no dataset: it has no folder {JPG}",
                             "name the folder that python -m tools.convert wrote to")  # fmt: skip
        if look:
            self._scan()
        elif not self._is_fresh():
            self._scan()
            with suppress(OSError):  # a dataset that may only be read
                self.save()

    def _is_fresh(self) -> bool:
        known = _load(self.dataset / CATALOG, "SELECT path, changed FROM Folders")
        self._folders = dict(known or ())
        return known is not None and all(
            _changed(self._root, folder) == then for folder, then in known
        )

    @Lazy
    def _entries(self) -> list[Entry]:
        rows = _load(self.dataset / CATALOG, "SELECT * FROM Videos ORDER BY name")
        if rows is None:
            self._scan()
            return self._entries
        return list(map(Entry._make, rows))

    @Lazy
    def origins(self) -> dict[str, Origin]:
        """Where every video comes from, by its name."""
        return {row[0]: Origin._make(row) for row in self._load("SELECT * FROM Origins")}

    def _load(self, query: str) -> list[tuple]:
        return _load(self.dataset / CATALOG, query) or []

    @Lazy
    def _by_name(self) -> dict[str, Entry]:
        return {entry.name: entry for entry in self._entries}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(
                f"{name!r} is not in {self.dataset}; it has {len(self)} videos"
            ) from None

    def store(self, name: str) -> FrameStore:
        """Open one video, and see that it is the one the catalogue knows."""
        entry = self[name]
        store = FrameStore(self._root / entry.name)
        frames = len(store)
        if frames != entry.frames:
            store.close()
            reason = f"says that {name} has {entry.frames} frames, it has {frames}"
            raise StoreError(self.dataset / CATALOG, reason, "delete it; it is made again")
        return store

    def save(self) -> None:
        """Write catalog.db: beside, then under its name, so that it is always a whole one."""
        _save(self.dataset / CATALOG, self._entries, self.origins, self._folders)

    def _scan(self) -> None:
        """Look at all databases; one that has not changed since is taken from the old catalogue."""
        old = remembered(self.dataset)
        self._folders.clear()
        names = sorted(_videos_below(self._root, self._folders))
        with ThreadPoolExecutor(min(32, 4 * (os.cpu_count() or 1))) as pool:
            found = list(pool.map(lambda name: _look(self._root, name, old.get(name)), names))
        self._entries = [entry for entry, _ in found]
        self.origins = {origin.name: origin for _, origin in found}


class Remembered(NamedTuple):
    """What a catalogue knows of a video, whatever has become of it since."""

    entry: Entry
    origin: Origin


def remembered(dataset: str | os.PathLike[str]) -> dict[str, Remembered]:
    """The catalogue as it stands, not made anew: an audit looks for what is gone."""
    path = Path(dataset) / CATALOG
    entries = {row[0]: Entry._make(row) for row in _load(path, "SELECT * FROM Videos") or ()}
    origins = (Origin._make(row) for row in _load(path, "SELECT * FROM Origins") or ())
    return {one.name: Remembered(entries[one.name], one) for one in origins if one.name in entries}


def _videos_below(root: Path, folders: dict[str, int]) -> Iterator[str]:
    """Names of all videos' folders; `folders` gets those that lie above them."""
    for folder, below, files in walk(root):
        relative = os.path.relpath(folder, root)
        is_video = DATABASE in files or COUNT in files  # one that lost its database is remembered
        if is_video:
            yield Path(relative).as_posix()
        if below or not is_video:
            folders[relative] = _changed(root, relative)


def _changed(root: Path, folder: str) -> int:
    try:
        return os.stat(os.path.join(root, folder)).st_mtime_ns
    except OSError:
        return -1


def _look(root: Path, name: str, old: Remembered | None) -> tuple[Entry, Origin]:
    """What the databases of one video say; nothing but its stamp if they cannot be read."""
    folder = os.path.join(root, name)
    stamp = _stamp(folder)
    if old is not None and old.origin.stamp == stamp:
        return old
    try:
        with FrameStore(folder) as store:
            meta = store.meta
            facts = json.dumps({key: meta[key] for key in REPAIR_FACTS if key in meta})
            source = meta.get("source_name", ""), meta.get("source_hash", "")
            return entry_of(name, store), Origin(name, *source, facts, stamp)
    except StoreError:
        # Of a damaged one, what was known of it is kept, for python -m tools.check --repair.
        entry, origin = old or (Entry(name, 0, 0, 0, "", "", ""), Origin(name))
        return entry._replace(frames=0), origin._replace(stamp=stamp)


def entry_of(name: str, store: FrameStore) -> Entry:
    """What the catalogue keeps of a video."""
    levels = ",".join(str(min(size)) for size in store.levels[1:])
    rate = store.meta.get("rate", "")
    return Entry(name, len(store), *store.size, rate, levels, short_conversion(store))


def short_conversion(store: FrameStore) -> str:
    """Which conversion made a database, short enough to be kept of every video."""
    return store.meta.get("conversion", "")[:CONVERSION]


def _stamp(folder: str) -> str:
    """Size and time of change of every file that counts."""
    parts = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.name != DATABASE and not LEVEL_FILE.fullmatch(entry.name):
                continue
            status = entry.stat()
            parts.append(f"{entry.name} {status.st_size} {status.st_mtime_ns}")
    return ", ".join(parts)


def _load(path: Path, query: str) -> list[tuple] | None:
    """Rows of a catalogue; None if there is none that can be used."""
    if not path.exists():
        return None
    uri = "file:" + quote(os.path.abspath(path)) + "?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            return connection.execute(query).fetchall() if version == FORMAT else None
    except sqlite3.Error:
        return None


def _save(
    path: Path, entries: list[Entry], origins: dict[str, Origin], folders: dict[str, int]
) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with closing(sqlite3.connect(beside, isolation_level=None)) as connection:
            connection.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + TABLES
            )
            connection.execute("BEGIN")
            write = connection.executemany
            write("INSERT INTO Videos VALUES (?, ?, ?, ?, ?, ?, ?)", entries)
            write("INSERT INTO Origins VALUES (?, ?, ?, ?, ?)", origins.values())
            write("INSERT INTO Folders VALUES (?, ?)", folders.items())
            connection.execute("COMMIT")
        beside.replace(path)
    except sqlite3.Error as error:
        raise OSError(f"{path} cannot be written ({error})") from None
    finally:
        beside.unlink(missing_ok=True)
