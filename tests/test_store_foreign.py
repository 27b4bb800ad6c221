"""The predecessor and we: its databases read in ours, its reader reads ours, one schema."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.schema import StoreError
from data.store import FrameStore
from tests import barcode
from tests.command import ROOT
from tests.frames import (
    GLOB_ORDER,
    SIZE,
    Content,
    jpeg,
    speck,
    whose,
    write_database,
    write_foreign,
    write_store,
)

# -- its databases ---------------------------------------------------------------------------------


def test_the_predecessors_database(tmp_path: Path):
    """No index, type STRING, no facts, rows as its glob found them."""
    with FrameStore(write_foreign(tmp_path / "abseiling_1")) as store:
        assert len(store) == len(GLOB_ORDER)
        assert store.size == SIZE
        assert store.levels == (SIZE,)
        assert store.meta == {}
        assert store.fps is None
        wanted = [3, 0, 9, 3, 7]
        assert store.read(wanted) == [jpeg(index) for index in wanted]
        assert whose(store.frames(wanted, short_side=8)) == wanted


@pytest.mark.parametrize("use", ["times", "pts", "time_base"])
def test_it_records_no_times(use: str, tmp_path: Path):
    with FrameStore(write_foreign(tmp_path / "v")) as store:
        with pytest.raises(StoreError, match="records no times: it is of the predecessor's kind"):
            getattr(store, use)
        with pytest.raises(StoreError, match="holds no sound"):
            store.audio(0, 1)


def numbered(pattern: str, numbers) -> list[tuple[object, object]]:
    return [(pattern.format(number), jpeg(number - 1)) for number in numbers]


ODD = {
    "text": ("CREATE TABLE Images(ObjId TEXT, frames BLOB, size INT)", "v/frame_{:05d}"),
    "a primary key": (
        "CREATE TABLE Images(ObjId TEXT PRIMARY KEY, frames BLOB, size INT)", "v/frame_{:05d}"
    ),
    "bare numbers": ("CREATE TABLE Images(ObjId STRING, frames BLOB, size INT)", "{:05d}"),
    "whole paths": (
        "CREATE TABLE Images(ObjId STRING, frames BLOB, size INT)", "a 9/b_8/frame_{:05d}"
    ),
    "no padding": ("CREATE TABLE Images(ObjId STRING, frames BLOB, size INT)", "v/frame_{}"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_its_relatives(case: str, tmp_path: Path):
    table, pattern = ODD[case]
    rows = numbered(pattern, (4, 11, 1, 3, 2, 10, 5, 9, 7, 6, 8))
    with FrameStore(write_foreign(tmp_path / "v", rows, table)) as store:
        assert whose(store.frames(range(11))) == list(range(11))


def test_more_than_99_999_frames(tmp_path: Path):
    """As text frame_100000 comes before frame_99999; as a number it does not."""
    order = np.random.default_rng(2).permutation(100_002)
    rows = ((f"v/frame_{index + 1:05d}", speck(index)) for index in map(int, order))
    wanted = [100_001, 99_998, 99_999, 100_000, 0, 9_999, 10_000]
    with FrameStore(write_foreign(tmp_path / "v", rows)) as store:
        assert len(store) == 100_002
        assert store.read(wanted) == [speck(index) for index in wanted]
        assert len(store.read(range(99_000, 100_002))) == 1002


def test_a_frame_that_is_there_twice_is_read_as_it_came_first(tmp_path: Path):
    rows = [*numbered("v/frame_{:05d}", (1, 2, 3)), ("v/frame_00002", jpeg(40))]
    with FrameStore(write_foreign(tmp_path / "v", rows)) as store:
        assert whose(store.frames([0, 1, 2])) == [0, 1, 2]


def name(number: int) -> str:
    return f"v/frame_{number:05d}"


FAULTS: dict[str, tuple[list[tuple[object, object]], str]] = {
    "no rows": ([], "holds no frames: its conversion failed; convert its video again"),
    "names without numbers": ([("cover", jpeg(0))], "holds no frames"),
    "a first frame that is none": ([(name(1), b"text")], "has a frame 0 that is not a JPEG"),
    "a first frame that is null": ([(name(1), None)], "has a frame 0 that is not a JPEG picture"),
    "a first frame that is text": ([(name(1), "abc")], "has a frame 0 that is not a JPEG picture"),
    "a later one that begins": ([(name(3), b"text")], "has a frame 2 that is not a JPEG picture"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_cannot_be_opened(case: str, tmp_path: Path):
    rows, message = FAULTS[case]
    with pytest.raises(StoreError, match=message):
        FrameStore(write_foreign(tmp_path / "v", rows))


BAD_FRAME = {
    "missing": (None, "lacks frame 2, though it should have 5; convert its video again"),
    "null": ((name(3), None), "lacks frame 2"),
    "text": ((name(3), "\xff\xd8"), "lacks frame 2"),
    "cut short": ((name(3), jpeg(2)[:-40]), "has a frame 2 that is not a whole JPEG picture"),
    "another size": ((name(3), jpeg(2, (96, 64))), "has a frame 2 that is 96x64, not 48x32"),
    "garbage": ((name(3), bytes(900)), "has a frame 2 that is not a JPEG picture|whole JPEG"),
}


@pytest.mark.parametrize("case", BAD_FRAME)
def test_a_bad_frame_is_named(case: str, tmp_path: Path):
    row, message = BAD_FRAME[case]
    rows = numbered("v/frame_{:05d}", (5, 1, 2, 4)) + ([row] if row else [])
    with FrameStore(write_foreign(tmp_path / "v", rows)) as store:
        assert len(store) == 5
        assert whose(store.frames([4, 0, 3])) == [4, 0, 3]
        with pytest.raises(StoreError, match=message):
            store.frames([0, 2, 3])


# -- its reader reads ours -------------------------------------------------------------------------


def as_the_predecessor_reads(database: Path, frame_indices) -> np.ndarray:
    """The steps of its README, line by line; np.fromstring no longer reads bytes."""
    my_path = str(database.parent)
    con = sqlite3.connect(str(database))
    cur = con.cursor()
    frame_names = [
        "{}/{}".format(my_path.split("/")[-1], "frame_%05d" % (index + 1))  # noqa: UP031
        for index in frame_indices
    ]
    sql = "SELECT Objid, frames FROM Images WHERE ObjId IN ({seq})".format(
        seq=",".join(["?"] * len(frame_names))
    )
    row = cur.execute(sql, frame_names).fetchall()
    ids, frames = [], []
    for obj_id, item in row:
        nparr = np.frombuffer(item, np.uint8)
        img = cv2.imdecode(nparr, cv2.IMREAD_COLOR)
        ids.append(obj_id)
        frames.append(img)
    frames = [frame for _, frame in sorted(zip(ids, frames, strict=True), key=lambda p: p[0])]
    con.close()
    return np.asarray(frames)


@pytest.mark.parametrize("write", [write_store, write_foreign], ids=["ours", "its own"])
def test_its_reader(write, tmp_path: Path):
    folder = write(tmp_path / "x7Yz_000010_000020")
    frames = as_the_predecessor_reads(folder / "frames.db", [0, 2, 4, 6, 8])
    assert frames.shape == (5, SIZE[1], SIZE[0], 3)
    assert [barcode.read(frame) for frame in frames] == [0, 2, 4, 6, 8]


def test_its_reader_leaves_nothing_beside_ours(tmp_path: Path):
    folder = write_store(tmp_path / "v", Content(levels=(16,)))
    as_the_predecessor_reads(folder / "frames.db", [1])
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["frames-16.db", "frames.db", "n_frames"]


def test_its_count_of_frames(tmp_path: Path):
    """It reads the text as it stands, and takes it for the number."""
    folder = write_store(tmp_path / "v", Content(count=7))
    assert int((folder / "n_frames").read_bytes()) == 7
    assert (folder / "n_frames").read_bytes() == b"7"


# -- one schema ------------------------------------------------------------------------------------

PRAGMAS = ("page_size", "application_id", "user_version", "auto_vacuum", "encoding", "journal_mode")


def plain(sql: str) -> str:
    """Without comments and spaces that say nothing."""
    sql = re.sub(r"--[^\n]*", " ", sql)
    return re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", sql)).strip()


def described(database: Path) -> tuple[dict[str, str], dict[str, object]]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        tables = {name: plain(sql) for name, sql in rows}
        values = {one: connection.execute(f"PRAGMA {one}").fetchone()[0] for one in PRAGMAS}
    return tables, values


def test_the_document_holds_the_schema_that_is_written(tmp_path: Path):
    text = (ROOT / "docs" / "architecture.md").read_text()
    (schema,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    with closing(sqlite3.connect(tmp_path / "document.db")) as connection:
        connection.executescript(schema)
    written = write_database(tmp_path / "ours.db", "v", Content(seconds=1))
    assert described(tmp_path / "document.db") == described(written)


def test_rowids_names_and_widths(tmp_path: Path):
    """The rowid is the frame's number, the name is the predecessor's, the size is the width."""
    written = write_database(tmp_path / "ours.db", "it's a video", Content(count=3, size=(96, 64)))
    with closing(sqlite3.connect(written)) as connection:
        rows = connection.execute("SELECT rowid, ObjId, size FROM Images").fetchall()
        assert rows == [(at, f"it's a video/frame_0000{at}", 96) for at in (1, 2, 3)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        plan = connection.execute("EXPLAIN QUERY PLAN SELECT frames FROM Images WHERE ObjId = 'x'")
        assert "ImagesByObjId" in plan.fetchone()[-1]


def test_checksums_are_zlibs(tmp_path: Path):
    """Whatever computes them: other programs can check them too."""
    import zlib

    written = write_database(tmp_path / "ours.db", "v", Content(seconds=2))
    with closing(sqlite3.connect(written)) as connection:
        frames = connection.execute(
            "SELECT frames, crc32 FROM Images JOIN Frames ON number = Images.rowid"
        ).fetchall()
        sound = connection.execute("SELECT samples, crc32 FROM Sound").fetchall()
    assert len(frames) == 10
    assert len(sound) == 2
    assert all(zlib.crc32(data) == checksum for data, checksum in frames + sound)
