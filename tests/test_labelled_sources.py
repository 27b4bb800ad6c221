"""The rows of label files as sources: found by name, cut exactly, or whole where they must be."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.labels import read_labels
from data.names import passage_name
from data.store import FrameStore
from tests import barcode
from tools.convert import UsageError, convert
from tools.sources import find_labelled


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
                          ("c", "twice", 0, 1, ""), ("a", "gone", 1, 2, ""))  # fmt: skip
    summary = convert([], tmp_path / "out", labels=labels, videos=videos)
    assert summary.converted == 1
    assert summary.failures == [
        ("twice_000000_000001",
         f"{labels}:3: several videos have this name: a/twice.mp4, b/twice.mp4"),
        ("gone_000001_000002", f"{labels}:4: no video of this name was found"),
    ]  # fmt: skip


def test_a_passage_behind_the_end_fails_by_name(videos, tmp_path):
    labels = write_labels(tmp_path / "labels.csv", ("x", "abc-D_1", 100, 110, ""))
    ((_, reason),) = convert([], tmp_path / "out", labels=labels, videos=videos).failures
    assert reason.startswith(f"{labels}:2, abc-D_1_000100_000110: shows no picture in this passage")


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
    times = [None if time is None else Fraction(time) for time in (start, stop)]
    assert passage_name("v", *times) == name


WHOLE = {
    "intervals with gaps between": ('abc-D_1.mp4 "[0,0,1,1]" "(1,2)"\n', "labels.csv", "_/abc-D_1"),
    "frames": ('[{"vid_name": "abc-D_1", "label": 3, "start_frame": 5, "end_frame": 9}]',
               "labels.json", "3/abc-D_1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE)
def test_what_cannot_be_cut_by_seconds_stays_whole_and_is_there_once(videos, tmp_path, case):
    text, name, called = WHOLE[case]
    (tmp_path / name).write_text(text)
    found = find_labelled(read_labels(tmp_path / name), videos)
    assert [(one.name, one.start, one.stop) for one in found.sources] == [(called, None, None)]
    assert not found.failures


def test_paths_tell_videos_of_one_name_apart(media, tmp_path):
    videos = tmp_path / "videos"
    for folder in ("run", "jump"):
        (videos / folder).mkdir(parents=True)
        (videos / folder / "1.mp4").symlink_to(media("one_frame").path)
    (videos / "top.mp4").symlink_to(media("one_frame").path)
    rows = ("run/1.avi 1", "jump/1.avi 2", "elsewhere/top.avi 3", "hop/1.avi 4")
    (tmp_path / "trainlist01.txt").write_text("\n".join(rows))
    found = find_labelled(read_labels(tmp_path / "trainlist01.txt"), videos)
    assert {one.name: one.recorded for one in found.sources} == {
        "run/1": "run/1.mp4", "jump/1": "jump/1.mp4", "elsewhere/top": "top.mp4",
    }  # fmt: skip
    ((name, reason),) = found.failures
    assert (name, reason.split(":", 1)[1]) == ("1", "4: no video of this name was found")


# what is looked for beside run,1, files, what it is made of
BY_CLASS: dict[str, tuple[str, list[str], str | None]] = {
    "another class's": ("jump,3,,,", ["run/3.mp4"], None),
    "its own": ("jump,3,,,", ["jump/3.mp4", "run/3.mp4"], "jump/3.mp4"),
    "its own, spelt otherwise": ("Jump up,3,,,", ["jump_up/3.mp4"], "jump_up/3.mp4"),
    "at the top": ("jump,3,,,", ["3.mp4"], "3.mp4"),
    "with times": ("jump,3,0,1,", ["run/3.mp4"], "run/3.mp4"),
    "by its path": ("jump,run/3,,,", ["run/3.mp4"], "run/3.mp4"),
}


@pytest.mark.parametrize("case", BY_CLASS)
def test_a_video_is_not_made_of_another_classes(case: str, tmp_path):
    row, files, wanted = BY_CLASS[case]
    for name in ("run/1.mp4", *files):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).touch()
    (tmp_path / "l.csv").write_text(
        f"label,youtube_id,time_start,time_end,split\nrun,1,,,\n{row}\n"
    )
    found = find_labelled(read_labels(tmp_path / "l.csv"), tmp_path / "videos")
    assert [one.recorded for one in found.sources] == ["run/1.mp4", *filter(None, [wanted])]
    reason = "only run/3.mp4 has this name, and does not lie in the folder of its class"
    assert [why.split(": ")[1] for _, why in found.failures] == [reason] * (wanted is None)


def test_folders_that_are_no_classes_say_nothing(tmp_path):
    (tmp_path / "videos" / "2019").mkdir(parents=True)
    (tmp_path / "videos" / "2019" / "1.mp4").touch()
    labels = write_labels(tmp_path / "l.csv", ("run", "1", "", "", ""))
    assert len(find_labelled(read_labels(labels), tmp_path / "videos").sources) == 1


def test_two_files_that_would_have_one_name_are_said(media, tmp_path):
    videos = tmp_path / "videos"
    for folder in ("a", "b"):
        (videos / folder).mkdir(parents=True)
        (videos / folder / "v.mp4").symlink_to(media("one_frame").path)
    labels = write_labels(tmp_path / "l.csv", ("x", "a/v", "", "", ""), ("x", "b/v", "", "", ""))
    found = find_labelled(read_labels(labels), videos)
    assert [one.recorded for one in found.sources] == ["a/v.mp4"]
    ((_, reason),) = found.failures
    assert "l.csv:3: would be x/v, which is" in reason


def test_a_dialect_can_be_named(videos, tmp_path):
    labels = write_labels(tmp_path / "labels.csv", ("x", "abc-D_1", 1, 2, "train"))
    with pytest.raises(UsageError, match="missing: classname"):
        convert([], tmp_path / "out", labels=labels, videos=videos, label_format="hacs")
