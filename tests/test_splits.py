"""Splits: whole groups, near the ratio in every class, and for good."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.labels import LabelledClip
from data.splits import Ratio, assign, group_of

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
    before, after = assign(clips, **way), assign(clips + more, **way)
    groups = [group_of(one, way["by"]) for one in clips]
    sides = {group: side for group, side in zip(groups, before, strict=True) if side}
    for group, old, new in zip(groups, before, after, strict=False):
        assert new == old or (not old and new == sides.get(group, new)), "it changed sides"


@settings(deadline=None)
@given(CLIPS, st.fixed_dictionaries(WAYS))
def test_a_group_has_one_side(clips, way):
    sides: dict[str, set[str]] = {}
    for one, side in zip(clips, assign(clips, **way), strict=True):
        sides.setdefault(group_of(one, way["by"]), set()).add(side)
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
    dealt: set[str] = set()
    classes: set[tuple[str, str]] = set()
    for one, side in zip(clips, sides, strict=True):
        group = group_of(one, way["by"])
        if group not in dealt and not one.targets.items() <= classes:
            assert side == "train"
        dealt.add(group)
        classes |= one.targets.items()


@settings(deadline=None)
@given(st.randoms(use_true_random=False), CLIPS, CLIPS, st.fixed_dictionaries(WAYS))
def test_what_is_known_stays_however_the_list_changes(random, clips, more, way):
    """Inserted, sorted, deleted: with the sides of before, nothing moves."""
    before = assign(clips, **way)
    known = {
        group_of(one, way["by"]): side for one, side in zip(clips, before, strict=True) if side
    }
    changed = random.sample(clips, len(clips) // 2) + more
    random.shuffle(changed)
    for one, side in zip(changed, assign(changed, **way, known=known), strict=True):
        assert side in (known.get(group_of(one, way["by"]), side), "")


@settings(deadline=None)
@given(CLIPS, st.fixed_dictionaries(WAYS))
def test_knowing_what_would_come_out_anyway_changes_nothing(clips, way):
    sides = assign(clips, **way)
    known = {group_of(one, way["by"]): side for one, side in zip(clips, sides, strict=True) if side}
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
    known = {str(at): "train" for at in range(30, 40)}
    counts = Counter(assign(clips, Ratio(1, 1, 0), known=known))
    assert abs(counts["val"] - 20) < 2


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
