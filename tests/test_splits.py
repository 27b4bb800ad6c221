"""Splits: whole groups, near the ratio in every class, and for good."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data.labels import LabelError, LabelledClip
from data.splits import Ratio, assign, group_of, keys_of, united

SIDES = ("train", "val", "test")
RATIOS = {"80/10/10": (8, 1, 1), "70/15/15": (14, 3, 3), "80/20": (4, 1, 0), "60/0/40": (3, 0, 2),
          "98/1/1": (98, 1, 1), "1/1/1": (1, 1, 1)}  # fmt: skip


def clip(video: object, label: str = "a", group: str = "", **targets: str) -> LabelledClip:
    return LabelledClip(str(video), None, None, targets or {"label": label}, group=group)


# -- properties: any list, any ratio, any seed -----------------------------------------------------

CLIPS = st.lists(
    st.builds(
        LabelledClip,
        st.integers(0, 20).map(lambda number: f"v{number}"),
        st.none(),
        st.none(),
        st.dictionaries(st.sampled_from(["label", "noun"]), st.sampled_from("abcd")),
        group=st.sampled_from(["", "p", "q", "r"]),
    ),
    max_size=40,
)
WAYS = {
    "ratio": st.sampled_from(list(RATIOS)).map(Ratio.parse),
    "by": st.sampled_from(["video", "group"]),
    "seed": st.integers(0, 2**64 - 1),
}


@settings(deadline=None)
@given(CLIPS, CLIPS, st.fixed_dictionaries(WAYS))
def test_rows_that_are_appended_move_no_clip(clips, more, way):
    groups = united(clips, way["by"])
    assume(_partition(united(clips + more, way["by"])[: len(clips)]) == _partition(groups))
    before, after = assign(clips, **way), assign(clips + more, **way)
    sides = {group: side for group, side in zip(groups, before, strict=True) if side}
    for group, old, new in zip(groups, before, after, strict=False):
        assert new == old or (not old and new == sides.get(group, new)), "it changed sides"


def _partition(groups: list) -> list[int]:
    return [groups.index(group) for group in groups]


def _known(clips: list[LabelledClip], sides: list[str], by: str) -> dict:
    return {key: side for one, side in zip(clips, sides, strict=True) if side
            for key in keys_of(one, by)}  # fmt: skip


@settings(deadline=None)
@given(CLIPS, st.fixed_dictionaries(WAYS))
def test_a_group_has_one_side_and_so_has_a_video(clips, way):
    sides: dict[tuple, set[str]] = {}
    for one, side in zip(clips, assign(clips, **way), strict=True):
        for key in (("video", one.video), *keys_of(one, way["by"])):
            sides.setdefault(key, set()).add(side)
    assert all(len(of_one - {""}) <= 1 for of_one in sides.values())


@settings(deadline=None)
@given(CLIPS, st.fixed_dictionaries(WAYS))
def test_nothing_is_asked_for_that_training_never_sees(clips, way):
    seen: dict[str, set] = {side: set() for side in (*SIDES, "")}
    sides = assign(clips, **way)
    for one, side in zip(clips, sides, strict=True):
        seen[side] |= one.targets.items()
    assert seen["val"] | seen["test"] <= seen["train"]
    held = [one for one, side in zip(clips, sides, strict=True) if not side]
    assert all(not one.targets.items() <= seen["train"] for one in held), "held back for nothing"


@settings(deadline=None)
@given(CLIPS, st.fixed_dictionaries(WAYS))
def test_the_first_group_of_every_class_trains(clips, way):
    """Where its first clip has that class; a group is dealt by its first clip."""
    sides = assign(clips, **way)
    dealt: set[tuple[str, str]] = set()
    classes: set[tuple[str, str]] = set()
    for one, group, side in zip(clips, united(clips, way["by"]), sides, strict=True):
        if group not in dealt and not one.targets.items() <= classes:
            assert side == "train"
        dealt.add(group)
        classes |= one.targets.items()


@settings(deadline=None)
@given(st.randoms(use_true_random=False), CLIPS, CLIPS, st.fixed_dictionaries(WAYS))
def test_what_is_known_stays_however_the_list_changes(random, clips, more, way):
    """Inserted, sorted, deleted: with the sides of before, nothing moves."""
    known = _known(clips, assign(clips, **way), way["by"])
    changed = random.sample(clips, len(clips) // 2) + more
    random.shuffle(changed)
    try:
        sides = assign(changed, **way, known=known)
    except LabelError:
        assert way["by"] == "group", "nothing else unites"
        return
    for one, side in zip(changed, sides, strict=True):
        for key in keys_of(one, way["by"]):
            assert side in (known.get(key, side), "")


@settings(deadline=None)
@given(CLIPS, st.fixed_dictionaries(WAYS))
def test_knowing_what_would_come_out_anyway_changes_nothing(clips, way):
    sides = assign(clips, **way)
    known = _known(clips, sides, way["by"])
    assert assign(clips, **way, known=known) == sides


# -- the ratio -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 10, 37, 400])
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_class_is_within_two_groups_of_the_ratio(ratio: str, size: int):
    names = [f"class {at}" for at in range(20)]
    clips = [clip(f"{name} {at}", name) for at in range(size) for name in names]
    parts = RATIOS[ratio]
    counts: Counter[tuple[str, str]] = Counter()
    for one, side in zip(clips, assign(clips, Ratio.parse(ratio)), strict=True):
        counts[one.targets["label"], side] += 1
    for name in names:
        for side, part in zip(SIDES, parts, strict=True):
            assert abs(counts[name, side] - size * part / sum(parts)) < 2, (name, side)


@pytest.mark.parametrize("size", [2, 3, 5, 10])
def test_classes_of_a_few_groups_are_right_on_average(size: int):
    """Though the first of each always trains."""
    clips = [clip(f"{at} {name}", str(name)) for at in range(size) for name in range(1000)]
    counts = Counter(assign(clips, Ratio(8, 1, 1)))
    for side, part in zip(SIDES, (0.8, 0.1, 0.1), strict=True):
        assert abs(counts[side] / len(clips) - part) < 0.03


def test_groups_count_not_their_clips():
    clips = [clip(f"{at}.{part}", group=str(at)) for at in range(100) for part in range(1 + at % 9)]
    sides = assign(clips, Ratio(8, 1, 1), by="group")
    groups = {one.group: side for one, side in zip(clips, sides, strict=True)}
    counts = Counter(groups.values())
    assert all(abs(counts[side] - part) < 2 for side, part in zip(SIDES, (80, 10, 10), strict=True))


def test_what_is_new_makes_up_for_what_is_known():
    """Though it stands above."""
    clips = [clip(at) for at in range(40)]
    known = {("video", str(at)): "train" for at in range(30, 40)}
    counts = Counter(assign(clips, Ratio(1, 1, 0), known=known))
    assert abs(counts["val"] - 20) < 2


@pytest.mark.parametrize("seed", range(5))
def test_a_row_of_several_clips_counts_with_all_their_classes(seed: int):
    """Each video is a row whose first piece is negative; every third holds a positive."""
    rows = {at: ["no", "yes", "no"] if at % 3 == 0 else ["no"] for at in range(180)}
    clips = [replace(clip(at, label), where=f"l:{at}") for at, row in rows.items() for label in row]
    sides = assign(clips, Ratio(8, 1, 1), seed=seed)
    counts = Counter(side for one, side in zip(clips, sides, strict=True)
                     if one.targets["label"] == "yes")  # fmt: skip
    assert all(abs(counts[side] - part) < 2 for side, part in zip(SIDES, (48, 6, 6), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_a_row_trains_whose_later_pieces_are_of_a_new_class(seed: int):
    clips = [replace(clip(at, label), where=f"l:{at}") for at, label in enumerate("ab")]
    clips.insert(1, replace(clips[1], targets={"label": "a"}))
    assert assign(clips, Ratio(1, 99, 0), seed=seed) == ["train"] * 3


def test_each_class_is_stratified_whatever_the_others_do():
    """One class's groups are dealt alike with and without other classes between them."""
    alone = [clip(at, "a") for at in range(200)]
    mixed = [one for at in range(200) for one in (clip(at, "a"), clip(f"x{at}", f"b{at % 7}"))]
    sides = assign(mixed, Ratio(8, 1, 1))[::2]
    assert sides == assign(alone, Ratio(8, 1, 1))


