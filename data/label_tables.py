"""Label files with a header: the predecessor's list, Kinetics, HACS, EPIC-KITCHENS, our own."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import islice

from data.label_file import LabelFile
from data.labelled import (
    LabelError,
    LabelledClip,
    bounds,
    box,
    class_name,
    ends,
    frame_number,
    gather,
    one_class,
    passage,
    safe_video,
    split_name,
    task_name,
    video_name,
    wrong,
)
from data.names import scene_of

log = logging.getLogger(__name__)
Cells = Mapping[str, str]
JOINT = "\0"  # between cells, where it can mean nothing else
TASK = "task:"  # in front of a task's column in our own files


def read_table(
    file: LabelFile,
    read: Callable[[str, Cells], LabelledClip],
    needed: Sequence[str] = (),
    may_repeat: bool = False,
) -> list[LabelledClip]:
    """A clip of every row; rows that are the same twice are refused."""
    if missing := [name for name in needed if name not in file.columns]:
        raise LabelError(
            f"{file.path}:1: the columns are {', '.join(file.columns)}; missing: "
            f"{', '.join(missing)}"
        )
    if twice := [name for name, count in Counter(file.columns).items() if count > 1]:
        raise LabelError(f"{file.path}:1: column {twice[0]} is there twice; keep one of them")
    columns, seen = file.columns, dict[str, int]()

    def clip(row: tuple[int, Sequence[str]]) -> Iterable[LabelledClip]:
        line, cells = row
        where = f"{file.path}:{line}"
        if len(cells) != len(columns):
            advice = ('put names with a comma in quotes: "a, b"' if len(cells) > len(columns)
                      else "write every cell, also the empty ones")  # fmt: skip
            raise LabelError(
                f"{where}: has {len(cells)} cells for {len(columns)} columns; {advice}"
            )
        if cells[-1].strip() == columns[-1] and _is_header(cells, columns):
            raise LabelError(f"{where}: is the header once more; where files were joined, keep "
                             "the header of the first")  # fmt: skip
        if not may_repeat and (first := seen.setdefault(JOINT.join(cells), line)) != line:
            raise LabelError(f"{where}: is the same row as line {first}; delete one of them")
        return (read(where, dict(zip(columns, cells, strict=True))),)

    return gather(_below_header(file), clip)


def _below_header(file: LabelFile) -> Iterable[tuple[int, Sequence[str]]]:
    return islice(file.rows(), 1, None)


def _is_header(cells: Sequence[str], columns: Sequence[str]) -> bool:
    """Also with the mark of the byte order that a second file began with."""
    return [cell.lstrip("\ufeff").strip() for cell in cells] == list(columns)


# -- one passage, one class ------------------------------------------------------------------------


def read_list(file: LabelFile) -> list[LabelledClip]:
    """The predecessor's and Kinetics': label,youtube_id|id[,time_start,time_end][,split,is_cc]."""
    identity = "youtube_id" if "youtube_id" in file.columns else "id"
    columns = ("time_start", "time_end")
    has_label, has_split = "label" in file.columns, "split" in file.columns

    def clip(where: str, row: Cells) -> LabelledClip:
        targets = one_class(class_name(where, "label", row.get("label", ""))) if has_label else {}
        video = video_name(where, identity, row.get(identity, ""))
        start, stop = passage(where, columns, (row.get(columns[0], ""), row.get(columns[1], "")))
        split = split_name(where, "split", row.get("split", "")) if has_split else ""
        return LabelledClip(video, start, stop, targets, split or file.split, scene_of(video),
                            where=where)  # fmt: skip

    return read_table(
        file, clip, [identity] if "time_start" in file.columns else ["label", identity]
    )


def read_hacs(file: LabelFile) -> list[LabelledClip]:
    """classname,youtube_id,subset,start,end,label; label -1: the class is not in this passage.

    What else is in it nobody said, so such a clip has no target.
    """

    def clip(where: str, row: Cells) -> LabelledClip:
        targets = one_class(class_name(where, "classname", row.get("classname", "")))
        sign = row.get("label", "").strip()
        if sign not in ("1", "-1"):
            raise wrong(where, "label", sign, "allowed are 1 (is in it) and -1 (is not)")
        video = video_name(where, "youtube_id", row.get("youtube_id", ""))
        start, stop = passage(where, ("start", "end"), (row.get("start", ""), row.get("end", "")))
        split = split_name(where, "subset", row.get("subset", ""))
        return LabelledClip(video, start, stop, targets if sign == "1" else {}, split or file.split,
                            where=where)  # fmt: skip

    return read_table(file, clip, ["classname", "youtube_id", "subset", "start", "end", "label"])


def read_k400_tiny(file: LabelFile) -> list[LabelledClip]:
    """youtube_id,folder_name,label: the folder that holds a video's pictures."""

    def clip(where: str, row: Cells) -> LabelledClip:
        video = video_name(where, "folder_name", row.get("folder_name", ""))
        targets = one_class(class_name(where, "label", row.get("label", "")))
        return LabelledClip(video, None, None, targets, file.split, where=where)

    return read_table(file, clip, ["youtube_id", "folder_name", "label"])


