"""torchvision's video networks: its own layers, without their heads, for clips of any shape.

Names of weights are torchvision's. Average pools, whose gradient on CUDA is not deterministic, are
sums here, of the same value. Pools of maxima stay as they are (s3d, mvit).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import video
from torchvision.models.video.mvit import MViT
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d
from torchvision.ops import StochasticDepth

from network.heads import Tasks
from network.model import Backbone, Mean, Network, Takes
from network.positions import resampled


def _resnet(
    name: str,
    make: Callable[..., video.VideoResNet],
    tasks: Tasks,
    *,
    frames: int,
    size: int,
    dropout: float = 0.0,
) -> Network:
    takes = Takes(frames=1, size=1)
    takes.check(name, frames, size, size)
    model = make()
    layers = ("stem", "layer1", "layer2", "layer3", "layer4")
    module = _chain(model, layers, Mean((2, 3, 4)))
    backbone = Backbone(module, model.fc.in_features, takes, tuple((layer,) for layer in layers))
    return Network(name, backbone, tasks, dropout)


r3d_18 = partial(_resnet, "r3d_18", video.r3d_18)
mc3_18 = partial(_resnet, "mc3_18", video.mc3_18)
r2plus1d_18 = partial(_resnet, "r2plus1d_18", video.r2plus1d_18)


def s3d(tasks: Tasks, *, frames: int, size: int, dropout: float = 0.2) -> Network:
    """Its published head is a 1x1x1 convolution, whose weights are those of a linear layer with
    three more axes. It stands before the last mean there; being linear, it may stand behind."""
    takes = Takes(frames=5, size=17)  # what halving leaves for the last pool, which is not padded
    takes.check("s3d", frames, size, size)
    model = video.s3d()
    module = _chain(model, ("features",), WindowMean((2, 7, 7)))
    ends = (5, 8, 14, 16)  # up to each pool that halves time or space
    starts = (0, *ends[:-1])
    stages = tuple(
        tuple(f"features.{index}" for index in range(start, end))
        for start, end in zip(starts, ends, strict=True)
    )
    backbone = Backbone(module, 1024, takes, stages, (("classifier.1", ""),))
    return Network("s3d", backbone, tasks, dropout)


def swin3d_t(
    tasks: Tasks, *, frames: int, size: int, dropout: float = 0.0, drop_path: float = 0.1
) -> Network:
    """Clips smaller than a window are one window; edges are padded."""
    takes = Takes(frames=1, size=1)
    takes.check("swin3d_t", frames, size, size)
    model = video.swin3d_t()
    _spread_drop_path(model, drop_path)
    for layer in model.modules():
        if isinstance(layer, ShiftedWindowAttention3d):
            layer.__class__ = WindowAttention
    module = _chain(model, ("patch_embed", "pos_drop", "features", "norm"), Mean((1, 2, 3)))
    stages = (("patch_embed", "features.0"), ("features.1", "features.2"),
              ("features.3", "features.4"), ("features.5", "features.6", "norm"))  # fmt: skip
    backbone = Backbone(module, model.num_features, takes, stages, (("head", ""),))
    return Network("swin3d_t", backbone, tasks, dropout)


class WindowAttention(ShiftedWindowAttention3d):
    """torchvision's, but for windows that are lower or narrower than those of the table.

    Such are all of the last stage's below 224 pixels. torchvision takes the first rows of the
    index there, which are other places; here they are the window's own, so that what is learned
    at one size is true at another.
    """

    def get_relative_position_bias(self, window_size: list[int]) -> Tensor:
        frames, height, width = (
            torch.arange(side, device=self.relative_position_bias_table.device)
            for side in window_size
        )
        rows = (frames[:, None, None] * self.window_size[1] + height[:, None]) * self.window_size[2]
        places = (rows + width).flatten()
        index = self.relative_position_index[places[:, None], places]
        return self.relative_position_bias_table[index].permute(2, 0, 1).unsqueeze(0)


def _mvit(
    name: str,
    make: Callable[..., MViT],
    tasks: Tasks,
    *,
    frames: int,
    size: int,
    dropout: float = 0.5,
    drop_path: float = 0.2,
) -> Network:
    """Its tables of positions are those of 16x224x224 whatever it is built for, as in published
    files, and are resampled to the clip."""
    takes = Takes(frames=1, size=1)
    takes.check(name, frames, size, size)
    model = make(stochastic_depth_prob=drop_path)
    module = Multiscale(model)
    backbone = Backbone(
        module, module.norm.normalized_shape[0], takes, module.stages(), (("head.1", ""),)
    )
    return Network(name, backbone, tasks, dropout)


mvit_v1_b = partial(_mvit, "mvit_v1_b", video.mvit_v1_b)
mvit_v2_s = partial(_mvit, "mvit_v2_s", video.mvit_v2_s)


class Multiscale(nn.Module):
    """torchvision's MViT up to its class token, of whatever frames and size the clip has.

    torchvision's own takes one shape only. The tables of places and times (v1) are resampled
    here; the tables of distances (v2) are by its blocks. The last block's tables of distances
    and its pool of queries have no part in the class token, as in torchvision's: their gradient
    is zero.
    """

    def __init__(self, model: MViT) -> None:
        super().__init__()
        self.conv_proj = model.conv_proj
        self.pos_encoding = model.pos_encoding
        self.blocks = model.blocks
        self.norm = model.norm

    def forward(self, clip_BCTHW: Tensor) -> Tensor:  # noqa: N803
        patches = self.conv_proj(clip_BCTHW)
        frames, height, width = patches.shape[2:]
        first = self.pos_encoding.class_token.expand(patches.shape[0], 1, -1)
        tokens = torch.cat((first, patches.flatten(2).transpose(1, 2)), dim=1)
        if self.pos_encoding.spatial_pos is not None:
            tokens = tokens + self._positions(frames, (height, width))
        shape = (frames, height, width)
        for block in self.blocks:
            tokens, shape = block(tokens, shape)
        return self.norm(tokens[:, 0])

    def _positions(self, frames: int, grid: tuple[int, int]) -> Tensor:
        """Of the class token, then of the places of one frame after another."""
        table = self.pos_encoding
        times = resampled(table.temporal_pos, (table.temporal_size,), (frames,), "bilinear")
        places = resampled(table.spatial_pos, tuple(table.spatial_size), grid, "bicubic")
        return torch.cat((table.class_pos[None], (times[:, None] + places).flatten(0, 1)))

    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Blocks that see the same number of tokens are one; the first is with the patches."""
        stages = [["conv_proj", "pos_encoding"]]
        for index, block in enumerate(self.blocks):
            if block.pool_skip is not None:
                stages.append([])
            stages[-1].append(f"blocks.{index}")
        stages[-1].append("norm")
        return tuple(tuple(stage) for stage in stages)


