"""Squeeze and recursion with temporal gates: frames recalibrated by what a clip does over time.

The block of Stergiou and Poppe, arXiv 2006.08247, written from the paper. A layer's output is
averaged over height and width (the squeeze), two LSTM layers read that sequence (the recursion),
and what they say of a frame is multiplied into it (the fusion). With gates a clip is fused only
where squeeze and recursion correspond frame by frame, and passes untouched where they do not.

B clips of a batch, T frames, C channels; `BCTHW` is a layer's output.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from network.model import Network

LAYERS = 2
SOFTNESS = 0.1
"""Of the soft nearest neighbour: what the squared distance is divided by is so much of the
squared distance from a frame to the one next to it in feature space."""


class SqueezeAndRecursion(nn.Module):
    """Multiplies every frame by what an LSTM makes of the clip up to it."""

    gates_open: Tensor
    gates_seen: Tensor

    def __init__(self, width: int, gates: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, LAYERS, batch_first=True)
        self.gates = gates
        # Counted where the gates are, so that no step waits for the device; no part of a
        # checkpoint, as it tells of a run and not of the network.
        for name in ("gates_open", "gates_seen"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, layer_BCTHW: Tensor) -> Tensor:  # noqa: N803
        squeezed, recalled = self.recall(layer_BCTHW)
        if self.gates:
            is_open = correspond(squeezed, recalled)
            self._count(is_open, squeezed.shape[1])
            # Chosen here and not after the fusion: a closed clip times one is the clip itself bit
            # for bit, and the choice costs a few numbers instead of another copy of the layer.
            recalled = torch.where(is_open[:, None, None], recalled, 1)
        return layer_BCTHW * recalled.to(layer_BCTHW.dtype).mT[..., None, None]

    def recall(self, layer_BCTHW: Tensor) -> tuple[Tensor, Tensor]:  # noqa: N803
        """The squeezed sequence and what the LSTM makes of it, both `BTC`.

        In the weights' own precision, whatever autocast says: bfloat16 has two or three digits,
        in which neighbouring frames become one and no gate could tell them apart.
        """
        with _without_autocast(layer_BCTHW.device.type):
            dtype = next(self.lstm.parameters()).dtype
            squeezed = layer_BCTHW.mean((3, 4), dtype=dtype).mT
            return squeezed, self.lstm(squeezed)[0]

    def _count(self, is_open: Tensor, frames: int) -> None:
        # A single frame's gate is always open and tells nothing; an exported network serves, and
        # nobody asks it.
        if frames > 1 and not torch.compiler.is_exporting():
            self.gates_open += is_open.sum()
            self.gates_seen += len(is_open)


class SrtgNetwork(Network):
    """A network with such blocks, which tells how many of their gates were open."""

    def statistics(self) -> dict[str, float]:
        """The share of open gates, over all clips and blocks since the last call, of blocks that
        see more than one frame; nothing where no gate has been asked."""
        blocks = [one for one in self.modules() if isinstance(one, SqueezeAndRecursion)]
        counts = torch.stack([torch.stack((one.gates_open, one.gates_seen)) for one in blocks])
        is_open, seen = counts.sum(0).tolist()
        for block in blocks:
            block.gates_open.zero_()
            block.gates_seen.zero_()
        return {"open_gates": is_open / seen} if seen else {}


@torch.no_grad()
def correspond(one_BTC: Tensor, other_BTC: Tensor) -> Tensor:  # noqa: N803
    """Which pairs of sequences correspond frame by frame, `B` of bool.

    They do where the soft nearest neighbour of every frame is the frame of the same number, from
    one sequence to the other and back. That a way there and back ends where it began is not
    enough: it does so with a permuted copy too.

    What is compared is how frames differ from their own clip's mean, in units of how much they do:
    an LSTM's numbers lie between -1 and 1, a layer's are 0 and more, and where they lie and how
    large they are says nothing of order. A sequence of distinct frames corresponds to itself, and
    to no permutation of itself, whatever its place, its scale and its length. Where two frames are
    equal there is no saying which is which: a static clip corresponds to nothing, not even to
    itself. A single frame cannot be out of order: it corresponds to any other.
    """
    one, other = _standardised(one_BTC), _standardised(other_BTC)
    across = _squared_distances(one, other)
    return _are_nearest(across, _squared_distances(other, other)) & _are_nearest(
        across.mT, _squared_distances(one, one)
    )


def _standardised(sequence_BTC: Tensor) -> Tensor:  # noqa: N803
    """Around a mean over time of zero, one on average from it; zeros where nothing moves."""
    tiny = torch.finfo().tiny
    moved = sequence_BTC.float()
    # Twice: squares of very small numbers would vanish, and of large ones overflow.
    moved = moved / moved.abs().amax((1, 2), keepdim=True).clamp_min(tiny)
    moved = moved - moved.mean(1, keepdim=True)
    moved = moved / moved.abs().amax((1, 2), keepdim=True).clamp_min(tiny)
    return moved / moved.square().mean((1, 2), keepdim=True).sqrt().clamp_min(tiny)


def _are_nearest(across_BTT: Tensor, within_BTT: Tensor) -> Tensor:  # noqa: N803
    """Is each frame's soft nearest neighbour in another sequence the frame of its own number?

    From the squared distances across (row: frame; column: frame of the other sequence) and within
    that other sequence. How soft is measured by the frames around the one that is looked for: a
    fixed number, or a share of the whole sequence's extent, would blur neighbours into one
    wherever a clip moves slowly, and at the ends of a slow clip even average them inwards.
    """
    frames = across_BTT.shape[1]
    itself = torch.eye(frames, dtype=torch.bool, device=across_BTT.device)
    spacing = within_BTT.masked_fill(itself, torch.inf).amin(2, keepdim=True)
    softness = (SOFTNESS * spacing).clamp_min(torch.finfo().tiny)
    beyond_nearest = across_BTT - across_BTT.amin(2, keepdim=True)
    weights = torch.softmax(-beyond_nearest / softness, 2)
    # The weights make an average frame. Its squared distance to frame k is the average of the
    # frames' own to k, less the same number for every k: the least of these is at the nearest.
    with _without_autocast(across_BTT.device.type):
        nearest = (weights @ within_BTT).argmin(2)
    return (nearest == torch.arange(frames, device=nearest.device)).all(1)


def _squared_distances(one_BTC: Tensor, other_BTC: Tensor) -> Tensor:  # noqa: N803
    """Of differences, not of products, which lose the digits that tell close frames apart."""
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(one_BTC, other_BTC, compute_mode=exact).square()


def _without_autocast(device: str) -> AbstractContextManager[object]:
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