# -- several tasks ---------------------------------------------------------------------------------


def read_actions(file: LabelFile) -> list[LabelledClip]:
    """uid,verb,noun,action,verb_class,noun_class: uid is a video file below the list's folder."""

    def clip(where: str, row: Cells) -> LabelledClip:
        video = video_name(where, "uid", row.get("uid", ""))
        verb, noun = (class_name(where, task, row.get(task, "")) for task in ("verb", "noun"))
        action = row.get("action", "").strip() or f"{verb} {noun}"
        targets = {"verb": verb, "noun": noun, "action": class_name(where, "action", action)}
        return LabelledClip(video, None, None, targets, file.split, scene_of(video), where=where)

    return read_table(file, clip, ["uid", "verb", "noun"])


def read_epic(file: LabelFile) -> list[LabelledClip]:
    """EPIC-KITCHENS 55 and 100, also the test sets, which have no classes.

    Frames count only where there are no times; the dataset numbers them from 1, both ends
    inside. An action is its verb and noun, or what the column action_class says.
    """
    tasks = [task for task in ("verb", "noun") if task in file.columns]
    names = {task: _epic_names(file, task) for task in tasks}
    timed = "start_timestamp" in file.columns

    def clip(where: str, row: Cells) -> LabelledClip:
        video = video_name(where, "video_id", row.get("video_id", ""))
        targets: dict[str, str] = {}
        for task, known in names.items():
            targets[task] = _epic_class(where, row, task, known)
        if len(targets) == 2:
            action = row.get("action_class", "").strip() or "{verb} {noun}".format(**targets)
            targets["action"] = class_name(where, "action_class", action)
        start, stop = _epic_times(where, row) if timed else _epic_frames(where, row)
        return LabelledClip(video, start, stop, targets, file.split,
                            row.get("participant_id", "").strip(),
                            "seconds" if timed else "frames", where=where)  # fmt: skip

    return read_table(file, clip, ["video_id"])


def _epic_times(where: str, row: Cells) -> tuple[Fraction | None, Fraction | None]:
    columns = ("start_timestamp", "stop_timestamp")
    texts = (row.get(columns[0], ""), row.get(columns[1], ""))
    if not all(map(str.strip, texts)):
        raise LabelError(f"{where}: {' and '.join(columns)} may not be empty")
    return passage(where, columns, texts)


def _epic_frames(where: str, row: Cells) -> tuple[Fraction | None, Fraction | None]:
    columns = ("start_frame", "stop_frame")
    first, last = (frame_number(where, name, row.get(name, "")) for name in columns)
    return bounds(where, columns, Fraction(max(first - 1, 0)), Fraction(last))


def _epic_class(where: str, row: Cells, task: str, names: Mapping[str, str]) -> str:
    """The class's name, which is not always the word that was said: "pick-up" is "take"."""
    number = row.get(f"{task}_class", "").strip()
    if not names:
        return class_name(where, task, row.get(task, ""))
    if number not in names:
        raise wrong(
            where, f"{task}_class", number, f"the list of classes has 0 to {len(names) - 1}"
        )
    return class_name(where, task, names[number])


