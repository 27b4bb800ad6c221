"""Every label dialect becomes one LabelledClip, or an error that names file, line and column.

    clips = read_labels("kinetics_train.csv")               # recognised by its header or shape
    clips = read_labels("ucfTrainTestlist/*list01.txt")     # several files, one list
    clips = read_labels("videos/", "folders")               # named

    classes = classes_of("kinetics_train.csv", clips)       # the dictionary that goes with them

FORMATS is the list of all dialects.
"""

from __future__ import annotations

import csv
import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from data.catalog import JPG
from data.classes import CLASSES, Classes, main_task
from data.label_file import LabelFile
from data.label_json import annotated_classes, read_annotations, read_diving48
from data.label_lists import (
    AUTOTOSIS_LINE,
    HMDB_FILE,
    HMDB_LINE,
    MOMENTS_LINE,
    UCF_LINE,
    read_autotosis,
    read_folders,
    read_hmdb51,
    read_moments,
    read_ucf101,
)
from data.label_tables import (
    OWN_COLUMNS,
    read_actions,
    read_epic,
    read_hacs,
    read_k400_tiny,
    read_list,
    read_own,
)
from data.labelled import SPLIT_WORDS, SPLITS, LabelError, LabelledClip, raise_all, some

__all__ = ["FORMATS", "Dialect", "LabelError", "LabelledClip", "classes_of", "label_paths",
           "read_labels"]  # fmt: skip
ANNOTATIONS = "annotations.json"
UNUSED = "unused.csv"  # what tools.split could give no side
# What may lie beside train.csv and is no list of clips: what our tools left out, classes.
NO_LIST = re.compile(rf"{re.escape(UNUSED)}|failed[^/]*\.csv|epic_[^/]*_classes[^/]*\.csv")


@dataclass(frozen=True)
class Dialect:
    """A way of writing labels: what it looks like, how it is told from others, how it is read."""

    looks: str
    is_it: Callable[[LabelFile], bool]
    read: Callable[[LabelFile], list[LabelledClip]]


def _has(*columns: str) -> Callable[[LabelFile], bool]:
    return lambda file: set(columns) <= set(file.columns)


def _is_epic(file: LabelFile) -> bool:
    ends = ({"start_timestamp", "stop_timestamp"}, {"start_frame", "stop_frame"})
    columns = set(file.columns)
    return {"video_id", "participant_id"} <= columns and any(two <= columns for two in ends)


def _is_list(file: LabelFile) -> bool:
    return "label" in file.columns and bool({"youtube_id", "id"} & set(file.columns))


# In the order in which they are tried: what says more stands before what says less.
FORMATS: dict[str, Dialect] = {
    "folders": Dialect("a folder of <class>/<video>, or of train/<class>/<video>, ...",
                       lambda file: os.path.isdir(file.path), read_folders),
    "annotations": Dialect('{"categories": {...}, "train": [{"video": ...}]}',
                           lambda file: file.is_json and '"categories"' in file.text,
                           read_annotations),
    "diving48": Dialect('[{"vid_name": ..., "label": 0, "start_frame": 0, "end_frame": 48}]',
                        lambda file: file.is_json and '"vid_name"' in file.text[:1000],
                        read_diving48),
    "reelgrid": Dialect(",".join(OWN_COLUMNS) + ",task:...", _has(*OWN_COLUMNS), read_own),
    "hacs": Dialect("classname,youtube_id,subset,start,end,label",
                    _has("classname", "youtube_id", "subset"), read_hacs),
    "epic": Dialect("video_id,participant_id,start_timestamp,stop_timestamp,verb,noun,...",
                    _is_epic, read_epic),
    "actions": Dialect("uid,verb,noun,action,verb_class,noun_class",
                       _has("uid", "verb", "noun"), read_actions),
    "k400tiny": Dialect("youtube_id,folder_name,label",
                        _has("youtube_id", "folder_name", "label"), read_k400_tiny),
    "kinetics": Dialect("[label,]youtube_id,time_start,time_end,split[,is_cc]",
                        _has("youtube_id", "time_start", "time_end"), read_list),
    "srtg": Dialect("label,youtube_id|id[,time_start,time_end][,split]", _is_list, read_list),
    "autotosis": Dialect('video.mp4 "[0.78, 0.13, 0.97, 0.37]" "(0.0, 20.9)" "(24.2, 31.8)"',
                         lambda file: bool(AUTOTOSIS_LINE.fullmatch(file.first_line)),
                         read_autotosis),
    "moments": Dialect("blocking/video.mp4,blocking,3,0",
                       lambda file: bool(MOMENTS_LINE.fullmatch(file.first_line)), read_moments),
    "hmdb51": Dialect("video.avi 1   (in brush_hair_test_split1.txt)",
                      lambda file: bool(HMDB_LINE.fullmatch(file.first_line)), read_hmdb51),
    "ucf101": Dialect("Archery/v_Archery_g08_c01.avi [3]",
                      lambda file: bool(UCF_LINE.fullmatch(file.first_line)), read_ucf101),
}  # fmt: skip


