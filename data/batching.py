"""Which clips are together in a batch, in which order and shape: arithmetic on seed and position.

All samples form one endless stream; epoch e is its positions e * N to (e + 1) * N - 1, every clip
once, in an order that only the seed and e decide. A batch is the next few positions, whatever the
number of ranks: each rank takes its share of them. So there is nothing to save but the step and
the position, and any number of workers or ranks goes on from there.

    order = Order(len(table), seed=42)
    sampler = BatchSampler(order, constant(48, ClipShape(16, 224)), epochs=30)
    for chunk in sampler: ...       # at most 64 clips of one batch, for one worker
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from data.clip import ClipShape
from data.draws import Domain, check_seed, raw, to_unit

Tail = Literal["on", "short", "drop", "pad"]
TAILS = ("on", "short", "drop", "pad")
CHUNK = 64  # clips a worker makes at once: a batch of 1,536 in one worker stalls the others
EPOCHS_KEPT = 2  # orders of epochs held in memory


class ClipKey(NamedTuple):
    """One clip to make: which of the dataset, in which shape, and its place in the stream."""

    clip: int
    shape: ClipShape
    position: int
    view: int = 0  # of several fixed views, in tests
    counts: bool = True  # False: only fills a batch up


class Chunk(NamedTuple):
    """A part of one rank's share of a batch, made by one worker."""

    step: int
    keys: tuple[ClipKey, ...]
    first: int  # its place in the share
    share: int  # clips of the whole share
    batch: int  # clips of the whole batch that count, on all ranks together
    after: int  # the position where the stream goes on after this batch


class BatchShape(NamedTuple):
    """How many clips are in a batch, on all ranks together, and what they are like."""

    clips: int
    shape: ClipShape


Schedule = Callable[[int], BatchShape]  # of the step


def constant(clips: int, shape: ClipShape) -> Schedule:
    """The same batch at every step."""
    wanted = BatchShape(clips, shape)
    return lambda step: wanted


