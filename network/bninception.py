"""BN-Inception: the 2D backbone of the first temporal segment networks, under its published names.

Published weights were made for BGR pictures of 0 to 255 less (104, 117, 128). Their normalisation
keeps nine tenths of the *new* statistics at each step, Caffe's momentum read the wrong way round;
it is not in the files, and here it is torch's own tenth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

WIDTH = 1024
LEAST_SIZE = 7
"""Pixels that leave one place at the last pool."""


@dataclass(frozen=True)
class Block:
    """The branches of one Inception block, side by side on the same input."""

    one: int
    """Channels of the 1x1 branch; 0: the block halves the picture, and its pool is not mixed."""
    three: tuple[int, int]
    """Of the 3x3 branch: reduced to, then made of it."""
    double: tuple[int, int]
    """Of the branch of two 3x3: reduced to, then made of it twice."""
    pooled: int
    """Of the branch that pools first."""
    pools: str = "mean"

    @property
    def halves(self) -> bool:
        return not self.one

    def width(self, given: int) -> int:
        """Channels it makes of so many."""
        return self.one + self.three[1] + self.double[1] + (self.pooled or given)


BLOCKS = {
    "3a": Block(64, (64, 64), (64, 96), 32),
    "3b": Block(64, (64, 96), (64, 96), 64),
    "3c": Block(0, (128, 160), (64, 96), 0),
    "4a": Block(224, (64, 96), (96, 128), 128),
    "4b": Block(192, (96, 128), (96, 128), 128),
    "4c": Block(160, (128, 160), (128, 160), 128),
    "4d": Block(96, (128, 192), (160, 192), 128),
    "4e": Block(0, (128, 192), (192, 256), 0),
    "5a": Block(352, (192, 320), (160, 224), 128),
    "5b": Block(352, (192, 320), (192, 224), 128, pools="max"),
}
STAGES = ("conv1", "conv2", "inception_3", "inception_4", "inception_5")


class BNInception(nn.Module):
    """Pictures `BCHW` to features `B x 1024`."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.before_blocks: nn.Module = nn.Identity()
        """Where a temporal shift goes: it has no weights, so that no key changes."""
        self._add("conv1_7x7_s2", channels, 64, 7, stride=2)
        self._add("conv2_3x3_reduce", 64, 64, 1)
        self._add("conv2_3x3", 64, 192, 3)
        width = 192
        for name, block in BLOCKS.items():
            self._add_block(f"inception_{name}", width, block)
            width = block.width(width)

    def _add(self, name: str, given: int, made: int, kernel: int, stride: int = 1) -> None:
        conv = nn.Conv2d(given, made, kernel, stride, padding=kernel // 2)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
        self.add_module(name, conv)
        self.add_module(f"{name}_bn", nn.BatchNorm2d(made))

    def _add_block(self, name: str, given: int, block: Block) -> None:
        stride = 2 if block.halves else 1
        (three_in, three), (double_in, double) = block.three, block.double
        if block.one:
            self._add(f"{name}_1x1", given, block.one, 1)
        self._add(f"{name}_3x3_reduce", given, three_in, 1)
        self._add(f"{name}_3x3", three_in, three, 3, stride)
        self._add(f"{name}_double_3x3_reduce", given, double_in, 1)
        self._add(f"{name}_double_3x3_1", double_in, double, 3)
        self._add(f"{name}_double_3x3_2", double, double, 3, stride)
        if block.pooled:
            self._add(f"{name}_pool_proj", given, block.pooled, 1)

    def stages(self) -> tuple[tuple[str, ...], ...]:
        children = [name for name, _ in self.named_children()]
        return tuple(tuple(name for name in children if name.startswith(stage)) for stage in STAGES)

    def forward(self, pictures_BCHW: Tensor) -> Tensor:  # noqa: N803
        features = halve(self._run(pictures_BCHW, "conv1_7x7_s2"))
        features = self.before_blocks(features)
        features = halve(self._run(features, "conv2_3x3_reduce", "conv2_3x3"))
        for name, block in BLOCKS.items():
            features = self._run_block(f"inception_{name}", block, self.before_blocks(features))
        return features.mean((2, 3))

    def _run(self, features: Tensor, *names: str) -> Tensor:
        for name in names:
            made = self.get_submodule(name)(features)
            features = F.relu(self.get_submodule(f"{name}_bn")(made))
        return features

    def _run_block(self, name: str, block: Block, given: Tensor) -> Tensor:
        double = ("double_3x3_reduce", "double_3x3_1", "double_3x3_2")
        branches = [
            self._run(given, f"{name}_3x3_reduce", f"{name}_3x3"),
            self._run(given, *(f"{name}_{part}" for part in double)),
        ]
        if block.halves:
            # The convolutions of an odd picture make one column more than the pool does.
            branches.append(halve(F.pad(given, (0, given.shape[3] % 2, 0, given.shape[2] % 2))))
        else:
            branches.insert(0, self._run(given, f"{name}_1x1"))
            branches.append(self._run(_around(given, block.pools), f"{name}_pool_proj"))
        return torch.cat(branches, dim=1)


def halve(features: Tensor) -> Tensor:
    """The greatest of each 3x3, every second one; those over the right and lower edge count.

    Features are never negative here, so zeros beyond the edge are never the greatest alone.
    """
    return F.max_pool2d(features, 3, stride=2, ceil_mode=True)


def _around(features: Tensor, how: str) -> Tensor:
    """Each value made of the 3x3 around it; a mean counts zeros beyond the edge."""
    pool = F.max_pool2d if how == "max" else F.avg_pool2d
    return pool(features, 3, stride=1, padding=1)
