"""From a network of pictures to one of clips: each kernel repeated over time.

mean:    every frame under a kernel counts alike and the sum is as before, so that a clip whose
         frames are all the same gives what its frame gave, but near the clip's first and last
         frames, where padding adds nothing.
centre:  only the middle frame counts: at the start the network sees each frame by itself, and a
         clip of one frame repeated gives exactly what the frame gave, at its ends too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from network.model import Network

HOWS = ("mean", "centre")
BLOCK = re.compile(r"(.+\.)(conv|bn)(\d)(\..+)")


def inflated(state: dict[str, Tensor], network: Network, how: str = "mean") -> dict[str, Tensor]:
    """Weights of a 2D network as the 3D network has them and under its names; the names are
    those of torchvision's and timm's ResNets (of our own networks of them too), or the 3D
    network's own. What has no counterpart is handed through as it is."""
    if how not in HOWS:
        raise ValueError(f"kernels are inflated by {' or '.join(HOWS)}, got {how!r}")
    own = network.state_dict()
    if not any(tensor.ndim == 5 for tensor in own.values()):
        raise ValueError(f"{network.name} has no kernels over time to inflate others' for; load "
                         "the weights without inflation")  # fmt: skip
    if not any(tensor.ndim == 4 for tensor in state.values()):
        raise ValueError(f"there are no 2D kernels to inflate for {network.name}; load these "
                         "weights without inflation")  # fmt: skip
    if any(_is_over_time_alone(tensor.shape) for tensor in own.values()):
        raise ValueError(f"{network.name} sees space and time by kernels apart, (2+1)D, and "
                         "kernels of pictures cannot be inflated to those; build a network of "
                         "whole 3D kernels, or load weights of its own")  # fmt: skip
    grown = {}
    for name, tensor in state.items():
        plain = name.removeprefix("backbone.")  # of our own networks of pictures
        new = next((one for one in _names_in_3d(plain) if one in own), name)
        grown[new] = _grown(tensor, own[new].shape, how) if new in own else tensor
    return grown


def _is_over_time_alone(kernel: torch.Size) -> bool:
    return len(kernel) == 5 and kernel[2] > 1 and kernel[3:] == (1, 1)


def _grown(kernel: Tensor, wanted: torch.Size, how: str) -> Tensor:
    """`out x in x H x W` to `out x in x T x H x W`, if that is all that differs."""
    if kernel.ndim != 4 or len(wanted) != 5 or kernel.shape != wanted[:2] + wanted[3:]:
        return kernel
    frames = wanted[2]
    if how == "mean":
        return (kernel / frames).unsqueeze(2).expand(wanted)  # a view: no memory for the copies
    before = (frames - 1) // 2
    return functional.pad(kernel.unsqueeze(2), (0, 0, 0, 0, before, frames - 1 - before))


def _names_in_3d(name: str) -> Iterator[str]:
    """A video ResNet keeps convolution and batch norm together: as 0 and 1 of the first's name,
    the convolution sometimes in a chain of its own."""
    yield f"backbone.{name}"
    if block := BLOCK.fullmatch(name):
        stage, layer, number, rest = block.groups()
        inner = {"conv": (".0", ".0.0"), "bn": (".1",)}[layer]
        yield from (f"backbone.{stage}conv{number}{place}{rest}" for place in inner)
    for layer, place in (("conv1", 0), ("bn1", 1)):
        if name.startswith(f"{layer}."):
            yield f"backbone.stem.{place}.{name.removeprefix(f'{layer}.')}"
