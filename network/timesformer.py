"""TimeSformer: a picture transformer whose tokens look along time, then over their own frame.

Frames and size come from the clip: the tables of positions are resampled where it has another
shape than the network was built for, places by bicubic, times by linear interpolation. (The
published code repeats the nearest row; longer clips then have frames with the same time, whose
order the network cannot tell.) Names of weights are those of the published files.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from network.heads import Tasks
from network.model import Backbone, Network, Takes
from network.positions import resampled

SPREAD = 0.02
"""Standard deviation of weights at the start."""
HARDLY = 1e-4
"""The same of the layer that adds what was seen along time. The published code starts it at
zero, so that a picture network's weights go on answering as they did; but then no gradient
reaches the attention before it at the first step. This little changes no answer either."""

Kind = Literal["divided", "joint", "space"]


@dataclass(frozen=True)
class Plan:
    """How large a transformer is."""

    width: int
    depth: int
    heads: int
    patch: int
    name: str = "timesformer"


BASE = Plan(width=768, depth=12, heads=12, patch=16)
SMALL = Plan(width=384, depth=12, heads=6, patch=16, name="timesformer_s")


def timesformer(
    plan: Plan,
    tasks: Tasks,
    *,
    frames: int,
    size: int,
    dropout: float = 0.0,
    attention: Kind = "divided",
    drop_path: float = 0.1,
) -> Network:
    """Tokens look along time and then over their frame ("divided"), at all of the clip at once
    ("joint"), or over their frame only ("space"). `drop_path` is how often the last block's
    branches are left out in training, earlier ones less often."""
    if attention not in get_args(Kind):
        raise ValueError(f"{plan.name} has no attention {attention!r}; choose one of "
                         f"{', '.join(get_args(Kind))}")  # fmt: skip
    takes = Takes(frames=1, size=plan.patch, size_step=plan.patch)
    takes.check(plan.name, frames, size, size)
    module = TimeSformer(plan, attention, frames, size, drop_path)
    backbone = Backbone(module, plan.width, takes, _stages(module), (("head", ""),))
    return InSpaceAndTime(plan.name, backbone, tasks, dropout)


def _stages(module: TimeSformer) -> tuple[tuple[str, ...], ...]:
    tables = tuple(name for name, _ in module.named_parameters(recurse=False))
    blocks = [(f"blocks.{index}",) for index in range(len(module.blocks))]
    return (*tables, "patch_embed"), *blocks[:-1], (*blocks[-1], "norm")


class TimeSformer(nn.Module):
    """Clips `BCTHW` to the class token, `B x width`."""

    def __init__(self, plan: Plan, kind: Kind, frames: int, size: int, drop_path: float) -> None:
        super().__init__()
        self.kind = kind
        self.grid = (size // plan.patch, size // plan.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, plan.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(self.grid), plan.width))
        if kind != "space":
            self.time_embed = nn.Parameter(torch.zeros(1, frames, plan.width))
        self.patch_embed = nn.Sequential(
            OrderedDict(proj=nn.Conv2d(3, plan.width, plan.patch, stride=plan.patch))
        )
        make = DividedBlock if kind == "divided" else Block
        often = (drop_path * index / max(1, plan.depth - 1) for index in range(plan.depth))
        self.blocks = nn.ModuleList(make(plan.width, plan.heads, share) for share in often)
        self.norm = _norm(plan.width)
        self._start()

    def _start(self) -> None:
        for table in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(table, std=SPREAD)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                hardly = name.endswith("temporal_fc")
                nn.init.trunc_normal_(module.weight, std=HARDLY if hardly else SPREAD)
                nn.init.zeros_(module.bias)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:  # noqa: N803
        frames = clip_BCTHW.shape[2]
        tokens = self._tokens(clip_BCTHW)
        for block in self.blocks:
            tokens = block(tokens, frames)
        answer = tokens[:, 0]
        if self.kind == "space":
            answer = answer.unflatten(0, (-1, frames)).mean(1)
        return self.norm(answer)

    def _tokens(self, clip_BCTHW: Tensor) -> Tensor:  # noqa: N803
        """The class token, then the patches of one frame after another, `B x (1 + THW) x width`;
        where frames never meet, `BT x (1 + HW) x width`."""
        batch, _, frames = clip_BCTHW.shape[:3]
        patches = self.patch_embed(clip_BCTHW.transpose(1, 2).flatten(0, 1))
        grid = (patches.shape[2], patches.shape[3])
        places = resampled(self.pos_embed[0, 1:], self.grid, grid, "bicubic")
        patches = patches.flatten(2).transpose(1, 2) + places
        if self.kind != "space":
            times = self.time_embed[0]
            times = resampled(times, times.shape[:1], (frames,), "bilinear")
            patches = (patches.unflatten(0, (batch, frames)) + times[:, None]).flatten(1, 2)
        first = (self.cls_token + self.pos_embed[:, :1]).expand(patches.shape[0], -1, -1)
        return torch.cat((first, patches), dim=1)


class Attention(nn.Module):
    """Every token of a sequence looks at all of it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.qkv(tokens).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(seen.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A picture transformer's: look around, then think over what was seen."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = _norm(width)
        self.attn = Attention(width, heads)
        self.norm2 = _norm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(width, 4 * width), act=nn.GELU(), fc2=nn.Linear(4 * width, width)
            )
        )
        self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, tokens: Tensor, frames: int) -> Tensor:
        return self._think(tokens + self.drop_path(self.attn(self.norm1(tokens))))

    def _think(self, tokens: Tensor) -> Tensor:
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