def _epic_names(file: LabelFile, task: str) -> Mapping[str, str]:
    """Number -> name: from the dataset's list of classes, if it lies beside, else by majority."""
    column = f"{task}_class"
    if column not in file.columns:
        return {}
    beside = file.beside(*(name.format(task=task) for name in _epic_lists(file)))
    if beside is not None:
        return _epic_list(LabelFile.read(beside))
    words: dict[str, Counter[str]] = defaultdict(Counter)
    at, number = file.columns.index(task), file.columns.index(column)
    for _, cells in _below_header(file):
        if max(at, number) < len(cells):
            words[cells[number].strip()][cells[at].strip()] += 1
    if any(len(of_one) > 1 for of_one in words.values()):
        log.warning("%s: a %s is several words here; its most frequent one names it. Put "
                    "EPIC_100_%s_classes.csv beside for the dataset's own names", file.path,
                    column, task)  # fmt: skip
    names = {number: of_one.most_common(1)[0][0] for number, of_one in words.items()}
    numbers = {name: number for number, name in names.items()}
    if joined := [number for number, name in names.items() if numbers[name] != number]:
        name = names[joined[0]]
        raise LabelError(f"{file.path}: {column} {joined[0]} and {numbers[name]} would both be "
                         f"called {name!r} after their most frequent word; put "
                         f"{_epic_lists(file)[0].format(task=task)} beside")  # fmt: skip
    return names


EPIC_55_LISTS = ("EPIC_{task}_classes.csv",)
EPIC_100_LISTS = ("EPIC_100_{task}_classes.csv", "EPIC_100_{task}_classes_v2.csv")


def _epic_lists(file: LabelFile) -> Sequence[str]:
    """What a file's list of classes is called; the two editions number their classes apart."""
    if "EPIC_100" in file.path.replace("\\", "/").split("/")[-1] or "narration_id" in file.columns:
        return EPIC_100_LISTS
    return EPIC_55_LISTS if "uid" in file.columns else (*EPIC_100_LISTS, *EPIC_55_LISTS)


def _epic_list(file: LabelFile) -> Mapping[str, str]:
    names: dict[str, str] = {}
    for line, cells in file.rows():
        number = cells[0].strip()
        if not number.isdigit():  # the header
            continue
        if len(cells) < 2:
            raise LabelError(f"{file.path}:{line}: has a number and no name; get the list anew")
        names[number] = cells[1].strip()
    return names


# -- our own ---------------------------------------------------------------------------------------

OWN_COLUMNS = ("video", "start", "stop", "unit", "split", "group", "region")


def read_own(file: LabelFile) -> list[LabelledClip]:
    """What tools.split writes: all there is to know of a clip, exactly."""
    tasks = {name: task_name(f"{file.path}:1", name[len(TASK) :])
             for name in file.columns if name.startswith(TASK)}  # fmt: skip
    own_ends = ("start", "stop")

    def clip(where: str, row: Cells) -> LabelledClip:
        unit = row.get("unit", "").strip()
        if unit not in ("seconds", "frames"):
            raise wrong(where, "unit", unit, "allowed are seconds and frames")
        start, stop = ends(where, own_ends, (row.get("start", ""), row.get("stop", "")))
        if unit == "frames" and any(end and end.denominator != 1 for end in (start, stop)):
            raise wrong(where, "start or stop", f"{start}, {stop}", "frames are whole numbers")
        targets: Mapping[str, str] = {
            task: class_name(where, name, row[name])
            for name, task in tasks.items()
            if row.get(name, "").strip()
        }
        if targets.keys() == {"label"}:
            targets = one_class(targets["label"])
        region = row.get("region", "").strip()
        return LabelledClip(
            safe_video(where, "video", row["video"].strip()),
            start,
            stop,
            targets,
            split_name(where, "split", row.get("split", "")),
            row.get("group", "").strip(),
            unit,
            box(where, "region", region.split(), region) if region else None,
            where,
        )

    return read_table(file, clip, OWN_COLUMNS, may_repeat=True)