def test_other_seeds_give_other_splits():
    clips = [clip(at) for at in range(200)]
    one, other = (assign(clips, Ratio(8, 1, 1), seed=seed) for seed in (1, 2))
    assert sum(map(str.__ne__, one, other)) > 20
    assert one == assign(clips, Ratio(8, 1, 1), seed=1)


def test_the_draw_is_the_same_everywhere_and_for_ever():
    """Written down: whoever split a list a year ago gets the same one today."""
    sides = assign([clip(at) for at in range(30)], Ratio.parse("60/20/20"), seed=42)
    assert "".join(side[1] for side in sides) == "rarrerrarerrraerrrreaaerrrrrre"


# -- tables ----------------------------------------------------------------------------------------


def test_a_class_that_comes_up_late_in_a_group_of_val_is_held_back():
    """Until another group brings it to train; then it joins its own."""
    clips = [clip(at, "a") for at in range(40)]
    sides = assign(clips, Ratio(8, 1, 1))
    val = clips[sides.index("val")]
    late = replace(val, targets={"label": "b"})
    assert assign([*clips, late], Ratio(8, 1, 1))[-1] == ""
    assert assign([*clips, late, clip("new", "b")], Ratio(8, 1, 1))[-2:] == ["val", "train"]
    train = clips[sides.index("train")]
    assert assign([*clips, replace(train, targets={"label": "b"})], Ratio(8, 1, 1))[-1] == "train"


