"""Clips to the trainer: workers make chunks, chunks are joined to batches, in an order that neither
the number of workers nor of ranks changes.

    sampler = BatchSampler(Order(len(clips), seed=42), constant(48, ClipShape(16, 224)), epochs=30)
    loader = Loader(clips, sampler, Options(workers=8, device="cuda"))
    for batch in loader:
        loss = ...network(to_network(batch.clips, clips.making.view))...
        state = loader.state()              # all of this batch is used

Frames stay uint8 until they are on the device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.batching import BatchSampler, Chunk, ClipKey
from data.clip import ClipShape
from data.iterator import ClipError, ClipIterator, Facts, Square, draw
from data.ledger import Fault, Ledger, merge
from data.plan import Plan
from data.views import View
from train.device_augment import render

Start = Literal["fork", "spawn", "forkserver"]
DRAWS = "draws"  # the seed of the clips, in a state
DIED = ("it was killed, or had too little memory or shared memory (a container's --shm-size); "
        "fewer workers or chunks need less; the run goes on from loader.state()")  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How clips are made and where they go."""

    workers: int = 0
    """Processes that make clips; 0 makes them in this one."""
    start: Start | None = None
    """How workers come to life; None: as this system does it."""
    ahead: int = 2
    """Chunks that each worker makes before they are asked for."""
    device: str = "cpu"
    """Where batches go: cpu, cuda, cuda:1, ..."""
    augment: Literal["workers", "device"] = "workers"
    """Who runs the plans. On the device, whole decoded frames travel there."""

    def __post_init__(self) -> None:
        if self.workers < 0 or self.ahead < 1:
            raise ValueError(f"workers is at least 0 and ahead at least 1, got {self.workers} "
                             f"and {self.ahead}")  # fmt: skip
        if self.start not in (None, "fork", "spawn", "forkserver"):
            raise ValueError(f"start is {self.start!r}; allowed: fork, spawn, forkserver")
        if self.augment not in ("workers", "device"):
            raise ValueError(f"augment is {self.augment!r}; allowed: workers, device")


@dataclass(frozen=True)
class Batch:
    """One rank's share of a batch."""

    step: int
    shape: ClipShape
    clips: Tensor  # uint8 BTHWC
    targets: dict[str, Tensor]  # int64; -1: no label
    weights: Tensor  # float32; 0 for clips that only keep their place
    keys: tuple[ClipKey, ...]
    counting: int  # clips of the whole batch that have a place in it, on all ranks together
    silent: int  # clips whose spectrogram is black because there is no sound
    faults: tuple[Fault, ...]  # clips that could not be read


class _Raw(NamedTuple):
    """A square as it travels: a tensor goes through shared memory, an array through a pipe."""

    frames: Tensor
    plan: Plan | None


class _Made(NamedTuple):
    """What comes from a worker: a chunk's clips, or what they are to be drawn from."""

    chunk: Chunk
    clips: Tensor | None = None
    squares: tuple[tuple[_Raw, ...], ...] = ()
    facts: tuple[Facts, ...] = ()
    error: str = ""


class _Workshop(Dataset[_Made]):
    """What a worker does: a chunk's keys in, its clips out."""

    def __init__(self, clips: ClipIterator, on_device: bool) -> None:
        self.clips, self.on_device = clips, on_device

    def __getitem__(self, chunk: Chunk) -> _Made:
        try:
            return self._squares(chunk) if self.on_device else self._clips(chunk)
        except ClipError as error:  # carried as it is, not in the traceback of a worker
            return _Made(chunk, error=str(error))

    def _clips(self, chunk: Chunk) -> _Made:
        shape = self.clips.shape(chunk.keys[0].shape)
        clips = torch.empty((len(chunk.keys), *shape), dtype=torch.uint8)
        facts = []
        for key, out in zip(chunk.keys, clips.numpy(), strict=True):
            parts = self.clips.take(key)
            draw(parts.squares, out)
            facts.append(parts.facts)
        return _Made(chunk, clips, facts=tuple(facts))

    def _squares(self, chunk: Chunk) -> _Made:
        taken = [self.clips.take(key) for key in chunk.keys]
        return _Made(
            chunk,
            squares=tuple(_to_tensors(parts.squares) for parts in taken),
            facts=tuple(parts.facts for parts in taken),
        )