def read_labels(path: str | os.PathLike[str], format: str | None = None) -> list[LabelledClip]:
    """All clips of a label file, in its order.

    Also of a folder that tools.split wrote, of a folder of HMDB-51's lists, of folders of
    classes, and of all files that a pattern with * or ? names.
    """
    if format is not None and format not in FORMATS:
        raise LabelError(f"there is no label format {format!r}; there are:\n{_known()}")
    clips: list[LabelledClip] = []
    paths = label_paths(path)
    for one in paths:
        clips += _read(one, format)
    if not clips:
        if os.path.isdir(paths[0]):
            raise LabelError(f"{path}: holds no videos in folders of classes, and no train.csv; "
                             f"name its label files by a pattern: '{path}/*.csv'")  # fmt: skip
        listed = ", ".join(paths[:3])
        raise LabelError(f"{listed}: has a header and no rows below it; add at least one")
    _refuse_repeats(clips)
    return clips


def classes_of(path: str | os.PathLike[str], clips: Sequence[LabelledClip]) -> Classes:
    """The dictionary that all splits of these labels share.

    It is the classes.json in their folder, else what annotations.json says itself, else made of
    the rows.
    """
    paths = label_paths(path)
    folder = Path(path) if os.path.isdir(path) else Path(paths[0]).parent
    if (folder / CLASSES).is_file():
        return Classes.load(folder / CLASSES)
    known = Classes({})
    if len(paths) == 1 and os.path.isfile(paths[0]):
        file = LabelFile.read(paths[0])
        if FORMATS["annotations"].is_it(file):
            known = Classes({main_task(clips): annotated_classes(file)}, file.path)
    return known.extended(clips)


def _read(path: str, format: str | None) -> list[LabelledClip]:
    if format not in (None, "folders") and os.path.isdir(path):
        raise LabelError(f"{path}: is a folder, and {format} is a file; name it, or several by a "
                         f"pattern: '{path}/*'")  # fmt: skip
    file = LabelFile(path, "") if os.path.isdir(path) else LabelFile.read(path)
    try:
        name = format or next((name for name, one in FORMATS.items() if one.is_it(file)), None)
        if name is not None:
            return FORMATS[name].read(file)
    except csv.Error as error:
        raise LabelError(f"{path}: is no CSV file ({error})") from None
    raise LabelError(
        f"{path}:1: begins with {file.first_line[:100]!r}, which is no dialect known here; name "
        f"one with --label-format, or write one of\n{_known()}"
    )


def _known() -> str:
    width = max(map(len, FORMATS))
    return "\n".join(f"    {name:{width}}  {one.looks}" for name, one in FORMATS.items())


def label_paths(labels: str | os.PathLike[str]) -> list[str]:
    """The files to read, or the folder of folders of classes."""
    path = os.fspath(labels)
    if not os.path.isdir(path):
        named = sorted(glob.glob(path)) if glob.has_magic(path) and not os.path.exists(path) else []
        listed = [one for one in named if os.path.basename(one) != UNUSED]
        return listed or named or [path]
    names = sorted(os.listdir(path))
    written = _split_files(path, names)
    if not written and ANNOTATIONS in names:
        written = [ANNOTATIONS]
    lists = {name: match["number"] for name in names if (match := HMDB_FILE.fullmatch(name))}
    if len(numbers := sorted(set(lists.values()))) > 1:
        raise LabelError(f"{path}: holds the lists of splits {', '.join(numbers)}; name those of "
                         f"one: '{path}/*_test_split{numbers[0]}.txt'")  # fmt: skip
    if files := written or list(lists):
        return [os.path.join(path, name) for name in files]
    below = os.path.join(path, JPG)  # of a dataset, the folder that has the classes
    return [below if os.path.isdir(below) else path]


def _split_files(folder: str, names: Sequence[str]) -> list[str]:
    """train.csv, val.csv or validate.csv, test.csv: whatever is called after a split.

    If there are some, nothing else may be a list: whoever reads a folder means all of it.
    """
    stems = {name: name[:-4].lower() for name in names if name.lower().endswith(".csv")}
    written = [name for name, stem in stems.items() if stem in SPLIT_WORDS]
    others = [name for name in stems if name not in written and not NO_LIST.fullmatch(name.lower())]
    if written and others:
        raise LabelError(f"{folder}: holds {some(others)} beside {', '.join(written)}; move it "
                         "elsewhere, or name the files by a pattern")  # fmt: skip
    return sorted(written, key=lambda name: SPLITS.index(SPLIT_WORDS[stems[name]]))


def _refuse_repeats(clips: Iterable[LabelledClip]) -> None:
    """A passage has one class, and has it once.

    Where clips have several tasks, passages may overlap as they like: two actions at a time.
    """
    seen: dict[tuple, LabelledClip] = {}
    errors = []
    for clip in clips:
        label = clip.targets.get("label")
        if label is None:
            continue
        first = seen.setdefault((clip.video, clip.unit, _end(clip.start), _end(clip.stop)), clip)
        if first is clip:
            continue
        if first.targets.get("label") == label:
            errors.append(f"{clip.where}: the same passage of {clip.video} is in {first.where} "
                          "already; delete one of them")  # fmt: skip
        else:
            errors.append(f"{clip.where}: the passage of {clip.video} is {label!r} here and "
                          f"{first.targets['label']!r} in {first.where}; delete one of them, or "
                          "name two videos by their folders: run/1 and jump/1")  # fmt: skip
    raise_all(errors)


def _end(time: Fraction | None) -> tuple[int, int] | None:
    """What hashes faster than a Fraction."""
    return None if time is None else time.as_integer_ratio()
