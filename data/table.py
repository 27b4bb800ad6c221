"""All labelled clips of a dataset, compactly: 100,000 of them go to a worker in a blink.

table = clip_table(Catalog("kinetics"), matched.pairs, classes)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from data.catalog import JPG, Catalog, Entry, entry_of
from data.classes import Classes
from data.display import Size, fit_short_side
from data.labelled import LabelError, LabelledClip
from data.matching import Pair
from data.plan import Box
from data.store import FrameStore

UNKNOWN = -1  # the target of a task that a clip has no label for
UNITS = ("seconds", "frames")
LARGEST = np.iinfo(np.int64).max


class Bounds(NamedTuple):
    """From where to where a clip goes, in seconds or frames; None: the video's own end."""

    start: Fraction | None = None
    stop: Fraction | None = None
    unit: str = "seconds"


@dataclass(frozen=True)
class ClipTable:
    """One row a clip, in arrays."""

    root: str  # the folder that all videos' folders are below: a dataset's jpg/
    names: list[str]  # of these folders
    where: list[str]  # the rows of the label file
    conversions: list[str]  # which made each video's databases, as the catalogue says
    sizes: np.ndarray  # int32: frames, width, height
    levels: list[tuple[int, ...]]  # short sides of smaller levels; few different ones
    level_of: np.ndarray  # which of these each video has
    bounds: np.ndarray  # int64: start and stop, each numerator and denominator (0: none), unit
    targets: dict[str, np.ndarray]  # task -> class number, or UNKNOWN
    regions: np.ndarray  # float64: left, top, right, bottom; not a number: none

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dataset(self) -> str:
        """What python -m tools.check is to be given."""
        above, name = os.path.split(self.root)
        return above if name == JPG else self.root

    def folder(self, clip: int) -> str:
        return os.path.join(self.root, self.names[clip])

    def frames(self, clip: int) -> int:
        return int(self.sizes[clip, 0])

    def size(self, clip: int) -> Size:
        return int(self.sizes[clip, 1]), int(self.sizes[clip, 2])

    def bound(self, clip: int) -> Bounds:
        first, below_first, last, below_last, unit = self.bounds[clip].tolist()
        start = Fraction(first, below_first) if below_first else None
        stop = Fraction(last, below_last) if below_last else None
        return Bounds(start, stop, UNITS[unit])

    def region(self, clip: int) -> Box | None:
        left, top, right, bottom = self.regions[clip].tolist()
        return None if np.isnan(left) else (left, top, right, bottom)

    def level_sizes(self, clip: int) -> list[tuple[int, Size]]:
        """Short side and size of every smaller level, the smallest first."""
        sides = sorted(self.levels[self.level_of[clip]])
        return [(side, fit_short_side(self.size(clip), side)) for side in sides]


def clip_table(catalog: Catalog, pairs: Sequence[Pair], classes: Classes) -> ClipTable:
    """A table of clips and the videos they are in."""
    table = _of_videos(os.path.join(catalog.dataset, JPG), [catalog[pair.name] for pair in pairs])
    return replace(
        table,
        where=[pair.clip.where for pair in pairs],
        bounds=np.array([_bounds(pair) for pair in pairs], np.int64).reshape(-1, 5),
        targets={task: np.array([_target(pair.clip, task, classes) for pair in pairs], np.int64)
                 for task in classes.tasks},
        regions=np.array([pair.clip.region or (np.nan,) * 4 for pair in pairs],
                         np.float64).reshape(-1, 4),
    )  # fmt: skip


def whole_videos(root: str | os.PathLike[str], names: Sequence[str]) -> ClipTable:
    """A table of videos as they are, without labels."""
    entries = []
    for name in names:
        with FrameStore(os.path.join(root, name)) as store:
            entries.append(entry_of(name, store))
    return _of_videos(os.fspath(root), entries)


def _of_videos(root: str, entries: Sequence[Entry]) -> ClipTable:
    levels = sorted({entry.short_sides for entry in entries})
    number = {sides: place for place, sides in enumerate(levels)}
    names = [entry.name for entry in entries]
    return ClipTable(
        root=root,
        names=names,
        where=names,
        conversions=[entry.conversion for entry in entries],
        sizes=np.array([entry[1:4] for entry in entries], np.int32).reshape(-1, 3),
        levels=levels,
        level_of=np.array([number[entry.short_sides] for entry in entries], np.int32),
        bounds=np.zeros((len(entries), 5), np.int64),
        targets={},
        regions=np.full((len(entries), 4), np.nan),
    )


def _bounds(pair: Pair) -> tuple[int, ...]:
    clip = pair.clip
    if pair.is_passage:
        return 0, 0, 0, 0, 0
    parts = [
        (0, 0) if time is None else time.as_integer_ratio() for time in (clip.start, clip.stop)
    ]
    numbers = *parts[0], *parts[1], UNITS.index(clip.unit)
    if max(numbers) > LARGEST:
        raise LabelError(f"{clip.where}: its times have more digits than a clock; round them to "
                         "millionths of a second")  # fmt: skip
    return numbers


def _target(clip: LabelledClip, task: str, classes: Classes) -> int:
    name = clip.targets.get(task)
    return UNKNOWN if name is None else classes.index(task, name)
