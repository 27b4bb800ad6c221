"""Which video of a store a labelled clip belongs to, and what is left over on either side.

A store's video lies below jpg/ in `<class>/<video>`; one that the converter cut out in
`<class>/<video>_000010_000020`, which then is the passage itself. What has no class is in `_`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


def match(clips: Sequence[LabelledClip], names: Iterable[str]) -> Matched:
    """Find each clip's video among a store's names.

    The best name wins: cut to the passage, and where the label file says, or in the class's
    folder, or in _; then the whole video in such a place; then any other place whose path ends as
    the label file says, if there is only one. A clip without a passage is not taken from another
    class's folder: run/1 and jump/1 are two videos.
    """
    store = _Store(names, frozenset(map(folder_class, clips)))
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

    def __init__(self, names: Iterable[str], classes: frozenset[str]) -> None:
        self.known = dict.fromkeys(names)
        self.classes = classes - {TOP}
        self._by_last: dict[str, list[str]] = defaultdict(list)
        for name in self.known:
            self._by_last[name.rpartition("/")[2]].append(name)

    def places(self, path: str) -> list[str]:
        """Names that end with this path."""
        called_so = self._by_last.get(path.rpartition("/")[2], ())
        return [name for name in called_so if f"/{name}".endswith(f"/{path}")]


def _find(clip: LabelledClip, store: _Store) -> Pair | str:
    """A clip's video, or why it has none."""
    folder = folder_class(clip)
    wishes = [(clip.video, False)]
    if clip.unit == "seconds" and clip.start is not None and clip.stop is not None:
        wishes.insert(0, (passage_name(clip.video, clip.start, clip.stop), True))
    for path, is_passage in wishes:
        last = path.rpartition("/")[2]
        for exact in (path, f"{folder}/{path}", f"{folder}/{last}", f"{TOP}/{last}"):
            if exact in store.known:
                return Pair(clip, exact, is_passage)
    for path, is_passage in wishes:
        places = _nearest(store.places(path), folder, clip.split)
        if len(places) > 1:
            more = ", ..." if len(places) > SHOWN else ""
            return f"several videos have this name: {', '.join(places[:SHOWN])}{more}"
        for place in places:
            others = store.classes.intersection(place.split("/")[:-1]) - {folder}
            if others and clip.start is None and clip.stop is None:
                return f"only {place} has this name, and lies in the folder of another class"
            return Pair(clip, place, is_passage)
    return f"no video of the store is called {' or '.join(path for path, _ in wishes)}"


def _nearest(places: list[str], folder: str, split: str) -> list[str]:
    """Of several, those in a folder of the clip's class, and of those the ones in its split's."""
    if len(places) < 2:
        return places
    for is_near in (lambda parts: folder in parts, lambda parts: split in _splits(parts)):
        places = [one for one in places if is_near(one.split("/")[:-1])] or places
    return places


def _splits(folders: Sequence[str]) -> set[str]:
    return {SPLIT_WORDS[folder.lower()] for folder in folders if folder.lower() in SPLIT_WORDS}
