"""The audit: every kind of damage is found with file and frame, and mended from the sources."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from data.store import FrameStore
from tests.command import run
from tools.check import check
from tools.convert import convert


@pytest.fixture(scope="module")
def made(media, tmp_path_factory) -> Path:
    """Two videos with a level and sound, and their sources."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "videos" / "run").mkdir(parents=True)
    for name in ("constant", "bframes"):
        shutil.copy(media(name).path, folder / "videos" / "run" / f"{name}.mp4")
    convert(folder / "videos", folder / "out", levels=(32,))
    return folder


@pytest.fixture
def dataset(made, tmp_path) -> Path:
    shutil.copytree(made / "out", tmp_path / "out")
    return tmp_path / "out"


def change(path: Path, *statements: tuple[str, tuple]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for sql, values in statements:
        connection.execute(sql, values)
    connection.close()


def with_sql(name: str, sql: str, *values: object):
    return lambda folder: change(folder / name, (sql, values))


def flip(folder: Path, name: str, where: float) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 0x10
    path.write_bytes(data)


def from_other(folder: Path) -> None:
    """A level of a video that was converted otherwise."""
    source = folder.parent / "bframes" / "frames-32.db"
    shutil.copy(source, folder / "frames-32.db")


JPEG = b"\xff\xd8\xff\xd9"
DAMAGE = {
    "a frame is gone": (
        with_sql("frames.db", "DELETE FROM Images WHERE rowid = 8"), "frames.db", 7, "is missing"),
    "a frame's bytes changed": (
        with_sql("frames.db", "UPDATE Images SET frames = ? WHERE rowid = 8", JPEG),
        "frames.db", 7, "does not match its checksum"),
    "a name is wrong": (
        with_sql("frames.db", "UPDATE Images SET ObjId = 'x' WHERE rowid = 8"),
        "frames.db", 7, "is called 'x'"),
    "times changed": (
        with_sql("frames.db", "UPDATE Frames SET pts = 1 WHERE number = 8"),
        "frames.db", None, "damaged table of times"),
    "facts changed": (
        with_sql("frames.db", "UPDATE Meta SET value = '7' WHERE key = 'frames'"),
        "frames.db", None, "damaged facts"),
    "the sound changed": (
        with_sql("frames.db", "UPDATE Sound SET samples = x'00' WHERE second = 0"),
        "frames.db", None, "damaged sound in second 0"),
    "the index is gone": (
        with_sql("frames.db", "DROP INDEX ImagesByObjId"),
        "frames.db", None, "missing is: CREATE UNIQUE INDEX"),
    "it is truncated": (
        lambda folder: (folder / "frames.db").write_bytes(
            (folder / "frames.db").read_bytes()[:50000]), "frames.db", None, "is truncated"),
    "it is no database": (
        lambda folder: (folder / "frames.db").write_text("x" * 500),
        "frames.db", None, "is not an SQLite database"),
    "it is gone": (
        lambda folder: (folder / "frames.db").unlink(), "frames.db", None, "is missing"),
    "a byte of a picture flipped": (
        lambda folder: flip(folder, "frames.db", 0.5), "frames.db", ..., ""),
    "n_frames is wrong": (
        lambda folder: (folder / "n_frames").write_text("7"), "n_frames", None, "says '7'"),
    "n_frames is gone": (
        lambda folder: (folder / "n_frames").unlink(), "n_frames", None, "is missing"),
    "a frame of a level changed": (
        with_sql("frames-32.db", "UPDATE Images SET frames = ? WHERE rowid = 1", JPEG),
        "frames-32.db", 0, "does not match its checksum"),
    "a level is gone": (
        lambda folder: (folder / "frames-32.db").unlink(), "frames-32.db", None, "is gone"),
    "a level of another video": (
        from_other, "frames-32.db", None, "left over from another conversion"),
}  # fmt: skip


def test_a_whole_dataset_is_called_whole(dataset):
    result = run("tools.check", dataset)
    assert (result.code, result.out.strip()) == (0, "2 videos, 180 pictures read: all whole")


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_with_file_and_frame_and_mended(dataset, made, name):
    damage, file, frame, words = DAMAGE[name]
    folder = dataset / "jpg" / "run" / "constant"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    damage(dataset / "jpg" / "run" / "constant")
    faults = [fault for report in check(dataset, jobs=1) for fault in report.faults]
    assert faults, "nobody noticed"
    path = str(dataset / "jpg" / "run" / "constant" / file)
    found = [fault for fault in faults if fault.file == path]
    assert any(frame in (fault.frame, ...) and words in fault.what for fault in found)
    result = run("tools.check", dataset, "--repair", "--videos", made / "videos", "--jobs", "1")
    assert result.code == 0, result.err
    assert "all whole" in result.out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_table_names_file_frame_and_fault(dataset):
    DAMAGE["a frame is gone"][0](dataset / "jpg" / "run" / "constant")
    result = run("tools.check", dataset)
    assert result.code == 1
    head, _, row, more, *_, last = result.out.splitlines()
    assert head.split() == ["file", "frame", "what", "is", "wrong"]
    assert row.split()[:2] == ["jpg/run/constant/frames.db", "holds"]
    assert more.split()[:2] == ["jpg/run/constant/frames.db", "7"]
    assert last == "2 videos, 180 pictures read: 1 of them damaged"


def test_json_is_for_machines(dataset):
    DAMAGE["n_frames is wrong"][0](dataset / "jpg" / "run" / "constant")
    facts = json.loads(run("tools.check", dataset, "--json").out)
    assert (facts["videos"], facts["frames"]) == (2, 180)
    assert facts["faults"][0]["what"] == "says '7', the frames are 45"


def test_a_repair_without_its_source_says_so(dataset, tmp_path):
    DAMAGE["it is gone"][0](dataset / "jpg" / "run" / "constant")
    (tmp_path / "empty").mkdir()
    result = run("tools.check", dataset, "--repair", "--videos", tmp_path / "empty")
    assert result.code == 1
    assert "is not below" in result.err


def test_a_repair_keeps_passage_rate_and_settings(media, tmp_path):
    (tmp_path / "videos").mkdir()
    shutil.copy(media("long_gop").path, tmp_path / "videos" / "v.mp4")
    labels = tmp_path / "labels.csv"
    labels.write_text("label,id,time_start,time_end,split\nx,v,1,2,train\n")
    convert([], tmp_path / "out", labels=labels, videos=tmp_path / "videos", fps=10, quality=70,
            short_side=48)  # fmt: skip
    path = tmp_path / "out" / "jpg" / "x" / "v_000001_000002" / "frames.db"
    before = path.read_bytes()
    path.write_bytes(before[:30000])
    result = run("tools.check", tmp_path / "out", "--repair", "--videos", tmp_path / "videos")
    assert result.code == 0, result.err
    assert path.read_bytes() == before
    with FrameStore(path) as store:
        assert (len(store), store.fps, store.size) == (10, 10, (72, 48))


def test_a_video_that_is_gone_is_noticed_and_made_again(dataset, made):
    folder = dataset / "jpg" / "run" / "constant"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    result = run("tools.check", dataset)
    assert (result.code, "is gone, though the catalogue knows it" in result.out) == (1, True)
    assert run("tools.check", dataset, "--repair", "--videos", made / "videos").code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_repair_never_guesses(media, tmp_path):
    """Neither another video of the same stem nor other settings."""
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    for name in ("a.mkv", "a.mp4"):
        variant = "variable_mkv" if name == "a.mkv" else "constant"
        shutil.copy(media(variant).path, videos / name)
    convert(videos / "a.mp4", out, quality=40)
    convert(videos / "a.mkv", out, quality=90)
    path = out / "jpg" / "_" / "a" / "frames.db"
    before = path.read_bytes()
    path.unlink()
    assert run("tools.check", out, "--repair", "--videos", videos).code == 0
    assert path.read_bytes() == before
    path.unlink()
    (out / "catalog.db").unlink()
    result = run("tools.check", out, "--repair", "--videos", videos)
    assert result.code == 1
    assert "nobody knows from what and how it was made" in result.err


def test_a_repair_of_what_is_whole_writes_nothing(dataset, made):
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}
    assert run("tools.check", dataset, "--repair", "--videos", made / "videos").code == 0
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*")} == before


