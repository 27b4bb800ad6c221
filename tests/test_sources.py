"""Finding and naming what is to be converted: folders, files, stems, pictures."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.catalog import Catalog
from data.store import FrameStore
from tests import barcode, synth
from tests.command import run
from tools.convert import convert
from tools.sources import Candidate, find_sources, give_names


def named(*recorded: str, taken: dict[str, str] | None = None) -> dict[str, str]:
    """What each source is called."""
    candidates = [Candidate(f"/x/{one}", one) for one in recorded]
    return {source.recorded: source.name for source in give_names(candidates, taken or {})}


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "name"),
    [
        ("run/a.mp4", "run/a"),
        ("a.mp4", "_/a"),
        ("train/run/a.MKV", "train/run/a"),
        ("run/v1.2.final.mp4", "run/v1.2.final"),
        ("run/no_ending", "run/no_ending"),
        ("run/frames/", "run/frames"),
        ("frames/", "_/frames"),
        ("it's 50% [x]/a b.mov", "it's 50% [x]/a b"),
    ],
)
def test_a_name_is_the_path_without_the_ending(recorded, name):
    assert named(recorded) == {recorded: name}


def test_the_later_of_one_stem_keeps_its_ending():
    assert named("c/a.mkv", "c/a.mp4", "c/a/") == {
        "c/a.mkv": "c/a", "c/a.mp4": "c/a.mp4", "c/a/": "c/a.pictures",
    }  # fmt: skip
    assert named("c/a.mkv", "c/a.mkv.mp4", "c/a.mp4") == {
        "c/a.mkv": "c/a", "c/a.mkv.mp4": "c/a.mkv", "c/a.mp4": "c/a.mp4",
    }  # fmt: skip


def test_recorded_names_stay_whoever_comes_later():
    taken = {"c/a": "c/a.mp4"}
    assert named("c/a.avi", "c/a.mp4", taken=taken) == {"c/a.avi": "c/a.avi", "c/a.mp4": "c/a"}
    assert named("c/a.avi", taken=taken) == {"c/a.avi": "c/a.avi"}
    taken = {"c/a": "c/a.mp4", "c/a.mkv": "c/a.mkv"}
    assert named("c/a.mkv", taken=taken) == {"c/a.mkv": "c/a.mkv"}


def test_a_foreign_record_does_not_bend_a_name():
    """A database that was moved by hand keeps nobody from being called as it should be."""
    assert named("c/a.mp4", taken={"elsewhere": "c/a.mp4"}) == {"c/a.mp4": "c/a"}


def test_both_of_one_stem_get_in_and_stay(media, tmp_path):
    videos = tmp_path / "videos"
    (videos / "run").mkdir(parents=True)
    (videos / "run" / "a.mp4").symlink_to(media("constant").path)
    convert(videos, tmp_path / "out")
    (videos / "run" / "a.avi").symlink_to(media("mpeg4_avi").path)
    assert convert(videos, tmp_path / "out").converted == 1
    assert convert(videos, tmp_path / "out").skipped == 2
    catalog = Catalog(tmp_path / "out")
    assert {name: origin.source_name for name, origin in catalog.origins.items()} == {
        "run/a": "run/a.mp4", "run/a.avi": "run/a.avi",
    }  # fmt: skip


# -- folders ---------------------------------------------------------------------------------------


def test_a_tree_is_searched_and_the_rest_is_counted(tmp_path):
    for name in ("a.mp4", "run/b.MOV", "run/deep/er/c.WebM", "run/notes.txt", "run/.hidden.mp4",
                 ".git/d.mp4", "one.jpg", "run/poster.png"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_sources([tmp_path], {})
    assert [source.name for source in found.sources] == ["_/a", "run/b", "run/deep/er/c"]
    assert (found.ignored, found.failures) == (4, [])


def test_a_circle_of_links_is_said_and_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.mp4").touch()
    (tmp_path / "run" / "back").symlink_to(tmp_path)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "run")
    found = find_sources([tmp_path], {})
    assert [source.name for source in found.sources] == ["elsewhere/a", "run/a"]
    assert len(found.notes) == 2
    assert all("links back" in note for note in found.notes)


def test_a_link_to_itself_and_to_nowhere_fail_by_name(tmp_path):
    (tmp_path / "self.mp4").symlink_to(tmp_path / "self.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nothing")
    summary = convert(tmp_path, tmp_path.parent / "links")
    reasons = {Path(path).name: reason for path, reason in summary.failures}
    assert "does not exist" in reasons["gone.mp4"]
    assert "symbolic links" in reasons["self.mp4"]


def test_several_files_and_folders_go_into_one_dataset(media, tmp_path):
    (tmp_path / "videos" / "run").mkdir(parents=True)
    (tmp_path / "videos" / "run" / "a.mp4").symlink_to(media("constant").path)
    convert([tmp_path / "videos", media("bframes").path], tmp_path / "out")
    assert [entry.name for entry in Catalog(tmp_path / "out")] == ["_/bframes", "run/a"]


def test_two_files_of_one_name_from_two_folders_are_not_mixed_up(media, tmp_path):
    for folder, name in (("x", "constant"), ("y", "bframes")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.mp4").symlink_to(media(name).path)
    summary = convert([tmp_path / "x", tmp_path / "y"], tmp_path / "out")
    ((path, reason),) = summary.failures
    assert path == str(tmp_path / "y" / "a.mp4")
    assert "has the same name as" in reason


def test_any_file_name_gets_in_and_comes_out(media, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    names = [f"{name}.mp4".encode() for name in synth.NAMES] + [b"latin\xe9.mp4"]
    for name in names:
        os.symlink(os.fsencode(media("one_frame").path), os.fsencode(videos) + b"/" + name)
    result = run("tools.convert", videos, tmp_path / "out", "--json")
    assert result.code == 0, result.err
    catalog = Catalog(tmp_path / "out")
    stems = [*synth.NAMES, r"latin\xe9"]
    assert {entry.name for entry in catalog} == {f"_/{stem}" for stem in stems}
    for entry in catalog:
        assert len(catalog.store(entry.name).frames([0])) == 1
    assert run("tools.convert", videos, tmp_path / "out").out.startswith(
        "14 videos: 0 converted, 14"
    )


# -- pictures --------------------------------------------------------------------------------------


def draw(path: Path, index: int, size: tuple[int, int] = (96, 64), **options) -> bytes:
    grey = np.clip(barcode.draw(index, *size) * 255, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([grey] * 3, axis=2)).save(path, **options)
    return path.read_bytes()


@pytest.mark.parametrize(
    "names",
    [
        [f"frame_{number:05d}.jpg" for number in range(1, 13)],
        [f"{number}.JPG" for number in range(12)],
        [f"img{number}.jpeg" for number in range(95, 107)],
        [f"a.{number:02d}.jpg" for number in range(12)],
    ],
)
def test_jpegs_are_kept_as_they_are_in_natural_order(tmp_path, names):
    files = [draw(tmp_path / "in" / "run" / "x" / name, at) for at, name in enumerate(names)]
    convert(tmp_path / "in", tmp_path / "out")
    with FrameStore(tmp_path / "out" / "jpg" / "run" / "x") as store:
        assert store.read(range(12)) == files
        assert store.times == tuple(Fraction(at, 25) for at in range(12))
        assert store.meta["quality"] == "as found"


def test_gaps_are_listed_and_keep_their_time(tmp_path):
    for number in (3, 4, 8, 10, 11):
        draw(tmp_path / "x" / f"{number:04d}.jpg", number)
    convert(tmp_path / "x", tmp_path / "out", fps=10)
    with FrameStore(tmp_path / "out" / "jpg" / "_" / "x") as store:
        assert "5-7, 9" in store.meta["notes"]
        assert [time * 10 for time in store.times] == [0, 1, 5, 7, 8]


def test_pngs_become_jpegs_and_another_size_is_made_if_asked(tmp_path):
    for number in range(3):
        draw(tmp_path / "png" / f"{number}.png", number, (192, 128))
        draw(tmp_path / "jpg" / f"{number}.jpg", number, (192, 128))
    for kind in ("png", "jpg"):
        convert(tmp_path / kind, tmp_path / "whole")
        convert(tmp_path / kind, tmp_path / "small", short_side=64, levels=(32,))
        for folder, size in (("whole", (192, 128)), ("small", (96, 64))):
            with FrameStore(tmp_path / folder / "jpg" / "_" / kind) as store:
                pictures = store.frames(range(3))
                assert store.size == size
                assert [barcode.read(picture) for picture in pictures] == [0, 1, 2]
    with FrameStore(tmp_path / "small" / "jpg" / "_" / "png") as store:
        assert store.levels == ((96, 64), (48, 32))


def test_pictures_that_are_turned_by_a_note_are_turned_for_good(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(2):
        grey = np.clip(barcode.draw(number, 96, 64) * 255, 0, 255).astype(np.uint8)
        Image.fromarray(np.rot90(np.stack([grey] * 3, axis=2))).save(
            (tmp_path / f"{number}.jpg"), exif=exif.tobytes(), quality=95
        )
    convert(tmp_path, tmp_path.parent / "turned")
    with FrameStore(tmp_path.parent / "turned" / "jpg" / "_" / tmp_path.name) as store:
        assert store.size == (96, 64)
        assert [barcode.read(picture) for picture in store.frames([0, 1])] == [0, 1]


def test_a_picture_that_is_damaged_or_of_another_size_is_said(tmp_path):
    for number in range(4):
        draw(tmp_path / "x" / f"{number}.jpg", number, (96, 64) if number != 2 else (192, 128))
    (tmp_path / "x" / "1.jpg").write_bytes((tmp_path / "x" / "1.jpg").read_bytes()[:900])
    summary = convert(tmp_path / "x", tmp_path / "out")
    ((name, what),) = summary.damaged
    assert (name, "1.jpg" in what) == ("_/x", True)
    with FrameStore(tmp_path / "out" / "jpg" / "_" / "x") as store:
        assert [barcode.read(picture) for picture in store.frames(range(3))] == [0, 2, 3]
        assert "1 of other sizes" in store.meta["notes"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a_1.jpg", "a_2.jpg", "b_1.jpg"], "several series of pictures: 'a_' (2), 'b_' (1)"),
        (["a_1.jpg", "a_01.jpg", "a_2.jpg"], "holds number 1 twice"),
    ],
)
def test_pictures_nobody_can_put_in_order_fail_by_name(tmp_path, names, reason):
    for name in names:
        draw(tmp_path / "x" / name, 1)
    ((_, found),) = convert(tmp_path / "x", tmp_path / "out").failures
    assert reason in found


def test_opencv_reads_what_is_kept(tmp_path):
    """The predecessor's reader decodes with OpenCV: kept bytes must be what it knows."""
    draw(tmp_path / "x" / "1.jpg", 1, progressive=True)
    draw(tmp_path / "x" / "2.jpg", 2)
    convert(tmp_path / "x", tmp_path / "out")
    with FrameStore(tmp_path / "out" / "jpg" / "_" / "x") as store:
        for index, data in enumerate(store.read([0, 1]), 1):
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert barcode.read(np.asarray(picture)) == index


def test_a_hidden_file_is_refused_by_name(media, tmp_path):
    path = tmp_path / ".v.mp4"
    path.symlink_to(media("constant").path)
    ((_, reason),) = convert(path, tmp_path / "out").failures
    assert "begins with a dot" in reason
