"""Load weights into a network, and report what was loaded and what was not.

A weight is loaded where its name and its shape are the network's. Axes of one are no difference
for heads, biases and norms: a classifier that is published as a 1x1x1 convolution, a norm that is
published as a row, hold the same numbers. Nothing in the network changes unless all goes well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from network.inflate import inflated
from network.model import Network
from network.renaming import COMPILED, State, ours, unwrapped
from network.temporal_shift import ShiftedConv2d, TemporalShift
from network.weightsource import find

LISTED = 4  # names of a kind that a report shows
COUNTER = "num_batches_tracked"  # of batch norms; files of before 2018 have none, nothing reads it
SHIFTED = ".net."  # in names of layers that TSM wraps to shift their channels over time


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
    """How much of the network was loaded, outside its heads and its recurrent layers, which are
    learnt on top of published weights: of the numbers in its parameters; or of its kernels, each
    counted as one, if that is less and kernels are most of the network. Numbers, as two of three
    tensors in a ResNet are norms, which fit many others; kernels too, as the 3x3x3 ones of a
    bottleneck hold nine numbers in ten, and are no network without those around them."""
    notes: tuple[str, ...] = ()
    """What else tells the file from the network."""

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
        counts = (f"  {kind:<10} {len(them):>5}  {few}".rstrip() for kind, them, few in rows)
        return "\n".join((head, *counts, *(f"  note: {note}" for note in self.notes)))


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
    `strict` refuses anything skipped, missing or unexpected. A load of less than half (see
    Report.share) is an error unless `allow_partial`.
    """
    network = getattr(network, COMPILED.rstrip("."), network)  # the weights are the same
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
    report = replace(report, notes=tuple(_notes(given, network, report.missing)))
    if strict and not report.is_exact:
        raise ValueError(f"the weights are not exactly those of {network.name}; build the network "
                         f"they are of, or load them without strict\n{report}")  # fmt: skip
    if report.share < 0.5 and not allow_partial:
        hint = _hint(report)
        if inflate is None and _is_flat(given, network):
            hint = " or inflate them"
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
    return fitting, Report(
        network=network.name,
        source=source,
        loaded=tuple(fitting),
        skipped=tuple(Skipped(name, tuple(state[name].shape), tuple(own[name].shape))
                      for name in both if name not in fitting),
        missing=_uncounted(name for name in own if name not in state),
        unexpected=_uncounted(name for name in state if name not in own),
        share=_share(network, fitting),
    )  # fmt: skip


def _share(network: Network, fitting: State) -> float:
    recurrent = _recurrent(network)
    counted = {name: one for name, one in network.named_parameters()
               if not name.startswith("heads.") and name not in recurrent}  # fmt: skip
    sizes = {name: one.numel() for name, one in counted.items()}
    kernels = {name for name, one in counted.items() if one.ndim >= 4}
    whole = max(1, sum(sizes.values()))
    share = sum(sizes[name] for name in fitting if name in sizes) / whole
    if 2 * sum(sizes[name] for name in kernels) < whole:  # a transformer has one, of its patches
        return share
    return min(share, len(kernels & fitting.keys()) / max(1, len(kernels)))


def _recurrent(network: Network) -> set[str]:
    return {f"{place}.{name}" for place, module in network.named_modules()
            if isinstance(module, nn.RNNBase) for name, _ in module.named_parameters()}  # fmt: skip


def _hint(report: Report) -> str:
    """What else to try where most names fit and their shapes do not."""
    narrow = any(".conv3." in one.name and one.theirs[0] == 4 * one.here[0]
                 for one in report.skipped)  # fmt: skip
    return ' (its bottlenecks are four times wider: bottleneck="standard")' if narrow else ""


def _notes(given: State, network: Network, missing: Sequence[str]) -> Iterator[str]:
    if _recurrent(network) & set(missing):
        yield "recurrent layers that are missing begin anew, and do not count"
    is_shifted = any(SHIFTED in name for name in given)
    shifts = any(isinstance(one, ShiftedConv2d | TemporalShift) for one in network.modules())
    if is_shifted and not shifts and not any(SHIFTED in name for name in network.state_dict()):
        yield ("the file is of a network that shifts channels over time, and this one does not; "
               'build it with consensus="tsm" to have what was trained')  # fmt: skip


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
    own = network.state_dict()
    _check_numbers(network.name, own, state, source)
    for name, tensor in state.items():
        own[name].copy_(tensor)


def _check_numbers(network: str, own: State, state: State, source: str) -> None:
    """Refuse what would be no number, or another one, in the network's own types."""
    whole = [name for name, tensor in state.items()
             if own[name].is_floating_point() and not tensor.is_floating_point()]  # fmt: skip
    if whole:
        raise ValueError(f"{source} holds {state[whole[0]].dtype} where {network} has "
                         f"{own[whole[0]].dtype}, in {_few(whole)}; take a file of the weights as "
                         "they were trained, not quantised")  # fmt: skip
    broken = [name for name, tensor in state.items()
              if not tensor.to(own[name].dtype).isfinite().all()]  # fmt: skip
    if not broken:
        return
    if state[broken[0]].double().isfinite().all():
        raise ValueError(f"{source} holds numbers too large for {own[broken[0]].dtype}, in "
                         f"{_few(broken)}; load them into a network of wider numbers, or take "
                         "another checkpoint")  # fmt: skip
    raise ValueError(f"{source} holds numbers that are not finite, in {_few(broken)}; take a "
                     "checkpoint of before the training broke")  # fmt: skip


def _few(them: Sequence[object]) -> str:
    more = f" and {len(them) - LISTED} more" if len(them) > LISTED else ""
    return ", ".join(map(str, them[:LISTED])) + more
