"""A labelled clip, whatever dialect it was written in, and what its columns are allowed to hold.

An error names file, line, column, the value and what is allowed. All errors of a file are
gathered; ten are shown, the others counted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

from data.names import without_ending

Row = TypeVar("Row")
Box = tuple[float, float, float, float]
SPLITS = ("train", "val", "test")
SPLIT_WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
SPLIT_IN_NAME = re.compile(
    rf"(?<![a-z])({'|'.join(sorted(SPLIT_WORDS, key=len, reverse=True))})(?=list|set|[^a-z]|$)"
)
SAFE_PART = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f]+")
TASK_NAME = re.compile(r"\w[\w-]*")
DRIVE = re.compile(r"[A-Za-z]:")
LONGEST = 10**7  # seconds: four months
MOST_FRAMES = 10**12
SHOWN = 10  # errors of one file


class LabelError(Exception):
    """A label file that cannot be used: where, what, and what is allowed."""


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A passage of a video, and what is seen in it."""

    video: str  # an id, or a path relative to the videos' root, without the ending
    start: Fraction | None  # in `unit`; None: from the beginning
    stop: Fraction | None  # None: to the end; the first frame that no longer belongs to it
    targets: Mapping[str, str] = field(hash=False)  # task -> class; a task left out is unknown
    split: str = ""  # train, val, test, or empty if the file does not say
    group: str = ""  # what must stay together: a scene, a participant; empty: the video itself
    unit: str = "seconds"  # or "frames", counted from 0
    region: Box | None = None  # left, top, right, bottom, as fractions of the picture
    where: str = ""  # file and line, for messages


def gather(
    rows: Iterable[Row], read: Callable[[Row], Iterable[LabelledClip]]
) -> list[LabelledClip]:
    """The clips of all rows, or all their errors at once."""
    clips: list[LabelledClip] = []
    errors: list[str] = []
    for row in rows:
        try:
            clips += read(row)
        except LabelError as error:
            errors.append(str(error))
    raise_all(errors)
    return clips


def raise_all(errors: list[str]) -> None:
    """One error for all of them, if there are any."""
    if errors:
        more = f"\nand {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
        raise LabelError("\n".join(errors[:SHOWN]) + more)


def some(names: Sequence[str]) -> str:
    """Ten of them."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


# -- what a column may hold ------------------------------------------------------------------------


def wrong(where: str, column: str, value: object, allowed: str) -> LabelError:
    return LabelError(f"{where}: column {column} is {value!r}; {allowed}")


def class_name(where: str, column: str, text: str) -> str:
    """A class: its name becomes a folder's, so it may not lead anywhere else."""
    name = text.strip()
    if not name:
        raise LabelError(f"{where}: column {column} is empty; every row needs a class")
    if not _is_safe(name):
        raise wrong(where, column, text, "it names a folder, so it may not hold slashes or "
                    "control characters, or begin with a dot")  # fmt: skip
    return name


def task_name(where: str, text: str) -> str:
    if TASK_NAME.fullmatch(text) is None:
        raise LabelError(f"{where}: {text!r} names no task; a task is a word, such as verb")
    return text


@lru_cache(1 << 16)
def _is_safe(name: str) -> bool:
    return SAFE_PART.fullmatch(name) is not None


def video_name(where: str, column: str, text: str) -> str:
    """An id, or a path that stays below the videos' root; a video's ending is taken off."""
    name = safe_video(where, column, text.strip())
    return without_ending(name) if "." in name else name


def safe_video(where: str, column: str, name: str) -> str:
    """The name as it stands, if it leads nowhere else."""
    if not name:
        raise LabelError(f"{where}: column {column} is empty; every row needs a video")
    parts = name.split("/") if "/" in name else (name,)
    if not all(map(SAFE_PART.fullmatch, parts)) or DRIVE.match(name):
        raise wrong(where, column, name, "a video is named by its id or by its path below the "
                    "videos' folder: nothing that begins with a dot, no slash or C: in front, no "
                    "backslashes or control characters")  # fmt: skip
    return name


