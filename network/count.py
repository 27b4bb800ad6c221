"""Parameters and MACs, worked out on the meta device: no memory, no arithmetic."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

CONVENTION = (
    "GMACs: one multiplication with its addition is one MAC; one clip, one view. Counted are "
    "convolutions, linear layers and the products of attention and of LSTMs; normalisation, "
    "activation and pooling are not. FAIR, torchvision and mmaction2 call the same number FLOPs; "
    "who counts additions by themselves gets twice as much."
)
FLOPS_PER_MAC = 2  # torch's counter counts additions by themselves


def parameters(module: nn.Module) -> int:
    """Numbers that training may change; what two layers share counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def macs(module: nn.Module, frames: int, height: int, width: int | None = None) -> int:
    """What one clip of this shape costs in testing."""
    counts = macs_by_module(on_meta(module), frames, height, width or height)
    return sum(counts.get("", {}).values())


def macs_by_module(
    module: nn.Module, frames: int, height: int, width: int
) -> dict[str, dict[str, int]]:
    """Of a module on the meta device: path of the inner module -> operation -> MACs.

    The module itself has the path "". It is changed on the way: give it a copy (`on_meta`).
    """
    for inner in module.modules():
        if isinstance(inner, nn.LSTM):
            inner.forward = partial(_products, inner)  # type: ignore[assignment]
    clip = torch.empty(1, 3, frames, height, width, device="meta")
    counter = FlopCounterMode(display=False)
    # Nothing asks for a gradient, or the counter looks for where it would come from.
    with torch.no_grad(), counter:
        module.eval().requires_grad_(False)(clip)
    root = type(module).__name__
    counts = {path: found for path, found in counter.get_flop_counts().items() if path != root}
    return {
        "" if path == "Global" else path.removeprefix(f"{root}."): {
            str(operation): flops // FLOPS_PER_MAC for operation, flops in found.items()
        }
        for path, found in counts.items()
    }


def _products(lstm: nn.LSTM, sequence: Tensor) -> tuple[Tensor, None]:
    """All products of an LSTM, not step after step: as many, in a hundredth of the time."""
    steps = sequence.shape[:-1]
    for weights in lstm.all_weights:
        for weight in (each for each in weights if each.ndim == 2):
            functional.linear(sequence.new_empty(*steps, weight.shape[1]), weight)
    ways = 2 if lstm.bidirectional else 1
    return sequence.new_empty(*steps, ways * (lstm.proj_size or lstm.hidden_size)), None


def on_meta(module: nn.Module) -> nn.Module:
    """The same module without its numbers, which are not copied on the way."""
    memo: dict[int, Any] = {
        id(parameter): nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
        for parameter in module.parameters()
    }
    memo |= {id(buffer): buffer.detach().to("meta") for buffer in module.buffers()}
    return copy.deepcopy(module, memo)
