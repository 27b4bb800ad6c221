"""What a network is made of, layer by layer, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from network.count import CONVENTION, macs_by_module, on_meta, parameters
from network.model import Network


@dataclass(frozen=True)
class Layer:
    """One line of a summary."""

    path: str
    kind: str
    shape: tuple[int, ...]
    """Of what it gives, with the batch of one; empty where that is no single tensor, or where
    only its parts or parameters are used."""
    parameters: int
    macs: int


def layers(network: nn.Module, frames: int, size: int, depth: int) -> list[Layer]:
    """Every module down to so many levels below the network that has parameters, as defined."""
    return _counted(network, frames, size, depth)[0]


def _counted(network: nn.Module, frames: int, size: int, depth: int) -> tuple[list[Layer], int]:
    """The layers, and the MACs of the whole."""
    network = on_meta(network)
    shapes: dict[str, tuple[int, ...]] = {}
    shown = list(_shown(network, depth))
    for path, inner in shown:
        inner.register_forward_hook(_noting(shapes, path))
    counts = macs_by_module(network, frames, size, size)
    found = [
        Layer(
            path,
            type(inner).__name__,
            shapes.get(path, ()),
            parameters(inner),
            _macs(path, inner, counts),
        )
        for path, inner in shown
    ]
    return found, _macs("", network, counts)


def _macs(path: str, module: nn.Module, counts: dict[str, dict[str, int]]) -> int:
    """Of a module that is not called itself, what the modules in it cost that are."""
    if path in counts:
        return sum(counts[path].values())
    return sum(_macs(f"{path}.{name}", inner, counts) for name, inner in module.named_children())


def _shown(network: nn.Module, depth: int) -> Iterator[tuple[str, nn.Module]]:
    for path, inner in network.named_modules():
        if path and path.count(".") < depth and parameters(inner):
            yield path, inner


def _noting(shapes: dict[str, tuple[int, ...]], path: str) -> Callable[..., None]:
    def note(_module: nn.Module, _given: Any, made: Any) -> None:
        shapes[path] = tuple(made.shape) if isinstance(made, Tensor) else ()

    return note


def summary(network: Network, frames: int, size: int, depth: int = 3) -> str:
    """The layers as a table, and the sums."""
    found, whole = _counted(network, frames, size, depth)
    rows = [("layer", "kind", "gives", "parameters", "GMACs")] + [
        (_indented(layer.path), layer.kind, "x".join(map(str, layer.shape)) or "-",
         f"{layer.parameters:,}", gigas(layer.macs))
        for layer in found
    ]  # fmt: skip
    cost = gigas(whole)
    return (
        f"{network.name}, one clip of {frames}x{size}x{size}\n\n{aligned(rows, right=(3, 4))}\n\n"
        f"{parameters(network):,} parameters, {cost} GMACs. It takes {network.takes}.\n{CONVENTION}"
    )


def _indented(path: str) -> str:
    *above, name = path.split(".")
    return "  " * len(above) + name


def gigas(count: int) -> str:
    return f"{count / 1e9:,.3f}"


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows as columns, the first row underlined, numbers to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        cells = (cell.rjust(width) if at in right else cell.ljust(width)
                 for at, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        return "  ".join(cells).rstrip()

    head, *body = rows
    return "\n".join([line(head), "  ".join("─" * width for width in widths), *map(line, body)])
