"""The catalogue of a dataset: what is in it, and whether it is still true."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest

from data.catalog import CATALOG, Catalog
from data.schema import StoreError
from tests.frames import Content, read_only, whose, write_foreign, write_store

SETTINGS = json.dumps({"short_side": 256})


def write_dataset(folder: Path) -> Path:
    """Three videos of ours in two classes, one of the predecessor's, one at the top."""
    jpg = folder / "jpg"
    write_store(jpg / "diving" / "b", Content(count=7, levels=(16, 8), facts={"rate": "30/7"}))
    write_store(jpg / "diving" / "a", Content(count=3, facts={"settings": SETTINGS, "codec": "x"}))
    write_store(jpg / "archery" / "it's one" / "deep", Content(count=4, size=(96, 64)))
    write_foreign(jpg / "archery" / "z")
    write_store(jpg / "single", Content(count=2))
    settle()
    return folder


def settle() -> None:
    """Let the clock of the file system tick on: two changes within a tick look like one."""
    time.sleep(0.02)


NAMES = ["archery/it's one/deep", "archery/z", "diving/a", "diving/b", "single"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data set")


def names(catalog: Catalog) -> list[str]:
    return [entry.name for entry in catalog]


# -- what it says ----------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", ["made", "read again"])
def test_what_it_says(turn: str, dataset: Path):
    if turn == "read again":
        Catalog(dataset)
    catalog = Catalog(dataset)
    assert names(catalog) == NAMES
    assert [entry.frames for entry in catalog] == [4, 10, 3, 7, 2]
    assert len(catalog) == 5
    entry = catalog["diving/b"]
    assert (entry.size, entry.fps, entry.levels) == ((48, 32), Fraction(30, 7), "16,8")
    origin = catalog.origins["diving/b"]
    assert (origin.source_name, origin.source_hash) == ("a.mp4", "abc")
    assert json.loads(catalog.origins["diving/a"].facts) == {"settings": SETTINGS}
    assert catalog["archery/z"].fps is None
    assert catalog["archery/it's one/deep"].size == (96, 64)
    assert "diving/a" in catalog
    assert "diving/c" not in catalog
    assert 7 not in catalog


def test_a_name_that_is_not_there(dataset: Path):
    with pytest.raises(KeyError, match=r"'diving/c' is not in .*data set; it has 5 videos"):
        Catalog(dataset)["diving/c"]


def test_it_opens_its_videos(dataset: Path):
    catalog = Catalog(str(dataset))
    for entry in catalog:
        with catalog.store(entry.name) as store:
            assert len(store) == entry.frames
            assert whose(store.frames([1])) == [1]


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, Path.touch])
def test_what_is_no_dataset(make, tmp_path: Path):
    make(tmp_path / "x")
    with pytest.raises(StoreError, match="is no dataset: it has no folder jpg; name the folder th"):
        Catalog(tmp_path / "x")


def test_an_empty_dataset(tmp_path: Path):
    (tmp_path / "jpg").mkdir()
    assert len(Catalog(tmp_path)) == len(Catalog(tmp_path)) == 0


def test_hidden_folders_are_not_looked_into(dataset: Path):
    write_store(dataset / "jpg" / ".trash" / "v")
    assert names(Catalog(dataset)) == NAMES


# -- whether it is still true ----------------------------------------------------------------------


def add_video(dataset: Path) -> None:
    write_store(dataset / "jpg" / "diving" / "c")


def add_deeper(dataset: Path) -> None:
    write_store(dataset / "jpg" / "archery" / "it's one" / "c")


def add_class(dataset: Path) -> None:
    write_store(dataset / "jpg" / "yoga" / "c")


def remove_video(dataset: Path) -> None:
    shutil.rmtree(dataset / "jpg" / "diving" / "a")


def remove_class(dataset: Path) -> None:
    shutil.rmtree(dataset / "jpg" / "diving")


def rename_class(dataset: Path) -> None:
    (dataset / "jpg" / "diving").rename(dataset / "jpg" / "jumping")