class DividedBlock(Block):
    """Patches look along time at their own place, then all tokens over their own frame.

    The class token is in every frame; what its copies see is averaged. A branch is left out
    place by place and frame by frame.
    """

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__(width, heads, drop_path)
        self.temporal_norm1 = _norm(width)
        self.temporal_attn = Attention(width, heads)
        self.temporal_fc = nn.Linear(width, width)

    def forward(self, tokens: Tensor, frames: int) -> Tensor:
        first, patches = tokens[:, None, :1], tokens[:, 1:].unflatten(1, (frames, -1))
        patches = patches + self._along_time(patches)
        in_every_frame = torch.cat((first.expand(-1, frames, -1, -1), patches), dim=2)
        seen = self.attn(self.norm1(in_every_frame.flatten(0, 1)))
        seen = self.drop_path(seen).unflatten(0, (-1, frames))
        first = first[:, 0] + seen[:, :, :1].mean(1)
        patches = patches + seen[:, :, 1:]
        return self._think(torch.cat((first, patches.flatten(1, 2)), dim=1))

    def _along_time(self, patches: Tensor) -> Tensor:
        """Patches are `B x frames x places x width`."""
        by_place = patches.transpose(1, 2)
        seen = self.temporal_attn(self.temporal_norm1(by_place.flatten(0, 1)))
        seen = self.temporal_fc(self.drop_path(seen))
        return seen.unflatten(0, by_place.shape[:2]).transpose(1, 2)


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)


# -- weights from elsewhere -----------------------------------------------------------------------


class InSpaceAndTime(Network):
    """A TimeSformer, which may be given weights trained at another shape, or on pictures."""

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return copy_space_to_time(fit_embeddings(state, self), self)


def fit_embeddings(state: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
    """The same weights, tables of positions resampled to those of the network.

    Names are the network's. A table of places must be that of a square.
    """
    own = dict(network.named_parameters())
    return {name: _fitted(name, value, own.get(name)) for name, value in state.items()}


def copy_space_to_time(state: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
    """The same weights, and for attention along time, where they have none of it, a copy of that
    over space: how the published networks were started from a picture network's weights."""
    sources = {
        name: name.replace("temporal_attn", "attn").replace("temporal_norm1", "norm1")
        for name in network.state_dict()
    }
    copies = {
        name: state[source]
        for name, source in sources.items()
        if name not in state and source in state
    }
    return {**state, **copies}


def _fitted(name: str, table: Tensor, own: Tensor | None) -> Tensor:
    if own is None or table.ndim != 3 or table.shape[1] == own.shape[1]:
        return table
    last = name.rpartition(".")[2]
    if last == "time_embed":
        return resampled(table[0], (table.shape[1],), (own.shape[1],), "bilinear")[None]
    if last == "pos_embed":
        places = resampled(table[0, 1:], _square(table), _square(own), "bicubic")
        return torch.cat((table[0, :1], places))[None]
    return table


def _square(table: Tensor) -> tuple[int, int]:
    places = table.shape[1] - 1
    side = math.isqrt(places)
    if side * side != places:
        raise ValueError(f"pos_embed is of {places} places, which make no square; build the "
                         "network for the size the file was trained at")  # fmt: skip
    return side, side
