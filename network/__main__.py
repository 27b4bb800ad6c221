"""Say which networks there are, or what one is made of.

python -m network                                        # all of them, with parameters and MACs
python -m network srtg_r3d_34 --frames 16 --size 224     # one, layer by layer
python -m network timm:convnext_tiny --consensus maximum
python -m network r3d_18 --weights best.pth --freeze stages:2   # what is loaded, what would learn
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import tyro

from network.count import CONVENTION, macs, parameters
from network.freeze import freeze
from network.from_timm import TIMM
from network.model import Network
from network.summary import aligned, gigas, summary
from network.weights import load
from network.zoo import NETWORKS, build, entry_of


@dataclass(frozen=True)
class Choices:
    """What a network may be told; what is not given stays as the network has it."""

    consensus: Literal["average", "maximum", "trn", "mtrn", "tsm", "tsm-nl"] | None = None
    """How frames come to one answer (2D)."""
    modality: Literal["rgb", "rgbdiff"] | None = None
    """Pictures, or the differences between them (2D)."""
    bottleneck: Literal["seed", "standard"] | None = None
    """Width of the blocks: the predecessor's, or the usual four times as many (r3d, r2plus1d)."""
    gates: bool = False
    """Fuse only where both sequences correspond frame by frame (srtg)."""
    attention: Literal["divided", "joint", "space"] | None = None
    """Over time and space one after the other, together, or over space alone (timesformer)."""
    dropout: float | None = None
    """Before the heads."""


@dataclass(frozen=True)
class Loading:
    """Try on weights: what fits is listed, and what would learn."""

    weights: str | None = None
    """A file, or torchvision, torchvision:WEIGHTS, timm: see network/weightsource.py."""
    inflate: Literal["mean", "centre"] | None = None
    """Make kernels of clips of those of pictures."""
    strict: bool = False
    """Every weight has to fit."""
    allow_partial: bool = False
    """Be content with less than half."""
    freeze: str = "none"
    """What learns no more: none, batchnorm, stages:N, backbone, all-but-head."""


@dataclass(frozen=True)
class Options:
    """List all networks, or say layer by layer what one is made of."""

    name: tyro.conf.Positional[str | None] = None
    """A name of the list, or timm: and any name of timm's."""
    frames: int | None = None
    """Of the clip; if not given, the network's usual."""
    size: int | None = None
    """Height and width of the clip; if not given, the network's usual."""
    classes: int = 400
    """What it decides between."""
    depth: int = 3
    """Levels of layers that are shown."""
    choices: tyro.conf.OmitArgPrefixes[Choices] = Choices()
    loading: tyro.conf.OmitArgPrefixes[Loading] = Loading()


def main(options: Options) -> int:
    try:
        if options.name is not None:
            print(of_one(options.name, options))
        else:
            _refuse_what_is_of_one(options)
            print(of_all(options.classes))
    except (ValueError, OSError) as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    return 0


def _refuse_what_is_of_one(options: Options) -> None:
    if options != Options(classes=options.classes):
        raise ValueError("the list of all networks takes --classes alone; name the network that "
                         "the rest is meant for")  # fmt: skip


def of_one(name: str, options: Options) -> str:
    """Its layers, or what of its weights would be loaded."""
    entry = entry_of(name)
    if options.depth < 1:
        raise ValueError(f"depth is 1 or more levels of layers, got {options.depth}")
    given: dict[str, Any] = {
        choice: value
        for choice, value in asdict(options.choices).items()
        if value is not None and value is not False
    }
    usual = entry.usual_with(given)
    frames = usual[0] if options.frames is None else options.frames
    size = usual[1] if options.size is None else options.size
    loading = options.loading
    if loading.weights is None and loading != Loading(freeze=loading.freeze):
        raise ValueError("--inflate, --strict and --allow-partial say how --weights are loaded; "
                         "name some")  # fmt: skip
    with torch.device("meta" if loading.weights is None else "cpu"):
        network = build(name, options.classes, frames, size, **given)
    if loading.weights is not None or loading.freeze != "none":
        return tried_on(network, loading)
    told = ", ".join(f"{option}={value}" for option, value in (entry.options | given).items())
    return f"{summary(network, frames, size, options.depth)}\nIts options: {told}."


def tried_on(network: Network, loading: Loading) -> str:
    said = []
    if loading.weights is not None:
        report = load(
            network,
            loading.weights,
            inflate=loading.inflate,
            strict=loading.strict,
            allow_partial=loading.allow_partial,
        )
        said.append(str(report))
    freeze(network, loading.freeze)
    learning = sum(one.numel() for one in network.parameters() if one.requires_grad)
    said.append(f"With --freeze {loading.freeze} {learning:,} of {parameters(network):,} "
                "parameters learn.")  # fmt: skip
    return "\n".join(said)


def of_all(classes: int) -> str:
    rows = [("name", "family", "parameters", "GMACs", "at", "needs")]
    for name, entry in NETWORKS.items():
        frames, size = entry.usual
        with torch.device("meta"):
            network = build(name, classes)
        cost = gigas(macs(network, frames, size))
        numbers, clip = f"{parameters(network):,}", f"{frames}x{size}x{size}"
        rows.append((name, entry.family, numbers, cost, clip, entry.needs))
    return (
        f"{aligned(rows, right=(2, 3))}\n\n"
        f"{TIMM}<name> is any of timm's pictures' networks, frame by frame as the 2D ones.\n"
        f"Parameters at {classes} classes. {CONVENTION}"
    )


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, prog="python -m network")))
