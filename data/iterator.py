"""From a place in the stream to a clip; video_iterator.py of old.

    (clip, ClipShape, position) -> sample

Store, sampling, augmentation and views come together here. What comes out follows from the seed
and the position alone, whichever worker or rank makes it. data/batching.py says which clips follow
one another, train/loader.py has workers make them.

    clips = ClipIterator(table, Making(Sampling(), Augmentation()), seed=42)
    sample = clips[ClipKey(7, ClipShape(16, 224), position=0)]    # its clip: uint8 THWC
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np

from data.audio import picture
from data.augment import Augmentation, draw_plan
from data.batching import ClipKey
from data.cache import ByteCache
from data.catalog import short_conversion
from data.clip import ClipShape
from data.crops import VIEWS, Crop, Views, erased_box, view_plan
from data.display import Size
from data.draws import Draws, Slot, check_seed
from data.ledger import Fault
from data.plan import WHOLE, Box, Plan, pixels_shown
from data.render import black_out, pixels, render
from data.sampling import Passage, Sampling, Times, choose, passage_of
from data.schema import DATABASE, StoreError, level_file
from data.store import FrameStore
from data.table import ClipTable
from data.views import PLAIN, Part, View, nested

OnError = Literal["stop", "skip"]
OPEN_STORES = 16
COMPOSITE_CROP = Crop("resized", area=(0.5, 1.0))
TOLERANCE = 0.8  # a level serves a square if it has at least so many of its pixels
USUAL_RATE = Fraction(25)  # of a video that does not say
SOUND_ERASED = ((0.02, 0.33), (0.1, 10.0))  # area, ratio
ZOOM = 256 / 224  # of tests: the short side, in sides of the square


@dataclass(frozen=True)
class Making:
    """What clips are made of and what is done to them."""

    sampling: Sampling
    augmentation: Augmentation | None = None
    """None: a test. The same frames of the same part of the picture every time."""
    view: View = PLAIN
    tests: Views = "one"
    """In tests: which parts of the picture are shown, one after the other."""
    times: int = 1
    """In tests: how many clips are taken from the passage."""
    keep_sides: frozenset[int] = frozenset()
    """Classes of the first task that tell left from right: their clips are never flipped."""

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ValueError(f"times is at least 1, got {self.times}")
        if self.tests not in VIEWS:
            raise ValueError(f"tests is {self.tests!r}; allowed: {', '.join(VIEWS)}")
        if self.tests != "one" and len(self.view.parts) > 1:
            raise ValueError(f"tests is {self.tests!r}, but a composite shows all of its parts in "
                             "one; allowed: one")  # fmt: skip
        if self.times > 1 and self.sampling.how == "uniform":
            raise ValueError(f"times is {self.times}, but uniform takes one clip of all the "
                             "passage; choose segments, centre or random")  # fmt: skip

    @property
    def views(self) -> int:
        """How many clips of each video a test needs."""
        return 1 if self.augmentation else self.times * len(VIEWS[self.tests])


class Facts(NamedTuple):
    """What is known of a clip beside its pictures."""

    targets: dict[str, int]
    counts: bool  # False: it weighs nothing, it only keeps its place
    silent: bool = False  # a spectrogram was asked for, and there is no sound
    fault: Fault | None = None


class Sample(NamedTuple):
    """One clip, ready for the network."""

    clip: np.ndarray  # uint8 THWC; H is as many sides as the view has parts
    facts: Facts


class Square(NamedTuple):
    """One part of a view before it is drawn: frames and their plan, or a finished picture."""

    frames: np.ndarray
    plan: Plan | None


class Parts(NamedTuple):
    """A clip before it is drawn; no squares if it could not be read."""

    squares: list[Square]
    facts: Facts


class PassageError(StoreError):
    """A passage that holds no frame: the store is whole, its label is not."""


class ClipError(Exception):
    """A clip that cannot be made, with what to do next."""


class ClipIterator:
    """All clips of a table, made to order. Goes to workers as a pickle; no file is open in it."""

    def __init__(
        self,
        table: ClipTable,
        making: Making,
        seed: int = 0,
        on_error: OnError = "stop",
        cache_bytes: int = 0,
    ) -> None:
        check_seed(seed)
        if on_error not in ("stop", "skip"):
            raise ValueError(f"on_error is {on_error!r}; allowed: stop, skip")
        self.table, self.making, self.seed, self.on_error = table, making, seed, on_error
        self.cache_bytes = cache_bytes
        self._cache = ByteCache(cache_bytes) if cache_bytes else None
        self._stores: OrderedDict[str, FrameStore] = OrderedDict()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.table, self.making, self.seed, self.on_error, self.cache_bytes)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: ClipKey) -> Sample:
        parts = self.take(key)
        out = np.empty(self.shape(key.shape), np.uint8)
        draw(parts.squares, out)
        return Sample(out, parts.facts)

    def shape(self, shape: ClipShape) -> tuple[int, int, int, int]:
        """THWC of a clip of this shape."""
        return shape.frames, self.making.view.height(shape.size), shape.size, 3

    def take(self, key: ClipKey) -> Parts:
        """All that a clip is drawn from."""
        targets = {task: int(numbers[key.clip]) for task, numbers in self.table.targets.items()}
        try:
            squares = self._squares(key)
        except StoreError as error:
            self.close()  # what is wrong may be mended before they are opened again
            return Parts([], Facts(targets, False, fault=self._fault(key, error)))
        wants_sound = any(square.plan is None for square in squares)
        silent = wants_sound and "sound_rate" not in self._store(key.clip).meta
        return Parts(squares, Facts(targets, key.counts, silent))

    def close(self) -> None:
        """Close the videos that are open; they are opened again when they are needed."""
        while self._stores:
            self._stores.popitem()[1].close()

    def _fault(self, key: ClipKey, error: StoreError) -> Fault:
        where = self.table.where[key.clip]
        if self.on_error == "stop":
            mend = f"{where} asks for it; correct that row"
            if not isinstance(error, PassageError):
                mend = (f"{where} asks for it; mend the store with\n    python -m tools.check "
                        f"{self.table.dataset} --repair --videos VIDEOS")  # fmt: skip
            raise ClipError(f"{error}\n{mend}\nor go on without it: --on-error skip") from None
        return Fault(key.clip, key.position, where, self.table.names[key.clip], str(error))

    # -- the squares of a view -------------------------------------------------------------------

    def _squares(self, key: ClipKey) -> list[Square]:
        """What each part of the view is made of: decoded frames and their plan, or the sound."""
        making = self.making
        temporal, spatial = divmod(key.view, len(VIEWS[making.tests]))
        draws = [Draws(self.seed, key.position, part) for part in range(len(making.view.parts))]
        plans = [
            self._plan(key, part, spatial, draw)
            for part, draw in zip(making.view.parts, draws, strict=True)
        ]
        flip = self._flip(key, spatial, draws[0])
        plans = [plan and replace(plan, flip=flip) for plan in plans]
        shown = [plan for plan in plans if plan is not None]
        store = self._store(key.clip, self._level(key, shown) if shown else None)
        indices = choose(making.sampling, key.shape.frames, self._passage(store, key.clip),
                         draws[0] if making.augmentation else None,
                         (temporal, making.times))  # fmt: skip
        frames = self._frames(store, indices) if shown else None
        return [
            Square(self._sound(indices, key, draw), None)
            if frames is None or plan is None
            else Square(frames, plan)
            for plan, draw in zip(plans, draws, strict=True)
        ]

    def _plan(self, key: ClipKey, part: Part, spatial: int, draws: Draws) -> Plan | None:
        """Of one part of the view; the sound's has none."""
        making = self.making
        if part.shows == "sound":
            return None
        region = WHOLE
        if part.shows == "region":
            region = self.table.region(key.clip) or making.view.region
        size = _size_of(region, self.table.size(key.clip))
        if making.augmentation is not None:
            augmentation = self._augmentation(making.augmentation, part)
            plan = draw_plan(augmentation, draws, size)
        elif len(making.view.parts) > 1:
            plan = Plan()  # every square of a composite shows all of what it is about
        else:
            plan = view_plan(making.tests, spatial, ZOOM, size)
        return plan if region == WHOLE else replace(plan, box=nested(region, plan.box))

    def _augmentation(self, augmentation: Augmentation, part: Part) -> Augmentation:
        """What may be drawn for this part. Those of a composite show most of what they are about,
        as they show all of it in tests."""
        crop = part.crop or (COMPOSITE_CROP if len(self.making.view.parts) > 1 else None)
        return augmentation if crop is None else replace(augmentation, crop=crop)

    def _flip(self, key: ClipKey, spatial: int, draws: Draws) -> bool:
        """Whether left and right are exchanged: in all parts alike."""
        first = next(iter(self.table.targets.values()), None)
        if first is not None and int(first[key.clip]) in self.making.keep_sides:
            return False
        if self.making.augmentation is None:
            return VIEWS[self.making.tests][spatial][2]
        return draws.uniform(Slot.FLIP) < self.making.augmentation.flip

    def _level(self, key: ClipKey, plans: Sequence[Plan]) -> int | None:
        """The short side of the smallest level that has nearly enough pixels for every square."""
        wanted = math.sqrt(TOLERANCE) * key.shape.size
        for side, size in self.table.level_sizes(key.clip):
            if all(pixels_shown(plan, size) >= wanted for plan in plans):
                return side
        return None

    # -- what is read ----------------------------------------------------------------------------

    def _store(self, clip: int, level: int | None = None) -> FrameStore:
        """A video, or its smaller level alone: each database is whole in itself, and to open one
        costs as much as to decode a few small pictures. A few stay open, since a long video's
        clips often follow one another in tests."""
        folder = self.table.folder(clip)
        path = os.path.join(folder, level_file(level or 0))
        if not level or not os.path.exists(path):  # somebody needed the room
            path = os.path.join(folder, DATABASE)
        store = self._stores.pop(path, None) or FrameStore(path)
        self._stores[path] = store
        while len(self._stores) > OPEN_STORES:
            self._stores.popitem(last=False)[1].close()
        self._check(store, clip)
        return store

    def _check(self, store: FrameStore, clip: int) -> None:
        """That a database is of the conversion that the catalogue knows, and no leftover."""
        known = self.table.conversions[clip], self.table.frames(clip)
        found = short_conversion(store), len(store)
        full = os.path.basename(store.path) == DATABASE
        if found != known or (full and store.size != self.table.size(clip)):
            reason = "is not what the catalogue says: {1} frames of conversion {0!r}".format(*found)
            reason += ", not {1} of {0!r}".format(*known)
            raise StoreError(store.path, reason, "delete catalog.db, it is made again; a level "
                             "that is left over is listed by python -m tools.check")  # fmt: skip

    def _passage(self, store: FrameStore, clip: int) -> Passage:
        """The frames a label is about, to the frame."""
        start, stop, unit = self.table.bound(clip)
        count = len(store)
        by_time = self.making.sampling.seconds is not None
        in_seconds = unit == "seconds" and (start is not None or stop is not None)
        if in_seconds:
            first, last = passage_of(store.ticks, store.time_base, start, stop)
        else:
            first, last = int(start or 0), min(count, count if stop is None else int(stop))
        if first >= last:
            raise PassageError(store.path, f"shows no frame from {start} to {stop} {unit}",
                               f"it has {count}")  # fmt: skip
        return Passage(first, last, Times(store.pts, store.time_base) if by_time else None)

    def _frames(self, store: FrameStore, indices: np.ndarray) -> np.ndarray:
        """Decoded frames in the order of the indices, overlays painted black."""
        frames = store.frames(indices, cache=self._cache)
        black_out(frames, self.making.view.black)
        return frames

    def _sound(self, indices: np.ndarray, key: ClipKey, draws: Draws) -> np.ndarray:
        """The spectrogram of the clip's time, or of so much before its end; black without sound."""
        side, wanted = key.shape.size, self.making.view.spectrogram
        store = self._store(key.clip)
        square = np.zeros((side, side, 3), np.uint8)
        if "sound_rate" not in store.meta:
            return square
        ends = min(indices), max(indices)
        first, last = (int(store.ticks[int(at)]) * store.time_base for at in ends)
        start, stop = wanted.heard(first, last + 1 / (store.fps or USUAL_RATE))
        sound = store.audio(start - wanted.reach, stop + wanted.reach)[:, 0]
        rate = int(store.meta["sound_rate"])
        square = picture(sound, rate, wanted, side, around=round(wanted.reach * rate))
        return self._erased(square, draws)

    def _erased(self, square: np.ndarray, draws: Draws) -> np.ndarray:
        augmentation = self.making.augmentation
        if augmentation and draws.uniform(Slot.ERASE) < augmentation.erase_sound:
            left, top, right, bottom = pixels(erased_box(draws, *SOUND_ERASED), len(square))
            square[top:bottom, left:right] = 0
        return square


def draw(squares: Sequence[Square], out: np.ndarray) -> None:
    """The squares of a view below one another, into uint8 THWC; black if there are none."""
    side = out.shape[2]
    if not squares:
        out[:] = 0
    for row, square in enumerate(squares):
        part = out[:, row * side : (row + 1) * side]
        if square.plan is None:
            part[:] = square.frames
        else:
            render(square.frames, square.plan, part)


def _size_of(region: Box, size: Size) -> Size:
    """Of a part of a picture, in pixels."""
    left, top, right, bottom = region
    return max(1, round((right - left) * size[0])), max(1, round((bottom - top) * size[1]))
