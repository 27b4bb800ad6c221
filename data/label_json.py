"""Label files in JSON: Diving-48, and K400-Tiny's annotations.json, which is also written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from data.label_file import LabelFile
from data.labelled import (
    SPLIT_WORDS,
    SPLITS,
    Box,
    LabelError,
    LabelledClip,
    bounds,
    box,
    class_name,
    ends,
    frame_number,
    gather,
    one_class,
    safe_video,
    task_name,
    video_name,
    wrong,
)
from data.names import numbered_source_of

Entry = tuple[str, Any]  # where, what


def parse(file: LabelFile) -> Any:
    try:
        return json.loads(file.text)
    except json.JSONDecodeError as error:
        raise LabelError(f"{file.path}:{error.lineno}: is no JSON ({error.msg})") from None
    except RecursionError:
        raise LabelError(f"{file.path}: is nested too deep to be a label file") from None
    except ValueError as error:  # a number of thousands of digits
        raise LabelError(f"{file.path}: is no JSON of labels ({error})") from None


def _object(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LabelError(f"{where}: is {value!r:.60}; expected an object in braces")
    return value


def _list(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise LabelError(f"{where}: is {value!r:.60}; expected a list in brackets")
    return value


def _text(where: str, key: str, entry: Mapping[str, Any]) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise wrong(where, key, value, "expected text in quotes")
    return value


# -- Diving-48 -------------------------------------------------------------------------------------


def read_diving48(file: LabelFile) -> list[LabelledClip]:
    """[{"vid_name", "label", "start_frame", "end_frame"}, ...]; the end is the number of frames.

    A class is called as Diving48_vocab.json beside calls it, else by its number.
    """
    names = _vocabulary(file)
    entries = _list(file.path, parse(file))
    columns = ("start_frame", "end_frame")

    def clip(entry: Entry) -> Iterable[LabelledClip]:
        where, values = entry[0], _object(*entry)
        video = video_name(where, "vid_name", _text(where, "vid_name", values))
        start, stop = (frame_number(where, name, values.get(name)) for name in columns)
        number = frame_number(where, "label", values.get("label"))
        if names and number >= len(names):
            raise wrong(where, "label", number, f"Diving48_vocab.json has 0 to {len(names) - 1}")
        targets = one_class(names[number] if names else str(number))
        first, last = bounds(where, columns, Fraction(start), Fraction(stop))
        source = numbered_source_of(video)
        yield LabelledClip(video, first, last, targets, file.split, source, "frames", where=where)

    return gather(((f"{file.path}[{at}]", one) for at, one in enumerate(entries)), clip)


def _vocabulary(file: LabelFile) -> Sequence[str]:
    """["Back", "15som", "05Twis", "FREE"] -> Back_15som_05Twis_FREE."""
    path = file.beside("Diving48_vocab.json")
    if path is None:
        return ()
    entries = _list(str(path), parse(LabelFile.read(path)))
    return [class_name(f"{path}[{at}]", "class", "_".join(map(str, _list(f"{path}[{at}]", words))))
            for at, words in enumerate(entries)]  # fmt: skip


# -- annotations.json ------------------------------------------------------------------------------


def read_annotations(file: LabelFile) -> list[LabelledClip]:
    """{"categories": {class: number}, "train": [{"video", "segment", "target"}], "val", "test"}.

    A segment names its first and its last frame. What ours say beyond that has keys of its own.
    """
    whole = _object(file.path, parse(file))
    names = _numbered(file.path, whole)

    def entries() -> Iterator[tuple[str, Entry]]:
        for key, split in sorted(_splits(file.path, whole), key=lambda one: SPLITS.index(one[1])):
            for at, one in enumerate(_list(f"{file.path}:{key}", whole[key])):
                yield split, (f"{file.path}:{key}[{at}]", one)

    def clip(found: tuple[str, Entry]) -> Iterable[LabelledClip]:
        split, (where, one) = found
        entry = _object(where, one)
        video = safe_video(where, "video", _text(where, "video", entry))
        start, stop, unit = _annotated_passage(where, entry)
        targets = _annotated_targets(where, entry, names)
        region = entry.get("region")
        sides = None if region is None else _annotated_box(where, region)
        group = _text(where, "group", entry)
        yield LabelledClip(video, start, stop, targets, split, group, unit, sides, where)

    return gather(entries(), clip)


def annotated_classes(file: LabelFile) -> tuple[str, ...]:
    """All categories in the order of their numbers, also those that no clip has."""
    names = _numbered(file.path, _object(file.path, parse(file)))
    for number in range(len(names)):
        if number not in names:
            raise LabelError(f"{file.path}:categories: no class has number {number}; those of "
                             f"{len(names)} classes are 0 to {len(names) - 1}")  # fmt: skip
    return tuple(names[number] for number in range(len(names)))


def _numbered(path: str, whole: Mapping[str, Any]) -> Mapping[int, str]:
    where = f"{path}:categories"
    names: dict[int, str] = {}
    for name, number in _object(where, whole.get("categories")).items():
        if not _is_whole(number):
            raise wrong(where, name, number, "the number of a class is a whole one")
        other = names.setdefault(number, class_name(where, "class", name))
        if other != name.strip():
            raise wrong(where, name, number, f"which is the number of {other!r} already")
    return names


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _splits(path: str, whole: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every key but categories, and the split it means."""
    for key in whole:
        if key.lower() in SPLIT_WORDS:
            yield key, SPLIT_WORDS[key.lower()]
        elif key != "categories":
            raise LabelError(f"{path}: has the key {key!r}; allowed are categories, "
                             f"{', '.join(SPLIT_WORDS)}")  # fmt: skip


def _annotated_box(where: str, region: Any) -> Box:
    if not isinstance(region, list) or not all(isinstance(side, int | float) for side in region):
        raise wrong(where, "region", region, "expected a list of four numbers")
    return box(where, "region", region, region)


def _annotated_passage(
    where: str, entry: Mapping[str, Any]
) -> tuple[Fraction | None, Fraction | None, str]:
    """From `segment`, whose last frame belongs to it, or from our own start and stop."""
    segment = entry.get("segment")
    if segment is not None:
        if not isinstance(segment, list) or len(segment) != 2:
            raise wrong(where, "segment", segment, "expected [first frame, last frame]")
        first, last = (frame_number(where, "segment", one) for one in segment)
        columns = ("the first frame", "the frame behind the last")
        return *bounds(where, columns, Fraction(first), Fraction(last + 1)), "frames"
    unit = entry.get("unit", "seconds")
    if unit not in ("seconds", "frames"):
        raise wrong(where, "unit", unit, "allowed are seconds and frames")
    start, stop = (_text(where, end, entry) for end in ("start", "stop"))
    return *ends(where, ("start", "stop"), (start, stop)), unit


def _annotated_targets(
    where: str, entry: Mapping[str, Any], names: Mapping[Any, str]
) -> Mapping[str, str]:
    if "targets" in entry:
        targets = _object(f"{where}:targets", entry["targets"])
        return {task_name(where, task): class_name(where, task, _text(where, task, targets))
                for task in targets}  # fmt: skip
    number = entry.get("target")
    if number is None:
        return {}
    if not _is_whole(number) or number not in names:
        raise wrong(where, "target", number, f"categories has {len(names)} classes, and not this")
    return one_class(names[number])
