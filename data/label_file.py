"""A label file, read once: its text, its header, what its name and its folder say."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data.labelled import LabelError, split_of_file


@dataclass(frozen=True)
class LabelFile:
    """Where it lies and what is in it."""

    path: str
    text: str

    @classmethod
    def read(cls, path: str | Path) -> LabelFile:
        try:
            text = Path(path).read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise LabelError(f"{path}: cannot be read ({error.strerror}); check the path") from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise LabelError(
                f"{path}:{line}: byte {error.object[error.start]:#04x} is no UTF-8; save the file "
                "as UTF-8"
            ) from None
        if not text.strip():
            raise LabelError(f"{path}: is empty; a label file has at least one row")
        return cls(str(path), text)

    @cached_property
    def lines(self) -> list[tuple[int, str]]:
        """Every line that is not blank, with its number."""
        numbered = enumerate(self.text.splitlines(), start=1)
        return [(number, line) for number, line in numbered if line.strip()]

    @cached_property
    def first_line(self) -> str:
        return self.text.lstrip()[:100_000].splitlines()[0].rstrip()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Of its header, if it has one."""
        return tuple(name.strip() for name in next(csv.reader([self.first_line]), []))

    @cached_property
    def is_json(self) -> bool:
        return self.first_line[0] in "[{"

    @cached_property
    def split(self) -> str:
        return split_of_file(self.path)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line and cells of every row that is not blank, the header first; cells may hold lines.

        Strictly: a quote that is never closed would swallow all rows below it.
        """
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        line = 1
        try:
            for cells in reader:
                if any(map(str.strip, cells)):
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise LabelError(
                f"{self.path}:{line}: the row that begins here is no CSV ({error}); if a quote "
                "opens in it, close it behind its cell, or delete it"
            ) from None

    def beside(self, *names: str) -> Path | None:
        """The first of these files that lies in the same folder."""
        paths = (Path(self.path).with_name(name) for name in names)
        return next((path for path in paths if path.is_file()), None)