class Loader:
    """Batches from a sampler, made by workers. Every pass begins where the sampler stands."""

    def __init__(
        self,
        clips: ClipIterator,
        sampler: BatchSampler,
        options: Options | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.clips, self.sampler, self.ledger = clips, sampler, ledger
        order = sampler.order
        if (order.clips, order.views) != (len(clips), clips.making.views):
            raise ValueError(f"the order is of {order.clips} clips with {order.views} views, there "
                             f"are {len(clips)} with {clips.making.views}; make it with "
                             "Order(len(clips), views=clips.making.views)")  # fmt: skip
        self.options = options or Options()
        self.device = torch.device(self.options.device)
        self._last: Batch | None = None
        self._after = sampler.position

    def __len__(self) -> int:
        """Batches from where the sampler stands."""
        return len(self.sampler)

    def state(self) -> dict[str, object]:
        """Where to go on if every batch that this pass has handed out has been used."""
        step = self.sampler.step if self._last is None else self._last.step + 1
        return {**self.sampler.state(step, self._after), DRAWS: self.clips.seed}

    def resume(self, state: Mapping[str, object]) -> None:
        """Begin the next pass at a state, whatever the number of workers or ranks was."""
        if state.get(DRAWS) != self.clips.seed:
            raise ValueError(f"these clips are drawn with seed {self.clips.seed}, those of the "
                             f"state with {state.get(DRAWS)}; give the same seed")  # fmt: skip
        self.sampler.resume(state)
        self._last, self._after = None, self.sampler.position

    def __iter__(self) -> Iterator[Batch]:
        """A pass: from the beginning, or from the state that was resumed."""
        self._last, self._after = None, self.sampler.position
        share: list[_Made] = []
        epoch = self._after // len(self.sampler.order)
        try:
            for made in self._made():
                if made.error:
                    raise ClipError(made.error)
                share.append(made)
                if made.chunk.first + len(made.chunk.keys) < made.chunk.share:
                    continue
                batch, share = self._join(share), []
                epoch = self._write_down(batch, epoch)
                self._last, self._after = batch, made.chunk.after
                yield batch
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise RuntimeError(f"{error}\n{DIED}") from error
        if self.ledger is not None:
            merge(self.ledger.path.parent)

    def _write_down(self, batch: Batch, before: int) -> int:
        """Clips that could not be read; every rank merges all ledgers when its next epoch begins,
        and the last one finds them whole."""
        epoch = batch.keys[0].position // len(self.sampler.order)
        if self.ledger is not None:
            if epoch > before:
                merge(self.ledger.path.parent)
            self.ledger.add(batch.faults)
        return epoch

    def _made(self) -> Iterable[_Made]:
        options = self.options
        workshop = _Workshop(self.clips, options.augment == "device")
        return DataLoader(
            workshop,  # asked for chunks, not for numbers
            sampler=self.sampler,
            batch_size=None,
            num_workers=options.workers,
            collate_fn=_as_it_is,
            worker_init_fn=_begin,
            prefetch_factor=options.ahead if options.workers else None,
            multiprocessing_context=options.start if options.workers else None,
            generator=torch.Generator(),  # the trainer's own random numbers stay as they are
        )

    # -- joining ---------------------------------------------------------------------------------

    def _join(self, share: Sequence[_Made]) -> Batch:
        """The chunks of a share as one batch, on the device."""
        chunk = share[0].chunk
        keys = tuple(key for made in share for key in made.chunk.keys)
        facts = [one for made in share for one in made.facts]
        weights = torch.tensor([float(one.counts) for one in facts])
        targets = {
            task: torch.tensor([one.targets[task] for one in facts]) for task in facts[0].targets
        }
        return Batch(
            step=chunk.step,
            shape=keys[0].shape,
            clips=self._drawn(share) if self.options.augment == "device" else self._moved(share),
            targets={task: numbers.to(self.device) for task, numbers in targets.items()},
            weights=weights.to(self.device),
            keys=keys,
            counting=chunk.batch,
            silent=sum(one.silent for one in facts),
            faults=tuple(one.fault for one in facts if one.fault is not None),
        )

    def _moved(self, share: Sequence[_Made]) -> Tensor:
        """Finished clips, copied once; from pinned memory where they go to a GPU."""
        parts = [made.clips for made in share if made.clips is not None]
        if len(parts) == 1 and self.device.type == "cpu":
            return parts[0]
        shape = (share[0].chunk.share, *parts[0].shape[1:])
        if self.device.type == "cuda":
            whole = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        else:  # NumPy's large arrays come from huge pages where torch's do not
            whole = torch.from_numpy(np.empty(shape, np.uint8))
        torch.cat(parts, out=whole)
        return whole.to(self.device, non_blocking=True)

    def _drawn(self, share: Sequence[_Made]) -> Tensor:
        """Clips drawn on the device from their decoded frames."""
        keys = [key for made in share for key in made.chunk.keys]
        whole = torch.zeros((len(keys), *self.clips.shape(keys[0].shape)), dtype=torch.uint8,
                            device=self.device)  # fmt: skip
        for out, squares in zip(
            whole, (one for made in share for one in made.squares), strict=True
        ):
            self._draw(squares, out, keys[0].shape.size)
        return whole

    def _draw(self, squares: Sequence[_Raw], out: Tensor, side: int) -> None:
        sent = {id(one.frames): one.frames.to(self.device) for one in squares}
        for row, square in enumerate(squares):
            frames = sent[id(square.frames)]
            drawn = frames if square.plan is None else render(frames, square.plan, side)
            out[:, row * side : (row + 1) * side] = drawn


def _to_tensors(squares: Sequence[Square]) -> tuple[_Raw, ...]:
    """Squares that show the same frames share one tensor."""
    tensors = {id(one.frames): torch.from_numpy(one.frames) for one in squares}
    return tuple(_Raw(tensors[id(one.frames)], one.plan) for one in squares)


def _as_it_is(made: Any) -> Any:
    return made


def _begin(worker: int) -> None:
    """Workers are many: each keeps to one core."""
    cv2.setNumThreads(1)


def to_network(clips: Tensor, view: View, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 BTHWC as networks take it: float BCTHW of 0 to 1, each part by its own mean.

    Colours stay side by side in memory (channels last), which is the quicker layout.
    """
    if clips.shape[2] != view.height(clips.shape[3]):
        raise ValueError(f"clips of {len(view.parts)} parts are {view.height(clips.shape[3])} "
                         f"high, these are {clips.shape[2]}")  # fmt: skip
    whole = clips.permute(0, 4, 1, 2, 3).to(dtype).div_(255)
    for part, square in zip(view.parts, whole.chunk(len(view.parts), dim=3), strict=True):
        if part.norm is not None:
            mean, deviation = (
                torch.tensor(numbers, dtype=dtype, device=clips.device)[:, None, None, None]
                for numbers in part.norm
            )
            square.sub_(mean).div_(deviation)
    return whole
