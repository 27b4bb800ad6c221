"""Turn videos into per-video frame databases.

    python -m tools.convert videos/ dataset/
    python -m tools.convert match.mp4 holiday.mov dataset/ --short-side 0 --fidelity exact
    python -m tools.convert dataset/ --labels kinetics_train.csv --videos videos/ --levels 160,96
    python -m tools.convert videos/ dataset/ --shard 2/8        # on the second of eight machines

Every video becomes dataset/jpg/<class>/<video>/frames.db. Run it again after any interruption:
what is finished is skipped. What cannot be converted is listed in dataset/failed.csv.

Exit code 0 if everything was converted, 1 if something failed, 2 if nothing could be begun.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from data.catalog import CATALOG, JPG, Catalog
from data.labels import LabelError, read_labels
from tools.conversion import Outcome, Task, convert_source, shared_out
from tools.engine import Done, cores, run_jobs
from tools.progress import ProgressBar
from tools.settings import FIDELITIES, Settings, parse_fps, parse_levels
from tools.sources import Found, Source, find_labelled, find_sources
from tools.terminal import start_logging, until_the_reader_leaves
from tools.workplace import FOLDER, BusyError, Shard, workplace

log = logging.getLogger(__name__)
FAILED = "failed.csv"
SHOWN = 20  # failures on the terminal; all of them are in the list


@dataclass(frozen=True)
class Options:
    """Turn videos into per-video frame databases."""

    paths: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(name="paths", metavar="SOURCE... OUT"),
    ] = ()
    """Videos or folders of them (or of numbered pictures), and last the dataset to write to."""
    labels: Path | None = None
    """Convert the rows of this label file: the predecessor's, Kinetics', HACS, EPIC-KITCHENS..."""
    label_format: str | None = None
    """Its dialect, where it is not recognised."""
    videos: Path | None = None
    """Where the videos of the label file are."""
    short_side: int | None = None
    """Bring the shorter side down to this; never up. 0 keeps the size. Default: 256 for videos,
    their own size for numbered pictures."""
    levels: str = ""
    """Further, smaller short sides, kept beside: 160,96."""
    add_levels: bool = False
    """Make the levels that finished videos lack."""
    fidelity: Literal["small", "default", "exact"] = "default"
    """small: quality 75; default: 90, 4:2:0; exact: 98, 4:4:4."""
    quality: int | None = None
    """JPEG quality, 1 to 100, instead of the fidelity's."""
    subsampling: str | None = None
    """4:2:0 or 4:4:4, instead of the fidelity's."""
    fps: str = "native"
    """native keeps every picture at its own time; a number (10, 30000/1001) takes the picture on
    screen at every tick. For numbered pictures: how many there are a second (25 if native)."""
    audio: bool = True
    """Keep the sound, mono at 16 kHz."""
    jobs: int | None = None
    """How many cores to use. Default: all."""
    shard: str = "1/1"
    """I/N: the I-th of N equal parts of the list, one a machine."""
    overwrite: bool = False
    """Convert again what was converted with other settings, from another file, or is damaged."""
    dry_run: bool = False
    """Only say what would be done."""
    json: bool = False
    """Print the summary as one JSON object."""


class UsageError(Exception):
    """Why nothing can be begun, and what to do."""


@dataclass
class Summary:
    """What a run did."""

    out: str
    failed_list: str = FAILED  # its name in OUT
    found: int = 0
    converted: int = 0
    skipped: int = 0
    failed: int = 0
    ignored: int = 0
    frames: int = 0
    video_seconds: float = 0.0
    bytes: int = 0
    seconds: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)  # path, reason
    damaged: list[tuple[str, str]] = field(default_factory=list)  # name, what
    notes: list[str] = field(default_factory=list)
    planned: list[tuple[str, str]] = field(default_factory=list)  # of a dry run: name, path

    def add(self, source: Source, outcome: Outcome) -> None:
        if outcome.status == "failed":
            where = f"{source.where}: " if source.where else ""
            self.failures.append((source.path, where + outcome.reason))
            return
        if outcome.damage:
            self.damaged.append((source.name, outcome.damage))
        if outcome.status == "skipped":
            self.skipped += 1
            return
        self.converted += 1
        self.frames += outcome.frames
        self.video_seconds += outcome.seconds
        self.bytes += outcome.bytes


# -- the API ---------------------------------------------------------------------------------------


