"""The contracts of docs/architecture.md that can be run before their rooms are built."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def store() -> sqlite3.Connection:
    """A database made from the schema exactly as the document gives it."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    (schema,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema)
    rows = [(f"video_1/frame_{at + 1:05d}", b"jpeg %d" % at, 340) for at in range(100_002)]
    connection.executemany("INSERT INTO Images VALUES (?, ?, ?)", rows)
    return connection


def test_the_predecessors_query_reads_the_schema(store: sqlite3.Connection):
    """Its names, its SQL, its order of columns; frames beyond 99,999 among them."""
    names = ["{}/frame_{:05d}".format("video_1", index + 1) for index in (7, 0, 99_999, 100_001)]
    sql = "SELECT Objid, frames FROM Images WHERE ObjId IN ({})".format(",".join("?" * 4))
    found = dict(store.execute(sql, names).fetchall())
    assert [found[name] for name in names] == [b"jpeg 7", b"jpeg 0", b"jpeg 99999", b"jpeg 100001"]
    assert len(store.execute("SELECT * FROM Images LIMIT 1").fetchone()) == 3


def test_its_query_uses_the_index(store: sqlite3.Connection):
    plan = store.execute("EXPLAIN QUERY PLAN SELECT frames FROM Images WHERE ObjId IN (?, ?)", "ab")
    assert "ImagesByObjId" in plan.fetchone()[-1]


def test_the_rowid_is_the_frames_number(store: sqlite3.Connection):
    row = store.execute("SELECT ObjId FROM Images WHERE rowid = 100001").fetchone()
    assert row == ("video_1/frame_100001",)
