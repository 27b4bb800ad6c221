"""Labels and the videos of a store: who belongs to whom, and that nobody is lost."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.labels import LabelledClip
from data.matching import Pair, folder_class, match
from data.names import passage_name


def clip(video: str, label: str = "run", start=None, stop=None, **rest) -> LabelledClip:
    first, last = (None if end is None else Fraction(end) for end in (start, stop))
    targets = rest.pop("targets", {"label": label} if label else {})
    return LabelledClip(video, first, last, targets, **rest)


# clip, names in the store, the one it is, whether that one is the passage
FOUND: dict[str, tuple[LabelledClip, list[str], str, bool]] = {
    "in its class's folder": (clip("x"), ["jump/x", "run/x"], "run/x", False),
    "cut out": (clip("x", "run", 10, 20), ["run/x", "run/x_000010_000020"],
                "run/x_000010_000020", True),
    "another passage was cut out": (clip("x", "run", 10, 20), ["run/x", "run/x_000020_000030"],
                                    "run/x", False),
    "cut by milliseconds": (clip("x", "run", "15.5", "17.5"), ["run/x_000015.500_000017.500"],
                            "run/x_000015.500_000017.500", True),
    "frames are not cut": (clip("x", "run", 10, 20, unit="frames"),
                           ["run/x_000010_000020", "run/x"], "run/x", False),
    "an open end is not cut": (clip("x", "run", 10), ["run/x"], "run/x", False),
    "at the top": (clip("x"), ["_/x"], "_/x", False),
    "cut out, without a class": (clip("x", "", 10, 20), ["_/x_000010_000020"],
                                 "_/x_000010_000020", True),
    "by its path": (clip("jump/x", "run"), ["run/x", "jump/x"], "jump/x", False),
    "by its path, not below its class": (clip("jump/x"), ["run/jump/x", "jump/x", "run/x"],
                                         "jump/x", False),
    "by the end of its path": (clip("run/x"), ["train/run/x"], "train/run/x", False),
    "a path that the store did not keep": (clip("raw/x", "positive"), ["_/x"], "_/x", False),
    "a path below its class": (clip("raw/x"), ["run/x"], "run/x", False),
    "anywhere, if there is but one": (clip("x"), ["2019/x"], "2019/x", False),
    "in a folder deeper down": (clip("x"), ["train/run/x"], "train/run/x", False),
    "of several, the class's": (clip("x"), ["a/run/x", "b/jump/x"], "a/run/x", False),
    "of several, the split's": (clip("x", split="val"), ["train/run/x", "validation/run/x"],
                                "validation/run/x", False),
    "a passage in another class's folder": (clip("x", "run", 1, 2), ["jump/x"], "jump/x", False),
    "by its action": (clip("P01_05", targets={"verb": "take", "action": "take bag"}),
                      ["take bag/P01_05", "take/P01_05"], "take bag/P01_05", False),
    "a name that looks like a passage": (clip("x_000010_000020"), ["run/x_000010_000020"],
                                         "run/x_000010_000020", False),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
def test_the_best_name_wins(case: str):
    one, names, name, is_passage = FOUND[case]
    jump = clip("elsewhere", "jump")  # so that jump is a class
    for order in (names, names[::-1]):
        matched = match([one, jump], order)
        assert matched.pairs == [Pair(one, name, is_passage)]
        assert matched.without_label == [other for other in order if other != name]


LOST: dict[str, tuple[LabelledClip, list[str], str]] = {
    "nowhere": (clip("y"), ["run/x"], "no video of the store is called y"),
    "nowhere, nor the passage": (clip("y", "run", 1, 2), ["run/x"],
                                 "no video of the store is called y_000001_000002 or y"),
    "several": (clip("x"), ["a/x", "b/x"], "several videos have this name: a/x, b/x"),
    "many": (clip("x"), [f"{at}/x" for at in range(6)],
             "several videos have this name: 0/x, 1/x, 2/x, 3/x, ..."),
    "several of its class": (clip("x"), ["a/run/x", "b/run/x"],
                             "several videos have this name: a/run/x, b/run/x"),
    "another class's": (clip("x"), ["jump/x"],
                        "only jump/x has this name, and lies in the folder of another class"),
    "part of a name": (clip("x"), ["run/xx", "run/ax", "x/a"], "no video of the store is called x"),
    "another path": (clip("a/x", "hop"), ["b/x"], "no video of the store is called a/x"),
    "frames": (clip("x", "run", 10, 20, unit="frames"), ["run/x_000010_000020"],
               "no video of the store is called x"),
}  # fmt: skip


@pytest.mark.parametrize("case", LOST)
def test_why_a_clip_has_no_video(case: str):
    one, names, reason = LOST[case]
    matched = match([one, clip("elsewhere", "jump")], names)
    assert matched.without_media[0] == (one, reason)
    assert matched.pairs == []
    assert matched.without_label == names


# the clip, names in a store of which run/1 is found: which one it is, or why it has none
BY_CLASS: dict[str, tuple[LabelledClip, list[str], str]] = {
    "another class's, which nobody named": (
        clip("3", "jump"), ["hop/3", "jump/1"],
        "only hop/3 has this name, and does not lie in the folder of its class"),
    "another class's, by path": (clip("jump/3", "jump"), ["hop/3", "jump/1"],
                                 "no video of the store is called jump/3"),
    "another class's deeper down": (clip("jump/3", "hop"), ["2019/jump/3"],
                                    "only 2019/jump/3 has this name, and does not lie in the "
                                    "folder of its class"),
    "at the top": (clip("3", "jump"), ["_/3", "hop/3"], "_/3"),
    "the very path": (clip("hop/3", "jump"), ["hop/3", "jump/1"], "hop/3"),
    "with times": (clip("3", "jump", 0, 1), ["hop/3", "jump/1"], "hop/3"),
    "without a class": (clip("3", ""), ["hop/3", "jump/1"], "hop/3"),
    "spelt with a line": (clip("3", "air drumming"), ["air_drumming/3"], "air_drumming/3"),
    "spelt in small": (clip("3", "Jump"), ["jump/3"], "jump/3"),
    "spelt in two pieces": (clip("3", "cafe\u0301"), ["caf\u00e9/3"], "caf\u00e9/3"),
    "spelt otherwise, deeper down": (clip("3", "Jump"), ["train/jump/3", "train/hop/3"],
                                     "train/jump/3"),
    "by path, spelt otherwise": (clip("Jump/3", "Jump"), ["jump/3"], "jump/3"),
    "by path, of another year": (clip("2019/3", "jump"), ["jump/2020/3"],
                                 "no video of the store is called 2019/3"),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_CLASS)
def test_a_store_that_is_organised_by_class(case: str):
    one, names, wanted = BY_CLASS[case]
    matched = match([clip("1"), one], ["run/1", *names])
    found = [pair.name for pair in matched.pairs] + [why for _, why in matched.without_media]
    assert found == ["run/1", wanted]


def test_without_one_clip_in_its_class_folders_are_no_classes():
    assert match([clip("3", "jump")], ["hop/3", "run/1"]).pairs[0].name == "hop/3"


def test_several_clips_of_one_video_and_videos_without_any():
    clips = [clip("x", "run", 0, 1), clip("gone"), clip("x", "jump", 1, 2)]
    matched = match(clips, ["run/x", "run/z", "run/y"])
    assert matched.pairs == [Pair(clips[0], "run/x", False), Pair(clips[2], "run/x", False)]
    assert [lost for lost, _ in matched.without_media] == [clips[1]]
    assert matched.without_label == ["run/z", "run/y"]


CLIPS = st.lists(
    st.builds(clip, st.sampled_from(["x", "y", "run/x"]), st.sampled_from(["run", "jump", ""]),
              st.sampled_from([None, 1]))
)  # fmt: skip
STORES = st.lists(st.sampled_from(["run/x", "jump/x", "_/x", "a/run/x", "a/y", "b/y"]), unique=True)


@given(CLIPS, STORES)
def test_nobody_is_lost(clips: list[LabelledClip], names: list[str]):
    matched = match(clips, names)
    told = [pair.clip for pair in matched.pairs] + [lost for lost, _ in matched.without_media]
    assert sorted(map(id, told)) == sorted(map(id, clips))
    used = {pair.name for pair in matched.pairs}
    assert used <= set(names)
    assert matched.without_label == [name for name in names if name not in used]


@pytest.mark.parametrize(("targets", "folder"), [
    ({"label": "run"}, "run"), ({"verb": "take", "action": "take bag"}, "take bag"), ({}, "_"),
    ({"verb": "take"}, "_"),
])  # fmt: skip
def test_the_folder_of_a_class(targets: dict[str, str], folder: str):
    assert folder_class(clip("x", targets=targets)) == folder


def test_a_hundred_thousand_videos_take_no_time():
    """Measured at half a second; a search through a list would take an hour."""
    clips = [clip(f"v{at}", f"class {at % 700}", at, at + 10) for at in range(100_000)]
    names = [passage_name(f"class {at % 700}/v{at}", one.start, one.stop)
             for at, one in enumerate(clips)]  # fmt: skip
    began = time.process_time()
    assert len(match(clips, names).pairs) == 100_000
    assert time.process_time() - began < 5
