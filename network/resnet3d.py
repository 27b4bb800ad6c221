"""Residual networks of 3D and (2+1)D convolutions, plain or with squeeze and recursion.

The family of the SRTG paper, at 18 to 200 layers. Two things set it apart from torchvision's
video networks: the stem ends in a max pooling that halves time too, and the bottleneck of the
published weights does not widen its output (expansion 1), so that 50 layers have fewer parameters
than 34. `bottleneck="standard"` makes the usual one (expansion 4); the stem stays.

Every block of an `srtg_` network ends in a SqueezeAndRecursion. Until such a network has learned,
or its batch norms have seen some clips, its outputs in eval mode are of the order of 1e-20: each
block multiplies by an LSTM's first small numbers.

Time is halved four times: of 16 frames the last stage has one. Gates are always open on a single
frame, and it gives the LSTM's weights from frame to frame no gradient: that takes 17 frames.

MaxPool3d has no deterministic backward on CUDA: trained there, these networks repeat themselves
only to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn

from network.heads import Tasks
from network.model import Backbone, Network, Takes
from network.srtg import SqueezeAndRecursion, SrtgNetwork

Kind = Literal["r3d", "r2plus1d"]
Bottleneck = Literal["seed", "standard"]

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
"""Blocks a stage by the number of layers: of two convolutions to 34, bottlenecks from 50 on."""

EXPANSION: dict[Bottleneck, int] = {"seed": 1, "standard": 4}
"""How many times wider a bottleneck's output is than its middle."""

STEM_BETWEEN = 45
"""Channels between the two halves of the (2+1)D stem."""


@dataclass(frozen=True)
class Plan:
    """What is fixed in a network of this family."""

    name: str
    kind: Kind
    blocks: tuple[int, int, int, int]
    width: int = 64
    """Channels of the first stage; each next one has twice as many."""


# -- the networks ---------------------------------------------------------------------------------


def plain_basic(
    plan: Plan, tasks: Tasks, *, frames: int, size: int, dropout: float = 0.0
) -> Network:
    """18 and 34 layers."""
    backbone = _backbone(plan, BasicBlocks(plan.kind))
    return _started(Network(plan.name, backbone, tasks, dropout), frames, size)


def plain_deep(
    plan: Plan,
    tasks: Tasks,
    *,
    frames: int,
    size: int,
    dropout: float = 0.0,
    bottleneck: Bottleneck = "seed",
) -> Network:
    """50 layers and more."""
    backbone = _backbone(plan, BottleneckBlocks(plan.kind, bottleneck))
    return _started(Network(plan.name, backbone, tasks, dropout), frames, size)


def srtg_basic(
    plan: Plan,
    tasks: Tasks,
    *,
    frames: int,
    size: int,
    dropout: float = 0.0,
    gates: bool = False,
) -> Network:
    """18 and 34 layers with squeeze and recursion: everywhere, or where its gates are open."""
    recursion = partial(SqueezeAndRecursion, gates=gates)
    backbone = _backbone(plan, BasicBlocks(plan.kind, recursion))
    return _started(SrtgNetwork(plan.name, backbone, tasks, dropout), frames, size)


def srtg_deep(
    plan: Plan,
    tasks: Tasks,
    *,
    frames: int,
    size: int,
    dropout: float = 0.0,
    gates: bool = False,
    bottleneck: Bottleneck = "seed",
) -> Network:
    """50 layers and more with squeeze and recursion: everywhere, or where its gates are open."""
    recursion = partial(SqueezeAndRecursion, gates=gates)
    backbone = _backbone(plan, BottleneckBlocks(plan.kind, bottleneck, recursion))
    return _started(SrtgNetwork(plan.name, backbone, tasks, dropout), frames, size)


def _backbone(plan: Plan, blocks: BasicBlocks | BottleneckBlocks) -> Backbone:
    return Backbone(
        module=ResNet3d(plan, blocks),
        width=8 * plan.width * blocks.expansion,
        takes=Takes(frames=1, size=32),
        stages=(("stem",), ("layer1",), ("layer2",), ("layer3",), ("layer4",)),
    )


def _started(network: Network, frames: int, size: int) -> Network:
    """Checked against its usual clips, with the weights that training starts from."""
    network.takes.check(network.name, frames, size, size)
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            nn.init.zeros_(module.bias)
    return network


# -- their parts; children are called as in the published files -----------------------------------