def test_a_clip_of_several_tasks_must_be_known_in_all_of_them():
    clips = [clip(at, verb="take", noun="bag") for at in range(40)]
    sides = assign(clips, Ratio(8, 1, 1))
    late = replace(clips[sides.index("val")], targets={"verb": "take", "noun": "cup"})
    assert assign([*clips, late], Ratio(8, 1, 1))[-1] == ""
    assert assign([*clips, clip("x", verb="take", noun="cup")], Ratio(8, 1, 1))[-1] == "train"


def test_clips_without_a_class_are_dealt_too():
    clips = [LabelledClip(str(at), None, None, {}) for at in range(200)]
    counts = Counter(assign(clips, Ratio(8, 1, 1)))
    assert all(
        abs(counts[side] - part) < 2 for side, part in zip(SIDES, (160, 20, 20), strict=True)
    )


def test_groups_that_share_a_video_are_one():
    rows = [("a", "p"), ("b", "q"), ("c", "r"), ("b", "p"), ("1", ""), ("d", "1"), ("c", "")]
    clips = [clip(video, group=group) for video, group in rows]
    assert _partition(united(clips, "group")) == [0, 0, 2, 0, 4, 5, 2]
    assert _partition(united(clips, "video")) == [0, 1, 2, 1, 4, 5, 2]


def test_a_row_that_would_unite_groups_of_two_sides_is_refused():
    known = {("group", "p"): "train", ("video", "a"): "train", ("group", "q"): "val"}
    rows = [("a", "p"), ("b", "q"), ("new", "p"), ("new", "q")]
    clips = [replace(clip(video, group=group), where=f"l:{at}")
             for at, (video, group) in enumerate(rows)]  # fmt: skip
    assert assign(clips[:3], Ratio(8, 1, 1), "group", known=known) == ["train", "val", "train"]
    with pytest.raises(LabelError, match=r"l:3 and l:2: group q is in val and group p in train, "
                       "but a video that they share makes them one group"):  # fmt: skip
        assign(clips, Ratio(8, 1, 1), "group", known=known)


def test_a_video_whose_group_has_another_name_now_stays():
    known = {("group", "p"): "val", ("video", "a"): "val"}
    clips = [clip("a", group="renamed"), clip("b", group="renamed"), clip("c")]
    assert assign(clips, Ratio(1, 0, 0), "group", known=known) == ["val", "val", "train"]


@pytest.mark.parametrize(("video", "group", "by", "wanted"), [
    ("x", "P01", "video", "x"), ("x", "P01", "group", "P01"), ("x", "", "group", "x"),
    ("run/id_000010_000020", "", "video", "id"), ("id_000010.500_000020", "", "video", "id"),
    ("run/id_10_20", "", "video", "run/id_10_20"), ("run/1", "", "video", "run/1"),
    ("_000010_000020_000010_000020", "", "video", "_000010_000020"),
])  # fmt: skip
def test_what_stays_together(video: str, group: str, by: str, wanted: str):
    assert group_of(clip(video, group=group), by) == wanted


@pytest.mark.parametrize("text", RATIOS)
def test_ratios(text: str):
    assert Ratio.parse(text).parts == tuple(
        part * (Ratio.parse(text).train // RATIOS[text][0]) for part in RATIOS[text]
    )


@pytest.mark.parametrize(
    "text", ["", "80", "80/10/5/5", "0/50/50", "80/-10/30", "a/b", "1/0/x", "nan/1"]
)
def test_ratios_that_make_no_sense(text: str):
    with pytest.raises(ValueError, match=r"a ratio is train/val/test, such as 80/10/10 or 80/20"):
        Ratio.parse(text)


def test_parts_of_a_ratio_may_be_broken():
    assert Ratio.parse("0.8/0.1/0.1").parts == (8, 1, 1)
    assert Ratio.parse(" 1.5 / 0.5 ").parts == (3, 1, 0)


def test_a_seed_is_a_whole_number():
    with pytest.raises(ValueError, match=r"a seed is a whole number from 0 to 2\*\*64 - 1, got -1"):
        assign([clip(1), clip(2)], Ratio(8, 1, 1), seed=-1)
