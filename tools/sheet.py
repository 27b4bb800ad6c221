"""Contact sheets: rows of pictures with their times, and the sound that goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND, PANEL = (250, 249, 246), (236, 233, 226)
INK, FAINT, WAVE = (32, 30, 28), (122, 116, 108), (66, 108, 146)
LABEL, GAP, PICTURE_HEIGHT, CAPTION, WAVE_HEIGHT = 250, 10, 132, 20, 36
STRIP = 1240  # pixels a row's pictures and sound may take


@dataclass(frozen=True)
class Row:
    """One video: what it is, some of its pictures; below them its sound (mono) or some words."""

    title: str
    lines: Sequence[str]
    pictures: Sequence[np.ndarray]
    captions: Sequence[str]
    sound: np.ndarray | None = None
    foot: str = "no sound"


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def pictures_that_fit(size: tuple[int, int]) -> int:
    """How many pictures of this size a row has room for."""
    return max(1, int((STRIP + GAP) // (PICTURE_HEIGHT * size[0] / size[1] + GAP)))


def draw_sheet(title: str, rows: Sequence[Row]) -> Image.Image:
    """All rows below one another."""
    strips = [_draw_row(row) for row in rows]
    width = LABEL + STRIP + 3 * GAP
    height = 56 + sum(strip.height + GAP for strip in strips)
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    ImageDraw.Draw(sheet).text((GAP, 16), title, INK, font(22))
    top = 56
    for strip in strips:
        sheet.paste(strip, (GAP, top))
        top += strip.height + GAP
    return sheet


def _draw_row(row: Row) -> Image.Image:
    pictures = [_fit(picture) for picture in row.pictures]
    height = GAP + PICTURE_HEIGHT + CAPTION + (WAVE_HEIGHT + GAP)
    strip = Image.new("RGB", (LABEL + STRIP + GAP, height), PANEL)
    draw = ImageDraw.Draw(strip)
    title = _wrap(draw, "".join(filter(str.isprintable, row.title)), 17)[:2]
    draw.text((GAP, GAP), "\n".join(title), INK, font(17))
    lines = [part for line in row.lines for part in _wrap(draw, line, 13)]
    below = GAP + 4 + 22 * len(title)
    for number, line in enumerate(lines[: 10 - len(title)]):
        draw.text((GAP, below + 18 * number), line, FAINT, font(13))
    left = LABEL
    for picture, caption in zip(pictures, row.captions, strict=True):
        strip.paste(picture, (left, GAP))
        draw.text((left, GAP + PICTURE_HEIGHT + 3), caption, FAINT, font(13))
        left += max(picture.width, round(draw.textlength(caption, font(13)))) + GAP
    top = GAP + PICTURE_HEIGHT + CAPTION
    if row.sound is None:
        lines = _wrap(draw, row.foot, 13, STRIP)[:2]
        draw.text((LABEL, top + 4), "\n".join(lines), FAINT, font(13))
    else:
        _draw_wave(draw, row.sound, (LABEL, top, strip.width - GAP, top + WAVE_HEIGHT))
    return strip


def _wrap(
    draw: ImageDraw.ImageDraw, text: str, size: int, width: int = LABEL - 2 * GAP
) -> list[str]:
    """The text in lines that fit beside the pictures, or in another width."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font(size)) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fit(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(picture)
    width = max(1, round(image.width * PICTURE_HEIGHT / image.height))
    return image.resize((width, PICTURE_HEIGHT), Image.Resampling.LANCZOS)


def _draw_wave(
    draw: ImageDraw.ImageDraw, sound: np.ndarray, box: tuple[int, int, int, int]
) -> None:
    """The loudest sample of every pixel's stretch, up and down from the middle."""
    left, top, right, bottom = box
    middle, half = (top + bottom) / 2, (bottom - top) / 2
    edges = np.linspace(0, len(sound), right - left + 1).astype(int)
    for column, (start, stop) in enumerate(pairwise(edges)):
        level = float(np.abs(sound[start:stop]).max()) if stop > start else 0.0
        reach = max(0.5, min(1.0, 2 * level) * half)
        draw.line((left + column, middle - reach, left + column, middle + reach), WAVE)
