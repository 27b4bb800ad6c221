"""Batch normalisation over a fixed number of clips, and what else is done to BatchNorm layers.

A layer is turned into another kind where it stands: same object, same tensors, same state-dict
keys. Only SyncBatchNorm and GroupNorm are new objects, on the same tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from math import prod
from typing import Any, ClassVar, Literal, get_args

import torch
from timm.layers.norm_act import BatchNormAct2d, GroupNormAct, convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

NormKind = Literal["batch", "sub", "sync", "group"]
CLIPS = 8  # what multigrid training was published with
GROUPS = 32  # of channels, as GroupNorm was published with


# -- statistics over a fixed number of clips ------------------------------------------------------


class SubBatchNorm(_BatchNorm):
    """BatchNorm that in training sees the batch as groups of about `clips` clips.

    Neighbours form a group; their number is the nearest to batch / clips, at least one, and their
    sizes differ by one clip at most. Each is normalised by its own statistics. The running ones
    are the whole batch's, as BatchNorm would keep them: the mean of the groups' variances plus
    the variance of their means. Where no running statistics are kept, evaluation goes by groups
    too, as BatchNorm's goes by batches.
    """

    plain: ClassVar[type[_BatchNorm]]
    """The BatchNorm this stands in for."""
    clips: int = CLIPS
    rows_per_clip: int = 1
    """Rows of the input's first dimension that are one clip: a network that goes frame by frame
    sets this to their number at every forward."""

    def __init__(self, num_features: int, *, clips: int = CLIPS, **options: Any) -> None:
        super().__init__(num_features, **options)
        self.clips = _checked_clips(clips)

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training or self.running_mean is None):
            return super().forward(input)
        self._check_input_dim(input)
        count, larger = self._groups(input)
        if count == 1:
            return super().forward(input)
        clips = input.shape[0] // self.rows_per_clip // count
        sizes = [self.rows_per_clip * (clips + (group < larger)) for group in range(count)]
        keeps = self.track_running_stats and self.running_mean is not None
        found = self._room(count) if keeps else None
        parts = []
        for group, part in enumerate(input.split(sizes)):
            mean, variance = (None, None) if found is None else found[:, group].unbind()
            # training, and momentum 1: what is written is this group's statistics alone.
            one = functional.batch_norm(
                part, mean, variance, self.weight, self.bias, True, 1.0, self.eps
            )
            parts.append(one)
        if found is not None:
            areas = prod(input.shape[2:])
            self._keep(*_pooled(found, sizes[-1] * areas, self.rows_per_clip * areas, larger))
        return self._after(torch.cat(parts))

    def _after(self, output: Tensor) -> Tensor:
        return output

    def _groups(self, input: Tensor) -> tuple[int, int]:
        """How many groups of clips, and how many of them (the first) have one clip more."""
        clips, left_over = divmod(input.shape[0], self.rows_per_clip)
        if left_over:
            raise ValueError(f"SubBatchNorm got {input.shape[0]} rows, which are no whole clips of "
                             f"{self.rows_per_clip} rows; rows_per_clip is the number of frames "
                             "a clip has in this batch")  # fmt: skip
        count = max(1, (2 * clips + self.clips) // (2 * self.clips))
        values = clips // count * self.rows_per_clip * prod(input.shape[2:])
        if values < 2:
            raise ValueError(f"SubBatchNorm has {values} value(s) a channel in a group of "
                             f"{clips // count} clip(s) of {tuple(input.shape)} and needs "
                             "2: use more clips a group, larger ones, or GroupNorm")  # fmt: skip
        return count, clips % count

    def _room(self, count: int) -> Tensor:
        assert self.running_mean is not None
        return self.running_mean.new_zeros(2, count, self.num_features)

    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        """Once a forward, at BatchNorm's own rate."""
        tracked = self.get_buffer("num_batches_tracked").add_(1)
        for name, now in (("running_mean", mean), ("running_var", variance)):
            running = self.get_buffer(name)
            rate: Any = 1 / tracked.to(running.dtype) if self.momentum is None else self.momentum
            running.lerp_(now.to(running.dtype), rate)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, clips={self.clips}"


class SubBatchNorm2d(SubBatchNorm, nn.BatchNorm2d):
    plain = nn.BatchNorm2d


class SubBatchNorm3d(SubBatchNorm, nn.BatchNorm3d):
    plain = nn.BatchNorm3d


class SubBatchNormAct2d(SubBatchNorm, BatchNormAct2d):
    """Of timm's networks, some of which have the activation in the same layer."""

    plain = BatchNormAct2d

    def _after(self, output: Tensor) -> Tensor:
        return self.act(self.drop(output))


