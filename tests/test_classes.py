"""The class dictionary: its order, its files, and what an unknown class hears."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from data.classes import Classes, class_order, main_task, read_class_list, restrict
from data.labels import LabelError, LabelledClip


def clips(*labels: str, task: str = "label") -> list[LabelledClip]:
    return [LabelledClip(str(at), None, None, {task: label} if label else {})
            for at, label in enumerate(labels)]  # fmt: skip


ORDERS = {
    "text": ["abseiling", "air drumming", "archery"],
    "numbers by their value": ["0", "1", "2", "10", "11"],
    "numbers within": ["clip 2", "clip 10", "clip 10 b"],
    "large letters as small": ["HandstandPushups", "JumpingJack", "JumpRope", "YoYo"],
    "large and small of one name": ["A", "a", "B"],
    "other alphabets": ["a", "ä", "跳水"],
    "digits that are no number": ["x 2", "x 10", "x ¹"],
    "signs": ["negative", "positive"],
}


@pytest.mark.parametrize("case", ORDERS)
def test_classes_stand_in_the_order_of_their_names(case: str):
    wanted = ORDERS[case]
    for mixed in (wanted, wanted[::-1], wanted[1:] + wanted[:1]):
        assert sorted(mixed, key=class_order) == wanted
        assert Classes.from_clips(clips(*mixed, *mixed))["label"] == tuple(wanted)


def test_a_class_has_the_number_of_its_place():
    classes = Classes.from_clips(clips("b", "a", "", "c"))
    assert [classes.index("label", name) for name in "abc"] == [0, 1, 2]


def test_what_comes_later_changes_no_number():
    before = Classes.from_clips(clips("b", "d"))
    after = before.extended(clips("a", "d", "c")).extended(clips("x", task="verb"))
    assert after.tasks == {"label": ("b", "d", "a", "c"), "verb": ("x",)}


def test_an_unknown_class_hears_the_nearest_and_where_to_look(tmp_path: Path):
    Classes.from_clips(clips("abseiling", "archery", "arching back")).save(tmp_path / "c.json")
    classes = Classes.load(tmp_path / "c.json")
    with pytest.raises(LabelError, match=r"c.json: label has no class 'archry'; of its 3 the near"
                       r"est are 'archery'; correct the label, or"):  # fmt: skip
        classes.index("label", "archry")
    with pytest.raises(LabelError, match=r"nearest are 'abseiling', 'archery', 'arching back'"):
        classes.index("label", "zzz")
    with pytest.raises(LabelError, match=r"c.json: has no task 'verb', only label"):
        classes.index("verb", "take")
    with pytest.raises(LabelError, match=r"the class dictionary: has no task 'label', only none"):
        Classes({})["label"]


def test_one_file_for_all_splits_there_and_back(tmp_path: Path):
    classes = Classes.from_clips([*clips("b", "跳水"), *clips("take", task="verb")])
    classes.save(tmp_path / "classes.json")
    assert Classes.load(tmp_path / "classes.json").tasks == classes.tasks
    assert [path.name for path in tmp_path.iterdir()] == ["classes.json"]
    assert pickle.loads(pickle.dumps(classes)).index("label", "跳水") == 1


FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ours": ('{"tasks": {"label": ["b", "a"]}}', ("b", "a")),
    "the predecessor's": ('{"b": 0, "tasks": 2, "a": 1}', ("b", "a", "tasks")),
    "annotations": ('{"categories": {"b": 1, "a": 0}, "train": []}', ("a", "b")),
    "a list": ("b\n\n a c\n", ("b", "a c")),
    "UCF-101's": ("2 Archery\n1 YoYo\n", ("YoYo", "Archery")),
    "Moments in Time's": ("clapping,1\nair guitar,0\n", ("air guitar", "clapping")),
    "a comma that is no number": ("a, b\nc, d\n", ("a, b", "c, d")),
    "numbers with gaps are names": ("100 metres\n200 metres\n", ("100 metres", "200 metres")),
    "numbers from elsewhere are names": ("5 rings\n6 pack\n", ("5 rings", "6 pack")),
    "names with numbers": ("1\n2 steps\n", ("1", "2 steps")),
    "windows": ("\ufeffa\r\nb\r\n", ("a", "b")),
}


@pytest.mark.parametrize("case", FILES)
def test_dictionaries_of_others(case: str, tmp_path: Path):
    text, names = FILES[case]
    (tmp_path / "c").write_bytes(text.encode())
    assert Classes.load(tmp_path / "c")["label"] == names
    assert read_class_list(tmp_path / "c") == names


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"\n", r"/c: is empty; a class list names at least one class"),
    "no UTF-8": (b"\xff\xfe", r"/c: is not UTF-8"),
    "no JSON": (b'{"a":\n 0,', r"/c:2: is no JSON"),
    "a gap": (b'{"a": 0, "b": 2}', r'/c: expected \{"class": number\} with the numbers from 0'),
    "a number twice": (b'{"a": 0, "b": 0}', r"each once"),
    "words for numbers": (b'{"a": "first"}', r"each once"),
    "categories that are a list": (b'{"categories": ["a"]}', r"each once"),
    "a class twice": (b'{"tasks": {"verb": ["b", "a", "b"]}}', r"/c: verb has class 'b' twice"),
    "a line twice": (b"a\nb\na\n", r"/c: label has class 'a' twice; delete one"),
    "no list": (b'{"tasks": {"verb": "b"}}', r"/c: the classes of verb are no list of names"),
    "no tasks": (b'{"tasks": {}}', r"/c: names no classes"),
}


@pytest.mark.parametrize("case", BAD)
def test_dictionaries_that_make_no_sense(case: str, tmp_path: Path):
    (tmp_path / "c").write_bytes(BAD[case][0])
    with pytest.raises(LabelError, match=BAD[case][1]):
        read_class_list(tmp_path / "c")


def test_a_dictionary_that_is_not_there(tmp_path: Path):
    with pytest.raises(LabelError, match=r"cannot be read \(No such file or directory\)"):
        Classes.load(tmp_path / "c.json")


def test_a_list_of_classes_leaves_the_others_out():
    kept, others = restrict(clips("a", "b", "", "a", "c"), ["c", "a"])
    assert [clip.video for clip in kept] == ["0", "3", "4"]
    assert [clip.video for clip in others] == ["1", "2"]
    with pytest.raises(LabelError, match=r"has 2 classes without a clip: x, y; correct the list"):
        restrict(clips("a"), ["a", "y", "x"])


@pytest.mark.parametrize(("tasks", "main"), [
    ([], "label"), (["verb", "noun"], "noun"), (["verb", "action"], "action"),
    (["action", "label"], "label"),
])  # fmt: skip
def test_which_task_stands_for_a_clip(tasks: list[str], main: str):
    assert main_task([LabelledClip("x", None, None, dict.fromkeys(tasks, "a"))]) == main


def test_our_file_is_plain(tmp_path: Path):
    Classes.from_clips(clips("ü")).save(tmp_path / "c.json")
    text = (tmp_path / "c.json").read_text("utf-8")
    assert json.loads(text) == {"tasks": {"label": ["ü"]}}
    assert "ü" in text
