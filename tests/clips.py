"""Small datasets whose frames say which video and which frame they are, and ways to ask them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.augment import Augmentation
from data.batching import ClipKey
from data.catalog import JPG, Catalog
from data.classes import Classes
from data.clip import ClipShape
from data.crops import Crop
from data.display import fit_short_side
from data.iterator import ClipIterator, Making
from data.labelled import LabelledClip
from data.matching import match
from data.sampling import Sampling
from data.table import ClipTable, clip_table
from data.writer import publish
from tests import barcode
from tests.frames import Content, jpeg, write_database

APART = 1000  # video v's frame f has barcode APART * v + f
PLAIN = Augmentation(Crop("whole"), flip=0, any=0)  # training that leaves barcodes readable
SMALL = ClipShape(4, 32)


@dataclass(frozen=True)
class Video:
    """A video of a dataset, and the labels it has (none: one of the whole video)."""

    name: str  # class/id
    content: Content = Content()  # noqa: RUF009 - frozen


def write_dataset(root: Path, videos: Sequence[Video]) -> Path:
    """A dataset of these videos, each with barcodes of its own."""
    for number, video in enumerate(videos):
        folder = root / JPG / video.name
        folder.parent.mkdir(parents=True, exist_ok=True)
        paths = {}
        for level in (0, *video.content.levels):
            size = fit_short_side(video.content.size, level) if level else video.content.size
            paths[level] = _write(folder, number, level, replace(video.content, size=size))
        publish(folder, paths.pop(0), paths, video.content.count)
    return root


def _write(folder: Path, number: int, level: int, content: Content) -> Path:
    def draw(index: int) -> bytes:
        return jpeg(APART * number + index, content.size)

    path = folder.parent / f".{folder.name}-{level}.db"
    return write_database(path, folder.name, content, draw, with_sound=not level)


def labelled(name: str, **facts: object) -> LabelledClip:
    """A label of the video `class/id`."""
    fields: dict[str, object] = {"start": None, "stop": None, "where": "list.csv:2"}
    label, _, video = name.rpartition("/")
    targets: Mapping[str, str] = {"label": label}
    return LabelledClip(video, **{**fields, "targets": targets, **facts})  # type: ignore[arg-type]


def table_of(root: Path, clips: Sequence[LabelledClip]) -> ClipTable:
    catalog = Catalog(root)
    matched = match(clips, [entry.name for entry in catalog])
    assert not matched.without_media
    return clip_table(catalog, matched.pairs, Classes.from_clips(clips))


def iterator_of(
    root: Path, clips: Sequence[LabelledClip], making: Making | None = None, seed: int = 7
) -> ClipIterator:
    making = making or Making(Sampling(), PLAIN)
    return ClipIterator(table_of(root, clips), making, seed)


def key(clip: int = 0, shape: ClipShape = SMALL, position: int = 0, view: int = 0) -> ClipKey:
    return ClipKey(clip, shape, position, view)


def whose(clip: np.ndarray) -> list[tuple[int, int] | None]:
    """Which video and frame each picture of a clip is."""
    codes = [barcode.read(one) for one in clip]
    return [None if code is None else divmod(code, APART) for code in codes]
