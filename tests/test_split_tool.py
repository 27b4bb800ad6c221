"""The command that splits: what it writes, what it keeps, what it refuses, what it draws."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data.classes import Classes
from data.labels import LabelledClip, read_labels
from tests.command import run
from tools.histogram import COLOURS, MOST, draw_histogram
from tools.split import Options, default_out, main

WRITTEN = ["annotations.json", "classes.json", "test.csv", "train.csv", "val.csv"]
CLASSES = {"air drumming": 40, "archery": 25, "abseiling": 10, "applying cream": 1}


def rows(classes: dict[str, int] = CLASSES, prefix: str = "v") -> list[str]:
    return [f"{label},{prefix}{label[:3]}{at},{at},{at + 10}"
            for label, count in classes.items() for at in range(count)]  # fmt: skip


def write(path: Path, lines: list[str], header: str = "label,youtube_id,time_start,time_end"):
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def sides(folder: Path) -> dict[str, str]:
    return {clip.video: clip.split for clip in read_labels(folder)}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write(tmp_path / "labels.csv", rows())


def test_the_command_as_people_call_it(labels: Path, tmp_path: Path):
    done = run("tools.split", labels, "--ratio", "80/10/10", "--out", tmp_path / "lists", "--stats")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].split() == ["split", "clips", "share", "videos", "classes"]
    train, val, test = (line.split() for line in done.out.splitlines()[2:5])
    assert [train[0], val[0], test[0]] == ["train", "val", "test"]
    assert sum(int(row[1]) for row in (train, val, test)) == 76
    assert train[-1] == "4"
    table = done.out.split("label  ")[1].splitlines()[2:6]
    assert [" ".join(line.split()[:-4]) for line in table] == list(CLASSES)
    assert [line.split()[-1] for line in table] == ["40", "25", "10", "1"]
    assert done.out.endswith(f"written to {tmp_path / 'lists'}\n")
    names = sorted(path.name for path in (tmp_path / "lists").iterdir())
    assert names == sorted([*WRITTEN, "classes.png"])


def test_every_clip_is_written_once_as_it_was_read(labels: Path, tmp_path: Path):
    out = tmp_path / "lists"
    assert main(Options(labels, "80/10/10", out=out)) == 0
    given = Counter(_facts(clip) for clip in read_labels(labels))
    assert Counter(_facts(clip) for clip in read_labels(out)) == given
    assert Counter(_facts(clip) for clip in read_labels(out / "annotations.json")) == given
    for split in ("train", "val", "test"):
        assert {clip.split for clip in read_labels(out / f"{split}.csv")} == {split}
    assert Classes.load(out / "classes.json")["label"] == tuple(sorted(CLASSES))
    assert sides(out / "annotations.json") == sides(out)


def _facts(clip: LabelledClip) -> tuple:
    return clip.video, clip.start, clip.stop, tuple(clip.targets.items())


def test_without_out_the_lists_lie_beside_the_labels(labels: Path, tmp_path: Path):
    assert main(Options(labels, "80/20")) == 0
    assert sorted(path.name for path in (tmp_path / "labels-split").iterdir()) == WRITTEN
    assert set(sides(tmp_path / "labels-split").values()) == {"train", "val"}


@pytest.mark.parametrize(("given", "out"), [
    ("a/k400.train.csv", "a/k400.train-split"), ("a/*list01.txt", "a/list01-split"),
    ("a/[tv]*.csv", "a/labels-split"), ("videos", "videos-split"),
])  # fmt: skip
def test_what_the_folder_is_called(given: str, out: str):
    assert default_out(Path(given)) == Path(out)


# -- again -----------------------------------------------------------------------------------------


def test_what_has_a_side_keeps_it(labels: Path, tmp_path: Path, capsys):
    """Rows appended, put in front, sorted, deleted; another ratio and seed."""
    out = tmp_path / "lists"
    assert main(Options(labels, "80/10/10", out=out)) == 0
    before = sides(out)
    changed = sorted(rows({"archery": 30, "zumba": 9}, "a") + rows()[5:], reverse=True)
    write(labels, changed)
    capsys.readouterr()
    assert main(Options(labels, "50/25/25", seed=7, out=out)) == 0
    assert f"71 videos keep the side they have in {out}; --fresh deals" in capsys.readouterr().out
    after = sides(out)
    assert len(after) == len(changed)
    assert {video: side for video, side in after.items() if video in before} == {
        video: side for video, side in before.items() if video in after
    }
    assert Classes.load(out / "classes.json")["label"] == (*sorted(CLASSES), "zumba")
    assert main(Options(labels, "50/25/25", seed=7, out=out, fresh=True)) == 0
    assert sides(out) != after
    assert "keep the side" not in capsys.readouterr().out.split("written")[1]


def test_a_failed_run_leaves_what_was_there(labels: Path, tmp_path: Path, monkeypatch, complaints):
    out = tmp_path / "lists"
    assert main(Options(labels, "80/10/10", out=out)) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write(labels, rows() + rows(prefix="w"))
    monkeypatch.setattr("os.fsync", _no_space)
    assert main(Options(labels, "80/10/10", out=out)) == 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert "cannot be written to (No space left on device); free space" in complaints.pop()


def _no_space(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_what_is_held_back_has_a_list_until_it_has_a_side(tmp_path: Path, capsys):
    """A class that comes up where only val has it."""
    labels, out = write(tmp_path / "l.csv", rows({"a": 40})), tmp_path / "lists"
    assert main(Options(labels, "50/50", out=out)) == 0
    val = next(video for video, side in sides(out).items() if side == "val")
    write(labels, [*rows({"a": 40}), f"b,{val},90,95"])
    assert main(Options(labels, "50/50", out=out)) == 0
    assert (
        "1 clips are in no list but unused.csv (training has no clip of their class, and their "
        f"video is on another side already): {val}\n" in capsys.readouterr().out
    )
    assert len(read_labels(out)) == 40
    (unused,) = read_labels(out / "unused.csv")
    assert (unused.video, unused.targets, unused.split) == (val, {"label": "b"}, "")
    write(labels, [*rows({"a": 40}), f"b,{val},90,95", "b,new,0,5"])
    assert main(Options(labels, "50/50", out=out)) == 0
    assert not (out / "unused.csv").exists()
    assert sides(out)["new"] == "train"
    assert len(read_labels(out)) == 42


# -- by group, as the labels say, some classes -----------------------------------------------------


def test_groups_stay_together_if_asked(tmp_path: Path, capsys):
    lines = [f"run/v_run_g{at // 4:02d}_c{at % 4:02d}.avi 1" for at in range(100)]
    labels = tmp_path / "all.txt"
    labels.write_text("\n".join(lines))
    assert main(Options(labels, "60/20/20", out=tmp_path / "video")) == 0
    assert "groups have clips on several sides; --by group keeps them" in capsys.readouterr().out
    assert main(Options(labels, "60/20/20", by="group", out=tmp_path / "group")) == 0
    output = capsys.readouterr().out
    assert "several sides" not in output
    assert "name no groups" not in output
    assert output.splitlines()[0].split()[3] == "groups"
    assert [line.split()[4] for line in output.splitlines()[2:5]] == ["15", "5", "5"]
    together: dict[str, str] = {}
    for clip in read_labels(tmp_path / "group"):
        assert together.setdefault(clip.group, clip.split) == clip.split
    assert len(together) == 25


def test_labels_without_groups_are_split_by_video(labels: Path, tmp_path: Path, capsys):
    assert main(Options(labels, "60/20/20", by="group", out=tmp_path / "group")) == 0
    assert "the labels name no groups, so every video is one" in capsys.readouterr().out
    assert main(Options(labels, "60/20/20", out=tmp_path / "video")) == 0
    assert sides(tmp_path / "group") == sides(tmp_path / "video")
    assert "several sides" not in capsys.readouterr().out


def test_without_a_ratio_the_labels_own_splits_stand(tmp_path: Path, capsys, complaints):
    labels = write(tmp_path / "l.csv", ["a,x,train", "b,y,validate", "a,z,"], "label,id,split")
    assert main(Options(labels, out=tmp_path / "lists")) == 0
    assert complaints.pop().endswith("1 classes that train never sees: label 'b'")
    assert sides(tmp_path / "lists") == {"x": "train", "y": "val"}
    assert (
        "1 clips are in no list but unused.csv (the labels name none): z" in capsys.readouterr().out
    )
    assert main(Options(labels, "80/20", out=tmp_path / "dealt")) == 0
    assert sides(tmp_path / "dealt")["y"] == "train"
    assert "the splits that the labels name were not kept; without" in capsys.readouterr().out


def test_sides_that_the_labels_name_are_looked_through(tmp_path: Path, complaints):
    torn = [f"a,v{at:02},0,9,train" for at in range(12)]
    torn += [f"a,v{at:02},9,18,validate" for at in range(12)]
    new = [f"c{at},w{at},0,9,test" for at in range(2)]
    labels = tmp_path / "l.csv"
    write(labels, [*torn, *new, "a,v00,18,19,"], "label,id,time_start,time_end,split")
    assert main(Options(labels, out=tmp_path / "lists")) == 0
    first, second = (line.split("l.csv: ")[1] for line in complaints)
    assert first == ("12 videos are on more than one side: "
                     + ", ".join(f"v{at:02}" for at in range(10)) + ", ...")  # fmt: skip
    assert second == "val and test have 2 classes that train never sees: label 'c0', label 'c1'"
    complaints.clear()
    write(labels, [*torn[:12], "a,w,0,9,val"], "label,id,time_start,time_end,split")
    assert main(Options(labels, out=tmp_path / "lists")) == 0


def test_the_dictionary_of_the_labels_is_kept(tmp_path: Path):
    """All of its names, also those of no clip, and their numbers."""
    (tmp_path / "annotations.json").write_text(
        '{"categories": {"z": 0, "b": 1, "a": 2}, "train": [{"video": "x", "target": 2}]}'
    )
    out = tmp_path / "lists"
    assert main(Options(tmp_path / "annotations.json", out=out)) == 0
    assert Classes.load(out / "classes.json")["label"] == ("z", "b", "a")
    assert Classes.load(out / "annotations.json")["label"] == ("z", "b", "a")
    write(tmp_path / "l.csv", ["a,x", "c,y"], "label,id")
    Classes({"label": ("c", "d", "a")}).save(tmp_path / "classes.json")
    for fresh, wanted in ((False, ("z", "b", "a", "c")), (True, ("c", "d", "a"))):
        assert main(Options(tmp_path / "l.csv", "80/20", out=out, fresh=fresh)) == 0
        assert Classes.load(out / "classes.json")["label"] == wanted


def test_a_video_of_two_groups_makes_them_one(tmp_path: Path, complaints):
    labels, out = tmp_path / "l.csv", tmp_path / "lists"
    header = "participant_id,video_id,start_timestamp,stop_timestamp,verb"
    lines = [f"P{at:02},v{at},0:01,0:02,take" for at in range(40)]
    write(labels, [*lines, "P01,v0,0:03,0:04,take"], header)
    assert main(Options(labels, "50/50", by="group", out=out)) == 0
    before = sides(out)
    assert before["v0"] == before["v1"]
    other = next(video for video, side in before.items() if side != before["v0"])
    write(labels, [*lines, f"P00,{other},0:05,0:06,take"], header)
    assert main(Options(labels, "50/50", by="group", out=out)) == 2
    assert "l.csv:42 and " in complaints[0]
    assert "a video that they share makes them one group" in complaints.pop()
    assert main(Options(labels, "50/50", by="group", out=out, fresh=True)) == 0
    assert sides(out)["v0"] == sides(out)[other]


def test_a_list_of_classes(labels: Path, tmp_path: Path, capsys):
    (tmp_path / "two.txt").write_text("archery\nabseiling\n")
    options = Options(labels, "80/10/10", out=tmp_path / "lists", class_list=tmp_path / "two.txt")
    assert main(options) == 0
    assert f"41 clips are of classes that {tmp_path}/two.txt leaves out" in capsys.readouterr().out
    assert Classes.load(tmp_path / "lists" / "classes.json")["label"] == ("abseiling", "archery")
    assert len(read_labels(tmp_path / "lists")) == 35


# -- what is refused -------------------------------------------------------------------------------


def test_lists_of_others_are_never_overwritten(labels: Path, tmp_path: Path, complaints):
    out = tmp_path / "lists"
    out.mkdir()
    foreign = write(out / "val.csv", rows({"a": 2}))
    before = foreign.read_bytes()
    for fresh in (False, True):
        assert main(Options(labels, "80/10/10", out=out, fresh=fresh)) == 2
        assert "val.csv: was not written by this command and would be" in complaints.pop()
    assert main(Options(foreign, "80/10/10", out=out)) == 2
    assert "would be overwritten by its own split; name another --out" in complaints.pop()
    assert [path.read_bytes() for path in out.iterdir()] == [before]


@pytest.mark.parametrize("name", ["annotations.json", "classes.json", "classes.png"])
def test_files_of_others_are_neither_overwritten_nor_read(
    name: str, labels: Path, tmp_path: Path, complaints
):
    out = tmp_path / "lists"
    out.mkdir()
    (out / name).write_text('{"foreign": 0}')
    for fresh in (False, True):
        assert main(Options(labels, "80/10/10", out=out, fresh=fresh, stats=True)) == 2
        assert f"{name}: was not written by this command" in complaints.pop()
    assert [path.read_text() for path in out.iterdir()] == ['{"foreign": 0}']
    (out / name).rename(tmp_path / "elsewhere")
    for _ in range(2):  # what it wrote itself, it overwrites
        assert main(Options(labels, "80/10/10", out=out, stats=True)) == 0


@pytest.mark.parametrize("name", ["train.csv", "unused.csv", "other.csv"])
def test_a_pattern_does_not_rewrite_what_it_names(name: str, tmp_path: Path, complaints):
    out = tmp_path / "lists"
    out.mkdir()
    before = write(out / name, ["x,,,seconds,,,,a"],
                   "video,start,stop,unit,split,group,region,task:label").read_bytes()  # fmt: skip
    assert main(Options(out / "*.csv", "80/20", out=out)) == 2
    (said,) = complaints
    assert f"{name} would be overwritten" in said or f"{name} lies in --out" in said
    complaints.clear()
    assert [path.read_bytes() for path in out.iterdir()] == [before]


def test_a_folder_that_was_split_another_way(tmp_path: Path, complaints):
    labels, out = tmp_path / "all.txt", tmp_path / "lists"
    labels.write_text("\n".join(f"run/v_run_g01_c{at:02d}.avi" for at in range(50)))
    assert main(Options(labels, "50/50", out=out)) == 0
    assert main(Options(labels, "50/50", by="group", out=out)) == 2
    assert "v_run_g01 is in train and in val, so it was not split by group" in complaints.pop()
    assert main(Options(labels, "50/50", by="group", out=out, fresh=True)) == 0
    assert set(sides(out).values()) == {"train"}


USELESS: dict[str, tuple[dict, str]] = {
    "a ratio": ({"ratio": "80/10"  "/10/5"}, "a ratio is train/val/test, such as 80/10/10"),
    "no ratio and no splits": ({"ratio": None}, "labels.csv: names no splits; deal some: --ratio"),
    "a seed": ({"seed": -1}, "a seed is a whole number from 0"),
    "a format": ({"label_format": "csv"}, "there is no label format 'csv'; there are:"),
    "another format": ({"label_format": "hacs"}, "missing: classname"),
    "a class list": ({"class_list": Path("nowhere.txt")}, "nowhere.txt: cannot be read"),
    "a file": ({"out": Path(__file__)}, "is a file; name a folder"),
    "no labels": ({"labels": Path("nowhere.csv")}, "nowhere.csv: cannot be read (No such file"),
}  # fmt: skip


@pytest.mark.parametrize("case", USELESS)
def test_what_cannot_be_done_is_said(case: str, labels: Path, tmp_path: Path, complaints):
    asked, message = USELESS[case]
    given = {"labels": labels, "ratio": "80/10/10", "out": tmp_path / "lists", **asked}
    assert main(Options(**given)) == 2
    assert message in complaints.pop()
    assert not (tmp_path / "lists").exists()


# -- pictures --------------------------------------------------------------------------------------

SIDES = ("train", "val", "test")


def _colours(picture: Image.Image) -> Counter[tuple[int, int, int]]:
    return Counter(map(tuple, np.asarray(picture).reshape(-1, 3).tolist()))


def test_bars_are_as_long_as_their_classes_are_large():
    few = _colours(draw_histogram("x", SIDES, {"a": (80, 10, 10)}))
    more = _colours(draw_histogram("x", SIDES, {"a": (80, 10, 10), "b": (40, 5, 5)}))
    for colour, share in zip(COLOURS, (0.8, 0.1, 0.1), strict=False):
        legend = 12 * 12
        whole = sum(few[one] - legend for one in COLOURS[:3])
        assert abs((few[colour] - legend) / whole - share) < 0.01
        assert abs((more[colour] - legend) / (few[colour] - legend) - 1.5) < 0.02


def test_a_class_of_one_clip_is_seen_beside_one_of_a_million():
    picture = draw_histogram("x", SIDES, {"a": (10**6, 0, 0), "b": (0, 0, 1)})
    assert _colours(picture)[COLOURS[2]] > 12 * 12


@pytest.mark.parametrize("count", [0, 1, 2, 51, 700, 4000])
def test_any_number_of_classes_has_a_picture_of_a_sensible_shape(count: int):
    counts = {f"class {at} with a name that is as long as some are in Kinetics": (at, 1, 1)
              for at in range(count)}  # fmt: skip
    picture = draw_histogram("labels.csv " * 30, SIDES, counts)
    assert picture.width < 6000
    assert picture.height < 4000
    if count > 50:
        assert 1 < picture.width / picture.height < 2.5


def test_the_smallest_of_too_many_classes_are_summed_up(monkeypatch):
    drawn: list[str] = []
    plain = ImageDraw.ImageDraw.text

    def text(self, place, words, *rest):
        drawn.append(words)
        plain(self, place, words, *rest)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    draw_histogram("x", SIDES, {f"c{at}": (at, 0, 0) for at in range(MOST + 3)})
    assert "and 3 classes more, with 3 clips" in drawn
    assert f"c{MOST + 2}" in drawn
    assert "c2" not in drawn


def test_several_tasks_have_a_picture_each(tmp_path: Path):
    labels = write(tmp_path / "l.csv", [f"{at}.mp4,take,bag" for at in range(9)], "uid,verb,noun")
    assert main(Options(labels, "80/10/10", out=tmp_path / "lists", stats=True)) == 0
    names = sorted(path.name for path in (tmp_path / "lists").glob("*.png"))
    assert names == ["classes-action.png", "classes-noun.png", "classes-verb.png"]
    with Image.open(tmp_path / "lists" / names[0]) as picture:
        assert picture.size[0] > 300
