"""Measure several ways of doing one thing fairly: side by side, in CPU seconds, in ratios.

Every contender runs as a process of its own, in turn and every second round in reverse (A B C,
C B A, ...), so that a machine that slows down slows all of them. Each prints what it counted and
the CPU seconds it took; the ratio is taken round by round, and its median is what is quoted.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import TypeVar

Clip = TypeVar("Clip", bound=Sized)


@dataclass(frozen=True)
class Contender:
    """A command whose last line of output is `<count> <CPU seconds>`."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True)
class Timing:
    """What the rounds gave: one count and as many CPU times as rounds."""

    count: int
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def race(contenders: Sequence[Contender], rounds: int) -> dict[str, Timing]:
    """Run all contenders in turn, once to warm up and then `rounds` times."""
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    counts: dict[str, int] = {}
    for turn in range(rounds + 1):
        for contender in contenders[:: -1 if turn % 2 else 1]:
            count, seconds = run_once(contender.command)
            if counts.setdefault(contender.name, count) != count:
                raise RuntimeError(f"{contender.name} counted {count}, before {counts}")
            if turn:
                times[contender.name].append(seconds)
    if len(set(counts.values())) != 1:
        raise RuntimeError(f"the contenders did not do the same work: {counts}")
    return {name: Timing(counts[name], tuple(seconds)) for name, seconds in times.items()}


def take_turns(
    make: Mapping[str, Callable[[Clip], Sized]], clips: Sequence[Clip], times: int
) -> dict[str, list[float]]:
    """CPU seconds of every clip for every contender in this process, clip by clip in turn and in
    reverse, once to warm up and then `times` times. A clip is a sequence, and gives as much."""
    found: dict[str, list[float]] = {name: [] for name in make}
    for turn, clip in product(range(times + 1), clips):
        for name in list(make)[:: -1 if turn % 2 else 1]:
            start = time.process_time_ns()
            pictures = make[name](clip)
            taken = (time.process_time_ns() - start) / 1e9
            assert len(pictures) == len(clip)
            del pictures
            if turn:
                found[name].append(taken)
    return found


def run_once(command: Sequence[str]) -> tuple[int, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    count, seconds = done.stdout.split()[-2:]
    return int(count), float(seconds)


def ratio(limit: Timing, ours: Timing) -> tuple[float, float, float]:
    """Quartiles of limit / ours, round by round: 1 is as fast as the limit."""
    ratios = [one / other for one, other in zip(limit.seconds, ours.seconds, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return low, middle, high


def spread(limit: Timing, ours: Timing, form: str = ".3f") -> str:
    """The ratio as a table shows it: **median** (middle half)."""
    low, middle, high = (f"{value:{form}}" for value in ratio(limit, ours))
    return f"**{middle}** ({low} to {high})"


def machine() -> str:
    """What this was measured on, without saying where it stands."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0].split(":", 1)[1].strip() if models else name
    return (
        f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def head(title: str, packages: Sequence[str], extra: Mapping[str, str] | None = None) -> str:
    """The first lines of a table: title, date, machine, versions."""
    versions = {name: version(name) for name in packages} | dict(extra or {})
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"# {title}\n\nMeasured {date.today().isoformat()} on {machine()}; {listed}.\n"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines) + "\n"
