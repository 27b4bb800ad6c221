"""The writer of frame databases: a whole one appears, or none."""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from data.schema import COUNT, DATABASE, StoreError, level_file
from data.store import FrameStore
from data.writer import StoreWriter, publish
from tests.command import ROOT
from tests.frames import Content, jpeg, noise, read_only, write_database, write_store


def attempt(path: Path, use: Callable[[StoreWriter], object]) -> None:
    with StoreWriter(path, "v") as writer:
        use(writer)


def add_frames(writer: StoreWriter, count: int = 3) -> None:
    for at in range(count):
        writer.add(jpeg(at % 50), 48, at)


def fail(writer: StoreWriter) -> None:
    add_frames(writer)
    raise ZeroDivisionError


def test_an_unfinished_writer_leaves_no_file(tmp_path: Path):
    attempt(tmp_path / "w.db", add_frames)
    assert list(tmp_path.iterdir()) == []


def test_nor_does_one_that_fails(tmp_path: Path):
    with pytest.raises(ZeroDivisionError):
        attempt(tmp_path / "w.db", fail)
    assert list(tmp_path.iterdir()) == []


def test_it_counts_what_it_was_given(tmp_path: Path):
    with StoreWriter(tmp_path / "w.db", "v") as writer:
        assert len(writer) == 0
        add_frames(writer, 7)
        assert len(writer) == 7


@pytest.mark.parametrize("pts", [5, 4, -1])
def test_times_that_do_not_ascend_are_refused(pts: int, tmp_path: Path):
    with StoreWriter(tmp_path / "w.db", "v") as writer:
        writer.add(jpeg(0), 48, 0)
        writer.add(jpeg(1), 48, 5)
        with pytest.raises(ValueError, match=rf"frame 2 is shown at {pts}, not after 5"):
            writer.add(jpeg(2), 48, pts)
        assert len(writer) == 2


def grow_no_further(writer: StoreWriter, pages: int) -> None:
    """As on a disk that has no more room."""
    (now,) = writer._connection.execute("PRAGMA page_count").fetchone()
    writer._connection.execute(f"PRAGMA max_page_count = {now + pages}")


def fill_with_frames(writer: StoreWriter) -> None:
    grow_no_further(writer, 30)
    add_frames(writer, 500)


def fill_with_sound(writer: StoreWriter) -> None:
    grow_no_further(writer, 30)
    for _ in range(99):
        writer.add_sound(noise(1))


def fill_at_the_end(writer: StoreWriter) -> None:
    for at in range(2000):
        writer.add(b"x", 48, at)
    grow_no_further(writer, 1)
    writer.finish(Content(count=2000).meta())


@pytest.mark.parametrize("fill", [fill_with_frames, fill_with_sound, fill_at_the_end])
def test_a_full_disk_is_said(fill: Callable[[StoreWriter], None], tmp_path: Path):
    message = r"cannot be written \(database or disk is full\); free some space and run it again"
    with pytest.raises(StoreError, match=message):
        attempt(tmp_path / "w.db", fill)
    assert list(tmp_path.iterdir()) == []


def spoil(writer: StoreWriter) -> None:
    add_frames(writer)
    writer._connection.execute("UPDATE Images SET frames = x'00' WHERE rowid = 2")
    writer.finish(Content(count=3).meta())


def lose_sound(writer: StoreWriter) -> None:
    add_frames(writer)
    writer.add_sound(noise(1))
    writer._connection.execute("DELETE FROM Sound")
    writer.finish(Content(count=3, seconds=1).meta())


NOT_AS_WRITTEN = {
    "a frame": (spoil, "has a damaged frame 1"),
    "sound": (lose_sound, "lacks the sound of second 0"),
}


@pytest.mark.parametrize("case", NOT_AS_WRITTEN)
def test_what_does_not_read_back_is_not_finished(case: str, tmp_path: Path, open_files):
    """The checksum is of what came in; if the disk gives something else, there is no file."""
    use, message = NOT_AS_WRITTEN[case]
    before = open_files()
    with pytest.raises(StoreError, match=message):
        attempt(tmp_path / "w.db", use)
    assert list(tmp_path.iterdir()) == []
    assert open_files() == before


# -- killed and hindered ---------------------------------------------------------------------------

WRITE_ON = """
import sys
from pathlib import Path
from data.schema import StoreError
from data.writer import StoreWriter
from tests.frames import Content, jpeg
try:
    with StoreWriter(Path(sys.argv[1]), "v") as writer:
        for at in range(int(sys.argv[2])):
            writer.add(jpeg(at % 50), 48, at)
            print(at, flush=True)
        writer.finish(Content(count=int(sys.argv[2])).meta())
except StoreError as error:
    print(error)
"""


def in_a_process(path: Path, frames: int, limit: Callable[[], None] | None = None):
    command = [sys.executable, "-c", WRITE_ON, str(path), str(frames)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, preexec_fn=limit)


def no_large_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


def test_a_file_that_may_not_grow_is_said(tmp_path: Path):
    """A limit of the system, met by a real write."""
    with in_a_process(tmp_path / "w.db", 9000, no_large_files) as process:
        out, _ = process.communicate(timeout=30)
    assert "cannot be written (disk I/O error); check the disk" in out
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_is_killed_leaves_no_store(tmp_path: Path):
    """Only its working file, which the next one of that name clears."""
    working = tmp_path / "work" / "w.db"
    working.parent.mkdir()
    with in_a_process(working, 10**9) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "300":
            time.sleep(0)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert [path.name for path in working.parent.iterdir()] == ["w.db"]
    with pytest.raises(StoreError):
        FrameStore(working)
    publish(tmp_path / "v", write_database(working, "v", Content()), {}, 10)
    with FrameStore(tmp_path / "v") as store:
        assert len(store.read(range(10))) == 10


def test_a_folder_that_may_not_be_written():
    with read_only() as folder, folder.somebody() as process:
        future = process.submit(StoreWriter, folder.path / "w.db", "v")
        with pytest.raises(StoreError, match=r"cannot be written \(unable to open database file"):
            future.result()


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(StoreError, match=r"cannot be written \(unable to open database file\)"):
        StoreWriter(tmp_path / "none" / "w.db", "v")


# -- under their names -----------------------------------------------------------------------------


def test_frames_db_comes_last(tmp_path: Path, monkeypatch):
    """Whoever finds it finds everything."""
    order: list[str] = []
    rename = Path.replace

    def note(path: Path, target: Path) -> Path:
        order.append(Path(target).name)
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", note)
    folder = write_store(tmp_path / "a" / "b" / "v", Content(levels=(16, 8)))
    assert order == [COUNT, level_file(16), level_file(8), DATABASE]
    assert sorted(path.name for path in folder.iterdir()) == sorted(order)
    assert [path.name for path in folder.parent.iterdir()] == ["v"]


def test_a_second_one_takes_the_place_of_the_first(tmp_path: Path):
    folder = write_store(tmp_path / "v", Content(count=3))
    write_store(tmp_path / "v", Content(count=5))
    assert (folder / COUNT).read_text() == "5"
    with FrameStore(folder) as store:
        assert len(store) == 5


def test_what_is_published_is_no_unfinished_database(tmp_path: Path):
    """No journal mode or lock of the writer's lives on in the file."""
    folder = write_store(tmp_path / "v")
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
