"""A store and its labels together: which clips there are to train on, and what was left over.

found = open_clips("kinetics", "splits", split="train")
print(found.summary())
clips = ClipIterator(found.table, making, seed=42)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from data.catalog import JPG, Catalog
from data.classes import Classes
from data.labelled import SPLITS, LabelError, LabelledClip, raise_all
from data.labels import classes_of, read_labels
from data.matching import Matched, Pair, match
from data.schema import StoreError
from data.store import FrameStore
from data.table import ClipTable, clip_table

SPARE = 1  # seconds: nearer than this to the average rate's end, times are looked up


@dataclass(frozen=True)
class Found:
    """The clips of one split, and everything that has no counterpart."""

    table: ClipTable
    classes: Classes
    without_media: list[tuple[LabelledClip, str]]  # labels, and why they have no video
    without_label: list[str]  # videos that no label of any split is about
    empty: list[str]  # rests of videos that ended before them, and where they are in the labels
    late: list[str]  # clips that were to end more than a second after their video, and end with it

    def summary(self) -> str:
        """One line."""
        classes = ", ".join(f"{len(names)} of {task}" for task, names in self.classes.tasks.items())
        return (f"{len(self.table)} clips, classes: {classes or 'none'}; "
                f"{len(self.without_media)} labels without media, "
                f"{len(self.without_label)} videos without label"
                + f", {len(self.empty)} empty rests" * bool(self.empty)
                + f", {len(self.late)} end after their videos" * bool(self.late))  # fmt: skip

    def leftovers(self) -> list[str]:
        """Each of them, a line."""
        labels = [f"{clip.where}: {clip.video}: {why}" for clip, why in self.without_media]
        videos = [f"{name}: no label is about this video" for name in self.without_label]
        return labels + videos + self.empty + self.late


def open_clips(
    dataset: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    split: str = "",
    format: str | None = None,
    classes: Classes | None = None,
) -> Found:
    """The clips of a split (empty: of all), with classes that all splits share.

    The class dictionary is the one given, else the one of the labels (`classes_of`).
    """
    clips = read_labels(labels, format)
    if classes is None:
        classes = classes_of(labels, clips)
    for task in sorted({task for clip in clips for task in clip.targets}):
        classes[task]  # of a task that it lacks there would be no targets
    catalog = Catalog(dataset)
    if not all(entry.frames for entry in catalog):
        catalog = Catalog(dataset, look=True)  # what could not be read may have been mended
    if not len(catalog):
        advice = f"convert some: python -m tools.convert videos/ {os.fspath(dataset)}"
        raise StoreError(
            os.fspath(dataset), "holds no videos: below jpg/ there is no frames.db", advice
        )
    matched = match(clips, [entry.name for entry in catalog])
    wanted = _of_split(matched, split)
    if not wanted.pairs:
        raise LabelError(_nothing(labels, split, clips, wanted, len(catalog)))
    pairs, empty = within(catalog, wanted.pairs)
    table, late = clip_table(catalog, pairs, classes), ending_late(catalog, pairs)
    return Found(table, classes, wanted.without_media, matched.without_label, empty, late)


def within(catalog: Catalog, pairs: Sequence[Pair]) -> tuple[list[Pair], list[str]]:
    """Pairs whose passage begins in its video, and what is said of rests of which nothing is left.

    A passage with an end that begins later is an error; all of them are listed at once. The rest
    of a video (no end) is what somebody did not label, and may well be empty.
    """
    kept, empty, errors = [], [], []
    for pair in pairs:
        fault = _beyond(catalog, pair)
        if fault is None:
            kept.append(pair)
        elif pair.clip.stop is None:
            empty.append(fault)
        else:
            errors.append(f"{fault}; correct the row or leave it out")
    raise_all(errors)
    return kept, empty


def _beyond(catalog: Catalog, pair: Pair) -> str | None:
    """That a passage begins after its video's end; the end is looked up if it is near."""
    clip, entry = pair.clip, catalog[pair.name]
    if pair.is_passage or clip.start is None or not entry.frames:
        return None
    end = _end(catalog, pair, clip.start)
    if clip.start < end:
        return None
    return (f"{clip.where}: begins at {float(clip.start):g} {clip.unit}, but {entry.name} ends at "
            f"{float(end):g}")  # fmt: skip


def ending_late(catalog: Catalog, pairs: Sequence[Pair]) -> list[str]:
    """Of clips that would end more than a second after their video: that they do.

    A list of another cut or another rate looks like this. A video that is the passage itself ends
    where its source did.
    """
    said = []
    for pair in pairs:
        clip, entry = pair.clip, catalog[pair.name]
        if clip.stop is None or not entry.frames:
            continue
        stop = clip.stop - (clip.start or 0) if pair.is_passage else clip.stop
        second = 1 if clip.unit == "seconds" else entry.fps or 0
        end = _end(catalog, pair, stop - second - SPARE)  # looked up if the average says so
        if stop > end + second:
            said.append(f"{clip.where}: ends at {float(stop):g} {clip.unit}, but {entry.name} at "
                        f"{float(end):g}")  # fmt: skip
    return said


def _end(catalog: Catalog, pair: Pair, time: Fraction) -> Fraction:
    """Where a video ends, in the clip's unit; exactly, if that may be before `time`."""
    clip, entry = pair.clip, catalog[pair.name]
    if clip.unit == "frames":
        return Fraction(entry.frames)
    if entry.fps is None:
        raise LabelError(f"{clip.where}: gives times, but {entry.name} records none; convert it "
                         "again with python -m tools.convert")  # fmt: skip
    end = entry.frames / entry.fps
    if time > end - SPARE:
        with FrameStore(os.path.join(catalog.dataset, JPG, entry.name)) as store:
            end = store.times[-1] + 1 / entry.fps
    return end


def _of_split(matched: Matched, split: str) -> Matched:
    if not split:
        return matched
    if split not in SPLITS:
        raise LabelError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    return Matched(
        [pair for pair in matched.pairs if pair.clip.split == split],
        [one for one in matched.without_media if one[0].split == split],
        matched.without_label,
    )


def _nothing(
    labels: object, split: str, clips: Sequence[LabelledClip], wanted: Matched, videos: int
) -> str:
    """Why there is not one clip."""
    what = f"of split {split}" if split else "at all"
    if wanted.without_media:
        clip, why = wanted.without_media[0]
        return (f"{labels}: none of {len(wanted.without_media)} clips {what} is among the "
                f"{videos} videos, beginning with {clip.where}: {why}")  # fmt: skip
    there = sorted({clip.split or "no split" for clip in clips})
    return f"{labels}: has no clip {what}; its {len(clips)} rows have {', '.join(there)}"
