"""Load weights into a network, and report what was loaded and what was not.

A weight is loaded where its name and its shape are the network's. Axes of one are no difference
for heads, biases and norms: a classifier that is published as a 1x1x1 convolution, a norm that is
published as a row, hold the same numbers. Nothing in the network changes unless all goes well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from network.inflate import inflated
from network.model import Network
from network.renaming import State, ours, unwrapped
from network.weightsource import find

LISTED = 4  # names of a kind that a report shows
COUNTER = "num_batches_tracked"  # of batch norms; files of before 2018 have none, nothing reads it


@dataclass(frozen=True)
class Skipped:
    """A weight of the right name and another shape."""

    name: str
    theirs: tuple[int, ...]
    here: tuple[int, ...]

    def __str__(self) -> str:
        theirs, here = ("x".join(map(str, shape)) for shape in (self.theirs, self.here))
        return f"{self.name} ({theirs or 1} there, {here or 1} here)"


@dataclass(frozen=True)
class Report:
    """What a load did. Names are the network's; `unexpected` ones are the file's."""

    network: str
    source: str
    loaded: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    share: float
    """Of the numbers in the network's parameters outside its heads, how many were loaded.
    Numbers, not tensors: two of three tensors in a ResNet are norms, which fit many others."""

    @property
    def is_exact(self) -> bool:
        return not (self.skipped or self.missing or self.unexpected)

    def __str__(self) -> str:
        rows = (
            ("loaded", self.loaded, ""),
            ("skipped", self.skipped, _few(self.skipped)),
            ("missing", self.missing, _few(self.missing)),
            ("unexpected", self.unexpected, _few(self.unexpected)),
        )
        head = f"{self.network} from {self.source}: {self.share:.1%} of it, heads aside"
        return "\n".join((head, *(f"  {kind:<10} {len(them):>5}  {few}".rstrip()
                                  for kind, them, few in rows)))  # fmt: skip


def load(
    network: Network,
    source: str | Path,
    *,
    inflate: str | None = None,
    part: str | None = None,
    strict: bool = False,
    allow_partial: bool = False,
) -> Report:
    """Load from a file, torchvision or timm (see network/weightsource.py).

    `inflate`, "mean" or "centre", makes kernels of pictures into kernels of clips. `part`, "ema"
    or "model", chooses in a checkpoint that holds both; averaged weights come first otherwise.
    `strict` refuses anything skipped, missing or unexpected. A load of less than half of the
    numbers outside the heads is an error unless `allow_partial`.
    """
    if any(one.is_meta for one in network.parameters()):
        raise ValueError(f"{network.name} is on the meta device, where nothing can be loaded; make "
                         "it anew without")  # fmt: skip
    found = find(source, network.name, part)
    given = unwrapped(found.state, network)
    named = given if inflate is None else inflated(given, network, inflate)
    state = _adapted(
        ours(named, network), network, is_ours=any(name.startswith("backbone.") for name in given)
    )
    fitting, report = _compared(network, state, ", ".join(filter(None, (str(source), found.place))))
    if strict and not report.is_exact:
        raise ValueError(f"the weights are not exactly those of {network.name}; build the network "
                         f"they are of, or load them without strict\n{report}")  # fmt: skip
    if report.share < 0.5 and not allow_partial:
        hint = " or inflate them" if inflate is None and _is_flat(given, network) else ""
        raise ValueError(f"the weights hold less than half of {network.name}; build the network "
                         f"they are of{hint}, or allow a partial load\n{report}")  # fmt: skip
    _fill(network, fitting, report.source)
    return report


def _adapted(state: State, network: Network, is_ours: bool) -> State:
    """Fitted by the family. A weight of ours that has the right shape is what it should be: only
    others' may mean something else (a first convolution for colours, where ours sees changes)."""
    fitted = network.adapt(state)
    if is_ours:
        own = network.state_dict()
        fitted |= {name: tensor for name, tensor in state.items()
                   if name in own and own[name].shape == tensor.shape}  # fmt: skip
    return fitted


def _compared(network: Network, state: State, source: str) -> tuple[State, Report]:
    """What fits, in the network's shapes, and the report of it."""
    own = {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}
    both = [name for name in own if name in state]
    fitting = {name: state[name].reshape(own[name].shape) for name in both
               if _holds_the_same(state[name].shape, own[name].shape)}  # fmt: skip
    sizes = {name: one.numel() for name, one in network.named_parameters()
             if not name.startswith("heads.")}  # fmt: skip
    return fitting, Report(
        network=network.name,
        source=source,
        loaded=tuple(fitting),
        skipped=tuple(Skipped(name, tuple(state[name].shape), tuple(own[name].shape))
                      for name in both if name not in fitting),
        missing=_uncounted(name for name in own if name not in state),
        unexpected=_uncounted(name for name in state if name not in own),
        share=sum(sizes[name] for name in fitting if name in sizes) / max(1, sum(sizes.values())),
    )  # fmt: skip


def _holds_the_same(theirs: torch.Size, here: torch.Size) -> bool:
    if len(here) > 2:  # a 1x1 kernel of pictures is no kernel of clips before it is inflated
        return theirs == here
    return [side for side in theirs if side != 1] == [side for side in here if side != 1]


def _uncounted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.endswith(COUNTER))


def _is_flat(state: State, network: Network) -> bool:
    """Kernels of pictures, where the network's are of clips."""
    theirs = {tensor.ndim for tensor in state.values()}
    return 4 in theirs and 5 not in theirs and any(p.ndim == 5 for p in network.parameters())


@torch.no_grad()
def _fill(network: Network, state: State, source: str) -> None:
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise ValueError(f"{source} holds numbers that are not finite, in {_few(broken)}; take a "
                         "checkpoint of before the training broke")  # fmt: skip
    own = network.state_dict()
    for name, tensor in state.items():
        own[name].copy_(tensor)


def _few(them: Sequence[object]) -> str:
    more = f" and {len(them) - LISTED} more" if len(them) > LISTED else ""
    return ", ".join(map(str, them[:LISTED])) + more
