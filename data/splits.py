"""Train, val and test: by whole videos or groups, stratified, and stable as a list grows."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from data.draws import WORD, check_seed
from data.labelled import SPLITS, LabelError, LabelledClip
from data.names import uncut

TRAIN, VAL, TEST = SPLITS[0], 1, 2
Class = tuple[str, str]  # task and name


@dataclass(frozen=True)
class Ratio:
    """How much each side shall get, in whole parts."""

    train: int
    val: int
    test: int

    @classmethod
    def parse(cls, text: str) -> Ratio:
        """80/10/10, or 80/20 for no test set."""
        try:
            parts = [Fraction(part.strip()) for part in text.split("/")]
            if not 2 <= len(parts) <= 3 or min(parts) < 0 or parts[0] == 0:
                raise ValueError
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"a ratio is train/val/test, such as 80/10/10 or 80/20 (no test), "
                             f"with something for train; got {text!r}") from None  # fmt: skip
        unit = math.lcm(*(part.denominator for part in parts))
        train, val, *test = (int(part * unit) for part in parts)
        return cls(train, val, *(test or (0,)))

    @property
    def parts(self) -> tuple[int, int, int]:
        return self.train, self.val, self.test


def group_of(clip: LabelledClip, by: str) -> str:
    """What a clip stays together with: its video, or the group that the label file names.

    Passages that were cut out beforehand (id_000010_000020) are of one video.
    """
    return (clip.group if by == "group" else "") or uncut(clip.video)


Key = tuple[str, str]  # "group" or "video", and which


def keys_of(clip: LabelledClip, by: str) -> tuple[Key, ...]:
    """All that a clip stays together with."""
    video = ("video", uncut(clip.video))
    return (("group", clip.group), video) if by == "group" and clip.group else (video,)


def united(clips: Sequence[LabelledClip], by: str) -> list[Key]:
    """The group of every clip, called after its first key; those that share a video are one."""
    above: dict[Key, Key] = {}

    def first(key: Key) -> Key:
        while (higher := above.setdefault(key, key)) != key:
            above[key] = above[higher]
            key = higher
        return key

    own = [keys_of(clip, by) for clip in clips]
    for key, *others in own:
        for other in others:
            one, two = first(key), first(other)
            above[two] = one
    return [first(keys[0]) for keys in own]


def assign(
    clips: Sequence[LabelledClip],
    ratio: Ratio,
    by: str = "video",
    seed: int = 42,
    known: Mapping[Key, str] | None = None,
) -> list[str]:
    """The side of every clip: train, val, test, or empty for one that is held back.

    Groups are dealt in the order of their first rows, and each for good: what stands further
    down never changes what stands above, so rows that are appended move no clip, unless a row
    says that two groups share a video: those are one from the first (`united`).

    - A group whose first row has a class that no training clip above has goes to train. So the
      first group of every class is trained on, and val and test know no class that training
      never sees.
    - Any other group goes where its stratum lacks one: the classes of its first row, of which one
      row may give several (autotosis: those of all intervals). After n groups of a stratum, val
      is due n times its ratio, rounded down or up: the next whole one falls due at a random place
      (a hash of the seed, the stratum and how many there were). So is test; train has the rest.
    - A group of val or test may turn out further down to have a class that no training clip has.
      It is dealt by then, so such clips are held back. They join their group once another one
      brings that class to train.

    What this promises: where clips have one task and every group has one stratum in all its
    rows, each stratum's number of groups on each side is within two of the ratio; and many strata
    of a few groups each are right on average. What it cannot promise: groups are counted, not
    their clips, so a side's share of the clips may differ; classes that come up only in later
    rows of a group are counted, but nobody chose its side for their sake; and of several tasks
    only label or action is dealt evenly.

    `known` has sides from before, by what `keys_of` says: those groups keep them and count as if
    they stood above all others. With it, rows may also be inserted, sorted or deleted; a row
    that unites groups of two sides is refused.
    """
    check_seed(seed)
    groups = united(clips, by)
    rows = _targets_of_rows(clips)
    dealer = _Dealer(ratio.parts, seed)
    sides = settled(clips, groups, by, known or {})
    is_known = [group in sides for group in groups]
    for first_those_known in (True, False):
        for clip, group, row, is_settled in zip(clips, groups, rows, is_known, strict=True):
            if is_settled is not first_those_known:
                continue
            if group not in sides:
                sides[group] = dealer.deal(row)
            dealer.note(group, sides[group], clip.targets, row)
    return [
        side if side == TRAIN or clip.targets.items() <= dealer.trained else ""
        for clip, side in ((clip, sides[group]) for clip, group in zip(clips, groups, strict=True))
    ]


def settled(
    clips: Sequence[LabelledClip], groups: Sequence[Key], by: str, known: Mapping[Key, str]
) -> dict[Key, str]:
    """The side of every group that has one from before."""
    found: dict[Key, tuple[str, Key, str]] = {}
    for clip, group in zip(reversed(clips), reversed(groups), strict=True):  # blame what is new
        for key in keys_of(clip, by):
            if key not in known:
                continue
            side, other, where = found.setdefault(group, (known[key], key, clip.where))
            if side != known[key]:
                raise LabelError(
                    f"{where} and {clip.where}: {' '.join(other)} is in {side} and "
                    f"{' '.join(key)} in {known[key]}, but a video that they share makes them one "
                    "group; correct a row, or deal everything anew"
                )
    return {group: side for group, (side, _, _) in found.items()}


Row = Sequence[Mapping[str, str]]  # the targets of all clips of one row


def _targets_of_rows(clips: Sequence[LabelledClip]) -> list[Row]:
    """For every clip, what its row of the label file says; a clip of no file is its own row."""
    rows: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for clip in clips:
        rows[clip.where].append(clip.targets)
    return [rows[clip.where] if clip.where else [clip.targets] for clip in clips]


@dataclass
class _Dealer:
    """Counts who has what, and draws."""

    parts: tuple[int, int, int]
    seed: int
    trained: set[Class] = field(default_factory=set)
    counts: dict[Hashable, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 3))
    counted: set[tuple[Key, Hashable]] = field(default_factory=set)

    def deal(self, first_row: Row) -> str:
        """Where a group goes whose first row has these targets."""
        if not all(targets.items() <= self.trained for targets in first_row):
            return TRAIN
        stratum = _stratum(first_row)
        counts = self.counts[stratum]
        groups = sum(counts) + 1
        lacks = {side: self._due(stratum, side, groups) - counts[side] for side in (VAL, TEST)}
        if max(lacks.values()) <= 0:
            return TRAIN
        if lacks[VAL] == lacks[TEST]:
            return SPLITS[VAL + self._draw(stratum, TRAIN, groups) % 2]
        return SPLITS[max(lacks, key=lacks.__getitem__)]

    def _due(self, stratum: Hashable, side: int, groups: int) -> int:
        """How many of a class's groups a side shall have: its part, rounded down or up."""
        whole = sum(self.parts)
        down, rest = divmod(self.parts[side] * groups, whole)
        return down + (rest * WORD > self._draw(stratum, SPLITS[side], down) * whole)

    def _draw(self, stratum: Hashable, what: str, number: int) -> int:
        """64 bits that are the same on every machine."""
        name = ascii((stratum, what, number)).encode()
        key = self.seed.to_bytes(8, "little")
        return int.from_bytes(hashlib.blake2b(name, digest_size=8, key=key).digest(), "little")

    def note(self, group: Key, side: str, targets: Mapping[str, str], row: Row) -> None:
        """One more clip of a group that lies on this side."""
        if side == TRAIN:
            self.trained.update(targets.items())
        stratum = _stratum(row)
        if (group, stratum) not in self.counted:
            self.counted.add((group, stratum))
            self.counts[stratum][SPLITS.index(side)] += 1


def _stratum(row: Row) -> Hashable:
    """What a row is counted under: its class, or all of them if its clips have several."""
    if len(row) == 1:
        return _class_of(row[0])
    classes = {_class_of(targets) for targets in row}
    return classes.pop() if len(classes) == 1 else tuple(sorted(classes, key=ascii))


def _class_of(targets: Mapping[str, str]) -> Hashable:
    """The label, else the action, else all there is."""
    return targets.get("label") or targets.get("action") or tuple(sorted(targets.items()))
