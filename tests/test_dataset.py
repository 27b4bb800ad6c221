"""A store and its labels: what there is to train on, and what has no counterpart."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.catalog import JPG, Catalog
from data.classes import Classes
from data.dataset import open_clips, within
from data.labelled import LabelError
from data.matching import Pair
from data.schema import StoreError
from data.table import UNKNOWN, Bounds, clip_table, whole_videos
from tests.clips import Video, labelled, write_dataset
from tests.frames import Content, write_foreign

HEADER = "label,id,time_start,time_end,split\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = [
        Video("run/a", Content(40, levels=(16,))),
        Video("jump/b", Content(25)),
        Video("sit/c", Content(1)),
    ]
    return write_dataset(tmp_path_factory.mktemp("dataset"), videos)


def csv(folder: Path, rows: str) -> Path:
    path = folder / "list.csv"
    path.write_text(HEADER + rows, "utf-8")
    return path


ROWS = "run,a,0,1,train\njump,b,,,train\nrun,lost,,,train\nsit,gone,,,val\nsit,b2,,,test\n"


def test_what_is_left_over_on_either_side_is_counted_and_listed(root: Path, tmp_path: Path):
    path = csv(tmp_path, ROWS)
    found = open_clips(root, path, "train")
    assert found.summary() == (
        "2 clips, classes: 3 of label; 1 labels without media, 1 videos without label"
    )
    lost, without = found.leftovers()
    assert lost.startswith(f"{path}:4: lost: no video of the store is called")
    assert without == "sit/c: no label is about this video"
    assert len(open_clips(root, path).without_media) == 3


def test_all_splits_share_their_classes(root: Path, tmp_path: Path):
    path = csv(tmp_path, "run,a,,,train\njump,b,,,val\nsit,c,,,val\n")
    splits = [open_clips(root, path, split) for split in ("train", "val")]
    assert splits[0].classes == splits[1].classes
    assert [one.table.targets["label"].tolist() for one in splits] == [[1], [0, 2]]


def test_a_dictionary_beside_the_labels_goes_before_the_rows(root: Path, tmp_path: Path):
    (tmp_path / "train.csv").write_text("label,id\nrun,a\njump,b\n")
    Classes({"label": ("walk", "run", "jump")}).save(tmp_path / "classes.json")
    found = open_clips(root, tmp_path)
    assert found.classes["label"] == ("walk", "run", "jump")
    assert found.table.targets["label"].tolist() == [1, 2]


def test_lists_of_one_folder_share_its_dictionary(root: Path, tmp_path: Path):
    (tmp_path / "train.csv").write_text("label,id\nrun,a\njump,b\n")
    (tmp_path / "val.csv").write_text("label,id\nsit,c\n")
    Classes({"label": ("walk", "sit", "run", "jump")}).save(tmp_path / "classes.json")
    for name, numbers in (("train.csv", [2, 3]), ("val.csv", [1]), ("v*.csv", [1])):
        table = open_clips(root, tmp_path / name).table
        assert table.targets["label"].tolist() == numbers


def test_annotations_number_their_classes_themselves(root: Path, tmp_path: Path):
    path = tmp_path / "annotations.json"
    path.write_text('{"categories": {"run": 2, "walk": 0, "jump": 1}, "train": [{"video": "a", '
                    '"target": 2}], "val": [{"video": "b", "target": 1}]}')  # fmt: skip
    for split, numbers in (("train", [2]), ("val", [1])):
        found = open_clips(root, path, split)
        assert found.classes["label"] == ("walk", "jump", "run")
        assert found.table.targets["label"].tolist() == numbers


def test_a_task_that_the_dictionary_lacks(root: Path, tmp_path: Path):
    (tmp_path / "l.csv").write_text("uid,verb,noun\na.mp4,run,track\n")
    given = Classes({"verb": ("run",), "noun": ("track",)})
    with pytest.raises(LabelError, match="dictionary: has no task 'action', only verb, noun"):
        open_clips(root, tmp_path / "l.csv", classes=given)


def test_a_class_that_the_dictionary_lacks(root: Path, tmp_path: Path):
    given = Classes({"label": ("run", "sit")})
    with pytest.raises(LabelError, match="label has no class 'jump'"):
        open_clips(root, csv(tmp_path, "run,a,,,\njump,b,,,\n"), classes=given)


NOTHING = {
    "nobody's split": ("run,a,,,train\n", "val", "has no clip of split val; its 1 rows have train"),
    "no media": ("run,x,,,val\n", "val", "none of 1 clips of split val is among the 3 videos, "),
    "an unknown split": (
        "run,a,,,\n",
        "dev",
        "there is no split 'dev'; there are train, val, test",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_not_one_clip(root: Path, tmp_path: Path, case: str):
    rows, split, message = NOTHING[case]
    with pytest.raises(LabelError, match=message):
        open_clips(root, csv(tmp_path, rows), split)


def test_a_store_without_any_database(tmp_path: Path):
    (tmp_path / JPG / "run").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"holds no videos.*convert some: python -m tools.convert"):
        open_clips(tmp_path, csv(tmp_path, "run,a,,,\n"))


# -- the table -------------------------------------------------------------------------------------


def test_a_row_of_the_table(root: Path, tmp_path: Path):
    table = open_clips(root, csv(tmp_path, "run,a,1/3,2/3,\njump,b,,,\n")).table
    assert table.bound(0) == Bounds(Fraction(1, 3), Fraction(2, 3), "seconds")
    assert table.bound(1) == Bounds()
    assert (table.frames(0), table.size(0)) == (40, (48, 32))
    assert table.level_sizes(0) == [(16, (24, 16))]
    assert table.level_sizes(1) == []
    assert table.folder(0) == str(root / JPG / "run/a")
    assert table.dataset == str(root)
    assert table.region(0) is None
    assert table.where[0].endswith("list.csv:2")


def test_regions_and_tasks(root: Path):
    clips = [labelled("run/a", region=(0.1, 0.2, 0.3, 0.4), targets={"verb": "run", "noun": "x"}),
             labelled("jump/b", targets={"verb": "jump"})]  # fmt: skip
    pairs = [Pair(clip, name, False) for clip, name in zip(clips, ("run/a", "jump/b"), strict=True)]
    table = clip_table(Catalog(root), pairs, Classes.from_clips(clips))
    assert table.region(0) == (0.1, 0.2, 0.3, 0.4)
    assert {task: list(numbers) for task, numbers in table.targets.items()} == {
        "verb": [1, 0], "noun": [0, UNKNOWN]
    }  # fmt: skip


BEYOND = {
    # what a video of 40 frames at 30 a second says of a passage
    "the last frame": ("39/30,2", None),
    "its end": ("4/3,2", r"list.csv:2: begins at 1.33333 seconds, but run/a ends at 1.33333"),
    "far beyond": ("100,110", r"list.csv:2: begins at 100 seconds, but run/a ends at 1.3"),
    "ends later": ("1,100", None),
}


@pytest.mark.parametrize("case", BEYOND)
def test_a_label_beyond_its_videos_end(root: Path, tmp_path: Path, case: str):
    times, message = BEYOND[case]
    path = csv(tmp_path, f"run,a,{times},\n")
    if message is None:
        assert len(open_clips(root, path).table) == 1
        return
    with pytest.raises(LabelError, match=message):
        open_clips(root, path)


LATE = {
    # rows, the ends of those that end too late
    "in time": ("run,a,0,4/3,\nrun,a,1,2.3,\n", []),
    "a second and more": ("run,a,0,2.4,\njump,b,0,1,\nrun,a,1,9,\n", ["2.4", "9"]),
    "from the beginning": ("run,a,,,\n", []),
}


@pytest.mark.parametrize("case", LATE)
def test_labels_that_end_after_their_video_are_counted_and_listed(root, tmp_path, case: str):
    rows, ends = LATE[case]
    found = open_clips(root, csv(tmp_path, rows))
    assert len(found.table) == rows.count("\n"), "they are kept"
    assert (f", {len(ends)} end after their videos" in found.summary()) is bool(ends)
    said = [line.split(": ", 1)[1] for line in found.leftovers() if "list.csv" in line]
    assert said == [f"ends at {end} seconds, but run/a at 1.33333" for end in ends]


@pytest.mark.parametrize(("stop", "late"), [(70, False), (71, True)])
def test_frames_that_end_after_their_video(root: Path, tmp_path: Path, stop: int, late: bool):
    path = tmp_path / "l.csv"
    path.write_text("video,start,stop,unit,split,group,region,task:label\n"
                    f"run/a,0,{stop},frames,,,,run\n")  # fmt: skip
    said = open_clips(root, path).late
    assert said == [f"{path}:2: ends at {stop} frames, but run/a at 40"] * late


def test_a_passage_that_was_cut_out_may_be_shorter(tmp_path: Path):
    """Because its source ended: the times of its label are those of the source."""
    videos = [Video("run/a_000010_000011", Content(30)), Video("run/b_000010_000020", Content(30))]
    root = write_dataset(tmp_path, videos)
    found = open_clips(root, csv(tmp_path, "run,a,10,11,\nrun,b,10,20,\n"))
    assert [line.split(": ", 1)[1] for line in found.late] == [
        "ends at 10 seconds, but run/b_000010_000020 at 1"
    ]


def test_frames_beyond_the_end(root: Path):
    clip = labelled("run/a", start=Fraction(40), stop=Fraction(44), unit="frames")
    with pytest.raises(LabelError, match="begins at 40 frames, but run/a ends at 40"):
        within(Catalog(root), [Pair(clip, "run/a", False)])


def test_an_empty_rest_is_left_out_and_listed(root: Path, tmp_path: Path):
    """What comes after the last interval of a video that it fills to its end."""
    path = tmp_path / "data.csv"
    path.write_text('run/a.mp4 "[0, 0, 1, 1]" "(0.5, 1.4)"\n')
    found = open_clips(root, path)
    assert [found.table.bound(clip)[:2] for clip in range(2)] == [
        (Fraction(0), Fraction(1, 2)), (Fraction(1, 2), Fraction(7, 5))
    ]  # fmt: skip
    assert found.summary().endswith(", 1 empty rests")
    assert found.leftovers()[-1].endswith("begins at 1.4 seconds, but run/a ends at 1.33333")


def test_times_that_no_clock_has(root: Path, tmp_path: Path):
    with pytest.raises(LabelError, match=r"list.csv:2: its times have more digits than a clock"):
        open_clips(root, csv(tmp_path, "run,a,0.1234567890123456789123,1,\n"))


def test_many_such_labels_are_listed_at_once(root: Path, tmp_path: Path):
    path = csv(tmp_path, "".join(f"run,a,{second},{second + 1},\n" for second in range(10, 25)))
    with pytest.raises(LabelError, match=r"(?s)list.csv:2: .*list.csv:11: .*and 5 more$"):
        open_clips(root, path)


def test_the_length_of_a_varying_rate_is_looked_up(tmp_path: Path):
    """Sixty frames at once and one a minute later: the average says nothing of the end."""
    pts = [*range(60), 1800]
    root = write_dataset(tmp_path, [Video("run/a", Content(61, pts=pts, facts={"rate": "30"}))])
    found = open_clips(root, csv(tmp_path, "run,a,50,61,\n"))
    assert (len(found.table), found.late) == (1, [])


def test_times_of_a_video_that_records_none(tmp_path: Path):
    write_foreign(tmp_path / JPG / "run" / "a")
    with pytest.raises(LabelError, match=r"list.csv:2: gives times, but run/a records none"):
        open_clips(tmp_path, csv(tmp_path, "run,a,1,2,\n"))
    assert len(open_clips(tmp_path, csv(tmp_path, "run,a,,,\n")).table) == 1


def test_a_video_that_was_mended_is_looked_at_again(tmp_path: Path):
    root = write_dataset(tmp_path / "data", [Video("run/a", Content(9))])
    file = root / JPG / "run" / "a" / "frames.db"
    whole = file.read_bytes()
    file.write_bytes(b"nothing")
    assert Catalog(root)["run/a"].frames == 0
    file.write_bytes(whole)
    assert open_clips(root, csv(tmp_path, "run,a,,,\n")).table.sizes.tolist() == [[9, 48, 32]]


def test_videos_without_labels(root: Path):
    table = whole_videos(root / JPG, ["sit/c", "run/a"])
    assert table.sizes.tolist() == [[1, 48, 32], [40, 48, 32]]
    assert [table.level_sizes(clip) for clip in (0, 1)] == [[], [(16, (24, 16))]]
    assert not table.targets
    assert np.isnan(table.regions).all()
