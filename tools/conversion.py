"""One source to its databases: what a worker process does with one task."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data.display import Size, fit_short_side
from data.faults import MediaError
from data.fingerprint import content_hash, sampled_hash, stamp
from data.schema import DATABASE, FORMAT, StoreError, level_file
from data.store import FrameStore
from data.writer import StoreWriter, publish, restore_count
from tools.feeds import Encode, Feed, Shown, open_feed
from tools.settings import Settings
from tools.sources import Source

NEWS_EVERY = 0.5  # seconds


@dataclass(frozen=True)
class Task:
    """One source, what to make of it, and where."""

    source: Source
    settings: Settings
    jpg: str  # the folder that `source.name` lies in
    work: str  # the folder for what is not finished
    threads: int = 1
    overwrite: bool = False
    add_levels: bool = False
    afresh: bool = False  # whatever is there

    @property
    def folder(self) -> Path:
        return Path(self.jpg) / self.source.name


@dataclass(frozen=True)
class Progress:
    """How far a source is: frames so far, and their share of all as the source claims it."""

    frames: int
    share: float


@dataclass(frozen=True)
class Outcome:
    """What became of a source."""

    status: str  # converted, skipped, failed
    frames: int = 0
    seconds: float = 0.0
    bytes: int = 0
    damage: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""


def convert_source(task: Task, report: Callable[[Progress], None]) -> Outcome:
    """Convert, unless it is done already. Every trouble with the source or the disk is a reason."""
    try:
        present = look_at_present(task)
        if present.problem:
            return Outcome("failed", reason=present.problem)
        if not present.missing:
            restore_count(task.folder, present.frames)
            return Outcome("skipped", frames=present.frames, damage=present.damage)
        return _convert(task, source_digest(task.source), present, report)
    except (MediaError, StoreError) as error:
        return Outcome("failed", reason=f"{error.reason}; {error.advice}")
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        return Outcome("failed", reason=f"{error.strerror}{where}; check the disk and permissions")


def source_digest(source: Source) -> str:
    """What is in a source, as a hash; of pictures, of all of them."""
    if source.pictures:
        return _together(source, content_hash)
    if not os.path.isfile(source.path):
        return ""  # the reader says what is wrong
    is_passage = source.start is not None
    return sampled_hash(source.path) if is_passage else content_hash(source.path)


def source_stamp(source: Source) -> str:
    """Whether a source may have changed, without reading it."""
    if source.pictures:
        return _together(source, stamp)
    return stamp(source.path) if os.path.isfile(source.path) else ""


def _together(source: Source, one: Callable[[str], str]) -> str:
    digest = hashlib.sha256()
    for name in source.pictures:
        digest.update(f"{name} {one(os.path.join(source.path, name))}\n".encode())
    return digest.hexdigest()[:32]


# -- what is there already -------------------------------------------------------------------------


@dataclass(frozen=True)
class Present:
    """What an earlier run left: what is still missing (0 stands for frames.db), or a problem."""

    missing: tuple[int, ...]
    frames: int = 0
    problem: str = ""
    damage: str = ""


def look_at_present(task: Task) -> Present:
    everything = (0, *task.settings.levels)
    path = task.folder / DATABASE
    if task.afresh or not path.exists():
        return Present(everything)
    try:
        with FrameStore(path) as store:
            meta, size, frames, levels = store.meta, store.size, len(store), store.levels
    except StoreError as error:
        if task.overwrite:
            return Present(everything)
        return Present((), problem=f"its database {error.reason}; add --overwrite, or repair it: "
                       "python -m tools.check DATASET --repair --videos VIDEOS")  # fmt: skip
    problem = difference(task, meta)
    if problem:
        return Present(everything) if task.overwrite else Present((), problem=problem)
    have = {min(level) for level in levels}
    wanted = [level for level in task.settings.levels if level < min(size)]
    missing = tuple(level for level in wanted if level not in have)
    if missing and not task.add_levels:
        listed = ", ".join(map(str, missing))
        return Present((), problem=f"lacks the level {listed}; add --add-levels")
    return Present(missing, frames, damage=meta.get("damage", ""))


def difference(task: Task, meta: Mapping[str, str]) -> str:
    """In what an earlier conversion differs from the one asked for; empty if in nothing."""
    if not meta:
        return "was converted by another program; add --overwrite to convert it again"
    then, now = json.loads(meta["settings"]), task.settings.recorded(bool(task.source.pictures))
    changed = [
        f"{key} {then.get(key)} (now {now[key]})" for key in now if then.get(key) != now[key]
    ]
    if changed:
        return f"was converted with {', '.join(changed)}; add --overwrite to convert it again"
    same = meta.get("source_stamp") == source_stamp(task.source)
    if not same and meta["source_hash"] != source_digest(task.source):
        return (
            "is not what its database was made from (it has changed, or is another of that name); "
            "add --overwrite to replace the database, or name another OUT"
        )
    return ""


# -- converting ------------------------------------------------------------------------------------


def _convert(
    task: Task, digest: str, present: Present, report: Callable[[Progress], None]
) -> Outcome:
    work = Path(task.work)
    with ExitStack() as stack:
        feed = stack.enter_context(open_feed(task.source, task.settings, task.threads))
        full = _full_size(feed, task.settings)
        sizes = _sizes(feed, full, present)
        writers = {
            level: stack.enter_context(StoreWriter(_working_file(work, level), _video_name(task)))
            for level in sizes
        }
        encode = feed.encoder(full, list(sizes.values()), task.settings)
        _write_frames(feed, task.threads, encode, sizes, writers, report)
        if not feed.count:
            raise MediaError(task.source.path, "shows no picture in this passage",
                             "check its times")  # fmt: skip
        if 0 in writers and task.settings.audio:
            for samples in feed.sound():
                writers[0].add_sound(samples)
        facts = _facts(task, digest, feed)
        for level, writer in writers.items():
            width, height = sizes[level]
            own = {key: fact for key, fact in facts.items() if not (level and "sound_" in key)}
            writer.finish({**own, "width": width, "height": height, "level": level or "full"})
        paths = {level: writer.path for level, writer in writers.items()}
        size = sum(path.stat().st_size for path in paths.values())
        _stay_inside(task)
        publish(task.folder, paths.pop(0, None), paths, feed.count)
        _remove_leftovers(task, paths, 0 in writers)
    return Outcome("converted", feed.count, float(feed.seconds), size, feed.damage, feed.notes)


def _full_size(feed: Feed, settings: Settings) -> Size:
    side = settings.side_for(feed.is_pictures)
    return fit_short_side(feed.size, side) if side else feed.size


def _sizes(feed: Feed, full: Size, present: Present) -> dict[int, Size]:
    """The size of every database that is to be written; no level is as large as the frames."""
    sizes = {level: fit_short_side(feed.size, level) for level in present.missing if level}
    sizes = {level: size for level, size in sizes.items() if level < min(full)}
    return ({0: full} if 0 in present.missing else {}) | sizes


def _write_frames(
    feed: Feed,
    threads: int,
    encode: Encode,
    sizes: Mapping[int, Size],
    writers: Mapping[int, StoreWriter],
    report: Callable[[Progress], None],
) -> None:
    """Encode on as many threads as there are, write in order."""
    last = time.monotonic()
    for shown, jpegs in in_order(encode, feed.frames(), threads):
        for (level, writer), jpeg in zip(writers.items(), jpegs, strict=True):
            writer.add(jpeg, sizes[level][0], shown.pts)
        if time.monotonic() - last > NEWS_EVERY:
            last = time.monotonic()
            report(Progress(feed.count, feed.share_done(shown)))


def in_order(
    work: Callable[[Shown], list[bytes]], items: Iterator[Shown], threads: int
) -> Iterator[tuple[Shown, list[bytes]]]:
    """Each item with its result, in order; a few are under way at a time."""
    if threads == 1:
        yield from ((item, work(item)) for item in items)
        return
    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[tuple[Shown, Future]] = deque()
        for item in items:
            under_way.append((item, pool.submit(work, item)))
            if len(under_way) > 2 * threads:
                first, future = under_way.popleft()
                yield first, future.result()
        for first, future in under_way:
            yield first, future.result()


def _facts(task: Task, digest: str, feed: Feed) -> dict[str, Any]:
    settings, source = task.settings, task.source
    recorded = settings.recorded(feed.is_pictures)
    passage = [str(time) for time in (source.start, source.stop) if time is not None]
    identity = json.dumps([FORMAT, digest, source.name, recorded, passage], sort_keys=True)
    return {
        "format": FORMAT,
        "conversion": hashlib.sha256(identity.encode()).hexdigest()[:32],
        "made_with": f"Reelgrid, av {version('av')}, opencv {version('opencv-python-headless')}",
        "frames": feed.count,
        "seconds": feed.seconds,
        "quality": feed.kept_bytes or settings.quality,
        "subsampling": feed.kept_bytes or settings.subsampling,
        "settings": json.dumps(recorded),
        "source_name": source.recorded,
        "source_bytes": source.bytes(),
        "source_hash": digest,
        "source_stamp": source_stamp(source),
        "source_range": " ".join(passage),
        "source_offset": feed.offset + source.offset,
        "label_offset": source.offset,
        "damage": feed.damage,
        "notes": "\n".join(feed.notes),
        **feed.facts(),
    }


def _video_name(task: Task) -> str:
    return task.source.name.rsplit("/", 1)[-1]


def _working_file(work: Path, level: int) -> Path:
    return work / f"{os.getpid()}-{level}.db"


def _stay_inside(task: Task) -> None:
    """Refuse to write through a link that leads out of the dataset."""
    root = os.path.realpath(task.jpg)
    place = os.path.realpath(task.folder)
    inside = os.path.commonpath([root, place]) == root
    if not inside or os.path.realpath(os.path.dirname(task.jpg)) != os.path.dirname(root):
        raise StoreError(task.folder, f"leads out of the dataset, to {place}",
                         "name the real folder as OUT")  # fmt: skip


def _remove_leftovers(task: Task, levels: Sequence[int] | Mapping[int, Path], whole: bool) -> None:
    """After a new frames.db, levels of an older conversion serve nobody."""
    if not whole:
        return
    for path in task.folder.glob("frames-*.db"):
        if path.name not in {level_file(level) for level in levels}:
            path.unlink()


def shared_out(task: Task, tasks: int, jobs: int) -> Task:
    """The task with its share of the cores where there are fewer tasks than cores."""
    return replace(task, threads=max(1, jobs // max(1, min(tasks, jobs))))
