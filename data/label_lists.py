"""Labels without a header: UCF-101, HMDB-51, Moments in Time, autotosis; folders of classes."""

from __future__ import annotations

import csv
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from data.folders import walk
from data.label_file import LabelFile
from data.labelled import (
    SPLIT_WORDS,
    Box,
    LabelError,
    LabelledClip,
    bounds,
    box,
    class_name,
    gather,
    one_class,
    safe_video,
    some,
    time,
    video_name,
    wrong,
)
from data.names import TOP, as_text, is_video, numbered_source_of, scene_of, without_ending
from data.pictures import is_numbered
from data.schema import DATABASE

log = logging.getLogger(__name__)
UCF_LINE = re.compile(r"(?P<path>(?P<folder>.+)/[^/,]+\.\w+)(?:\s+(?P<number>\d+))?")
HMDB_LINE = re.compile(r"(?P<name>[^/,]+\.\w+)\s+(?P<use>[012])")
HMDB_FILE = re.compile(r"(?P<label>.+)_test_split(?P<number>\d+)\.txt")
HMDB_CLIP = re.compile(r"(?P<film>.+)_[a-z]_[a-z]{2}_np\d_[a-z]{2}_[a-z]{3}_\d+")
MOMENTS_LINE = re.compile(r"[^,]+/[^,]+\.\w+,[^,]+(?:,\s*\d+)*")
AUTOTOSIS_LINE = re.compile(r'(?:"[^"]+"|[^\s,"]+)\s+"?\[.*')
BLANK = re.compile(r"\s")
NUMBERS = re.compile(r"[^\s,()\[\]]+")
NEGATIVE, POSITIVE = "negative", "positive"


def read_lines(
    file: LabelFile, read: Callable[[str, str], Iterable[LabelledClip]]
) -> list[LabelledClip]:
    """The clips of every line; a line that is the same twice is refused."""
    seen: dict[str, int] = {}

    def clips(numbered: tuple[int, str]) -> Iterable[LabelledClip]:
        number, line = numbered[0], numbered[1].strip()
        where = f"{file.path}:{number}"
        if (first := seen.setdefault(line, number)) != number:
            raise LabelError(f"{where}: is the same row as line {first}; delete one of them")
        return read(where, line)

    return gather(file.lines, clips)


def matching(where: str, pattern: re.Pattern[str], line: str, example: str) -> re.Match[str]:
    match = pattern.fullmatch(line)
    if match is None:
        raise LabelError(f"{where}: the line is {line[:100]!r}; allowed are lines like {example}")
    return match


# -- one video a line ------------------------------------------------------------------------------


def read_ucf101(file: LabelFile) -> list[LabelledClip]:
    """Archery/v_Archery_g08_c01.avi 3: the number, if any, is the class's in classInd.txt.

    Without that file, numbers and folders must at least agree: many lists look like this, and
    not in all of them does the folder say the class.
    """
    numbered = _numbered_classes(file.beside("classInd.txt"))
    folder_of: dict[str, str] = {}
    number_of: dict[str, str] = {}

    def clip(where: str, line: str) -> Iterable[LabelledClip]:
        match = matching(where, UCF_LINE, line, "Archery/v_Archery_g08_c01.avi 3")
        if BLANK.search(match["folder"]):
            raise wrong(where, "path", match["path"], "UCF-101's folders have no blanks; write a "
                        "list with a header: label,id")  # fmt: skip
        label = class_name(where, "class", match["folder"].split("/")[-1])
        number = match["number"] or ""
        if number and numbered and (named := numbered.get(number)) != label:
            raise wrong(where, "number", number, f"classInd.txt calls it {named!r}, the video "
                        f"lies in {label!r}")  # fmt: skip
        if number and not numbered:
            folder, other = folder_of.setdefault(number, label), number_of.setdefault(label, number)
            if (folder, other) != (label, number):
                found = f"{folder!r} has this number" if folder != label else f"it has {other}"
                raise wrong(where, "number", number, f"the video lies in {label!r}, and above "
                            f"{found}, so this is no list of UCF-101; write one with a header: "
                            "label,id")  # fmt: skip
        video = video_name(where, "path", match["path"])
        scene = scene_of(video.split("/")[-1])
        yield LabelledClip(video, None, None, one_class(label), file.split, scene, where=where)

    return read_lines(file, clip)


def _numbered_classes(path: Path | None) -> dict[str, str]:
    """classInd.txt: a number and a name on every line."""
    if path is None:
        return {}
    rows = (line.split(maxsplit=1) for _, line in LabelFile.read(path).lines)
    return {row[0]: row[1].strip() for row in rows if len(row) == 2}


def read_hmdb51(file: LabelFile) -> list[LabelledClip]:
    """brush_hair_test_split1.txt: a video and 1 (train), 2 (test) or 0 (neither) on every line."""
    name = os.path.basename(file.path)
    match = HMDB_FILE.fullmatch(name)
    if match is None:
        raise LabelError(f"{file.path}: HMDB-51 has its class in the file's name, as in "
                         "brush_hair_test_split1.txt; rename it so")  # fmt: skip
    label = class_name(file.path, "class", match["label"])

    def clip(where: str, line: str) -> Iterable[LabelledClip]:
        match = matching(where, HMDB_LINE, line, "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1")
        video = video_name(where, "video", match["name"])
        film = HMDB_CLIP.fullmatch(video)
        group = film["film"].removesuffix(f"_{label}") if film else ""
        split = ("", "train", "test")[int(match["use"])]
        yield LabelledClip(video, None, None, one_class(label), split, group, where=where)

    return read_lines(file, clip)