class WindowMean(nn.Module):
    """The mean of the means of all windows of this shape, each moved on by one.

    Where there is less than a window, the window is what is there. Values near the edges are in
    fewer windows and count for less.
    """

    def __init__(self, window: tuple[int, int, int]) -> None:
        super().__init__()
        self.window = window

    def forward(self, features_BCTHW: Tensor) -> Tensor:  # noqa: N803
        left = features_BCTHW
        for window in reversed(self.window):
            shares = _shares(left.shape[-1], window, left.device).to(left.dtype)
            left = (left * shares).sum(-1)
        return left

    def extra_repr(self) -> str:
        return f"window={self.window}"


def _shares(count: int, window: int, device: torch.device) -> Tensor:
    """How much each of so many values in a row counts in the mean of all windows' means."""
    window = min(window, count)
    windows = count - window + 1
    index = torch.arange(count, device=device)
    within = torch.minimum(index + 1, count - index).clamp(max=min(window, windows))
    return within / (window * windows)


def _chain(model: nn.Module, names: tuple[str, ...], pool: nn.Module) -> nn.Sequential:
    """The model's children of these names one after the other, then the pool."""
    children = {name: model.get_submodule(name) for name in names}
    return nn.Sequential(OrderedDict(**children, pool=pool))


def _spread_drop_path(model: nn.Module, most: float) -> None:
    """None in the first block, `most` in the last one, evenly between."""
    layers = [module for module in model.modules() if isinstance(module, StochasticDepth)]
    for index, layer in enumerate(layers):
        layer.p = most * index / (len(layers) - 1)