class ResNet3d(nn.Module):
    """Float `BCTHW` to features `B x width`."""

    def __init__(self, plan: Plan, blocks: BasicBlocks | BottleneckBlocks) -> None:
        super().__init__()
        self.stem = _stem(plan.kind, plan.width)
        self.pool = nn.MaxPool3d(kernel_size=3, stride=2, padding=1)
        entering, stages = plan.width, []
        for stage, count in enumerate(plan.blocks):
            width = plan.width << stage
            first = blocks(entering, width, stride=1 if stage == 0 else 2)
            entering = width * blocks.expansion
            others = [blocks(entering, width, stride=1) for _ in range(count - 1)]
            stages.append(nn.Sequential(first, *others))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, clip_BCTHW: Tensor) -> Tensor:  # noqa: N803
        layer = self.layer1(self.pool(self.stem(clip_BCTHW)))
        layer = self.layer4(self.layer3(self.layer2(layer)))
        return layer.mean((2, 3, 4))


class Block(nn.Module):
    """The input and what convolutions add to it, rectified, and recalibrated over time."""

    def __init__(
        self,
        change: tuple[nn.Module, nn.Module, nn.Module],
        shortcut: nn.Module,
        recursion: nn.Module,
    ) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = change
        self.downsample = shortcut
        self.relu = nn.ReLU(inplace=True)
        self.sar = recursion

    def forward(self, layer_BCTHW: Tensor) -> Tensor:  # noqa: N803
        change = self.conv3(self.conv2(self.conv1(layer_BCTHW)))
        return self.sar(self.relu(change + self.downsample(layer_BCTHW)))


@dataclass(frozen=True)
class BasicBlocks:
    """Makes blocks of two convolutions."""

    kind: Kind
    recursion: Callable[[int], nn.Module] = nn.Identity
    expansion = 1

    def __call__(self, entering: int, width: int, stride: int) -> Block:
        between = _between(entering, width)
        change = (
            _normed(_convolution(self.kind, (entering, between, width), stride), width),
            _normed(_convolution(self.kind, (width, between, width)), width, is_last=True),
            nn.Identity(),
        )
        return Block(change, _shortcut(entering, width, stride), self.recursion(width))


@dataclass(frozen=True)
class BottleneckBlocks:
    """Makes blocks of one convolution between two that only mix channels."""

    kind: Kind
    bottleneck: Bottleneck
    recursion: Callable[[int], nn.Module] = nn.Identity

    def __post_init__(self) -> None:
        if self.bottleneck not in EXPANSION:
            raise ValueError(f"bottleneck is one of {', '.join(EXPANSION)}, "
                             f"got {self.bottleneck!r}")  # fmt: skip

    @property
    def expansion(self) -> int:
        return EXPANSION[self.bottleneck]

    def __call__(self, entering: int, width: int, stride: int) -> Block:
        between, leaving = _between(entering, width), width * self.expansion
        change = (
            _normed(nn.Conv3d(entering, width, 1, bias=False), width),
            _normed(_convolution(self.kind, (width, between, width), stride), width),
            _normed(nn.Conv3d(width, leaving, 1, bias=False), leaving, is_last=True),
        )
        return Block(change, _shortcut(entering, leaving, stride), self.recursion(leaving))


def _stem(kind: Kind, width: int) -> nn.Sequential:
    if kind == "r3d":
        return _normed(nn.Conv3d(3, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False), width)
    return nn.Sequential(
        *_normed(nn.Conv3d(3, STEM_BETWEEN, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
                 STEM_BETWEEN),
        *_normed(nn.Conv3d(STEM_BETWEEN, width, (3, 1, 1), 1, (1, 0, 0), bias=False), width),
    )  # fmt: skip


def _convolution(kind: Kind, channels: tuple[int, int, int], stride: int = 1) -> nn.Sequential:
    """Over space and time at once, or over space and then over time."""
    entering, between, leaving = channels
    if kind == "r3d":
        return nn.Sequential(nn.Conv3d(entering, leaving, 3, stride, 1, bias=False))
    return nn.Sequential(
        *_normed(nn.Conv3d(entering, between, (1, 3, 3), (1, stride, stride), (0, 1, 1),
                           bias=False), between),
        nn.Conv3d(between, leaving, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )  # fmt: skip


def _between(entering: int, leaving: int) -> int:
    """Channels with which space and then time take as many weights as both at once."""
    return 27 * entering * leaving // (9 * entering + 3 * leaving)


def _shortcut(entering: int, leaving: int, stride: int) -> nn.Module:
    if stride == 1 and entering == leaving:
        return nn.Identity()
    return _normed(nn.Conv3d(entering, leaving, 1, stride, bias=False), leaving, is_last=True)


def _normed(convolution: nn.Module, width: int, is_last: bool = False) -> nn.Sequential:
    """With its batch norm, and rectified unless a sum comes first."""
    rectified = [] if is_last else [nn.ReLU(inplace=True)]
    return nn.Sequential(convolution, nn.BatchNorm3d(width), *rectified)
