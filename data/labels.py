"""Label files: every row one labelled clip, or an error that names file, line and column.

The dialect so far is the predecessor's list, `label,youtube_id|id[,time_start,time_end][,split]`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

ID_COLUMNS = ("youtube_id", "id")
FORBIDDEN = ("/", "\\", "\0")
LONGEST = 10**7  # seconds: four months
SHOWN = 10  # errors of one file


@dataclass(frozen=True)
class LabelledClip:
    """A passage of a video and what is seen in it. Without times it is the whole video."""

    video: str
    label: str
    start: Fraction | None
    stop: Fraction | None
    split: str
    line: int


class LabelError(Exception):
    """A label file that cannot be used: where, what, and what is allowed."""


def read_labels(path: str | Path) -> list[LabelledClip]:
    """All rows of a label file, in their order."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return list(_rows(str(path), csv.DictReader(file)))
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{path}: is not a CSV file in UTF-8 ({error})") from None


def _rows(path: str, reader: csv.DictReader[str]) -> Iterator[LabelledClip]:
    columns = reader.fieldnames or []
    missing = [] if "label" in columns else ["label"]
    missing += [] if any(name in columns for name in ID_COLUMNS) else ["youtube_id or id"]
    if missing:
        raise LabelError(
            f"{path}:1: the columns are {', '.join(columns) or 'none'}; missing: "
            f"{', '.join(missing)}; allowed: label,youtube_id|id,time_start,time_end,split"
        )
    errors = []
    for row in reader:
        try:
            yield _clip(f"{path}:{reader.line_num}", row, reader.line_num)
        except LabelError as error:
            errors.append(str(error))
    if errors:
        more = f"\nand {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
        raise LabelError("\n".join(errors[:SHOWN]) + more)


def _clip(where: str, row: Mapping[str, str | None], line: int) -> LabelledClip:
    video = next((row[name] for name in ID_COLUMNS if row.get(name)), None)
    label = row.get("label")
    start, stop = (_seconds(where, row, name) for name in ("time_start", "time_end"))
    for column, value in (("label", label), ("id", video)):
        _check_name(where, column, value)
    if (start is None) != (stop is None):
        raise LabelError(f"{where}: time_start and time_end go together; one of them is empty")
    if start is not None and stop is not None and not 0 <= start < stop:
        raise LabelError(
            f"{where}: from {float(start):g} to {float(stop):g} is no passage; "
            "time_start is at least 0 and less than time_end"
        )
    return LabelledClip(video or "", label or "", start, stop, row.get("split") or "", line)


def _check_name(where: str, column: str, value: str | None) -> None:
    """Labels and ids become folders: they may not lead anywhere else."""
    if not value or not value.strip():
        raise LabelError(f"{where}: column {column} is empty; every row needs one")
    if value.startswith(".") or any(mark in value for mark in FORBIDDEN):
        raise LabelError(
            f"{where}: column {column} is {value!r}; it names a folder, so it may not hold "
            "slashes or begin with a dot"
        )


def _seconds(where: str, row: Mapping[str, str | None], column: str) -> Fraction | None:
    text = (row.get(column) or "").strip()
    if not text:
        return None
    try:
        if abs(time := Fraction(text)) < LONGEST:
            return time
        raise ValueError
    except (ValueError, ZeroDivisionError):
        raise LabelError(
            f"{where}: column {column} is {text!r}; allowed are seconds, such as 10 or 12.5"
        ) from None