@dataclass(frozen=True)
class Rank:
    """One of several processes that train together."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise ValueError(f"rank {self.number} of {self.of}: ranks count from 0 to of - 1")


class Order:
    """Which clip stands at which position of the stream.

    With weights, an epoch holds every clip as often as its weight asks, to within one; what is
    asked for more than once gets different draws, since draws belong to the position. `skip`
    names clips that are left out; `views` > 1 or `shuffled=False` is for tests.
    """

    def __init__(
        self,
        clips: int,
        seed: int = 0,
        weights: np.ndarray | None = None,
        skip: Iterable[int] = (),
        shuffled: bool = True,
        views: int = 1,
    ) -> None:
        check_seed(seed)
        self.seed, self.shuffled, self.views = seed, shuffled, views
        self.skip = frozenset(skip)
        self._indices = np.array([one for one in range(clips) if one not in self.skip], np.int64)
        if not len(self._indices):
            raise ValueError(f"there is no clip to draw: {clips} in all, {len(self.skip)} skipped")
        if views < 1:
            raise ValueError(f"views is at least 1, got {views}")
        self.clips = clips
        self.weights = None if weights is None else _checked(weights, clips, self._indices)
        self._epoch = lru_cache(EPOCHS_KEPT)(self._order_of)

    def __len__(self) -> int:
        """Positions of one epoch."""
        return len(self._indices) * self.views

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an order stays in the process that hands out the work")

    def at(self, position: int) -> tuple[int, int]:
        """The clip at a position, and which view of it."""
        epoch, place = divmod(position, len(self))
        clip, view = divmod(place, self.views)
        return int(self._epoch(epoch)[clip]), view

    def _order_of(self, epoch: int) -> np.ndarray:
        indices = self._indices
        if self.weights is not None:
            indices = indices[self._weighted(epoch)]
        if not self.shuffled:
            return indices
        numbers = raw(self.seed, 0, Domain.ORDER, epoch, len(indices))
        return indices[np.argsort(numbers, kind="stable")]

    def _weighted(self, epoch: int) -> np.ndarray:
        """As many places as clips, at equal distances along the sum of the weights."""
        assert self.weights is not None
        count = len(self.weights)
        offset = to_unit(raw(self.seed, 0, Domain.WEIGHTS, epoch, 1))[0]
        ends = np.cumsum(self.weights)
        places = (np.arange(count) + offset) / count * ends[-1]
        last = np.flatnonzero(self.weights)[-1]
        return np.minimum(np.searchsorted(ends, places, side="right"), last)

    def describe(self) -> dict[str, object]:
        """What a state must agree with to go on in this stream."""
        return {
            "clips": len(self._indices),
            "seed": self.seed,
            "shuffled": self.shuffled,
            "views": self.views,
            "weights": None if self.weights is None else _hash(self.weights.tobytes()),
            "skip": _hash(repr(sorted(self.skip)).encode()) if self.skip else None,
        }


def _checked(weights: np.ndarray, clips: int, kept: np.ndarray) -> np.ndarray:
    weights = np.asarray(weights, np.float64)
    if weights.shape != (clips,):
        raise ValueError(f"weights are one number a clip: {clips} wanted, got {weights.shape}")
    weights = weights[kept]
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not (np.isfinite(total) and (weights >= 0).all() and total > 0):
        raise ValueError("weights are numbers of at least 0, not all of them 0 (skipped clips "
                         "left out), and their sum is a number")  # fmt: skip
    return weights


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def balanced(labels: np.ndarray) -> np.ndarray:
    """Weights that draw every class equally often; a clip without a label (-1) weighs nothing."""
    labels = np.asarray(labels)
    known = labels >= 0
    counts = np.bincount(labels[known]) if known.any() else np.ones(1)
    return np.where(known, 1 / np.maximum(counts, 1)[np.where(known, labels, 0)], 0.0)


def harder(losses: np.ndarray, power: float = 1.0, floor: float = 0.1) -> np.ndarray:
    """Weights that draw clips of a high loss more often, and none less than `floor` of the mean.

    A clip whose loss is not known (not a number) is drawn as often as the average one.
    """
    known = np.isfinite(losses)
    mean = losses[known].mean() if known.any() else 1.0
    relative = np.where(known, losses, mean) / mean if mean > 0 else np.ones(len(losses))
    return np.maximum(np.maximum(relative, 0) ** power, floor)


class BatchSampler:
    """Chunks of batches, from a step on, for one rank.

    At an epoch's end a batch runs on into the next (`on`), is cut short, is dropped, or is padded
    with clips that do not count. A rank whose share is smaller gets such clips too, so that all
    ranks have equally many and none waits.
    """

    def __init__(
        self,
        order: Order,
        schedule: Schedule,
        epochs: int = 1,
        tail: Tail = "on",
        rank: Rank = Rank(),
        chunk: int = CHUNK,
    ) -> None:
        if tail not in TAILS:
            raise ValueError(f"tail is {tail!r}; allowed: {', '.join(TAILS)}")
        if not 1 <= chunk <= CHUNK:
            raise ValueError(f"chunk is {chunk}; allowed: 1 to {CHUNK}")
        if epochs < 1:
            raise ValueError(f"epochs is at least 1, got {epochs}")
        self.order, self.schedule, self.tail, self.rank = order, schedule, tail, rank
        self.epochs, self.chunk = epochs, chunk
        self.step = self.position = 0

    # -- where it is -----------------------------------------------------------------------------

    def state(self, step: int, position: int) -> dict[str, object]:
        """Where a run stands that has used `step` batches, up to `position`."""
        return {"step": step, "position": position, "tail": self.tail, **self.order.describe()}

    def resume(self, state: Mapping[str, object]) -> None:
        """Go on from a state, also one of another number of ranks or workers."""
        wanted = {"tail": self.tail, **self.order.describe()}
        differ = [name for name, value in wanted.items() if state.get(name) != value]
        if differ:
            listed = "; ".join(f"{name}: {state.get(name)} then, {wanted[name]} now"
                               for name in differ)  # fmt: skip
            raise ValueError(f"this is another stream of clips, it cannot go on ({listed}); "
                             "give the same data and settings, or begin anew")  # fmt: skip
        step, position = int(str(state["step"])), int(str(state["position"]))
        if step < 0 or not 0 <= position <= self.epochs * len(self.order):
            raise ValueError(f"step {step} at position {position}: this run goes from 0 to "
                             f"{self.epochs * len(self.order)}; give it more epochs")  # fmt: skip
        self.step, self.position = step, position

    # -- what comes ------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Batches that are still to come."""
        return sum(1 for _ in self._batches())

    def __iter__(self) -> Iterator[Chunk]:
        for batch in self._batches():
            share = -(-batch.total // self.rank.of)
            first = self.rank.number * share
            keys = [self._key(batch, place) for place in range(first, first + share)]
            parts = -(-share // self.chunk)
            for part in range(parts):
                begin, end = share * part // parts, share * (part + 1) // parts
                yield Chunk(batch.step, tuple(keys[begin:end]), begin, share, batch.counting,
                            batch.after)  # fmt: skip

    def _batches(self) -> Iterator[_Batch]:
        step, position, end = self.step, self.position, self.epochs * len(self.order)
        while position < end:
            wanted, shape = self.schedule(step)
            if wanted < 1:
                raise ValueError(f"a batch has at least 1 clip, step {step} has {wanted}")
            batch = self._batch(step, position, BatchShape(wanted, shape), end)
            if batch.total:
                yield batch
                step += 1
            position = batch.after

    def _batch(self, step: int, position: int, asked: BatchShape, end: int) -> _Batch:
        """As many clips as wanted; at an epoch's end fewer, or some that do not count."""
        if self.tail != "on":
            end = (position // len(self.order) + 1) * len(self.order)
        wanted = asked.clips
        counting = min(wanted, end - position)
        total = wanted if self.tail == "pad" else counting
        if self.tail == "drop" and counting < wanted:
            total = 0
        return _Batch(step, position, total, counting, position + counting, asked.shape)

    def _key(self, batch: _Batch, place: int) -> ClipKey:
        """What stands at a place of a batch; places that do not count repeat those that do."""
        position = batch.start + place % batch.counting
        clip, view = self.order.at(position)
        return ClipKey(clip, batch.shape, position, view, place < batch.counting)


class _Batch(NamedTuple):
    step: int
    start: int  # its first position
    total: int  # clips in it
    counting: int  # of these
    after: int  # the position where the next one starts
    shape: ClipShape
