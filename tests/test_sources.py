"""Finding and naming what is to be converted: folders, files, stems, pictures, label rows."""

from __future__ import annotations

import csv
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
from tools.convert import UsageError, convert
from tools.sources import Candidate, find_sources, give_names, passage_name


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


# -- labels ----------------------------------------------------------------------------------------


def write_labels(
    path: Path, *rows: tuple, header: str = "label,youtube_id,time_start,time_end,split"
):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


@pytest.fixture
def videos(media, tmp_path) -> Path:
    (tmp_path / "videos" / "deep").mkdir(parents=True)
    (tmp_path / "videos" / "deep" / "abc-D_1.mp4").symlink_to(media("long_gop").path)
    (tmp_path / "videos" / "whole.mkv").symlink_to(media("variable_mkv").path)
    return tmp_path / "videos"


def test_rows_of_a_label_file_become_exact_passages(media, videos, tmp_path):
    labels = write_labels(tmp_path / "labels.csv", ("air drumming", "abc-D_1", 1, 2, "train"),
                          ("air drumming", "abc-D_1", "2.5", "3", "val"),
                          ("archery", "whole", "", "", "train"))  # fmt: skip
    summary = convert([], tmp_path / "out", labels=labels, videos=videos)
    assert (summary.converted, summary.failures) == (3, [])
    jpg = tmp_path / "out" / "jpg"
    passages = {"abc-D_1_000001_000002": (range(30, 60), 1),
                "abc-D_1_000002.500_000003": (range(75, 90), Fraction(5, 2))}  # fmt: skip
    for name, (indices, offset) in passages.items():
        with FrameStore(jpg / "air drumming" / name) as store:
            pictures = store.frames(range(len(store)))
            assert [barcode.read(picture) for picture in pictures] == list(indices)
            assert Fraction(store.meta["source_offset"]) == offset
            assert store.times[0] == 0
    assert len(FrameStore(jpg / "archery" / "whole")) == 45


def test_a_passage_keeps_its_own_sound(media, videos, tmp_path):
    labels = write_labels(tmp_path / "labels.csv", ("x", "abc-D_1", 1, 3, "train"))
    convert([], tmp_path / "out", labels=labels, videos=videos)
    with FrameStore(tmp_path / "out" / "jpg" / "x" / "abc-D_1_000001_000003") as store:
        convert(media("long_gop").path, tmp_path / "whole")
        with FrameStore(tmp_path / "whole" / "jpg" / "_" / "long_gop") as whole:
            difference = store.audio(0, 2) - whole.audio(1, 3)
            assert np.abs(difference).max() <= 1 / 32768
            assert np.abs(whole.audio(1, 3)).max() > 0.01


def test_a_file_that_is_the_passage_already_is_taken_whole(media, tmp_path):
    """Kinetics' downloaders cut and call the file after its times."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "abc_000010_000020.mp4").symlink_to(media("constant").path)
    labels = write_labels(tmp_path / "labels.csv", ("x", "abc", 10, 20, "train"))
    convert([], tmp_path / "out", labels=labels, videos=tmp_path / "videos")
    with FrameStore(tmp_path / "out" / "jpg" / "x" / "abc_000010_000020") as store:
        assert (len(store), store.meta["source_offset"]) == (45, "10")


def test_rows_without_a_video_or_with_several_are_listed(media, tmp_path):
    videos = tmp_path / "videos"
    for folder in ("a", "b"):
        (videos / folder).mkdir(parents=True)
        (videos / folder / "twice.mp4").symlink_to(media("one_frame").path)
    labels = write_labels(tmp_path / "labels.csv", ("a", "twice", "", "", ""),
                          ("c", "twice", "", "", ""), ("a", "gone", 1, 2, ""),
                          ("a", "twice", "", "", ""))  # fmt: skip
    summary = convert([], tmp_path / "out", labels=labels, videos=videos)
    assert summary.converted == 1
    assert summary.failures == [
        ("twice", "line 3: several videos have this name: a/twice.mp4, b/twice.mp4"),
        ("gone_000001_000002", "line 4: no video of this name was found"),
    ]
    assert summary.notes == ["line 5: a/twice was named before; taken once"]


def test_a_passage_behind_the_end_fails_by_name(videos, tmp_path):
    labels = write_labels(tmp_path / "labels.csv", ("x", "abc-D_1", 100, 110, ""))
    ((_, reason),) = convert([], tmp_path / "out", labels=labels, videos=videos).failures
    assert reason.startswith("line 2, abc-D_1_000100_000110: shows no picture in this passage")


def test_a_hidden_file_is_refused_by_name(media, tmp_path):
    path = tmp_path / ".v.mp4"
    path.symlink_to(media("constant").path)
    ((_, reason),) = convert(path, tmp_path / "out").failures
    assert "begins with a dot" in reason


def test_a_label_file_that_makes_no_sense_stops_everything(videos, tmp_path):
    labels = write_labels(tmp_path / "labels.csv", ("../x", "abc-D_1", 1, 2, ""))
    with pytest.raises(UsageError, match=r"labels.csv:2: column label is '../x'"):
        convert([], tmp_path / "out", labels=labels, videos=videos)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("start", "stop", "name"),
    [(10, 20, "v_000010_000020"), (None, None, "v"), ("0.5", 10, "v_000000.500_000010")],
)
def test_passages_are_called_as_the_predecessor_calls_them(start, stop, name):
    from data.labels import LabelledClip

    times = [None if time is None else Fraction(time) for time in (start, stop)]
    assert passage_name(LabelledClip("v", "x", times[0], times[1], "", 2)) == name
