"""The frame store: random frames of one video, as bytes or as pictures, with exact times.

    with FrameStore("kinetics/jpg/archery/x7Yz") as store:
        print(len(store), store.size, store.fps)
        clip = store.frames(range(0, 32, 2))          # uint8 THWC, RGB
        small = store.frames([0, 5, 5], short_side=112)
        sound = store.audio(0, 2)                     # float32, samples x 1

Indices are 0-based. A store pickles as its path and may be used by any number of threads and of
forked or spawned processes; open files are few whatever the number of stores (connections.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from operator import index as as_int
from typing import overload

import numpy as np

from data.cache import ByteCache
from data.database import CHECK_IT, CONVERT, Database
from data.display import Size
from data.jpeg import JpegError, decode
from data.lazy import Lazy
from data.memory import keep_large_blocks
from data.schema import DATABASE, LEVEL_FILE, StoreError
from data.seconds import Time, as_time

SOUND_FULL_SCALE = 32768
DECODED_AT_ONCE = 64
FEW = 512  # frames whose times are read as quickly all at once


class FrameStore:
    """One video's database and its smaller levels. `path` is its folder or its frames.db."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        if os.path.isdir(self.path):
            self.path = os.path.join(self.path, DATABASE)
        self._closed = False
        _ = self._main  # what is wrong with the file is said now

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _unopened, (self.path,)

    def __enter__(self) -> FrameStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files. Other stores of the same files open them again when they need to."""
        opened = [self.__dict__.pop("_main", None), *self.__dict__.pop("_levels", ())]
        for database in opened:
            if database is not None:
                database.close()
        self._closed = True

    # -- facts -----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._main.facts.frames

    def __repr__(self) -> str:
        return f"FrameStore({self.path!r})"

    @property
    def size(self) -> Size:
        """Width and height of the largest pictures."""
        return self._main.facts.size

    @property
    def fps(self) -> Fraction | None:
        """Frames a second, on average where they vary; None in the predecessor's files."""
        rate = self.meta.get("rate")
        return Fraction(rate) if rate else None

    @property
    def meta(self) -> Mapping[str, str]:
        """All facts, as text; empty in the predecessor's files."""
        return self._main.facts.meta

    @property
    def time_base(self) -> Fraction:
        if "time_base" not in self.meta:
            raise StoreError(
                self.path, "records no times: it is of the predecessor's kind", CONVERT
            )
        return Fraction(self.meta["time_base"])

    @Lazy
    def pts(self) -> np.ndarray:
        """int64 times of all frames in units of `time_base`; the first is 0."""
        _ = self.time_base
        return self._main.read_times()

    @property
    def ticks(self) -> Sequence[int] | np.ndarray:
        """The same, but of a long video looked up one by one: to find a moment of an hour takes 17
        rows of 100,000."""
        _ = self.time_base
        return self.pts if "pts" in self.__dict__ or len(self) <= FEW else Ticks(self._main)

    @property
    def times(self) -> tuple[Fraction, ...]:
        """Exact seconds of all frames after the first one."""
        base = self.time_base
        return tuple(int(pts) * base for pts in self.pts)

    @property
    def levels(self) -> tuple[Size, ...]:
        """The sizes there are, the largest first."""
        return tuple(level.facts.size for level in [self._main, *self._levels])

    # -- pictures --------------------------------------------------------------------------------

    def read(self, indices: Iterable[int], short_side: int | None = None) -> list[bytes]:
        """JPEG bytes in the order asked for, repeats included.

        They are of the smallest level whose short side is at least `short_side`, else the largest.
        """
        numbers = self._numbers(indices)
        found = self._level(short_side).read(sorted(set(numbers)))
        return [found[number] for number in numbers]

    def frames(
        self,
        indices: Iterable[int],
        short_side: int | None = None,
        out: np.ndarray | None = None,
        cache: ByteCache | None = None,
    ) -> np.ndarray:
        """uint8 THWC RGB in the order asked for; into `out` if one of that shape is given.

        The bytes come from the cache where it has them, and it keeps those that it has not.
        """
        numbers = self._numbers(indices)
        level = self._level(short_side)
        width, height = level.facts.size
        shape = len(numbers), height, width, 3
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.shape != shape or out.dtype != np.uint8:
            raise ValueError(f"out is {out.dtype} {out.shape}, these frames need uint8 {shape}")
        elif len(out) and not (out[0].flags.c_contiguous and out.flags.writeable):
            raise ValueError("out has pictures that are read-only or not contiguous in memory; "
                             "give another array")  # fmt: skip
        first: dict[int, int] = {}
        for place, number in enumerate(numbers):
            first.setdefault(number, place)
        _decode(level, first, out, cache)
        for place, number in enumerate(numbers):
            if first[number] != place:
                out[place] = out[first[number]]
        return out

    def _numbers(self, indices: Iterable[int]) -> list[int]:
        """Frame numbers (from 1) of indices (from 0)."""
        count = len(self)
        numbers = []
        for index in indices:
            number = as_int(index) + 1
            if not 1 <= number <= count:
                raise IndexError(f"frame {index} of {self.path!r}: it has frames 0 to {count - 1}")
            numbers.append(number)
        return numbers

    def _level(self, short_side: int | None) -> Database:
        if short_side is None:
            return self._main
        if short_side < 1:
            raise ValueError(f"short_side is at least 1, got {short_side}")
        covering = [level for level in self._levels
                    if min(level.facts.size) >= short_side]  # fmt: skip
        return covering[-1] if covering else self._main

    # -- sound -----------------------------------------------------------------------------------

    def audio(self, start: Time, stop: Time, rate: int | None = None) -> np.ndarray:
        """float32, samples x 1, -1 to 1, at the stored rate unless told otherwise.

        Sample n is at n / rate seconds, so ranges join; silence before and after the video.
        """
        if "sound_rate" not in self.meta:
            raise StoreError(self.path, "holds no sound", "convert it again with --audio, if its "
                             "source has any")  # fmt: skip
        stored = int(self.meta["sound_rate"])
        begin, end = as_time(start), as_time(stop)
        if rate is None or rate == stored:
            return self._samples(round(begin * stored), round(end * stored), stored)
        from data.sound import MARGIN, Block, resample  # brings PyAV, which else is not needed

        if rate < 1:
            raise ValueError(f"sound has at least 1 sample a second, got {rate}")
        wanted = max(0, round(end * rate) - round(begin * rate))
        out = np.zeros((wanted, 1), np.float32)
        if not wanted:
            return out
        first, last = round((begin - MARGIN) * stored), round((end + MARGIN) * stored)
        run = Block(first, stored, self._samples(first, last, stored))
        where, samples = resample(run, rate, 1)
        skip = round(begin * rate) - where
        piece = samples[skip : skip + wanted]
        out[: len(piece)] = piece
        return out

    def _samples(self, first: int, last: int, rate: int) -> np.ndarray:
        """Stored samples by their number; silence where there are none."""
        out = np.zeros((max(0, last - first), 1), np.float32)
        if not len(out):
            return out
        for second, samples in self._main.read_sound(first // rate, (last - 1) // rate).items():
            at = second * rate
            begin, end = max(first, at), min(last, at + len(samples))
            if begin < end:
                piece = samples[begin - at : end - at].astype(np.float32)
                out[begin - first : end - first, 0] = piece / SOUND_FULL_SCALE
        return out

    # -- files -----------------------------------------------------------------------------------

    @Lazy
    def _main(self) -> Database:
        if self._closed:
            raise ValueError(f"{self.path!r} is closed; open it again to read from it")
        keep_large_blocks()
        return Database(self.path)

    @Lazy
    def _levels(self) -> tuple[Database, ...]:
        """Smaller siblings of the same conversion, the largest first.

        One of another conversion is a leftover (a conversion that was killed while it replaced
        an older one) and is left alone; python -m tools.check lists it.
        """
        main = self._main
        if os.path.basename(self.path) != DATABASE or not main.ours:
            return ()
        found = [Database(path) for path in level_paths(os.path.dirname(self.path))]
        made = main.facts.meta["conversion"]
        levels = [level for level in found if level.facts.meta.get("conversion") == made]
        for level in levels:
            if level.facts.frames != main.facts.frames:
                raise StoreError(level.path, f"has {level.facts.frames} frames, {DATABASE} has "
                                 f"{main.facts.frames}", CHECK_IT)  # fmt: skip
        return tuple(sorted(levels, key=lambda level: level.facts.size, reverse=True))


class Ticks(Sequence[int]):
    """The times of a video's frames, each read when it is asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __len__(self) -> int:
        return self._database.facts.frames

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return self._database.read_time(index % len(self) + 1)


def _decode(
    level: Database, places: Mapping[int, int], out: np.ndarray, cache: ByteCache | None
) -> None:
    """Decode frames into their places in `out`, a few at a time: their bytes are still in the
    processor's cache then, and all of a long video's never lie in memory."""
    numbers = sorted(places)
    for start in range(0, len(numbers), DECODED_AT_ONCE):
        for number, data in _read(level, numbers[start : start + DECODED_AT_ONCE], cache).items():
            try:
                decode(data, out[places[number]])
            except JpegError as error:
                advice = CHECK_IT if level.ours else CONVERT
                raise StoreError(level.path, f"has a frame {number - 1} that {error}",
                                 advice) from None  # fmt: skip


def _read(level: Database, numbers: list[int], cache: ByteCache | None) -> dict[int, bytes]:
    """Bytes by frame number, by way of the cache if there is one."""
    if cache is None:
        return level.read(numbers)
    found = {number: data for number in numbers if (data := cache.get((level.key, number)))}
    fresh = level.read([number for number in numbers if number not in found])
    for number, data in fresh.items():
        cache.put((level.key, number), data)
    return found | fresh


def level_paths(folder: str) -> list[str]:
    """The level files in a video's folder."""
    names = sorted(name for name in os.listdir(folder or ".") if LEVEL_FILE.fullmatch(name))
    return [os.path.join(folder, name) for name in names]


def _unopened(path: str) -> FrameStore:
    """A store as it comes out of a pickle: it opens its files when it is used."""
    store = FrameStore.__new__(FrameStore)
    store.path = path
    store._closed = False
    return store
