"""What the predecessor's converter really writes is read: rows in any order, no index, no facts."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from data.schema import StoreError
from data.store import FrameStore
from tests import barcode
from tests.predecessor import FRAMES, GOLDEN, convert_as_it_does, environment


def assert_reads(folder: Path) -> None:
    with FrameStore(folder) as store:
        assert len(store) == FRAMES
        assert store.size == (540, 360)  # it enlarges everything to 360 lines
        order = [5, 0, 11, 0]
        assert [barcode.read(picture) for picture in store.frames(order)] == order
        assert (store.fps, dict(store.meta), store.levels) == (None, {}, ((540, 360),))
        with pytest.raises(StoreError, match="records no times"):
            _ = store.times


def test_its_database_reads(tmp_path):
    """The golden file was written by the package itself (tests/predecessor.py)."""
    shutil.copytree(GOLDEN, tmp_path / "barcode")
    assert_reads(tmp_path / "barcode")


def test_the_golden_file_is_of_its_kind():
    connection = sqlite3.connect(f"file:{GOLDEN / 'frames.db'}?mode=ro&immutable=1", uri=True)
    ((sql,),) = connection.execute("SELECT sql FROM sqlite_schema").fetchall()
    names = [name for (name,) in connection.execute("SELECT ObjId FROM Images ORDER BY rowid")]
    connection.close()
    assert "ObjId STRING" in sql
    assert names != sorted(names)
    assert sorted(names) == [f"barcode/frame_{at + 1:05d}" for at in range(FRAMES)]


@pytest.mark.slow
def test_the_package_itself_is_read(tmp_path, monkeypatch):
    if shutil.which("ffmpeg") is None:
        pytest.skip("the package needs ffmpeg")
    assert_reads(convert_as_it_does(environment(tmp_path / "environment"), tmp_path))
