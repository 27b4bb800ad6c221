"""RGB differences as input: what changed from frame to frame, in stacks, and kernels for them."""

from __future__ import annotations

from torch import Tensor

DIFFERENCES = 5
"""In a stack, as published."""


def stacks_of(clip_BCTHW: Tensor, differences: int) -> Tensor:  # noqa: N803
    """Groups of `differences + 1` frames to stacks of what changed from each to the next:
    `B x groups x 3 * differences x H x W`, the three colours of one difference side by side."""
    groups = clip_BCTHW.unflatten(2, (-1, differences + 1))
    changes = groups[:, :, :, 1:] - groups[:, :, :, :-1]
    return changes.permute(0, 2, 3, 1, 4, 5).flatten(2, 3)


def rgb_to_difference(kernel: Tensor, differences: int) -> Tensor:
    """A first convolution's weights for stacks, made of those for pictures: the mean of the three
    colours for each channel."""
    return kernel.mean(1, keepdim=True).repeat(1, 3 * differences, 1, 1)
