"""Tables of learned positions, resampled to the grid of the clip at hand.

torch's own interpolation has no deterministic gradient on CUDA; as a product with a matrix that
holds the same taps it has.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Taps = Literal["bicubic", "bilinear"]


def resampled(table: Tensor, old: tuple[int, ...], new: tuple[int, ...], taps: Taps) -> Tensor:
    """A table `positions x width` of the grid `old` for the grid `new`; itself where they agree.

    Worked out in doubles, which autocast leaves alone: the table reaches the tokens unrounded.
    """
    if old == new:
        return table
    grid = table.double().unflatten(0, old)
    for axis, (before, after) in enumerate(zip(old, new, strict=True)):
        weights = _taps(before, after, taps, grid.device)
        grid = torch.tensordot(weights, grid, dims=([1], [axis])).movedim(0, axis)
    return grid.flatten(0, len(new) - 1).to(table.dtype)


def _taps(before: int, after: int, taps: Taps, device: torch.device) -> Tensor:
    """`after x before`: how much of each old position makes up each new one."""
    unit = torch.eye(before, dtype=torch.float64, device=device)[None, :, :, None]
    taken = functional.interpolate(unit, size=(after, 1), mode=taps, align_corners=False)
    return taken[0, :, :, 0].T
