"""What videos are called: the endings of their files, the names of passages cut out of them.

A store's video lies in `<class>/<video>` below jpg/; one that was cut out of a longer video in
`<class>/<video>_000010_000020`.
"""

from __future__ import annotations

import os
import re
from fractions import Fraction

ENDINGS = """.mp4 .m4v .mov .qt .mkv .webm .avi .divx .wmv .asf .flv .f4v .mpg .mpeg .mpe .mpeg-4
.m1v .m2v .vob .ts .m2ts .mts .ogv .ogm .3gp .3g2 .mxf .dv .rm .rmvb .nut .ivf .y4m .h264 .264
.h265 .265 .hevc .mjpeg .mjpg"""
VIDEO_ENDINGS = frozenset(ENDINGS.split())
TOP = "_"  # the class of videos that lie at the top, so that class/video stays two levels
PASSAGE = re.compile(r"_\d{6,}(?:\.\d{3})?_\d{6,}(?:\.\d{3})?\Z")
PIECE = re.compile(r"(?P<source>.+)_\d+")
SCENE = re.compile(r"(?P<group>.+_g\d\d)_c\d\d")  # UCF-101: v_Archery_g08_c01


def is_video(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_ENDINGS


def without_ending(path: str) -> str:
    """A video file's path without its ending; what only looks like one stays."""
    stem, ending = os.path.splitext(path)
    return stem if ending.lower() in VIDEO_ENDINGS else path


def as_text(name: str) -> str:
    r"""A file's name as text that every database takes; bytes that are no UTF-8 become \xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def passage_name(video: str, start: Fraction | None, stop: Fraction | None) -> str:
    """The predecessor's: id_000010_000020; with milliseconds where seconds are not whole."""
    if start is None or stop is None:
        return video
    return f"{video}_{_second_text(start)}_{_second_text(stop)}"


def _second_text(time: Fraction) -> str:
    return f"{time.numerator:06d}" if time.denominator == 1 else f"{float(time):010.3f}"


def uncut(video: str) -> str:
    """The video that a passage was cut from, as far as its name says it; else the name itself."""
    match = PASSAGE.search(video) if "_" in video else None
    return os.path.basename(video[: match.start()]) if match else video


def scene_of(video: str) -> str:
    """UCF-101's group of clips that were taken of one scene; empty for all other names."""
    match = SCENE.fullmatch(video) if "_g" in video else None
    return match["group"] if match else ""


def numbered_source_of(video: str) -> str:
    """What a numbered piece was cut from: x for x_00155; empty for a name without a number."""
    match = PIECE.fullmatch(os.path.basename(video))
    return match["source"] if match else ""
