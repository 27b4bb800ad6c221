"""The classes of every task, each with its number: one dictionary for all splits.

Names are in the order of their text (2 before 10, large letters as small), so that it depends
neither on the order of the rows nor on which file is read first. A saved dictionary keeps its
numbers: what is new goes to the end (`extended`).
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.labelled import LabelError, LabelledClip
from data.lazy import Lazy

CLASSES = "classes.json"  # what a dictionary is called that lies beside its labels
MAIN_TASKS = ("label", "action")  # the one that stands for a clip, if it has several
NUMBERED = (  # lines of class lists: 3 Archery; archery,3
    re.compile(r"(?P<number>\d+)[\s,]+(?P<name>.+)"),
    re.compile(r"(?P<name>.+),\s*(?P<number>\d+)"),
)
NEAR = 3


def class_order(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Where a class stands: its text piece by piece, numbers by their value."""
    pieces = re.split(r"(\d+)", name.casefold())
    return [
        (piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece) for piece in pieces
    ], name


def main_task(clips: Iterable[LabelledClip]) -> str:
    """The task that stands for these clips: label, else action, else the first by name."""
    tasks = {task for clip in clips for task in clip.targets}
    return next((task for task in MAIN_TASKS if task in tasks), min(tasks, default=MAIN_TASKS[0]))


@dataclass(frozen=True)
class Classes:
    """Task -> names of its classes; a class's number is its place."""

    tasks: Mapping[str, tuple[str, ...]]
    source: str = ""  # the file they were read from

    @classmethod
    def from_clips(cls, clips: Iterable[LabelledClip]) -> Classes:
        return cls({}).extended(clips)

    def extended(self, clips: Iterable[LabelledClip]) -> Classes:
        """With the classes of these clips; those that are there keep their numbers."""
        found = {pair for clip in clips for pair in clip.targets.items()}
        tasks = dict(self.tasks)
        for task in sorted({task for task, _ in found}):
            known = tasks.get(task, ())
            new = {name for of, name in found if of == task} - set(known)
            tasks[task] = (*known, *sorted(new, key=class_order))
        return Classes(tasks, self.source)

    @Lazy
    def _numbers(self) -> dict[str, dict[str, int]]:
        return {task: {name: number for number, name in enumerate(names)}
                for task, names in self.tasks.items()}  # fmt: skip

    def __getitem__(self, task: str) -> tuple[str, ...]:
        self._of_task(task)
        return self.tasks[task]

    def index(self, task: str, name: str) -> int:
        numbers = self._of_task(task)
        if name in numbers:
            return numbers[name]
        near = difflib.get_close_matches(name, numbers, NEAR) or list(numbers)[:NEAR]
        raise LabelError(
            f"{self._place}: {task} has no class {name!r}; of its {len(numbers)} the nearest are "
            f"{', '.join(map(repr, near))}; correct the label, or add the class to this file"
        )

    def _of_task(self, task: str) -> dict[str, int]:
        if task not in self._numbers:
            raise LabelError(f"{self._place}: has no task {task!r}, only "
                             f"{', '.join(self.tasks) or 'none at all'}")  # fmt: skip
        return self._numbers[task]

    @property
    def _place(self) -> str:
        return self.source or "the class dictionary"

    # -- files -------------------------------------------------------------------------------------

    def to_json(self) -> str:
        tasks = {task: list(names) for task, names in self.tasks.items()}
        return json.dumps({"tasks": tasks}, ensure_ascii=False, indent=1) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it beside, then under its name."""
        target = Path(path)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        beside.write_text(self.to_json(), "utf-8")
        beside.replace(target)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Classes:
        """Ours, the predecessor's {"class": number}, annotations.json, or a list of names.

        A list has a name on every line, perhaps with its number in front or behind, as in
        UCF-101's classInd.txt (1 ApplyEyeMakeup) or moments_categories.txt (clapping,3).
        """
        text = _read(path)
        if not text.lstrip().startswith("{"):
            return cls({MAIN_TASKS[0]: _listed(path, text)}, str(path))
        try:
            whole = json.loads(text)
        except json.JSONDecodeError as error:
            raise LabelError(f"{path}:{error.lineno}: is no JSON ({error.msg})") from None
        if isinstance(tasks := whole.get("tasks"), dict):
            checked = {str(task): _checked(path, task, names) for task, names in tasks.items()}
            return cls(checked, str(path))
        numbers = whole.get("categories", whole)
        return cls({MAIN_TASKS[0]: _by_number(path, numbers)}, str(path))


def read_class_list(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names of a list that says which classes to take, such as the 200 of Mini-Kinetics."""
    tasks = Classes.load(path).tasks
    if not tasks:
        raise LabelError(f"{path}: names no classes")
    return tasks[next((task for task in MAIN_TASKS if task in tasks), next(iter(tasks)))]


def restrict(
    clips: Sequence[LabelledClip], names: Collection[str]
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """The clips of these classes, and those left out; a clip without a class is left out."""
    task, wanted = main_task(clips), frozenset(names)
    found = {clip.targets.get(task) for clip in clips}
    if lost := sorted(wanted - found, key=class_order):
        raise LabelError(
            f"the class list has {len(lost)} classes without a clip: {', '.join(lost[:NEAR])}"
            f"{', ...' if len(lost) > NEAR else ''}; correct the list"
        )
    kept = [clip for clip in clips if clip.targets.get(task) in wanted]
    return kept, [clip for clip in clips if clip.targets.get(task) not in wanted]


def _read(path: str | os.PathLike[str]) -> str:
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise LabelError(f"{path}: is not UTF-8; save the file as UTF-8") from None
    if not text.strip():
        raise LabelError(f"{path}: is empty; a class list names at least one class")
    return text


def _listed(path: str | os.PathLike[str], text: str) -> tuple[str, ...]:
    """A name a line; where all have numbers that count up by one, in their order."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for pattern in NUMBERED:
        matches = [match for line in lines if (match := pattern.fullmatch(line)) is not None]
        numbers = sorted(int(one["number"]) for one in matches)
        if len(matches) == len(lines) and numbers in (_from(0, lines), _from(1, lines)):
            lines = [one["name"] for one in sorted(matches, key=lambda one: int(one["number"]))]
            break
    return _checked(path, MAIN_TASKS[0], lines)


def _from(first: int, lines: Sequence[str]) -> list[int]:
    return list(range(first, first + len(lines)))


def _by_number(path: str | os.PathLike[str], numbers: Any) -> tuple[str, ...]:
    if not isinstance(numbers, dict) or sorted(map(str, numbers.values())) != sorted(
        map(str, range(len(numbers)))
    ):
        raise LabelError(f'{path}: expected {{"class": number}} with the numbers from 0, each once')
    return _checked(path, MAIN_TASKS[0], sorted(numbers, key=lambda name: int(numbers[name])))


def _checked(path: str | os.PathLike[str], task: str, names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(one, str) and one for one in names):
        raise LabelError(f"{path}: the classes of {task} are no list of names")
    if twice := [name for name in set(names) if names.count(name) > 1]:
        raise LabelError(f"{path}: {task} has class {min(twice)!r} twice; delete one")
    return tuple(names)
