"""Folders of numbered pictures: which files, in which order, what is missing, what they show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from data.faults import MediaError, check_file
from data.jpeg import JpegError, decode, is_plain

NUMBERED = re.compile(r"(?P<name>.*?)(?P<number>\d+)\.(?:jpe?g|png)", re.IGNORECASE)


@dataclass(frozen=True)
class Series:
    """Pictures of one folder by their number; `gaps` are numbers that are not there."""

    files: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def gaps(self) -> tuple[int, ...]:
        have = set(self.numbers)
        return tuple(
            number for number in range(self.numbers[0], self.numbers[-1]) if number not in have
        )


def series_in(folder: str, names: Iterable[str]) -> Series:
    """The numbered pictures among these names, in the order of their numbers.

    They share what stands before the number: frame_1.jpg, frame_2.jpg, ..., frame_10.jpg.
    """
    found = [(match["name"], int(match["number"]), name) for name in names
             if (match := NUMBERED.fullmatch(name)) is not None]  # fmt: skip
    prefixes = Counter(prefix for prefix, _, _ in found)
    if len(prefixes) > 1:
        listed = ", ".join(f"{prefix!r} ({count})" for prefix, count in prefixes.most_common(4))
        raise MediaError(folder, f"holds several series of pictures: {listed}",
                         "give each a folder of its own")  # fmt: skip
    ordered = sorted((number, name) for _, number, name in found)
    for (number, name), (later, other) in pairwise(ordered):
        if number == later:
            raise MediaError(folder, f"holds number {number} twice ({name} and {other})",
                             "remove one of them")  # fmt: skip
    return Series(tuple(name for _, name in ordered), tuple(number for number, _ in ordered))


def is_numbered(name: str) -> bool:
    return not name.startswith(".") and NUMBERED.fullmatch(name) is not None


@dataclass(frozen=True)
class Picture:
    """One picture file, read: RGB, and its own bytes where every reader shows them alike."""

    rgb: np.ndarray
    jpeg: bytes | None


def read_picture(path: str | Path) -> Picture:
    """A JPEG or PNG file, upright, without transparency, 8 bits."""
    check_file(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MediaError(path, f"cannot be read ({error.strerror})", "check the file") from None
    try:
        if data[:2] == b"\xff\xd8" and is_plain(data):
            return Picture(decode(data), data)
    except JpegError as error:
        raise MediaError(path, str(error), "copy it again") from None
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise MediaError(path, f"cannot be read ({error.err})", "copy it again") from None
    if bgr is None:
        raise MediaError(path, "is not a whole JPEG or PNG picture", "copy it again")
    return Picture(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), None)
