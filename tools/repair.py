"""Convert damaged videos again, as they were converted before."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.catalog import JPG, REPAIR_FACTS, Catalog, Remembered
from data.database import Database
from data.schema import DATABASE, LEVEL_FILE, StoreError
from data.store import level_paths
from tools.conversion import Outcome, Task, convert_source, shared_out, source_digest
from tools.engine import Done, cores, run_jobs
from tools.settings import Settings
from tools.sources import Source
from tools.workplace import Shard, workplace

log = logging.getLogger(__name__)


def repair(
    store: Path,
    videos: Path,
    names: Sequence[str],
    known: Mapping[str, Remembered],
    jobs: int | None,
) -> None:
    """Convert these videos of a dataset again; what cannot be is logged."""
    if not (store / JPG).is_dir():
        raise StoreError(store, "is one video; a repair needs the whole dataset",
                         f"name the folder that holds {JPG}")  # fmt: skip
    tasks = []
    with workplace(store, Shard()) as work:
        for name in names:
            task = plan(store, videos, name, known.get(name), work)
            if isinstance(task, Task):
                tasks.append(task)
            else:
                log.error("%s: %s", name, task)
        count = jobs or cores()
        tasks = [shared_out(task, len(tasks), count) for task in tasks]
        for event in run_jobs(convert_source, tasks, count):
            if isinstance(event, Done):
                _say(tasks[event.task], event)
        Catalog(store, look=True).save()


def _say(task: Task, done: Done) -> None:
    outcome: Outcome = done.result or Outcome("failed", reason=done.reason)
    if outcome.status == "converted":
        log.info("%s: converted again, %d frames", task.source.name, outcome.frames)
    else:
        log.error("%s: %s", task.source.name, outcome.reason)


@dataclass(frozen=True)
class Known:
    """What is still known of a damaged video."""

    source_name: str = ""
    source_hash: str = ""
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    levels: tuple[int, ...] = ()


def plan(
    store: Path, videos: Path, name: str, remembered: Remembered | None, work: Path
) -> Task | str:
    """How to convert it again; or why that is not possible. Nothing is guessed."""
    folder = store / JPG / name
    known = _known(folder, remembered)
    if "settings" not in known.facts:
        return (
            "nobody knows from what and how it was made; convert it again: "
            f"python -m tools.convert SOURCE {store} --overwrite"
        )
    path = videos / known.source_name.rstrip("/")
    if not path.exists():
        return f"its source {known.source_name} is not below {videos}; name the folder it is in"
    source = Source.again(name, path, known.source_name, known.facts)
    if source_digest(source) != known.source_hash:
        return f"its source {path} is not the file it was converted from; convert it again"
    files = level_paths(str(folder)) if folder.exists() else []
    sides = [LEVEL_FILE.fullmatch(Path(file).name) for file in files]
    levels = {int(side[1]) for side in sides if side} | set(known.levels)
    settings = Settings.again(json.loads(known.facts["settings"]))
    settings = dataclasses.replace(settings, levels=tuple(sorted(levels, reverse=True)))
    return Task(source, settings, str(store / JPG), str(work), overwrite=True, afresh=True)


def _known(folder: Path, remembered: Remembered | None) -> Known:
    """From the catalogue, which remembers a video when it is damaged, else from its levels."""
    if remembered is not None and remembered.origin.source_name:
        entry, origin = remembered
        facts = json.loads(origin.facts)
        return Known(origin.source_name, origin.source_hash, facts, entry.short_sides)
    for path in [str(folder / DATABASE), *level_paths(str(folder))] if folder.exists() else ():
        try:
            meta = Database(path).facts.meta
        except StoreError:
            continue
        facts = {key: meta[key] for key in REPAIR_FACTS if key in meta}
        return Known(meta.get("source_name", ""), meta.get("source_hash", ""), facts)
    return Known()
