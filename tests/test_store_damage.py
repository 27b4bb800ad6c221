"""Databases that are damaged, and writers that are stopped: said by name, never passed over."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from data.schema import CHECK, DATABASE, StoreError, facts_crc32
from data.store import FrameStore
from data.writer import publish
from tests.frames import (
    Content,
    everything,
    jpeg,
    read_only,
    whose,
    write_database,
    write_foreign,
    write_store,
)

REPAIR = r"python -m tools\.check"
Maker = Callable[[Path], object]


def edit(path: Path, *statements: str) -> None:
    """Change a database behind our back."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def cut(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


def claim(path: Path, **facts: str) -> None:
    """Other facts, with a checksum that fits them."""
    with closing(sqlite3.connect(path)) as connection:
        meta = dict(connection.execute("SELECT key, value FROM Meta")) | facts
        meta[CHECK] = str(facts_crc32(meta))
        connection.executemany("REPLACE INTO Meta VALUES (?, ?)", meta.items())
        connection.commit()


# -- what cannot be opened -------------------------------------------------------------------------

REFUSED: dict[str, tuple[Maker, str]] = {
    "no such file": (os.unlink, r"cannot be reached \(No such file or directory\); check the path"),
    "empty": (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\); convert its video again"),
    "text": (lambda path: path.write_text("Dear diary" * 99), "is not an SQLite database; name a"),
    "a short file": (lambda path: path.write_bytes(b"SQLite format 3\0"), "is not an SQLite data"),
    "a JPEG": (lambda path: path.write_bytes(jpeg(1)), "is not an SQLite database"),
    "cut in the middle": (lambda path: cut(path, 0.5), r"is truncated: it has [\d,]+ of [\d,]+ by"),
    "one byte short": (
        lambda path: os.truncate(path, path.stat().st_size - 1), "is truncated: it has"
    ),
    "cut in its first page": (lambda path: os.truncate(path, 200), "is truncated: it has 200 of"),
    "another database": (
        lambda path: edit(path, "DROP TABLE Images", "DROP TABLE Meta"),
        "is not a frame database: it has no table Images",
    ),
    "a newer format": (lambda path: claim(path, format="2"), "is of format 2, this reads up to 1; use a newer Reelgrid"),  # noqa: E501
    "changed facts": (
        lambda path: edit(path, "UPDATE Meta SET value = '9' WHERE key = 'frames'"),
        rf"has damaged facts \(table Meta\); .*{REPAIR}",
    ),
    "a schema that is no text": (
        lambda path: path.write_bytes(path.read_bytes().replace(b"TABLE Meta", b"TABL\xc5 Meta")),
        r"is damaged \(",
    ),
    "lost facts": (lambda path: edit(path, "DELETE FROM Meta"), r"has damaged facts"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_opened_is_refused_by_name(case: str, tmp_path: Path, open_files):
    make, message = REFUSED[case]
    path = write_store(tmp_path / "v") / DATABASE
    before = open_files()
    make(path)
    with pytest.raises(StoreError, match=message) as caught:
        FrameStore(path)
    assert repr(str(path)) in str(caught.value)
    assert open_files() == before


FOREIGN: dict[str, tuple[Maker, str]] = {
    "no table": (
        lambda path: edit(path, "DROP TABLE Images"), "is not a frame database: it has no table Im"
    ),
    "cut in the middle": (lambda path: cut(path, 0.5), "is damaged"),
    "no rows": (lambda path: edit(path, "DELETE FROM Images"), "holds no frames: its conversion"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOREIGN)
def test_so_is_one_of_the_predecessors(case: str, tmp_path: Path):
    make, message = FOREIGN[case]
    path = write_foreign(tmp_path / "v") / DATABASE
    make(path)
    with pytest.raises(StoreError, match=message):
        everything_foreign(path)


def everything_foreign(path: Path) -> list[bytes]:
    with FrameStore(path) as store:
        return store.read(range(len(store)))


# -- what is damaged within ------------------------------------------------------------------------

SHORT = f"x'{jpeg(2)[:-40].hex()}'"
DAMAGED: dict[str, tuple[str, str]] = {
    "cut short": (
        f"UPDATE Images SET frames = {SHORT} WHERE rowid = 3",
        "has a damaged frame 2: its bytes do not match their checksum",
    ),
    "missing": ("DELETE FROM Images WHERE rowid = 3", "lacks frame 2, though it should have 10"),
    "without its facts": ("DELETE FROM Frames WHERE number = 3", "lacks frame 2"),
    "text": ("UPDATE Images SET frames = 'abc' WHERE rowid = 3", "has a damaged frame 2"),
    "a number": ("UPDATE Images SET frames = 7 WHERE rowid = 3", "has a damaged frame 2"),
    "another's": (
        "UPDATE Images SET frames = (SELECT frames FROM Images WHERE rowid = 5) WHERE rowid = 3",
        "has a damaged frame 2",
    ),
}


@pytest.mark.parametrize("way", ["read", "frames"])
@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_frame_is_named_and_the_others_are_read(case: str, way: str, tmp_path: Path):
    statement, message = DAMAGED[case]
    folder = write_store(tmp_path / "v")
    edit(folder / DATABASE, statement)
    with FrameStore(folder) as store:
        assert whose(store.frames([9, 1, 3])) == [9, 1, 3]
        with pytest.raises(StoreError, match=rf"{message}.*; .*{REPAIR}"):
            getattr(store, way)([9, 2, 1])


def test_a_frame_that_was_written_damaged_is_named(tmp_path: Path):
    """Its checksum is right; it is no picture."""
    database = tmp_path / "w.db"
    write_database(database, "v", Content(), lambda at: jpeg(at) if at != 4 else jpeg(at)[:-40])
    publish(tmp_path / "v", database, {}, 10)
    with FrameStore(tmp_path / "v") as store:
        assert len(store.read(range(10))) == 10
        with pytest.raises(StoreError, match=r"has a frame 4 that is not a whole JPEG picture"):
            store.frames(range(10))


TIMES = {
    "changed": "UPDATE Frames SET pts = 77 WHERE number = 3",
    "exchanged": "UPDATE Frames SET pts = 5 - pts WHERE number IN (3, 4)",
    "missing": "DELETE FROM Frames WHERE number = 10",
    "none": "DELETE FROM Frames",
    "text": "UPDATE Frames SET pts = 'soon' WHERE number = 3",
    "too large": "UPDATE Frames SET pts = 1e30 WHERE number = 3",
    "another frame's": "UPDATE Frames SET number = 30 WHERE number = 10",
}


@pytest.mark.parametrize("case", TIMES)
def test_damaged_times_are_noticed(case: str, tmp_path: Path):
    folder = write_store(tmp_path / "v")
    edit(folder / DATABASE, TIMES[case])
    with FrameStore(folder) as store, pytest.raises(StoreError, match="has a damaged table of tim"):
        _ = store.times


SOUND = {
    "changed": ("UPDATE Sound SET samples = zeroblob(32000) WHERE second = 1", "has damaged sound"),
    "text": ("UPDATE Sound SET samples = 'abcd' WHERE second = 1", "has damaged sound in second 1"),
    "missing": ("DELETE FROM Sound WHERE second = 1", "lacks the sound of second 1, though it sho"),
    "the last one missing": ("DELETE FROM Sound WHERE second = 2", "lacks the sound of second 2"),
    "moved": ("UPDATE Sound SET second = 9 WHERE second = 1", "lacks the sound of second 1"),
}


@pytest.mark.parametrize("case", SOUND)
def test_lost_sound_is_not_taken_for_silence(case: str, tmp_path: Path):
    statement, message = SOUND[case]
    folder = write_store(tmp_path / "v", Content(seconds=3))
    edit(folder / DATABASE, statement)
    with FrameStore(folder) as store:
        assert store.audio(0, 0.5).any()
        with pytest.raises(StoreError, match=message):
            store.audio(0.5, 3)


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path: Path):
    """Random places, half of them where SQLite keeps its own accounts: the pages' heads."""
    path = write_store(tmp_path / "v", Content(count=12, seconds=2)) / DATABASE
    whole, truth = path.read_bytes(), everything(path)
    chance = random.Random(3)
    noticed = 0
    for _ in range(2500):
        page = chance.randrange(len(whole) // 8192) * 8192
        at = page + chance.randrange(100) if chance.random() < 0.5 else chance.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[at] ^= 1 << chance.randrange(8)
        path.unlink()  # a new file, as for every reader that comes later
        path.write_bytes(damaged)
        try:
            assert everything(path) == truth, f"byte {at} of {len(whole)}"
        except StoreError:
            noticed += 1
    assert noticed > 500


# -- journals --------------------------------------------------------------------------------------


def with_hot_journal(path: Path) -> None:
    """As its writer left it when it was killed: half of it written, the old pages in a journal."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE Images SET frames = zeroblob(length(frames))")
        journal = Path(f"{path}-journal")
        copies = path.read_bytes(), journal.read_bytes()
        connection.execute("ROLLBACK")
    path.write_bytes(copies[0])
    journal.write_bytes(copies[1])


@pytest.mark.parametrize("write", [write_store, write_foreign], ids=["ours", "the predecessor's"])
def test_a_hot_journal_is_not_read_past(write, tmp_path: Path):
    folder = write(tmp_path / "v")
    before = everything_foreign(folder)
    with_hot_journal(folder / DATABASE)
    with pytest.raises(StoreError, match=r"has an unfinished write beside it .*let its writer fin"):
        FrameStore(folder)
    edit(folder / DATABASE, "SELECT * FROM Images")  # the advice: SQLite rolls it back
    assert everything_foreign(folder) == before


@pytest.mark.parametrize("write", [write_store, write_foreign], ids=["ours", "the predecessor's"])
def test_an_empty_journal_hinders_nobody(write, tmp_path: Path):
    folder = write(tmp_path / "v")
    (folder / f"{DATABASE}-journal").touch()
    assert len(everything_foreign(folder)) == 10


def test_one_being_written_is_read_as_it_was_or_refused(tmp_path: Path):
    folder = write_foreign(tmp_path / "v")
    before = everything_foreign(folder)
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE Images SET frames = zeroblob(9)")
        assert everything_foreign(folder) == before
        writer.execute("ROLLBACK")


# -- folders that may only be read -----------------------------------------------------------------


def test_a_folder_that_may_only_be_read():
    """Ours need no lock and no journal; a predecessor's opens too."""
    with read_only() as folder:
        ours = write_store(folder.path / "v", Content(levels=(16,), seconds=1))
        other = write_foreign(folder.path / "w")
        expected = everything(ours), everything_foreign(other)
        with folder.somebody() as process:
            assert process.submit(everything, ours).result() == expected[0]
            assert process.submit(everything_foreign, other).result() == expected[1]
