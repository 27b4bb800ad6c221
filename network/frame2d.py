"""Frame by frame: a network for single pictures on every frame of a clip, and their consensus.

One frame is a plain picture network.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from network.consensus import Average, Consensus, Maximum, Relation
from network.difference import DIFFERENCES, rgb_to_difference, stacks_of
from network.framefiles import RELATION_HEADS, joined_heads, renamed
from network.from_timm import TIMM, timm_backbone
from network.heads import Tasks
from network.model import Backbone, Network, Output
from network.non_local import LEAST_SIZE, add_non_local
from network.pictures import BNINCEPTION, RESNETS, bninception, resnet
from network.temporal_shift import add_shift

CONSENSUS = ("average", "maximum", "trn", "mtrn", "tsm", "tsm-nl")
MODALITIES = ("rgb", "rgbdiff")
NON_LOCAL = "resnet50"

ROWS = "rows_per_clip"
"""Layers that count clips in a batch of frames have this attribute, and are told."""


class FrameNetwork(Network):
    """`features` are `B x T x width`, or `B x width` where frames are related before the heads."""

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        tasks: Tasks,
        dropout: float,
        consensus: Consensus,
        differences: int = 0,
    ) -> None:
        super().__init__(name, backbone, tasks, dropout)
        self.consensus = consensus
        self.differences = differences

    def features(self, clip_BCTHW: Tensor) -> Tensor:  # noqa: N803
        self.check(clip_BCTHW)
        if self.differences:
            frames = stacks_of(clip_BCTHW, self.differences)
        else:
            frames = clip_BCTHW.transpose(1, 2)
        frames = self.consensus.select(frames)
        count = frames.shape[1]
        for module in self.backbone.modules():
            if hasattr(module, ROWS):
                setattr(module, ROWS, count)
        features = self._seen(frames.flatten(0, 1))
        return self.consensus.gather(features.unflatten(0, (-1, count)))

    def _seen(self, pictures: Tensor) -> Tensor:
        """Some of timm's networks fail at sizes that they are said to take."""
        if not self.name.startswith(TIMM) or torch.compiler.is_compiling():
            return self.backbone(pictures)
        try:
            return self.backbone(pictures)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError) as error:
            height, width = pictures.shape[2:]
            raise ValueError(f"{self.name} fails with pictures of {height}x{width} ({error}); "
                             "multiples of 32 suit most networks") from error  # fmt: skip

    def logits(self, features: Tensor) -> Output:
        said = self.heads(features)
        if isinstance(said, Tensor):
            return self.consensus.agree(said)
        return {task: self.consensus.agree(logits) for task, logits in said.items()}

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Names of published files become ours; kernels for pictures become kernels for what
        changes between them; 1x1x1 kernels become 1x1; heads that sum over scales become one."""
        own = self.state_dict()
        state = renamed(state, own)
        if isinstance(self.consensus, Relation):
            sets = [len(one) for one in self.consensus.sets]
            state = joined_heads(state, sets, list(self.heads.tasks))
        return {key: self._fitted(value, own.get(key)) for key, value in state.items()}

    def _fitted(self, given: Tensor, own: Tensor | None) -> Tensor:
        if own is None or own.ndim != 4:
            return given
        if given.shape == (*own.shape, 1):
            return given[..., 0]
        changes = 3 * self.differences
        if given.ndim == 4 and (given.shape[1], own.shape[1]) == (3, changes):
            return rgb_to_difference(given, self.differences)
        return given


def frame2d(
    backbone_name: str,
    tasks: Tasks,
    *,
    frames: int,
    size: int,
    dropout: float = 0.0,
    consensus: str = "average",
    modality: str = "rgb",
) -> FrameNetwork:
    """A picture network (resnet18, resnet34, resnet50, resnet101, bninception, timm:<name>).

    Consensus: average or maximum of the frames' logits; trn, mtrn: relations of `frames` frames,
    picked at even distances where a clip has another number of them; tsm: shifted channels, then
    the average; tsm-nl: also with non-local blocks. Modality rgbdiff sees differences between
    frames, six frames a stack; what is said of frames is then true of stacks.
    """
    for what, value, allowed in (
        ("consensus", consensus, CONSENSUS),
        ("modality", modality, MODALITIES),
    ):
        if value not in allowed:
            raise ValueError(f"{what} is one of {', '.join(allowed)}, got {value!r}")
    differences = DIFFERENCES if modality == "rgbdiff" else 0
    backbone = _backbone(backbone_name, 3 * (differences or 1), size)
    if differences:
        group = differences + 1
        takes = replace(backbone.takes, frames=group, frames_step=group)
        backbone = replace(backbone, takes=takes)
    if consensus in ("tsm", "tsm-nl"):
        backbone = _with_time(backbone_name, backbone, consensus == "tsm-nl")
    backbone.takes.check(backbone_name, frames, size, size)
    if consensus in ("trn", "mtrn"):
        seen = frames // (differences + 1) if differences else frames
        # Dropped are the frames' features, as published; nothing is dropped before the head.
        relation = Relation(backbone.width, seen, dropout, multiple=consensus == "mtrn")
        heads = RELATION_HEADS if consensus == "trn" else ()
        backbone = replace(backbone, width=relation.width, published_heads=heads)
        return FrameNetwork(backbone_name, backbone, tasks, 0.0, relation, differences)
    agreement = Maximum() if consensus == "maximum" else Average()
    return FrameNetwork(backbone_name, backbone, tasks, dropout, agreement, differences)


def _backbone(name: str, channels: int, size: int) -> Backbone:
    if name.startswith(TIMM):
        return timm_backbone(name.removeprefix(TIMM), channels, size)
    if name == BNINCEPTION:
        return bninception(channels)
    if name in RESNETS:
        return resnet(name, channels)
    raise ValueError(f"there is no picture network {name!r}; there are {', '.join(RESNETS)}, "
                     f"{BNINCEPTION} and {TIMM}<any name of timm's>")  # fmt: skip


def _with_time(name: str, backbone: Backbone, non_local: bool) -> Backbone:
    """The backbone with layers that see neighbouring frames, or all of them."""
    if non_local and name != NON_LOCAL:
        raise ValueError(f"{name} has no place for non-local blocks; {NON_LOCAL} has")
    add_shift(name, backbone.module)
    if not non_local:
        return backbone
    add_non_local(backbone.module)
    takes = replace(backbone.takes, size=LEAST_SIZE)
    return replace(backbone, takes=takes)
