"""Deal labelled clips to train, val and test: by whole videos or groups, never by frames.

    python -m tools.split labels.csv --ratio 80/10/10 --out lists/
    python -m tools.split labels.csv --ratio 80/10/10 --by group --stats
    python -m tools.split 'ucfTrainTestlist/*list01.txt' --out lists/      # as the lists say

Writes train.csv, val.csv, test.csv, annotations.json and classes.json; whatever trains takes the
folder as --labels. What is in the folder from before keeps its side, so that labels may be added,
sorted or deleted and no clip changes sides.

Exit code 0 if the lists were written, 2 if they could not be.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from data.classes import CLASSES, Classes, main_task, read_class_list, restrict
from data.label_file import LabelFile
from data.label_tables import OWN_COLUMNS, read_own
from data.label_writing import annotations_json, own_csv
from data.labelled import SPLITS, LabelError, LabelledClip, some
from data.labels import ANNOTATIONS, UNUSED, classes_of, label_paths, read_labels
from data.lazy import Lazy
from data.names import uncut
from data.splits import Key, Ratio, assign, group_of, keys_of, united
from tools.histogram import by_size, draw_histogram
from tools.terminal import columns, start_logging, until_the_reader_leaves

log = logging.getLogger(__name__)
WRITTEN = (*(f"{split}.csv" for split in SPLITS), UNUSED, ANNOTATIONS, CLASSES)


@dataclass(frozen=True)
class Options:
    """Deal labelled clips to train, val and test: by whole videos or groups, never by frames."""

    labels: tyro.conf.Positional[Path]
    """A label file, a pattern that names several, or a folder of folders of classes."""
    ratio: str | None = None
    """train/val/test, such as 80/10/10 or 80/20. Default: the sides that the labels name."""
    by: Literal["video", "group"] = "video"
    """What stays together: a video, or the group the labels name (a scene, a participant)."""
    seed: int = 42
    """Another number, other sides."""
    out: Path | None = None
    """Where the lists go. Default: a folder beside the labels, called after them."""
    fresh: bool = False
    """Deal everything anew, also what has its side in OUT."""
    class_list: Path | None = None
    """Take only the classes that this file names, one a line."""
    label_format: str | None = None
    """The labels' dialect, where it is not recognised."""
    stats: bool = False
    """Print how many clips every class has on every side, and draw it as classes.png."""


def main(options: Options) -> int:
    out = options.out or default_out(options.labels)
    try:
        split = deal(options, out)
        write_together(out, files_of(split, options))
    except (LabelError, ValueError) as error:
        log.error("%s", error)
        return 2
    except OSError as error:
        log.error("%s cannot be written to (%s); free space or name another --out", out,
                  error.strerror or error)  # fmt: skip
        return 2
    print(columns(summary(split.clips, options.by)))
    print("".join(f"\n{note}" for note in split.notes))
    if options.stats:
        for task, counts in split.counts.items():
            print(f"{columns(class_table(task, split.sides, counts))}\n")
    print(f"written to {out}")
    return 0


@dataclass(frozen=True)
class Split:
    """All clips with their sides, and what is to be said of them."""

    clips: Sequence[LabelledClip]
    classes: Classes
    notes: Sequence[str]

    @Lazy
    def sides(self) -> tuple[str, ...]:
        return (*SPLITS, "unused") if any(not clip.split for clip in self.clips) else SPLITS

    @Lazy
    def counts(self) -> dict[str, dict[str, list[int]]]:
        """Task -> class -> how many clips it has on each side."""
        counts = {task: {name: [0] * len(self.sides) for name in names}
                  for task, names in self.classes.tasks.items()}  # fmt: skip
        at = {split: number for number, split in enumerate((*SPLITS, ""))}
        for clip in self.clips:
            for task, name in clip.targets.items():
                counts[task][name][at[clip.split]] += 1
        return counts


# -- dealing ---------------------------------------------------------------------------------------


