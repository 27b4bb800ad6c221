"""Read every database of a dataset whole, say what is wrong, and convert that again.

    python -m tools.check dataset/
    python -m tools.check dataset/ --repair --videos videos/

Exit code 0 if all is well (or was repaired), 1 if something is wrong, 2 if it cannot be begun.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from data.catalog import JPG, Remembered, remembered
from data.folders import walk
from data.schema import COUNT, DATABASE, LEVEL_FILE, StoreError, level_file
from tools.audit import Fault, Report, audit
from tools.engine import Done, cores, run_jobs
from tools.repair import repair
from tools.terminal import columns, start_logging, until_the_reader_leaves
from tools.workplace import BusyError

log = logging.getLogger(__name__)
KNOWS = "the catalogue knows it"


@dataclass(frozen=True)
class Options:
    """Read every database of a dataset whole, say what is wrong, and convert that again."""

    store: tyro.conf.Positional[Path]
    """The dataset that python -m tools.convert wrote, or the folder of one video."""
    repair: bool = False
    """Convert what is damaged again, as it was converted before."""
    videos: Path | None = None
    """Where the videos are, as they were given to python -m tools.convert."""
    jobs: int | None = None
    """How many cores to use. Default: all."""
    json: bool = False
    """Print the faults as one JSON object."""


def main(options: Options) -> int:
    if options.repair != (options.videos is not None):
        log.error("--repair and --videos go together: python -m tools.check STORE --repair "
                  "--videos DIR")  # fmt: skip
        return 2
    try:
        known = remembered(options.store)
        reports = check(options.store, options.jobs, known=known)
        names = [report.name for report in reports if report.faults]
        if names and options.videos is not None:
            repair(options.store, options.videos, names, known, options.jobs)
            again = check(options.store, options.jobs, names, known)
            reports = [report for report in reports if not report.faults] + again
    except (StoreError, BusyError) as error:
        log.error("%s", error)
        return 2
    except OSError as error:
        log.error("%s cannot be written to (%s)", options.store, error.strerror or error)
        return 2
    show(options, reports)
    return 1 if any(report.faults for report in reports) else 0


def show(options: Options, reports: Sequence[Report]) -> None:
    faults = [fault for report in reports for fault in report.faults]
    if options.json:
        plain = [dataclasses.asdict(fault) for fault in faults]
        frames = sum(report.frames for report in reports)
        print(json.dumps({"videos": len(reports), "frames": frames, "faults": plain}))
        return
    if faults:
        print(columns([("file", "frame", "what is wrong"),
                       *(_row(options.store, fault) for fault in faults)]))  # fmt: skip
        print()
    frames = sum(report.frames for report in reports)
    bad = sum(bool(report.faults) for report in reports)
    verdict = f"{bad} of them damaged" if bad else "all whole"
    print(f"{len(reports)} videos, {frames:,} pictures read: {verdict}")


def _row(store: Path, fault: Fault) -> tuple[str, str, str]:
    path = os.path.relpath(fault.file, store)
    return path, "" if fault.frame is None else str(fault.frame), fault.what


# -- reading ---------------------------------------------------------------------------------------


def check(
    store: Path,
    jobs: int | None = None,
    only: Sequence[str] | None = None,
    known: Mapping[str, Remembered] | None = None,
) -> list[Report]:
    """Read all videos of a dataset (or those named), or the one in this folder.

    `known` is what the catalogue remembered before anything was changed.
    """
    known = remembered(store) if known is None else known
    tasks = [(name, folder) for name, folder in folders_of(store) if only is None or name in only]
    reports: dict[str, Report] = {}
    with tqdm(total=len(tasks), unit="video", disable=None) as bar:
        for event in run_jobs(audit, tasks, jobs or cores()):
            if not isinstance(event, Done):
                continue
            name, folder = tasks[event.task]
            report = event.result or Report(name, 0, (Fault(folder, None, event.reason),))
            faults = (*report.faults, *_lost_levels(folder, known.get(name)))
            reports[name] = dataclasses.replace(report, faults=faults)
            bar.update()
    for name in known.keys() - reports.keys():
        if only is None or name in only:
            gone = Fault(str(store / JPG / name), None, f"is gone, though {KNOWS}")
            reports[name] = Report(name, 0, (gone,))
    return [reports[name] for name in sorted(reports)]


def _lost_levels(folder: str, known: Remembered | None) -> list[Fault]:
    """Levels that the catalogue remembers and that are not there."""
    sides = known.entry.short_sides if known else ()
    paths = [os.path.join(folder, level_file(side)) for side in sides]
    return [Fault(path, None, f"is gone, though {KNOWS}")
            for path in paths if not os.path.exists(path)]  # fmt: skip


def folders_of(store: Path) -> list[tuple[str, str]]:
    """Name and folder of every video that is there, or was begun."""
    if (store / DATABASE).exists():
        return [(store.name, str(store))]
    root = store / JPG
    if not root.is_dir():
        raise StoreError(store, f"is no dataset: it has no folder {JPG} and no {DATABASE}",
                         "name the folder that python -m tools.convert wrote to")  # fmt: skip
    found = []
    for folder, _, files in walk(root):
        if {DATABASE, COUNT} & set(files) or any(map(LEVEL_FILE.fullmatch, files)):
            found.append((Path(folder).relative_to(root).as_posix(), folder))
    if not found:
        raise StoreError(store, "holds no videos", "convert some: python -m tools.convert")
    return found


if __name__ == "__main__":
    start_logging()
    sys.exit(until_the_reader_leaves(main, tyro.cli(Options, prog="python -m tools.check")))