def convert(source: str | Path | Sequence[str | Path], out: str | Path, **settings: Any) -> Summary:
    """What the command does, with its options as keywords; returns the summary.

    `levels` may also be numbers, `fps` any number. Trouble with single sources is listed in
    `summary.failures`; an error that prevents the whole run is raised as UsageError.
    """
    sources = [source] if isinstance(source, str | Path) else list(source or ())
    if not isinstance(settings.get("levels", ""), str):
        settings["levels"] = ",".join(map(str, settings["levels"]))
    if "fps" in settings:
        settings["fps"] = str(settings["fps"])
    for name in ("labels", "videos"):
        if settings.get(name) is not None:
            settings[name] = Path(settings[name])
    return run(Options(tuple(map(Path, [*sources, out])), **settings))


def run(options: Options) -> Summary:
    """Find, name, cut into shards, convert, list what failed, write the catalogue."""
    began = time.monotonic()
    try:
        settings, shard, jobs = _settings(options), Shard.parse(options.shard), _jobs(options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    roots, out = _places(options)
    found = _find(options, roots, out)
    mine = found.sources[shard.number - 1 :: shard.count]
    summary = Summary(
        str(out), _list_name(shard), len(mine), ignored=found.ignored, notes=found.notes
    )
    if shard.number == 1:  # the others need not report the same once more
        summary.failures += found.failures
        summary.found += len(found.failures)
    if options.dry_run:
        summary.planned = [(source.name, source.path) for source in mine]
    else:
        _work(mine, settings, summary, options, (out, shard, jobs))
    summary.failed = len(summary.failures)
    summary.seconds = time.monotonic() - began
    return summary


def _work(
    mine: Sequence[Source],
    settings: Settings,
    summary: Summary,
    options: Options,
    place: tuple[Path, Shard, int],
) -> None:
    out, shard, jobs = place
    try:
        with workplace(out, shard) as work:
            tasks = [
                Task(source, settings, str(out / JPG), str(work), 1,
                     options.overwrite, options.add_levels)
                for source in sorted(mine, key=Source.bytes, reverse=True)
            ]  # fmt: skip
            tasks = [shared_out(task, len(tasks), jobs) for task in tasks]
            (out / JPG).mkdir(exist_ok=True)
            _convert_all(tasks, jobs, summary)
            _write_down(out, shard, summary)
    except BusyError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{out} cannot be written to ({reason}); free space or name another "
                         "folder") from None  # fmt: skip


def _convert_all(tasks: Sequence[Task], jobs: int, summary: Summary) -> None:
    sizes = [task.source.bytes() for task in tasks]
    with ProgressBar(sizes) as bar:
        for event in run_jobs(convert_source, tasks, jobs):
            if not isinstance(event, Done):
                bar.news(event.task, event.value)
                continue
            source = tasks[event.task].source
            outcome = event.result or Outcome("failed", reason=event.reason)
            if event.error is not None:
                log.debug("%s", event.error)
            summary.add(source, outcome)
            bar.done(event.task, outcome)


def _write_down(out: Path, shard: Shard, summary: Summary) -> None:
    """The catalogue and the list of failures; a disk that is full by now is one more failure."""
    name = summary.failed_list
    for file, write in (
        (CATALOG, lambda: Catalog(out, look=True).save()),
        (name, lambda: _write_failures(out, shard, name, summary)),
    ):
        try:
            write()
        except OSError as error:
            reason = f"cannot be written ({error.strerror or error}); free some space"
            summary.failures.append((str(out / file), reason))


def _list_name(shard: Shard) -> str:
    return FAILED if shard.count == 1 else f"failed-{shard}.csv"


def _write_failures(out: Path, shard: Shard, name: str, summary: Summary) -> None:
    """The list of this run's failures; none, no list."""
    if shard.count == 1:  # all of it was looked at: what parts of it listed is past
        for path in out.glob("failed-*-of-*.csv"):
            path.unlink()
    if not summary.failures:
        (out / name).unlink(missing_ok=True)
        return
    beside = out / FOLDER / str(shard) / name
    with open(beside, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "reason"))
        writer.writerows(summary.failures)
    beside.replace(out / name)


# -- before the work -------------------------------------------------------------------------------


def _settings(options: Options) -> Settings:
    quality, subsampling = FIDELITIES[options.fidelity]
    return Settings(
        short_side=options.short_side,
        levels=parse_levels(options.levels),
        quality=quality if options.quality is None else options.quality,
        subsampling=options.subsampling or subsampling,
        fps=parse_fps(options.fps),
        audio=options.audio,
    )