def test_the_predecessors_files_are_audited_too(tmp_path, made):
    folder = tmp_path / "out" / "jpg" / "run" / "v"
    folder.mkdir(parents=True)
    with FrameStore(made / "out" / "jpg" / "run" / "constant") as store:
        frames = store.read(range(5))
    change(folder / "frames.db",
           ("CREATE TABLE Images(ObjId STRING, frames BLOB, size INT)", ()),
           *(("INSERT INTO Images VALUES (?, ?, 96)", (f"v/frame_{at + 1:05d}", frames[at]))
             for at in (4, 0, 2, 1, 3)))  # fmt: skip
    (folder / "n_frames").write_text("5")
    assert check(tmp_path / "out", jobs=1)[0].faults == ()
    change(folder / "frames.db",
           ("UPDATE Images SET frames = ? WHERE ObjId = 'v/frame_00002'", (frames[1][:500],)),
           ("DELETE FROM Images WHERE ObjId = 'v/frame_00004'", ()))  # fmt: skip
    faults = check(tmp_path / "out", jobs=1)[0].faults
    assert [(fault.frame, fault.what.split(" (")[0]) for fault in faults] == [
        (1, "is not a whole JPEG picture"), (3, "is missing"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "is no dataset"),
        (["empty", "--repair"], "--repair and --videos go together"),
        (["empty", "--videos", "x"], "--repair and --videos go together"),
        (["empty"], "is no dataset"),
    ],
)
def test_what_cannot_be_checked_is_said(tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    result = run("tools.check", *arguments, folder=tmp_path)
    assert result.code == 2
    assert message in result.err
