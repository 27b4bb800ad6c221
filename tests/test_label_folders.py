"""Labels that are folders, or several files; and lists of our own, written and read again."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.classes import Classes
from data.label_file import LabelFile
from data.label_json import read_annotations
from data.label_tables import read_own
from data.label_writing import annotations_json, exact_text, own_csv
from data.labels import LabelError, LabelledClip, classes_of, read_labels
from tools.sources import find_sources

HEADER = "label,youtube_id,time_start,time_end,split\n"


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def found_in(path: Path | str, format: str | None = None) -> list[tuple]:
    return [(clip.video, clip.targets.get("label"), clip.split, clip.group)
            for clip in read_labels(path, format)]  # fmt: skip


# -- folders of classes ----------------------------------------------------------------------------

FOLDERS: dict[str, tuple[list[str], list[tuple]]] = {
    "classes": (["run/a.mp4", "run/b.MKV", "air drumming/a.avi", "readme.txt"],
                [("air drumming/a", "air drumming", "", ""), ("run/a", "run", "", ""),
                 ("run/b", "run", "", "")]),
    "splits": (["train/run/a.mp4", "validation/run/b.mp4", "test/jump/c.mp4"],
               [("test/jump/c", "jump", "test", ""), ("train/run/a", "run", "train", ""),
                ("validation/run/b", "run", "val", "")]),
    "a class that is called as a split": (["train/a.mp4", "bus/b.mp4"],
                                          [("bus/b", "bus", "", ""), ("train/a", "train", "", "")]),
    "pictures": (["run/a/frame_1.jpg", "run/a/frame_2.jpg", "run/b/1.png", "run/b/2.png"],
                 [("run/a", "run", "", ""), ("run/b", "run", "", "")]),
    "what the converter wrote": (["jpg/run/a/frames.db", "jpg/run/a/n_frames", "catalog.db",
                                  "jpg/_/b/frames.db"],
                                 [("_/b", None, "", ""), ("run/a", "run", "", "")]),
    "scenes": (["run/v_run_g01_c02.avi"], [("run/v_run_g01_c02", "run", "", "v_run_g01")]),
    "hidden": (["run/a.mp4", "run/.b.mp4", ".git/c.mp4"], [("run/a", "run", "", "")]),
    "one stem": (["run/a.mkv", "run/a.mp4"], [("run/a", "run", "", ""),
                                              ("run/a.mp4", "run", "", "")]),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_folders_of_classes(case: str, tmp_path: Path):
    files, wanted = FOLDERS[case]
    assert found_in(make(tmp_path, *files)) == wanted
    assert found_in(tmp_path, "folders") == wanted


@pytest.mark.parametrize("case", ["classes", "splits", "pictures", "one stem", "hidden"])
def test_videos_are_called_as_the_converter_calls_them(case: str, tmp_path: Path):
    make(tmp_path, *FOLDERS[case][0])
    sources = find_sources([tmp_path], {}).sources
    assert {clip.video for clip in read_labels(tmp_path)} == {source.name for source in sources}


BAD_FOLDERS: dict[str, tuple[list[str], str]] = {
    "nothing": ([], r"holds no videos in folders of classes, and no train.csv; name its label "
                r"files by a pattern: '.*/\*.csv'"),
    "no videos": (["run/readme.txt"], r"holds no videos"),
    "no class": (["a.mp4", "run/b.mp4"], r"/a: does not lie in a class's folder; .* <class>/<vid"),
    "too deep": (["sport/run/a.mp4", "b/c.mp4"], r"/sport/run/a: does not lie in a class's folder"),
    "too deep in a split": (["train/sport/run/a.mp4"], r"their shape is train/<class>/<video>"),
    "several lists": (["a_test_split1.txt", "a_test_split2.txt"],
                      r"holds the lists of splits 1, 2; name those of one: '.*split1.txt'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_folders_that_make_no_sense(case: str, tmp_path: Path):
    files, message = BAD_FOLDERS[case]
    with pytest.raises(LabelError, match=message):
        read_labels(make(tmp_path, *files))


# -- several files ---------------------------------------------------------------------------------


def test_a_folder_of_lists_is_read_in_the_order_of_its_splits(tmp_path: Path):
    for name, rows in (("test", "youtube_id,time_start,time_end\nz,0,9\n"),
                       ("train", HEADER + "a,x,0,9,\n"), ("val", HEADER)):  # fmt: skip
        (tmp_path / f"{name}.csv").write_text(rows)
    assert found_in(tmp_path) == [("x", "a", "train", ""), ("z", None, "test", "")]


def test_kinetics_own_lists_and_what_our_tools_leave_beside(tmp_path: Path):
    for name, row in (("test", "c,z"), ("Train", "a,x"), ("validate", "b,y"), ("unused", "a,u")):
        (tmp_path / f"{name}.csv").write_text(f"label,id\n{row}\n")
    for name in ("failed.csv", "EPIC_100_verb_classes.csv", "notes.txt"):
        (tmp_path / name).write_text("anything\n")
    wanted = [("x", "a", "train", ""), ("y", "b", "val", ""), ("z", "c", "test", "")]
    assert found_in(tmp_path) == wanted
    (tmp_path / "more.csv").write_text("label,id\na,w\n")
    with pytest.raises(
        LabelError, match=r"holds more.csv beside Train.csv, test.csv, validate.csv; mo"
    ):
        read_labels(tmp_path)


def test_a_pattern_leaves_out_what_has_no_side(tmp_path: Path):
    for name in ("train", "unused"):
        (tmp_path / f"{name}.csv").write_text(f"label,id\na,{name}\n")
    assert [one[0] for one in found_in(tmp_path / "*.csv")] == ["train"]
    assert [one[0] for one in found_in(tmp_path / "un*.csv")] == ["unused"]


def test_links_that_lead_nowhere_are_no_videos(tmp_path: Path, complaints):
    make(tmp_path, "run/a.mp4")
    (tmp_path / "run" / "b.mp4").symlink_to(tmp_path / "gone.mp4")
    (tmp_path / "run" / "c.mp4").symlink_to(tmp_path / "run" / "a.mp4")
    assert [one[0] for one in found_in(tmp_path)] == ["run/a", "run/c"]
    assert complaints.pop().endswith(f"{tmp_path}: 1 links lead to no video: run/b.mp4")


def test_a_folder_with_nothing_but_annotations(tmp_path: Path):
    (tmp_path / "annotations.json").write_text(
        '{"categories": {"a": 0}, "val": [{"video": "x", "target": 0}]}'
    )
    assert found_in(tmp_path) == [("x", "a", "val", "")]


def test_hmdb_has_a_file_for_every_class(tmp_path: Path):
    for number in (1, 2):
        (tmp_path / f"run_test_split{number}.txt").write_text(f"a.avi {number} \n")
        (tmp_path / f"jump_test_split{number}.txt").write_text("b.avi 1\n")
    wanted = [("b", "jump", "train", ""), ("a", "run", "test", "")]
    assert found_in(tmp_path / "*_test_split2.txt") == wanted
    for path in tmp_path.glob("*1.txt"):
        path.unlink()
    assert found_in(tmp_path) == wanted


def test_a_pattern_names_several_files(tmp_path: Path):
    (tmp_path / "trainlist01.txt").write_text("run/a.avi 1\n")
    (tmp_path / "testlist01.txt").write_text("run/b.avi\n")
    (tmp_path / "trainlist02.txt").write_text("run/b.avi 1\n")
    assert found_in(tmp_path / "*list01.txt") == [("run/b", "run", "test", ""),
                                                  ("run/a", "run", "train", "")]  # fmt: skip
    with pytest.raises(LabelError, match=r"trainlist02.txt:1: the same passage .*testlist01.txt:1"):
        read_labels(tmp_path / "*.txt")


def test_a_name_with_brackets_is_no_pattern(tmp_path: Path):
    (tmp_path / "a[1].csv").write_text("label,id\na,x\n")
    (tmp_path / "a1.csv").write_text("label,id\nb,y\n")
    assert found_in(tmp_path / "a[1].csv") == [("x", "a", "", "")]


# -- the dictionary that goes with labels ----------------------------------------------------------

OWN = '{"tasks": {"label": ["z", "a"]}}'
NUMBERED = '{"categories": {"c": 1, "a": 2, "b": 0}, "train": [{"video": "x", "target": 2}]}'
ONE = "label,id\na,x\n"

# files, labels, classes
DICTIONARIES: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "of the rows": ({"l.csv": ONE}, "l.csv", ("a",)),
    "beside a file": ({"train.csv": ONE, "classes.json": OWN}, "train.csv", ("z", "a")),
    "of a folder": ({"train.csv": ONE, "classes.json": OWN}, ".", ("z", "a")),
    "beside a pattern": ({"train.csv": ONE, "classes.json": OWN}, "*.csv", ("z", "a")),
    "of annotations": ({"l.json": NUMBERED}, "l.json", ("b", "c", "a")),
    "of a folder of annotations": ({"annotations.json": NUMBERED}, ".", ("b", "c", "a")),
    "beside annotations": ({"l.json": NUMBERED, "classes.json": OWN}, "l.json", ("z", "a")),
}


@pytest.mark.parametrize("case", DICTIONARIES)
def test_which_dictionary_labels_have(case: str, tmp_path: Path):
    files, labels, wanted = DICTIONARIES[case]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / labels
    assert classes_of(path, read_labels(path))["label"] == wanted


def test_annotations_of_several_tasks_number_the_action(tmp_path: Path):
    clips = [LabelledClip("x", None, None, {"verb": "take", "action": "take bag"}, "train")]
    known = Classes({"verb": ("take",), "action": ("put bag", "take bag")})
    (tmp_path / "a.json").write_text(annotations_json(clips, known))
    again = classes_of(tmp_path / "a.json", read_labels(tmp_path / "a.json"))
    assert again.tasks == {"action": ("put bag", "take bag"), "verb": ("take",)}


def test_numbers_with_a_gap_are_no_dictionary(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"categories": {"a": 0, "b": 2}}')
    with pytest.raises(LabelError, match=r"a.json:categories: no class has number 1; those of 2 "):
        classes_of(tmp_path / "a.json", [])


# -- our own lists, there and back -----------------------------------------------------------------

NAMES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"], exclude_characters="/\\"),
                min_size=1).filter(lambda name: name[0] != ".")  # fmt: skip
PARTS = st.lists(NAMES, min_size=1, max_size=3).map("/".join).filter(lambda path: path[1:2] != ":")
TIMES = st.fractions(0, 10**6)
SIDES = st.tuples(st.floats(0, 0.5, width=32), st.floats(0.625, 1, width=32))


@st.composite
def labelled(draw: st.DrawFn) -> LabelledClip:
    unit = draw(st.sampled_from(["seconds", "frames"]))
    times = st.integers(0, 10**6).map(Fraction) if unit == "frames" else TIMES
    start, length = draw(st.none() | times), draw(st.none() | times.filter(bool))
    stop = None if length is None else (start or 0) + length
    across, down = draw(SIDES), draw(SIDES)
    region = draw(st.none() | st.just((across[0], down[0], across[1], down[1])))
    targets = draw(st.dictionaries(st.sampled_from(["label", "verb", "noun"]), NAMES))
    split = draw(st.sampled_from(["train", "val", "test"]))
    group = draw(st.just("") | NAMES)
    return LabelledClip(draw(PARTS), start, stop, targets, split, group, unit, region)


@settings(max_examples=50, deadline=None)
@given(st.lists(labelled(), min_size=1, max_size=4))
def test_what_is_written_is_read_again_exactly(clips: list[LabelledClip]):
    classes = Classes.from_clips(clips)
    again = read_own(LabelFile("own.csv", own_csv(clips, classes)))
    assert [replace(clip, where="") for clip in again] == clips
    ordered = sorted(clips, key=lambda clip: ("train", "val", "test").index(clip.split))
    again = read_annotations(LabelFile("annotations.json", annotations_json(clips, classes)))
    assert [replace(clip, where="") for clip in again] == ordered


@given(st.fractions(0, 10**6))
def test_times_are_written_exactly(time: Fraction):
    assert Fraction(exact_text(time)) == time


@pytest.mark.parametrize(("time", "text"), [
    (None, ""), (0, "0"), (100, "100"), ("2.50", "2.5"), ("0.001", "0.001"), ("1001/30000",) * 2,
    ("1/8", "0.125"), ("1/3",) * 2, (10**7, "10000000"),
])  # fmt: skip
def test_times_as_people_read_them(time, text: str):
    assert exact_text(None if time is None else Fraction(time)) == text


def test_what_other_readers_of_annotations_are_given():
    """The predecessor's keys for what it knows, further ones for what it does not."""
    clips = [
        LabelledClip("x", Fraction(0), Fraction(40), {"label": "b"}, "train", unit="frames"),
        LabelledClip("y", Fraction(1), Fraction(5, 2), {"label": "a"}, "val", "P01"),
        LabelledClip("z", None, None, {}, "test", region=(0.0, 0.0, 0.5, 1.0)),
        LabelledClip("held back", None, None, {"label": "c"}, ""),
    ]
    assert json.loads(annotations_json(clips, Classes.from_clips(clips))) == {
        "categories": {"a": 0, "b": 1, "c": 2},
        "train": [{"video": "x", "segment": [0, 39], "target": 1}],
        "val": [{"video": "y", "start": "1", "stop": "2.5", "target": 0, "group": "P01"}],
        "test": [{"video": "z", "region": [0.0, 0.0, 0.5, 1.0]}],
    }  # fmt: skip


def test_of_several_tasks_annotations_count_the_action():
    targets = {"verb": "take", "noun": "bag", "action": "take bag"}
    clips = [LabelledClip("x", None, None, targets, "train")]
    written = json.loads(annotations_json(clips, Classes.from_clips(clips)))
    assert written["categories"] == {"take bag": 0}
    assert written["train"] == [{"video": "x", "target": 0, "targets": targets}]
