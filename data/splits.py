"""Train, val and test: by whole videos or groups, stratified, and stable as a list grows."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from data.labelled import SPLITS, LabelledClip
from data.names import uncut

TRAIN, VAL, TEST = SPLITS[0], 1, 2
WORD = 1 << 64
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


def assign(
    clips: Sequence[LabelledClip],
    ratio: Ratio,
    by: str = "video",
    seed: int = 42,
    known: Mapping[str, str] | None = None,
) -> list[str]:
    """The side of every clip: train, val, test, or empty for one that is held back.

    Groups are dealt in the order of their first clips, and each for good: what stands further
    down never changes what stands above, so rows that are appended move no clip.

    - A group whose first clip has a class that no training clip above has goes to train. So the
      first group of every class is trained on, and val and test know no class that training
      never sees.
    - Any other group goes where the class of its first clip lacks one. After n groups of a class,
      val is due n times its ratio, rounded down or up: the next whole one falls due at a random
      place (a hash of the seed, the class and how many there were). So is test, and train has the
      rest. So every class stays within a group or two of the ratio, and all of them together are
      right on average even where each has a few groups only.
    - A group of val or test may turn out further down to have a class that no training clip has.
      It is dealt by then, so such clips are held back. They join their group once another one
      brings that class to train.

    `known` has sides from before: those groups keep them and count as if they stood above all
    others. With it, rows may also be inserted, sorted or deleted.
    """
    if not 0 <= seed < WORD:
        raise ValueError(f"a seed is a whole number from 0 to 2**64 - 1, got {seed}")
    groups = [group_of(clip, by) for clip in clips]
    dealer = _Dealer(ratio.parts, seed)
    sides = dict(known or {})
    settled = [group in sides for group in groups]
    for first_those_known in (True, False):
        for clip, group, is_settled in zip(clips, groups, settled, strict=True):
            if is_settled is not first_those_known:
                continue
            if group not in sides:
                sides[group] = dealer.deal(clip.targets)
            dealer.note(group, sides[group], clip.targets)
    return [
        side if side == TRAIN or clip.targets.items() <= dealer.trained else ""
        for clip, side in ((clip, sides[group]) for clip, group in zip(clips, groups, strict=True))
    ]


@dataclass
class _Dealer:
    """Counts who has what, and draws."""

    parts: tuple[int, int, int]
    seed: int
    trained: set[Class] = field(default_factory=set)
    counts: dict[Hashable, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 3))
    counted: set[tuple[str, Hashable]] = field(default_factory=set)

    def deal(self, group_targets: Mapping[str, str]) -> str:
        """Where a group goes whose first clip has these targets."""
        if not group_targets.items() <= self.trained:
            return TRAIN
        stratum = _stratum(group_targets)
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

    def note(self, group: str, side: str, targets: Mapping[str, str]) -> None:
        """One more clip of a group that lies on this side."""
        if side == TRAIN:
            self.trained.update(targets.items())
        stratum = _stratum(targets)
        if (group, stratum) not in self.counted:
            self.counted.add((group, stratum))
            self.counts[stratum][SPLITS.index(side)] += 1


def _stratum(targets: Mapping[str, str]) -> Hashable:
    """The class that a clip is counted under: its label, else its action, else all it has."""
    return targets.get("label") or targets.get("action") or tuple(sorted(targets.items()))
