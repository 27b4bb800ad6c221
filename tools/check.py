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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from data.catalog import JPG
from data.folders import walk
from data.schema import COUNT, DATABASE, LEVEL_FILE, StoreError
from tools.audit import Fault, Report, audit
from tools.engine import Done, cores, run_jobs
from tools.repair import repair
from tools.terminal import columns, start_logging, until_the_reader_leaves
from tools.workplace import BusyError

log = logging.getLogger(__name__)


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
        reports = check(options.store, options.jobs)
        if options.repair and options.videos is not None:
            bad = [report for report in reports if report.faults]
            repair(options.store, options.videos, [one.name for one in bad], options.jobs)
            again = {one.name: one for one in check(options.store, options.jobs,
                                                    [report.name for report in bad])}  # fmt: skip
            reports = [again.get(report.name, report) for report in reports]
    except (StoreError, BusyError) as error:
        log.error("%s", error)
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


def check(store: Path, jobs: int | None = None, only: Sequence[str] | None = None) -> list[Report]:
    """Read all videos of a dataset (or those named), or the one in this folder."""
    tasks = [(name, folder) for name, folder in folders_of(store) if only is None or name in only]
    reports: dict[int, Report] = {}
    with tqdm(total=len(tasks), unit="video", disable=None) as bar:
        for event in run_jobs(audit, tasks, jobs or cores()):
            if not isinstance(event, Done):
                continue
            name, folder = tasks[event.task]
            trouble = Fault(folder, None, str(event.error).strip().splitlines()[-1])
            reports[event.task] = event.result or Report(name, 0, (trouble,))
            bar.update()
    return [reports[number] for number in range(len(tasks))]


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