def read_moments(file: LabelFile) -> list[LabelledClip]:
    """blocking/yt-5of6ffo6-Bw_205.mp4,blocking,3,0: video, class, how many agreed and did not."""

    def clip(where: str, line: str) -> Iterable[LabelledClip]:
        cells = matching(where, MOMENTS_LINE, line, "blocking/a_1.mp4,blocking,3,0")[0].split(",")
        video = video_name(where, "path", cells[0])
        targets = one_class(class_name(where, "class", cells[1]))
        source = numbered_source_of(video)
        yield LabelledClip(video, None, None, targets, file.split, source, where=where)

    return read_lines(file, clip)


# -- intervals of a video --------------------------------------------------------------------------


def read_autotosis(file: LabelFile) -> list[LabelledClip]:
    """path "[l, t, r, b]" "(start, stop)" ...: what lies between the intervals is negative."""
    lines: dict[str, str] = {}

    def clips(where: str, line: str) -> Iterable[LabelledClip]:
        example = 'video.mp4 "[0.78, 0.13, 0.97, 0.37]" "(0, 20.9)"'
        matching(where, AUTOTOSIS_LINE, line, example)
        cells = next(csv.reader([line], delimiter=" ", skipinitialspace=True))
        path, region, *intervals = [cell for cell in cells if cell.strip()]
        video = video_name(where, "path", path)
        if (first := lines.setdefault(video, where)) != where:
            raise LabelError(f"{where}: {video} has its intervals in {first} already; put all of "
                             "them there")  # fmt: skip
        sides = box(where, "region", NUMBERS.findall(region), region)
        ends = [_interval(where, text) for text in intervals]
        return list(_pieces(where, video, ends, (file.split, sides)))

    return read_lines(file, clips)


def _interval(where: str, text: str) -> tuple[Fraction, Fraction]:
    ends = ("interval's start", "interval's end")
    numbers = NUMBERS.findall(text)
    if len(numbers) != 2:
        raise wrong(where, "interval", text, "allowed are a start and an end: (3.5, 12)")
    start, stop = (time(where, end, number) for end, number in zip(ends, numbers, strict=True))
    bounds(where, ends, start, stop)
    assert start is not None  # NUMBERS finds nothing empty
    assert stop is not None
    return start, stop


def _pieces(
    where: str, video: str, intervals: Sequence[tuple[Fraction, Fraction]], rest: tuple[str, Box]
) -> Iterator[LabelledClip]:
    """The whole video: positive in the intervals, negative before, between and behind them."""
    split, region = rest

    def piece(label: str, start: Fraction | None, stop: Fraction | None) -> LabelledClip:
        return LabelledClip(video, start, stop, one_class(label), split, region=region, where=where)

    if not intervals:
        yield piece(NEGATIVE, None, None)
        return
    now = Fraction(0)
    for start, stop in intervals:
        if start < now:
            raise LabelError(
                f"{where}: the interval from {float(start):g} begins before the one in front of it "
                f"has ended, at {float(now):g}; sort or join them"
            )
        if start > now:
            yield piece(NEGATIVE, now, start)
        yield piece(POSITIVE, start, stop)
        now = stop
    yield piece(NEGATIVE, now, None)


# -- folders ---------------------------------------------------------------------------------------


def read_folders(file: LabelFile) -> list[LabelledClip]:
    """<class>/<video> below the folder, or train/<class>/<video>, val/..., test/...

    A video is a file, a folder of numbered pictures, or one that the converter wrote. Those in
    the folder _ had no class when they were converted.
    """
    root = file.path
    if not os.path.isdir(root):
        raise LabelError(f"{root}: is a file; name the folder that holds the classes' folders")
    names = sorted(entry.name for entry in os.scandir(root)
                   if entry.is_dir() and not entry.name.startswith("."))  # fmt: skip
    split = bool(names) and all(name.lower() in SPLIT_WORDS for name in names)
    depth = 3 if split else 2

    def clip(path: str) -> Iterable[LabelledClip]:
        where = f"{root}/{path}"
        parts = path.split("/")
        if len(parts) != depth:
            shape = "train/<class>/<video>" if split else "<class>/<video>"
            raise LabelError(f"{where}: does not lie in a class's folder; their shape is {shape}")
        label = parts[-2]
        targets = {} if label == TOP else one_class(class_name(where, "class", label))
        part = SPLIT_WORDS[parts[0].lower()] if split else ""
        video = safe_video(where, "video", path)
        yield LabelledClip(video, None, None, targets, part, scene_of(parts[-1]), where=where)

    return gather(_videos_below(root), clip)


def _videos_below(root: str) -> Iterator[str]:
    """Their paths below `root`, called as the converter calls them."""
    lost: list[str] = []
    for folder, _, files in walk(root):
        path = as_text(Path(folder).relative_to(root).as_posix())
        videos = [name for name in files if is_video(name)]
        broken = {name for name in videos if not os.path.exists(os.path.join(folder, name))}
        lost += [f"{path}/{name}" for name in sorted(broken)]
        videos = [name for name in videos if name not in broken]
        if DATABASE in files or (not videos and sum(map(is_numbered, files)) > 1):
            yield path
            continue
        taken: set[str] = set()
        for name in videos:  # of two that differ in nothing but the ending, the later one keeps it
            stem = without_ending(name)
            called = name if stem in taken else stem
            taken.add(called)
            yield as_text(f"{path}/{called}" if path != "." else called)
    if lost:
        log.warning("%s: %d links lead to no video: %s", root, len(lost), some(lost))
