"""Non-local blocks (embedded Gaussian): every place of every frame looks at all of its clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

PLACES = {"layer2": (0, 2), "layer3": (0, 2, 4)}
"""After which blocks of a ResNet-50 they stand."""
LEAST_SIZE = 17
"""Pixels that leave 2x2 places after the last of them, as many as are pooled into one."""


class NonLocal(nn.Module):
    """Frames in, frames out; at the start it changes nothing, as its last scale is zero.

    Published kernels are 1x1x1; here they are 1x1 and see one row a frame, so that statistics of a
    batch count rows, and memory has one format, as everywhere else in the network.
    """

    rows_per_clip = 1

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 2
        self.g = nn.Sequential(nn.Conv2d(width, inner, 1))
        self.theta = nn.Conv2d(width, inner, 1)
        self.phi = nn.Sequential(nn.Conv2d(width, inner, 1))
        scale = nn.BatchNorm2d(width)
        nn.init.zeros_(scale.weight)
        self.W = nn.Sequential(nn.Conv2d(inner, width, 1), scale)

    def forward(self, frames_BCHW: Tensor) -> Tensor:  # noqa: N803
        asked = self._places(self.theta(frames_BCHW))
        keys, values = (
            self._places(F.max_pool2d(layer(frames_BCHW), 2)) for layer in (self.phi, self.g)
        )
        seen = torch.softmax(asked @ keys.transpose(1, 2), dim=-1) @ values
        seen = seen.unflatten(1, (self.rows_per_clip, -1)).flatten(0, 1).transpose(1, 2)
        return frames_BCHW + self.W(seen.unflatten(2, frames_BCHW.shape[2:]))

    def _places(self, frames: Tensor) -> Tensor:
        """Frames to all places of a clip: clips x places x channels."""
        places = frames.flatten(2).transpose(1, 2)
        return places.unflatten(0, (-1, self.rows_per_clip)).flatten(1, 2)


def add_non_local(module: nn.Module) -> None:
    """To a ResNet-50, as children `nl` of its blocks: no key of the ResNet's own changes."""
    for stage, indices in PLACES.items():
        for index in indices:
            block = module.get_submodule(f"{stage}.{index}")
            bn = block.get_submodule("bn3")
            assert isinstance(bn, nn.BatchNorm2d)
            block.add_module("nl", NonLocal(bn.num_features))
            block.register_forward_hook(_look_around)


def _look_around(block: nn.Module, inputs: tuple[Tensor, ...], made: Tensor) -> Tensor:
    return block.get_submodule("nl")(made)
