"""What every command shares: logs on the terminal, numbers and tables that people can read."""

from __future__ import annotations

import io
import logging
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

import coloredlogs

log = logging.getLogger(__name__)
Options = TypeVar("Options")


def start_logging(level: str = "INFO") -> None:
    """Log to stderr, coloured where that is a terminal. Called by `main` functions only."""
    coloredlogs.install(level=level, fmt="%(levelname)s %(message)s")
    logging.captureWarnings(True)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, the first row underlined."""
    widths = [max(_width(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(_pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    rule = "  ".join("─" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def rate_text(rate: Fraction | None) -> str:
    """29.97 (30000/1001), 30, or ? where unknown."""
    if rate is None:
        return "?"
    if rate.denominator == 1:
        return str(rate.numerator)
    exact = f" ({rate})" if rate.denominator == 1001 else ""
    return f"{float(rate):.2f}{exact}"


def time_text(seconds: Fraction | float) -> str:
    """1:02:03.45, with as many fields as it takes."""
    hundredths = round(float(seconds) * 100)
    sign = "-" if hundredths < 0 else ""
    whole, rest = divmod(abs(hundredths), 100)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    head = f"{hours}:{minute:02d}" if hours else f"{minute}"
    return f"{sign}{head}:{second:02d}.{rest:02d}"


def until_the_reader_leaves(command: Callable[[Options], int], options: Options) -> int:
    """Run a command whose output may be cut off (`| head`) or may find no room.

    It may hold names that a terminal cannot show: those come out escaped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = command(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        log.error("the output cannot be written: %s", error.strerror)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