def split_name(where: str, column: str, text: str) -> str:
    name = text.strip().lower()
    try:
        return SPLIT_WORDS[name] if name else ""
    except KeyError:
        raise wrong(where, column, text, f"allowed are {', '.join(SPLIT_WORDS)}") from None


def split_of_file(path: str) -> str:
    """What the file's name says: kinetics_train.csv, testlist01.txt; empty if it is not clear."""
    found = SPLIT_IN_NAME.findall(os.path.basename(path).lower())
    splits = {SPLIT_WORDS[word] for word in found}
    return splits.pop() if len(splits) == 1 else ""


Ends = tuple[Fraction | None, Fraction | None]


def passage(where: str, columns: tuple[str, str], texts: tuple[str, str]) -> Ends:
    """Both ends of a passage in seconds, or neither: the whole video."""
    start, stop = ends(where, columns, texts)
    if (start is None) is not (stop is None):
        both = " and ".join(columns)
        raise LabelError(f"{where}: {both} go together; one of them is empty")
    return start, stop


def ends(where: str, columns: tuple[str, str], texts: tuple[str, str]) -> Ends:
    """Ends that leave something between them; an open one is empty."""
    try:
        return _parse_ends(*texts)
    except (ValueError, ZeroDivisionError):
        start, stop = (time(where, *one) for one in zip(columns, texts, strict=True))
        return bounds(where, columns, start, stop)


@lru_cache(1 << 16)
def _parse_ends(start_text: str, stop_text: str) -> Ends:
    """The same objects for the same texts: lists repeat their times a hundredfold."""
    start, stop = _parse_time(start_text), _parse_time(stop_text)
    if not _is_passage(start, stop):
        raise ValueError(start_text, stop_text)
    return start, stop


def bounds(
    where: str, columns: tuple[str, str], start: Fraction | None, stop: Fraction | None
) -> Ends:
    """The ends as they are given, if something lies between them."""
    if not _is_passage(start, stop):
        first, last = (float(end or 0) for end in (start, stop))
        until = "the end" if stop is None else f"{last:g}"
        raise LabelError(
            f"{where}: from {first:g} to {until} is no passage; {columns[0]} is at least 0 and "
            f"less than {columns[1]}"
        )
    return start, stop


def _is_passage(start: Fraction | None, stop: Fraction | None) -> bool:
    first = start or 0
    return first >= 0 and (stop is None or first < stop)


def time(where: str, column: str, text: str) -> Fraction | None:
    """Exact seconds; None where there are none."""
    try:
        return _parse_time(text)
    except (ValueError, ZeroDivisionError):
        allowed = "allowed are seconds (10, 12.5) or a clock's time (00:01:02.5)"
        raise wrong(where, column, text, allowed) from None


def _parse_time(text: str) -> Fraction | None:
    *higher, last = text.strip().split(":")
    if not (higher or last):
        return None
    seconds = Fraction(last)
    if higher and not (len(higher) < 3 and 0 <= seconds < 60 and all(map(str.isdigit, higher))):
        raise ValueError(text)
    for power, part in enumerate(reversed(higher), start=1):
        seconds += int(part) * 60**power
    if abs(seconds) >= LONGEST:
        raise ValueError(text)
    return seconds


def frame_number(where: str, column: str, value: object) -> int:
    try:
        number = int(value) if isinstance(value, str | int) else -1
    except ValueError:
        number = -1
    if not 0 <= number < MOST_FRAMES or isinstance(value, bool):
        raise wrong(where, column, value, "a frame is a whole number from 0")
    return number


def box(where: str, column: str, sides: Iterable[object], text: object) -> Box:
    """A region of the picture as fractions of it."""
    try:
        left, top, right, bottom = (float(str(side)) for side in sides)
    except ValueError:
        left, top, right, bottom = 1.0, 1.0, 0.0, 0.0
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise wrong(where, column, text, "a region is [left, top, right, bottom] in fractions of "
                    "the picture: 0 <= left < right <= 1, 0 <= top < bottom <= 1")  # fmt: skip
    return left, top, right, bottom


@lru_cache(1 << 16)
def one_class(name: str) -> Mapping[str, str]:
    """The targets of a clip that has one task; one object a class, however many clips it has."""
    return {"label": name}