def _pooled(found: Tensor, smaller: int, step: int, larger: int) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance of all groups as one, of the groups' own (`2 x groups x
    channels`): of `smaller` values a channel each, the first `larger` of `step` values more."""
    means, variances = found.to(torch.promote_types(found.dtype, torch.float32))
    groups = torch.arange(len(means), device=found.device)  # made there: no copy to wait for
    values = ((groups < larger) * step + smaller).unsqueeze(1)
    total = smaller * len(means) + step * larger
    mean = (means * values).sum(0) / total
    squares = variances * (values - 1) + (means - mean).square() * values
    return mean, squares.sum(0) / (total - 1)


def _checked_clips(clips: int) -> int:
    if clips < 1:
        raise ValueError(f"SubBatchNorm has statistics over at least 1 clip, got clips={clips}")
    return clips


# -- from one kind to another ---------------------------------------------------------------------


def convert(network: nn.Module, to: NormKind, clips: int = CLIPS) -> nn.Module:
    """Every BatchNorm of the network as another kind, on the same weights and statistics.

    `network` itself is changed and handed back (a network that is one layer may be another
    object). `clips` is SubBatchNorm's. GroupNorm has no statistics and takes the weights alone.
    """
    if to not in get_args(NormKind):
        raise ValueError(f"no norm is called {to!r}; allowed: {', '.join(get_args(NormKind))}")
    _checked_clips(clips)
    layers = list(batchnorms(network))
    if not layers:
        raise ValueError(f"the network has no BatchNorm layer to turn into {to!r}: leave it out")
    for layer in layers:
        _refuse(layer, to)
    changed = {layer: _converted(layer, to, clips) for layer in layers}
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, _BatchNorm):
                parent._modules[name] = changed[child]
    return changed[network] if isinstance(network, _BatchNorm) else network


def batchnorms(network: nn.Module) -> Iterator[_BatchNorm]:
    """Every BatchNorm of any kind, in the order in which they were made."""
    return (layer for layer in network.modules() if isinstance(layer, _BatchNorm))


SUB: dict[type[nn.Module], type[SubBatchNorm]] = {
    kind.plain: kind for kind in (SubBatchNorm2d, SubBatchNorm3d, SubBatchNormAct2d)
}


def _plain_kind(layer: _BatchNorm) -> type[_BatchNorm]:
    return layer.plain if isinstance(layer, SubBatchNorm) else type(layer)


def _refuse(layer: _BatchNorm, to: NormKind) -> None:
    """What cannot be made of this layer, before any other is touched."""
    kind = _plain_kind(layer)
    if isinstance(layer, nn.SyncBatchNorm):
        raise ValueError("SyncBatchNorm does not know what it was made of: build the network "
                         "afresh and load the weights, whose names are the same")  # fmt: skip
    if to != "batch" and kind not in SUB:
        raise ValueError(f"cannot turn {kind.__name__} into {to!r}, only "
                         f"{', '.join(known.__name__ for known in SUB)}")  # fmt: skip
    tensors = (*layer.parameters(recurse=False), *layer.buffers(recurse=False))
    if to == "sync" and not is_held(layer) and any(one.device.type == "cpu" for one in tensors):
        raise ValueError("SyncBatchNorm works on CUDA devices only and this network is on the CPU: "
                         "move it to its device first, or use SubBatchNorm ('sub') or GroupNorm "
                         "('group')")  # fmt: skip


def _converted(layer: _BatchNorm, to: NormKind, clips: int) -> nn.Module:
    if to == "group":
        return _group_norm(layer)
    if to == "sync":  # a held layer does not change, so that it is the same on all ranks
        return layer if is_held(layer) else convert_sync_batchnorm(layer)
    kind = _plain_kind(layer)
    if to == "sub":
        layer.__class__ = SUB[kind]
        layer.__dict__["clips"] = clips
        return layer
    layer.__class__ = kind
    for own in ("clips", "rows_per_clip"):
        layer.__dict__.pop(own, None)
    return layer


def _group_norm(layer: _BatchNorm) -> nn.Module:
    channels = layer.num_features
    fresh: Any
    if isinstance(layer, BatchNormAct2d):
        fresh = GroupNormAct(channels, channel_groups(channels), layer.eps, False, apply_act=False)
        fresh.drop, fresh.act = layer.drop, layer.act
    else:
        fresh = nn.GroupNorm(channel_groups(channels), channels, layer.eps, affine=False)
    fresh.affine, fresh.weight, fresh.bias = layer.affine, layer.weight, layer.bias
    fresh.training = layer.training
    return fresh


def channel_groups(channels: int) -> int:
    """The most groups, up to 32, that channels fall into evenly, two or more in each."""
    most = min(GROUPS, channels // 2)
    return next((count for count in range(most, 0, -1) if channels % count == 0), 1)


# -- layers that are held as they are -------------------------------------------------------------


def hold(layers: Iterable[nn.Module]) -> None:
    """Keep these BatchNorm layers' statistics and weights as they are, in training too."""
    for layer in layers:
        layer.eval()
        layer.requires_grad_(False)
        # On the layer itself, so that it is passed by whichever part of the network train() is
        # called on, and that copies, pickles and conversions have it too.
        layer.__dict__["train"] = _stay


def release(layers: Iterable[nn.Module]) -> None:
    """Undo `hold`: in training these layers' statistics and weights change again."""
    for layer in filter(is_held, layers):
        del layer.__dict__["train"]
        layer.requires_grad_(True)


def _stay(mode: bool = True) -> None:
    """Instead of a held layer's `train`."""


def is_held(layer: nn.Module) -> bool:
    return layer.__dict__.get("train") is _stay


def partial_bn(network: nn.Module) -> None:
    """Hold every BatchNorm but the first, as TSN does: small batches know too little of them."""
    layers = list(batchnorms(network))
    if not layers:
        raise ValueError("partial BN holds the network's BatchNorm layers and it has none: leave "
                         "it out")  # fmt: skip
    hold(layers[1:])


# -- statistics as they are, not as they have been on average -------------------------------------


def precise_bn(network: nn.Module, batches: Iterable[Tensor], count: int) -> None:
    """Make the running statistics those of the first `count` batches with the present weights.

    Every layer that keeps any and is not held gets the mean of all values and their variance, as
    if the batches were one. Weights, modes and the number of batches tracked stay as they were,
    and after an error the statistics too. A batch whose statistics are not finite is an error.
    """
    layers = [
        layer for layer in batchnorms(network) if layer.track_running_stats and not is_held(layer)
    ]
    if not layers or count < 1:
        raise ValueError("precise BN needs batches, and layers that keep running statistics and "
                         f"are not held, got {count} batches and {len(layers)} layers")  # fmt: skip
    modes = {module: module.training for module in network.modules()}
    before = [(layer, layer.momentum, _copies(layer)) for layer in layers]
    sums = {layer: _Sums() for layer in layers}
    hooks = [layer.register_forward_hook(sums[layer].add) for layer in layers]
    try:
        network.eval()  # neither dropout nor skipped blocks: evaluation will have none
        for layer in layers:
            layer.training, layer.momentum = True, 1.0
        _run(network, batches, count, sums)
    finally:
        for hook in hooks:
            hook.remove()
        for layer, momentum, copies in before:
            layer.momentum = momentum
            _restore(layer, copies)
        for module, mode in modes.items():
            module.training = mode
    for layer, found in sums.items():
        found.write(layer)


@torch.no_grad()
def _run(
    network: nn.Module, batches: Iterable[Tensor], count: int, sums: dict[_BatchNorm, _Sums]
) -> None:
    done = 0
    for clips in islice(batches, count):
        network(clips)
        done += 1
        if broken := [layer for layer, found in sums.items() if not found.is_finite()]:
            name = next(name for name, one in network.named_modules() if one is broken[0])
            raise ValueError(f"batch {done} of precise BN makes the statistics of {name} not "
                             "finite; look for clips or weights that are not finite or far too "
                             "large")  # fmt: skip
    if done < count:
        raise ValueError(f"precise BN was to see {count} batches and got {done}: ask for no more "
                         "than there are")  # fmt: skip


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def _copies(layer: _BatchNorm) -> dict[str, Tensor]:
    return {name: layer.get_buffer(name).clone() for name in STATISTICS}


def _restore(layer: _BatchNorm, copies: dict[str, Tensor]) -> None:
    for name, copy in copies.items():
        layer.get_buffer(name).copy_(copy)


class _Sums:
    """Mean and sum of squared differences of all values a layer saw, batch by batch."""

    def __init__(self) -> None:
        self.values = 0
        self.mean: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """A forward hook of a layer of momentum 1, whose running statistics are this batch's."""
        new = inputs[0].numel() // inputs[0].shape[1]
        mean, variance = (layer.get_buffer(name).double() for name in STATISTICS[:2])
        total = self.values + new
        apart = mean - self.mean
        self.mean = self.mean + apart * new / total
        self.squares = (
            self.squares + variance * (new - 1) + apart.square() * self.values * new / total
        )
        self.values = total

    def is_finite(self) -> bool:
        return bool(torch.as_tensor(self.mean + self.squares).isfinite().all())

    def write(self, layer: _BatchNorm) -> None:
        if isinstance(self.mean, Tensor) and isinstance(self.squares, Tensor):
            layer.get_buffer("running_mean").copy_(self.mean)
            layer.get_buffer("running_var").copy_(self.squares / (self.values - 1))