def deal(options: Options, out: Path) -> Split:
    """Read the labels and give every clip its side, the one it has in `out` if it has one."""
    check_out(options.labels, out)
    ratio = Ratio.parse(options.ratio) if options.ratio is not None else None
    clips = read_labels(options.labels, options.label_format)
    notes = []
    if options.class_list is not None:
        clips, others = restrict(clips, read_class_list(options.class_list))
        notes.append(f"{len(others):,} clips are of classes that {options.class_list} leaves out")
    known = known_classes(options, out, clips)
    if ratio is None:
        if not any(clip.split for clip in clips):
            raise LabelError(f"{options.labels}: names no splits; deal some: --ratio 80/10/10")
        for fault in faults_of_own_sides(clips):
            log.warning("%s: %s", options.labels, fault)
        return Split(clips, known.extended(clips), [*notes, *unused(clips, "the labels name none")])
    before = {} if options.fresh else sides_in(out, options.by)
    sides = assign(clips, ratio, options.by, options.seed, before)
    if any(clip.split for clip in clips):
        notes.append("the splits that the labels name were not kept; without --ratio they are")
    clips = [dataclasses.replace(clip, split=side)
             for clip, side in zip(clips, sides, strict=True)]  # fmt: skip
    groups = united(clips, options.by)
    kept = {group for clip, group in zip(clips, groups, strict=True)
            if not before.keys().isdisjoint(keys_of(clip, options.by))}  # fmt: skip
    if kept:
        notes.append(f"{len(kept):,} {options.by}s keep the side they have in {out}; --fresh deals "
                     "them anew")  # fmt: skip
    reason = "training has no clip of their class, and their video is on another side already"
    notes += [*about_groups(clips, options.by), *unused(clips, reason)]
    return Split(clips, known.extended(clips), notes)


def default_out(labels: Path) -> Path:
    """Beside the labels: kinetics.csv -> kinetics-split."""
    name = re.sub(r"[*?]|\[.*\]", "", labels.stem) or "labels"
    return labels.parent / f"{name}-split"


def check_out(labels: Path, out: Path) -> None:
    """Nothing is overwritten but what this command wrote."""
    if out.exists() and not out.is_dir():
        raise LabelError(f"--out, {out}, is a file; name a folder")
    for path in map(Path, label_paths(labels)):
        inside = path.exists() and path.parent.resolve() == out.resolve()
        if path.resolve() == out.resolve() or (inside and path.name in WRITTEN):
            raise LabelError(f"{path} would be overwritten by its own split; name another --out")
        if inside and path.suffix.lower() == ".csv":
            raise LabelError(f"{path} lies in --out, where it would be in the way of whoever "
                             "reads the lists; name another --out")  # fmt: skip
    for path in foreign_files(out):
        raise LabelError(f"{path}: was not written by this command and would be overwritten; "
                         "name another --out")  # fmt: skip


def foreign_files(out: Path) -> list[Path]:
    """What is called as ours and is not: lists of others, and whatever lies without our lists."""
    lists = [out / name for name in WRITTEN if name.endswith(".csv") and (out / name).exists()]
    others = [path for path in lists
              if not set(OWN_COLUMNS) <= set(LabelFile.read(path).columns)]  # fmt: skip
    if not lists and out.is_dir():
        others = [path for name in (ANNOTATIONS, CLASSES, "classes*.png")
                  for path in sorted(out.glob(name))]  # fmt: skip
    return others


def sides_in(out: Path, by: str) -> dict[Key, str]:
    """The side of every group and every video in a folder of lists."""
    sides: dict[Key, str] = {}
    for split in SPLITS:
        path = out / f"{split}.csv"
        clips = read_own(LabelFile.read(path)) if path.exists() else ()
        for key in {key for clip in clips for key in keys_of(clip, by)}:
            if sides.setdefault(key, split) != split:
                raise LabelError(
                    f"{out}: {key[1]} is in {sides[key]} and in {split}, so it was not split by "
                    f"{by}; name another --out, or begin anew with --fresh"
                )
    return sides


def known_classes(options: Options, out: Path, clips: Sequence[LabelledClip]) -> Classes:
    """Of the lists from before, else of the labels, unless only some of their classes are taken."""
    if not options.fresh and (out / CLASSES).exists():
        return Classes.load(out / CLASSES)
    if options.class_list is not None:
        return Classes({})
    return classes_of(options.labels, clips)


def faults_of_own_sides(clips: Sequence[LabelledClip]) -> list[str]:
    """What the sides that the labels name themselves do wrong."""
    sides: dict[str, set[str]] = {}
    for clip in clips:
        sides.setdefault(uncut(clip.video), set()).update({clip.split} - {""})
    torn = [video for video, of_one in sides.items() if len(of_one) > 1]
    trained = {pair for clip in clips if clip.split == SPLITS[0] for pair in clip.targets.items()}
    asked = {pair for clip in clips if clip.split in SPLITS[1:] for pair in clip.targets.items()}
    new = [f"{task} {name!r}" for task, name in sorted(asked - trained)]
    faults = [f"{len(torn):,} videos are on more than one side: {some(torn)}"][: len(torn)]
    return faults + [f"val and test have {len(new):,} classes that train never sees: "
                     f"{some(new)}"][: len(new)]  # fmt: skip


