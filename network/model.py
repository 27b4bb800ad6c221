"""What every network here is: a backbone that makes features of clips, heads that make classes.

Clips come in as float `BCTHW`. A network of a plain number of classes answers with one tensor
`B x classes`, a network of named tasks with a dictionary of them. State-dict keys are
`backbone.*`, named as the published files name them, and `heads.*`, one head a task; what lies
between the two in some families has a name of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from network.heads import Heads, Tasks

Output = Tensor | dict[str, Tensor]


@dataclass(frozen=True)
class Takes:
    """Which clips a network can take; height and width follow the same rule, each by itself."""

    frames: int = 1
    """At least so many frames."""
    size: int = 32
    """Height and width are at least so many pixels."""
    frames_step: int = 1
    """The number of frames is a multiple of this."""
    size_step: int = 1
    """Height and width are multiples of this."""

    def check(self, name: str, frames: int, height: int, width: int) -> None:
        """Refuse what the network cannot take, in one sentence."""
        wrong = [
            f"{what} {value}"
            for what, value, least, step in (
                ("frames", frames, self.frames, self.frames_step),
                ("height", height, self.size, self.size_step),
                ("width", width, self.size, self.size_step),
            )
            if value < least or value % step
        ]
        if wrong:
            raise ValueError(f"{name} cannot take {', '.join(wrong)}; it needs {self}")

    def nearest(self, frames: int, size: int) -> tuple[int, int]:
        """The frames and size closest to these that the network can take; halves go up."""
        return (_nearest(frames, self.frames, self.frames_step),
                _nearest(size, self.size, self.size_step))  # fmt: skip

    def __str__(self) -> str:
        def rule(least: int, step: int, unit: str) -> str:
            first = -(-least // step) * step
            many = f"{unit}s" if first > 1 else unit
            return f"at least {first} {many}" + (f" in multiples of {step}" if step > 1 else "")

        return (f"{rule(self.frames, self.frames_step, 'frame')}, height and width "
                f"{rule(self.size, self.size_step, 'pixel')}")  # fmt: skip


def _nearest(value: int, least: int, step: int) -> int:
    first = -(-least // step)
    return step * max(first, (2 * value + step) // (2 * step))


@dataclass(frozen=True)
class Backbone:
    """What a family hands over: the module, and what others need to know about it."""

    module: nn.Module
    """Float `BCTHW` to features `B x width` (a frame network's: `BCHW` to `B x width`)."""
    width: int
    """Numbers in a clip's features."""
    takes: Takes
    stages: tuple[tuple[str, ...], ...]
    """Names of the module's children, stage by stage from the input on: what freezes together.
    Dotted names reach further down; parameters of the module itself count too ("cls_token")."""
    published_heads: tuple[tuple[str, str], ...] = (("fc", ""),)
    """What published files call the head: pairs of key prefix and task ("" is the only task)."""


class Network(nn.Module):
    """A backbone and its heads. `forward` is `logits(features(clip))`."""

    def __init__(self, name: str, backbone: Backbone, tasks: Tasks, dropout: float = 0.0) -> None:
        super().__init__()
        self.name = name
        self.takes = backbone.takes
        self.width = backbone.width
        self.stages = backbone.stages
        self.published_heads = backbone.published_heads
        self.backbone = backbone.module
        self.heads = Heads(backbone.width, tasks, dropout)

    def forward(self, clip_BCTHW: Tensor) -> Output:  # noqa: N803
        return self.logits(self.features(clip_BCTHW))

    def features(self, clip_BCTHW: Tensor) -> Tensor:  # noqa: N803
        """What the heads see."""
        self.check(clip_BCTHW)
        return self.backbone(clip_BCTHW)

    def logits(self, features: Tensor) -> Output:
        return self.heads(features)

    def channels_last(self) -> Network:
        """Kernels laid out as GPUs (and bf16 on CPUs) like them, of pictures and clips alike;
        give it clips in `torch.channels_last_3d`. Changes this network, and no number in it."""
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        for parameter in self.parameters():
            if parameter.ndim in formats:
                form = formats[parameter.ndim]
                parameter.data = parameter.data.contiguous(memory_format=form)
        return self

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights from elsewhere, under our keys, fitted to this network where that takes more
        than a name (embeddings of another size, a first convolution of other channels)."""
        return state

    def check(self, clip: Tensor) -> None:
        """Refuse what is no clip for this network. A graph that is being compiled or exported
        has no need of it, and could not keep its sizes free."""
        if torch.compiler.is_compiling():
            return
        if clip.ndim != 5:
            raise ValueError(f"{self.name} takes clips of rank 5 (batch, 3, frames, height, "
                             f"width), got rank {clip.ndim}: {tuple(clip.shape)}")  # fmt: skip
        if clip.shape[1] != 3:
            raise ValueError(f"{self.name} takes clips of 3 colours as batch, 3, frames, height, "
                             f"width, got {tuple(clip.shape)}")  # fmt: skip
        if not len(clip):
            raise ValueError(f"{self.name} got a batch of no clips: {tuple(clip.shape)}")
        if not clip.is_floating_point():
            raise ValueError(f"{self.name} takes float clips, got {clip.dtype}; the loader's are "
                             "made so by to_network")  # fmt: skip
        self.takes.check(self.name, *clip.shape[2:])

    def statistics(self) -> dict[str, float]:
        """What is worth logging since the last call, such as the share of open gates."""
        return {}


class Mean(nn.Module):
    """Over these axes. torch's own average pools have no deterministic gradient on CUDA."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, features: Tensor) -> Tensor:
        return features.mean(self.axes)

    def extra_repr(self) -> str:
        return f"axes={self.axes}"
