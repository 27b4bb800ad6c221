"""Which video of a store a labelled clip belongs to, and what is left over on either side.

A store's video lies below jpg/ in `<class>/<video>`; one that the converter cut out in
`<class>/<video>_000010_000020`, which then is the passage itself. What has no class is in `_`.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from data.labelled import SPLIT_WORDS, LabelledClip
from data.names import TOP, passage_name

SHOWN = 4


class Pair(NamedTuple):
    """A clip and its video; `is_passage`: the video was cut to the clip and is taken whole."""

    clip: LabelledClip
    name: str
    is_passage: bool


@dataclass(frozen=True)
class Matched:
    """Everything that was given is in one of the lists, in the order in which it was given."""

    pairs: list[Pair]
    without_media: list[tuple[LabelledClip, str]]  # and why
    without_label: list[str]


def folder_class(clip: LabelledClip) -> str:
    """The class whose folder a clip's video lies in: of its label, else of its action."""
    name = clip.targets.get("label") or clip.targets.get("action")
    return name or TOP


def is_in_class(clip: LabelledClip, folders: Iterable[str]) -> bool:
    """Whether one of these folders is the one of a clip's class, as people write it."""
    folder = folder_class(clip)
    return folder != TOP and _key(folder) in map(_key, folders)


def is_whole(clip: LabelledClip) -> bool:
    """Whether it has no times, so that nothing but its name says which video it is."""
    return clip.start is None and clip.stop is None


@lru_cache(1 << 16)
def _key(folder: str) -> str:
    """A class's folder by any spelling: air_drumming, Air Drumming; accents in one piece or two."""
    return unicodedata.normalize("NFC", folder).casefold().replace("_", " ")


def match(clips: Sequence[LabelledClip], names: Iterable[str]) -> Matched:
    """Find each clip's video among a store's names.

    The best name wins: cut to the passage, and where the label file says, or in the class's
    folder, or in _; then the whole video in such a place; then any other place whose path ends as
    the label file says, if there is only one.

    run/1 and jump/1 are two videos. So a clip without times is not taken from another class's
    folder. Once a clip is found in the folder of its class, the store is organised by class, and
    clips without times are taken from nowhere else but _ and the very path that the label says.
    """
    store = _Store(names, clips)
    pairs: list[Pair] = []
    without_media: list[tuple[LabelledClip, str]] = []
    for clip in clips:
        found = _find(clip, store)
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            without_media.append((clip, found))
    used = {pair.name for pair in pairs}
    return Matched(pairs, without_media, [name for name in store.known if name not in used])


class _Store:
    """The names of a store, also by their last part, and the folders that are classes."""

    def __init__(self, names: Iterable[str], clips: Sequence[LabelledClip]) -> None:
        self.known = dict.fromkeys(names)
        self.classes = {_key(folder) for folder in set(map(folder_class, clips)) - {TOP}}
        self._by_last: dict[str, list[str]] = defaultdict(list)
        for name in self.known:
            self._by_last[name.rpartition("/")[2]].append(name)
        self.by_class = any(
            self.in_class(clip, path) for clip in clips for path, _ in _wishes(clip)
        )

    def in_class(self, clip: LabelledClip, path: str) -> list[str]:
        """Names of a path, or at least of its last part, in the folder of the clip's class."""
        called_so = self._by_last.get(path.rpartition("/")[2], ())
        near = set(self.places(path))
        return [name for name in called_so
                if is_in_class(clip, name.split("/")[: -1] if name in near
                               else name.split("/")[-2:-1])]  # fmt: skip

    def places(self, path: str) -> list[str]:
        """Names that end with this path."""
        called_so = self._by_last.get(path.rpartition("/")[2], ())
        return [name for name in called_so if f"/{name}".endswith(f"/{path}")]


def _wishes(clip: LabelledClip) -> list[tuple[str, bool]]:
    """The paths of a clip's passage and its video, the better first, and which is a passage."""
    wishes = [(clip.video, False)]
    if clip.unit == "seconds" and clip.start is not None and clip.stop is not None:
        wishes.insert(0, (passage_name(clip.video, clip.start, clip.stop), True))
    return wishes


def _find(clip: LabelledClip, store: _Store) -> Pair | str:
    """A clip's video, or why it has none."""
    folder, wishes = folder_class(clip), _wishes(clip)
    for path, is_passage in wishes:
        last = path.rpartition("/")[2]
        for exact in (path, f"{folder}/{path}", f"{folder}/{last}", f"{TOP}/{last}"):
            if exact in store.known:
                return Pair(clip, exact, is_passage)
    for path, is_passage in wishes:
        places = _nearest(clip, store.in_class(clip, path) or store.places(path))
        if len(places) > 1:
            more = ", ..." if len(places) > SHOWN else ""
            return f"several videos have this name: {', '.join(places[:SHOWN])}{more}"
        for place in places:
            if (fault := _misplaced(clip, place.split("/")[:-1], store)) is not None:
                return f"only {place} has this name, and {fault}"
            return Pair(clip, place, is_passage)
    return f"no video of the store is called {' or '.join(path for path, _ in wishes)}"


def _misplaced(clip: LabelledClip, folders: Sequence[str], store: _Store) -> str | None:
    """Why a video in these folders is not the one of a clip that has nothing but a name."""
    if not is_whole(clip) or is_in_class(clip, folders):
        return None
    if store.classes.intersection(map(_key, folders)):
        return "lies in the folder of another class"
    has_class = folder_class(clip) != TOP
    return "does not lie in the folder of its class" if store.by_class and has_class else None


def _nearest(clip: LabelledClip, places: list[str]) -> list[str]:
    """Of several, those in the folder of the clip's split."""
    if len(places) < 2:
        return places
    return [one for one in places if clip.split in _splits(one.split("/")[:-1])] or places


def _splits(folders: Sequence[str]) -> set[str]:
    return {SPLIT_WORDS[folder.lower()] for folder in folders if folder.lower() in SPLIT_WORDS}