def _jobs(options: Options) -> int:
    if options.jobs is not None and options.jobs < 1:
        raise ValueError(f"--jobs is at least 1, got {options.jobs}")
    return options.jobs or cores()


def _places(options: Options) -> tuple[list[Path], Path]:
    """What to read and where to write, checked against one another."""
    *roots, out = options.paths or (None,)
    if out is None or (options.labels is None and not roots):
        raise UsageError("name what to convert and where to: python -m tools.convert SOURCE OUT")
    if options.labels is None and options.videos is not None:
        raise UsageError("--videos goes with --labels; name the folder itself as SOURCE")
    if options.labels is not None:
        roots += [options.videos] if options.videos is not None else []
        if len(roots) != 1:
            raise UsageError("--labels takes one folder of videos: OUT --labels L --videos DIR")
    if out.exists() and not out.is_dir():
        raise UsageError(f"OUT, {out}, is a file; name a folder")
    for root in roots:
        _check_apart(root, out)
    return roots, out


def _check_apart(root: Path, out: Path) -> None:
    if not os.path.lexists(root):
        raise UsageError(f"SOURCE, {root}, does not exist; check the spelling")
    real, target = Path(os.path.realpath(root)), Path(os.path.realpath(out))
    if root.is_dir() and real in (target, *target.parents):
        raise UsageError(f"OUT, {out}, lies in SOURCE, {root}: the next run would read what this "
                         "one writes; name a folder elsewhere")  # fmt: skip
    written = {target / JPG, target / FOLDER}
    if written & {real, *real.parents}:
        raise UsageError(f"SOURCE, {root}, lies where OUT, {out}, is written to; name a folder "
                         "elsewhere")  # fmt: skip


def _find(options: Options, roots: Sequence[Path], out: Path) -> Found:
    if options.labels is not None:
        try:
            found = find_labelled(read_labels(options.labels, options.label_format), roots[0])
        except LabelError as error:
            raise UsageError(str(error)) from None
    else:
        found = find_sources(roots, _taken(out))
    if not found.sources and not found.failures:
        listed = " ".join(map(str, roots))
        raise UsageError(f"found no videos in {listed} ({found.ignored} other files); name a "
                         "folder with videos, or a file")  # fmt: skip
    return found


def _taken(out: Path) -> Mapping[str, str]:
    """Which name belongs to which source, as earlier runs recorded it."""
    if not (out / JPG).is_dir():
        return {}
    origins = Catalog(out, look=True).origins.values()
    return {origin.name: origin.source_name for origin in origins if origin.source_name}


# -- what people see -------------------------------------------------------------------------------


def one_line(summary: Summary) -> str:
    """The run in one line."""
    if summary.planned:
        return f"{len(summary.planned)} videos would be looked at, {summary.failed} cannot be"
    parts = [f"{summary.found} videos: {summary.converted} converted"]
    if summary.converted:
        speed = summary.frames / max(summary.seconds, 1e-3)
        parts[0] += f" ({summary.frames:,} frames, {summary.bytes / 1e6:,.1f} MB, {speed:.0f}/s)"
    if summary.skipped:
        parts.append(f"{summary.skipped} done before")
    if summary.failed:
        parts.append(
            f"{summary.failed} failed, listed in {Path(summary.out) / summary.failed_list}"
        )
    if summary.damaged:
        parts.append(f"{len(summary.damaged)} damaged")
    if summary.ignored:
        parts.append(f"{summary.ignored} other files ignored")
    return ", ".join(parts)


def main(options: Options) -> int:
    try:
        summary = run(options)
    except UsageError as error:
        log.error("%s", error)
        return 2
    except KeyboardInterrupt:
        log.error("interrupted; run the same command again to go on")
        return 130
    if options.json:
        print(json.dumps(dataclasses.asdict(summary)))
        return 1 if summary.failed else 0
    for note in summary.notes:
        log.info("%s", note)
    for name, what in summary.damaged[:SHOWN]:
        log.warning("%s: damaged source (%s); what decodes is kept", name, what)
    for path, reason in summary.failures[:SHOWN]:
        log.warning("%s: %s", path, reason)
    for name, path in summary.planned:
        print(f"{name}  <-  {path}")
    print(one_line(summary))
    return 1 if summary.failed else 0


if __name__ == "__main__":
    start_logging()
    command = tyro.cli(Options, prog="python -m tools.convert")
    sys.exit(until_the_reader_leaves(main, command))