def about_groups(clips: Sequence[LabelledClip], by: str) -> list[str]:
    """Whether the groups that the labels name have clips on several sides."""
    sides: dict[str, set[str]] = {}
    for clip in clips:
        if clip.group and clip.split:
            sides.setdefault(clip.group, set()).add(clip.split)
    if by == "group":
        return [] if sides else ["the labels name no groups, so every video is one"]
    torn = sum(len(of_one) > 1 for of_one in sides.values())
    return [f"{torn:,} groups have clips on several sides; --by group keeps them together"][:torn]


def unused(clips: Sequence[LabelledClip], reason: str) -> list[str]:
    """A note on the clips without a side."""
    names = [clip.video for clip in clips if not clip.split]
    if not names:
        return []
    return [f"{len(names):,} clips are in no list but {UNUSED} ({reason}): {some(names)}"]


# -- writing ---------------------------------------------------------------------------------------


def files_of(split: Split, options: Options) -> dict[str, bytes]:
    """Name -> contents of all there is to write."""
    by_side: dict[str, list[LabelledClip]] = {side: [] for side in (*SPLITS, "")}
    for clip in split.clips:
        by_side[clip.split].append(clip)
    texts = {f"{side}.csv": own_csv(by_side[side], split.classes) for side in SPLITS}
    if by_side[""]:
        texts[UNUSED] = own_csv(by_side[""], split.classes)
    texts[ANNOTATIONS] = annotations_json(split.clips, split.classes)
    texts[CLASSES] = split.classes.to_json()
    files = {name: text.encode() for name, text in texts.items()}
    for task, counts in split.counts.items() if options.stats else ():
        alone = len(split.counts) == 1
        title = f"{options.labels.name}: {len(counts):,} classes{'' if alone else f' of {task}'}"
        name = "classes.png" if alone else f"classes-{task}.png"
        png = io.BytesIO()
        draw_histogram(title, split.sides, counts).save(png, "PNG")
        files[name] = png.getvalue()
    return files


def write_together(out: Path, files: Mapping[str, bytes]) -> None:
    """All of them beside first, then each under its name; a list that is empty now goes."""
    out.mkdir(parents=True, exist_ok=True)
    beside = {name: out / f".{name}.{os.getpid()}" for name in files}
    try:
        for name, path in beside.items():
            with open(path, "wb") as file:
                file.write(files[name])
                file.flush()
                os.fsync(file.fileno())
        for name, path in beside.items():
            path.replace(out / name)
        if UNUSED not in files:
            (out / UNUSED).unlink(missing_ok=True)
    finally:
        for path in beside.values():
            path.unlink(missing_ok=True)


# -- what people see -------------------------------------------------------------------------------


def summary(clips: Sequence[LabelledClip], by: str) -> list[tuple[str, ...]]:
    """Clips, videos or groups, and classes of every side."""
    task = main_task(clips)
    rows: list[tuple[str, ...]] = [("split", "clips", "share", f"{by}s", "classes")]
    for side in (*SPLITS, ""):
        own = [clip for clip in clips if clip.split == side]
        groups = {group_of(clip, by) for clip in own}
        names = {clip.targets[task] for clip in own if task in clip.targets}
        share = f"{100 * len(own) / len(clips):.1f} %"
        if side or own:
            rows.append((side or "unused", f"{len(own):,}", share, f"{len(groups):,}",
                         f"{len(names):,}"))  # fmt: skip
    return rows


def class_table(
    task: str, sides: Sequence[str], counts: Mapping[str, Sequence[int]]
) -> list[tuple[str, ...]]:
    """A row a class, those with the most clips first."""
    rows = [(name, *(f"{part:,}" for part in parts), f"{sum(parts):,}")
            for name, parts in by_size(counts)]  # fmt: skip
    return [(task, *sides, "all"), *rows]


if __name__ == "__main__":
    start_logging()
    sys.exit(until_the_reader_leaves(main, tyro.cli(Options, prog="python -m tools.split")))
