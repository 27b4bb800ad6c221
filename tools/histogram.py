"""Class histograms: how many clips each class has on each side, as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from tools.sheet import BACKGROUND, FAINT, GAP, INK, PANEL, WAVE, font

COLOURS = (WAVE, (222, 150, 62), (132, 164, 92), (176, 170, 160))
ROW, TEXT = 20, 13
HEAD = 92  # title and legend
LABEL, BARS, ONE_COLUMN = 230, 150, 560  # pixels: a name at most, the longest bar, if it is alone
WIDE = 1.6  # of the whole picture, to its height
MOST = 1000  # classes; those with the fewest clips are summed up

Counts = Mapping[str, Sequence[int]]  # class -> clips on each side


def draw_histogram(title: str, sides: Sequence[str], counts: Counts) -> Image.Image:
    """A bar a class, the longest first, cut into its sides; as many columns as make it wide."""
    rows = by_size(counts)
    shown, rest = rows[:MOST], rows[MOST:]
    numbers = max((_width(f"{sum(parts):,}") for _, parts in shown), default=0)
    names = min(LABEL, max((_width(name) for name, _ in shown), default=0))
    columns = _columns(len(shown), names + BARS + numbers + 4 * GAP)
    bars = BARS if columns > 1 else ONE_COLUMN
    step = names + bars + numbers + 4 * GAP
    below = math.ceil(len(shown) / columns) if shown else 0
    width = max(columns * step + GAP, _legend_width(sides, counts))
    foot = ROW + GAP if rest else 0
    picture = Image.new("RGB", (width, HEAD + below * ROW + GAP + foot), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((2 * GAP, 16), _fit(title, width - 4 * GAP, 22), INK, font(22))
    _draw_legend(draw, sides, counts)
    most = max((sum(parts) for _, parts in shown), default=1) or 1
    for number, (name, parts) in enumerate(shown):
        left = GAP + number // below * step
        top = HEAD + number % below * ROW
        if number % below % 2 == 0:
            draw.rectangle((left, top, left + step - GAP - 1, top + ROW - 1), PANEL)
        draw.text((left + GAP, top + 2), _fit(name, names), INK, font(TEXT))
        end = _draw_bar(draw, parts, (left + names + 2 * GAP, top + 4), bars / most)
        draw.text((end + GAP // 2, top + 2), f"{sum(parts):,}", FAINT, font(TEXT))
    if rest:
        more = sum(sum(parts) for _, parts in rest)
        text = f"and {len(rest):,} classes more, with {more:,} clips"
        draw.text((2 * GAP, picture.height - ROW - GAP // 2), text, FAINT, font(TEXT))
    return picture


def by_size(counts: Counts) -> list[tuple[str, Sequence[int]]]:
    """The classes with the most clips first; of equal ones, in the order they are given."""
    return sorted(counts.items(), key=lambda row: -sum(row[1]))


def _columns(rows: int, step: int) -> int:
    """How many columns bring the picture nearest to its shape."""

    def off(columns: int) -> float:
        height = HEAD + GAP + math.ceil(rows / columns) * ROW
        return abs(math.log((columns * step + GAP) / height / WIDE))

    return min(range(1, max(2, math.ceil(math.sqrt(rows)) + 1)), key=off)


def _draw_bar(
    draw: ImageDraw.ImageDraw, parts: Sequence[int], place: tuple[int, int], scale: float
) -> int:
    """The sides one after the other; where the bar ends. Whoever has a clip has a pixel."""
    left, top = place
    for part, colour in zip(parts, COLOURS, strict=False):
        if part:
            right = left + max(1, round(part * scale))
            draw.rectangle((left, top, right - 1, top + ROW - 9), colour)
            left = right
    return left


def _legend(sides: Sequence[str], counts: Counts) -> list[str]:
    sums = [sum(parts[at] for parts in counts.values()) for at in range(len(sides))]
    whole = sum(sums) or 1
    return [f"{side}  {count:,} clips, {100 * count / whole:.1f} %"
            for side, count in zip(sides, sums, strict=True)]  # fmt: skip


def _draw_legend(draw: ImageDraw.ImageDraw, sides: Sequence[str], counts: Counts) -> None:
    left = 2 * GAP
    for text, colour in zip(_legend(sides, counts), COLOURS, strict=False):
        draw.rectangle((left, 58, left + 11, 69), colour)
        draw.text((left + 18, 54), text, INK, font(15))
        left += 18 + _width(text, 15) + 3 * GAP


def _legend_width(sides: Sequence[str], counts: Counts) -> int:
    texts = _legend(sides, counts)
    return 4 * GAP + sum(18 + _width(text, 15) + 3 * GAP for text in texts)


def _width(text: str, size: int = TEXT) -> int:
    return math.ceil(font(size).getlength(text))


def _fit(text: str, width: int, size: int = TEXT) -> str:
    """The text, or as much of it as fits and an ellipsis."""
    clean = "".join(filter(str.isprintable, text))
    if _width(clean, size) <= width:
        return clean
    clean = clean[: 2 + len(clean) * width // _width(clean, size)]
    while clean and _width(clean + "…", size) > width:
        clean = clean[:-1]
    return clean.rstrip() + "…"
