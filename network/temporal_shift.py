"""The temporal shift (TSM): part of the channels comes from the frame before and the frame after.

Frames of a clip lie one after the other in the batch, so a layer has to be told how many they are:
`rows_per_clip`, set at each forward by the network (network/frame2d.py). No weights are added and
none is renamed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from network.bninception import BNInception

DIVISOR = 8
"""One channel in so many comes from each neighbour."""
STAGES = ("layer1", "layer2", "layer3", "layer4")
DEEP = 23
"""From so many blocks in the third stage on, every second block shifts, as published."""


def shifted(frames_BCHW: Tensor, rows_per_clip: int) -> Tensor:  # noqa: N803
    """The first eighth of the channels from the next frame, the second from the one before; zeros
    where there is none."""
    part = frames_BCHW.shape[1] // DIVISOR
    clips = frames_BCHW.unflatten(0, (-1, rows_per_clip))
    # Filled in place, as torch.cat would lose the memory format of the frames.
    result = torch.zeros_like(frames_BCHW)
    out = result.unflatten(0, (-1, rows_per_clip))
    out[:, :-1, :part] = clips[:, 1:, :part]
    out[:, 1:, part : 2 * part] = clips[:, :-1, part : 2 * part]
    out[:, :, 2 * part :] = clips[:, :, 2 * part :]
    return result


class TemporalShift(nn.Module):
    """`shifted` as a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.rows_per_clip = 1

    def forward(self, frames: Tensor) -> Tensor:
        return shifted(frames, self.rows_per_clip)


class ShiftedConv2d(nn.Conv2d):
    """A convolution of shifted frames."""

    rows_per_clip = 1

    @classmethod
    def of(cls, conv: nn.Conv2d) -> ShiftedConv2d:
        """The same convolution, with the same weights."""
        new = cls.__new__(cls)
        vars(new).update(vars(conv))
        return new

    def forward(self, frames: Tensor) -> Tensor:
        return super().forward(shifted(frames, self.rows_per_clip))


def add_shift(name: str, module: nn.Module) -> None:
    """Let neighbouring frames see each other: a ResNet in the residual branch of its blocks, whose
    other branch keeps every frame whole; BN-Inception, which has no such branch, between blocks.
    """
    if isinstance(module, BNInception):
        module.before_blocks = TemporalShift()
        return
    stages = [list(getattr(module, stage, nn.Module()).children()) for stage in STAGES]
    if not all(stages) or not all(_begins_plainly(block) for stage in stages for block in stage):
        raise ValueError(f"{name} has no place for a temporal shift; what can is resnet18, "
                         "resnet34, resnet50, resnet101, bninception and timm's ResNets, of "
                         "layer1 to layer4 whose blocks begin with conv1")  # fmt: skip
    every = 2 if len(stages[2]) >= DEEP else 1
    for stage in stages:
        for block in stage[::every]:
            block.add_module("conv1", ShiftedConv2d.of(block.get_submodule("conv1")))


def _begins_plainly(block: nn.Module) -> bool:
    return type(getattr(block, "conv1", None)) is nn.Conv2d