CHANGES = {
    add_video: [*NAMES[:4], "diving/c", "single"],
    add_deeper: ["archery/it's one/c", *NAMES],
    add_class: [*NAMES, "yoga/c"],
    remove_video: [name for name in NAMES if name != "diving/a"],
    remove_class: [name for name in NAMES if "diving" not in name],
    rename_class: ["archery/it's one/deep", "archery/z", "jumping/a", "jumping/b", "single"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change, dataset: Path):
    assert names(Catalog(dataset)) == NAMES
    settle()
    change(dataset)
    assert names(Catalog(dataset)) == CHANGES[change]
    made = (dataset / CATALOG).stat().st_ino
    assert names(Catalog(dataset)) == CHANGES[change]
    assert (dataset / CATALOG).stat().st_ino == made, "looked at once, not again and again"


def test_what_has_not_changed_is_not_made_again(dataset: Path):
    Catalog(dataset)
    made = (dataset / CATALOG).stat().st_mtime_ns, (dataset / CATALOG).stat().st_ino
    Catalog(dataset)
    assert ((dataset / CATALOG).stat().st_mtime_ns, (dataset / CATALOG).stat().st_ino) == made


def test_a_class_that_was_filled_while_nobody_looked(tmp_path: Path):
    """A folder without videos counts too: the first one may come later."""
    (tmp_path / "jpg" / "empty").mkdir(parents=True)
    settle()
    assert len(Catalog(tmp_path)) == 0
    settle()
    write_store(tmp_path / "jpg" / "empty" / "v")
    assert names(Catalog(tmp_path)) == ["empty/v"]


def test_a_video_converted_again_is_seen_by_looking_and_by_opening_it(dataset: Path):
    """The folders above it are as they were."""
    assert Catalog(dataset)["diving/b"].frames == 7
    write_store(dataset / "jpg" / "diving" / "b", Content(count=9, conversion="again"))
    leave_as_it_was(dataset)
    stale = Catalog(dataset)
    assert stale["diving/b"].frames == 7
    with pytest.raises(StoreError, match="says that diving/b has 7 frames, it has 9; delete it"):
        stale.store("diving/b")
    seen = look(dataset)
    assert seen["diving/b"].frames == 9
    assert Catalog(dataset)["diving/b"].frames == 9
    assert names(seen) == NAMES


def leave_as_it_was(dataset: Path) -> None:
    """Our writer's working file touches the class; the converter's lies elsewhere."""
    with closing(sqlite3.connect(dataset / CATALOG)) as connection:
        rows = connection.execute("SELECT path, changed FROM Folders").fetchall()
    for folder, changed in rows:
        os.utime(dataset / "jpg" / folder, ns=(changed, changed))


def look(dataset: Path) -> Catalog:
    """As the converter does when it has finished."""
    catalog = Catalog(dataset, look=True)
    catalog.save()
    return catalog


def test_looking_alone_writes_nothing(dataset: Path):
    assert names(Catalog(dataset, look=True)) == NAMES
    assert sorted(path.name for path in dataset.iterdir()) == ["jpg"]


@pytest.mark.parametrize("how", [{}, {"look": True}], ids=["as it was", "looked at"])
def test_what_is_saved_notices_the_next_change(how, dataset: Path):
    Catalog(dataset)
    Catalog(dataset, **how).save()
    assert sorted(path.name for path in dataset.iterdir()) == [CATALOG, "jpg"]
    settle()
    add_class(dataset)
    assert names(Catalog(dataset)) == [*NAMES, "yoga/c"]


# -- damage ----------------------------------------------------------------------------------------


def other_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("UPDATE Videos SET frames = 1")  # who knows what it means there
        connection.commit()


def drop_videos(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE Videos")
        connection.commit()


SPOIL = {
    "removed": os.unlink,
    "text": lambda path: path.write_text("Dear diary" * 500),
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: os.truncate(path, 5000),
    "of another version": other_version,
    "without its table": drop_videos,
}


@pytest.mark.parametrize("case", SPOIL)
def test_a_damaged_catalogue_is_made_again(case: str, dataset: Path):
    Catalog(dataset)
    SPOIL[case](dataset / CATALOG)
    assert names(Catalog(dataset)) == NAMES
    assert [entry.frames for entry in Catalog(dataset)] == [4, 10, 3, 7, 2]


def test_a_damaged_video_is_listed_without_frames(dataset: Path):
    known = Catalog(dataset).origins["diving/a"]
    os.truncate(dataset / "jpg" / "diving" / "a" / "frames.db", 9000)
    entry = look(dataset)["diving/a"]
    assert entry.frames == 0
    origin = look(dataset).origins["diving/a"]
    assert origin.source_hash == known.source_hash, "a repair needs to know where it came from"
    assert origin.facts == known.facts
    assert names(Catalog(dataset)) == NAMES
    with pytest.raises(StoreError, match="is truncated"):
        Catalog(dataset).store("diving/a")


def test_one_that_never_was_whole_is_listed_too(dataset: Path):
    folder = dataset / "jpg" / "diving" / "0"
    folder.mkdir()
    (folder / "frames.db").write_bytes(b"")
    entry = Catalog(dataset)["diving/0"]
    assert (entry.frames, entry.size, entry.fps) == (0, (0, 0), None)


def test_a_dataset_that_may_only_be_read():
    """Made in memory then; what lies there is used if it is true."""
    with read_only() as folder:
        dataset = write_dataset(folder.path / "d")
        with folder.somebody() as process:
            assert process.submit(list_names, dataset).result() == NAMES
        assert not (dataset / CATALOG).exists()


def list_names(dataset: Path) -> list[str]:
    return names(Catalog(dataset))


def test_what_stands_in_its_way_hinders_nobody(dataset: Path):
    (dataset / CATALOG).mkdir()
    assert names(Catalog(dataset)) == NAMES
    assert sorted(path.name for path in dataset.iterdir()) == [CATALOG, "jpg"]


def test_links_are_followed_but_not_in_a_circle(dataset: Path):
    (dataset / "jpg" / "diving" / "back").symlink_to(dataset / "jpg")
    (dataset / "jpg" / "other").symlink_to(dataset / "jpg" / "diving")
    settle()
    assert names(Catalog(dataset)) == sorted([*NAMES, "other/a", "other/b"])
