"""Convert damaged videos again, as they were converted before."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.catalog import JPG, REPAIR_FACTS, Catalog
from data.database import Database
from data.schema import LEVEL_FILE, StoreError
from data.store import level_paths
from tools.conversion import Outcome, Task, convert_source, shared_out, source_digest
from tools.engine import Done, cores, run_jobs
from tools.settings import Settings
from tools.sources import TOP, Source, is_video
from tools.workplace import Shard, workplace

log = logging.getLogger(__name__)


def repair(store: Path, videos: Path, names: Sequence[str], jobs: int | None) -> None:
    """Convert these videos of a dataset again; what cannot be is logged."""
    if not (store / JPG).is_dir():
        raise StoreError(store, "is one video; a repair needs the whole dataset",
                         f"name the folder that holds {JPG}")  # fmt: skip
    catalog = Catalog(store, look=True)
    tasks = []
    with workplace(store, Shard()) as work:
        for name in names:
            task = plan(store, videos, name, catalog, work)
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
    outcome: Outcome = done.result or Outcome("failed", reason=str(done.error))
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


def plan(store: Path, videos: Path, name: str, catalog: Catalog, work: Path) -> Task | str:
    """How to convert it again; or why that is not possible."""
    folder = store / JPG / name
    known = _known(folder, name, catalog)
    path = videos / known.source_name.rstrip("/") if known.source_name else _by_name(videos, name)
    if path is None or not path.exists():
        wanted = known.source_name or f"{name}.*"
        return f"its source {wanted} is not below {videos}; name the folder that holds it"
    recorded = known.source_name or path.relative_to(videos).as_posix()
    source = Source.again(name, path, recorded, known.facts)
    if known.source_hash and source_digest(source) != known.source_hash:
        return f"its source {path} is not the file it was converted from; convert it again"
    sides = [LEVEL_FILE.fullmatch(Path(level).name) for level in level_paths(str(folder))]
    levels = sorted((int(side[1]) for side in sides if side), reverse=True)
    settings = dataclasses.replace(_settings(known.facts, catalog), levels=tuple(levels))
    return Task(source, settings, str(store / JPG), str(work), overwrite=True, afresh=True)


def _known(folder: Path, name: str, catalog: Catalog) -> Known:
    """From the catalogue, which remembers a video when it is damaged, else from its levels."""
    origin = catalog.origins.get(name)
    if origin is not None:
        return Known(origin.source_name, origin.source_hash, json.loads(origin.facts))
    for path in level_paths(str(folder)):
        try:
            meta = Database(path).facts.meta
        except StoreError:
            continue
        facts = {key: meta[key] for key in REPAIR_FACTS if key in meta}
        return Known(meta.get("source_name", ""), meta.get("source_hash", ""), facts)
    return Known()


def _settings(facts: Mapping[str, str], catalog: Catalog) -> Settings:
    """Those it was converted with; if nobody knows, those of the first video that does."""
    for one in [facts, *(json.loads(origin.facts) for origin in catalog.origins.values())]:
        if "settings" in one:
            return Settings.again(json.loads(one["settings"]))
    return Settings()


def _by_name(videos: Path, name: str) -> Path | None:
    """The video that a database of unknown source was called after."""
    above, stem = Path(name).parent, Path(name).name
    folder = videos if above == Path(TOP) else videos / above
    if not folder.is_dir():
        return None
    files = sorted(path for path in folder.iterdir() if is_video(path.name))
    return next((path for path in files if stem in (path.stem, path.name)), None)
