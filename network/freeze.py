"""What of a network learns, and how fast: freezing, and the optimiser's groups of parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from torch import nn
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _BatchNorm

from network.model import Network
from network.norm import STATISTICS, batchnorms, hold, release
from network.renaming import COMPILED
from network.weights import Report

WHAT = "none, batchnorm, stages:N, backbone, all-but-head"
PLACES = frozenset(("token", "pos", "position"))
"""Words in the names of class tokens and of tables of positions (cls_token, pos_embed, rel_pos_h,
relative_position_bias_table); `time_embed` and its like end in embed."""


def freeze(network: Network, what: str) -> None:
    """Let this part of the network learn no more; other parts stay as they are.

    `batchnorm` is every batch norm, `stages:N` the first N stages, `backbone` all of it,
    `all-but-head` also what some families have between it and the heads, `none` nothing. A frozen
    batch norm keeps its statistics too, whoever calls `train()`, and so does its copy. Load weights
    and convert norms first. `thaw` undoes it.
    """
    for part in _parts(network, what):
        part.requires_grad_(False)
        if isinstance(part, nn.Module):
            hold(batchnorms(part))


def thaw(network: nn.Module) -> None:
    """Let all of the network learn again, whatever was frozen or held; batch norms come back to
    training at the next `train()`."""
    release(batchnorms(network))
    network.requires_grad_(True)


def _parts(network: Network, what: str) -> Iterable[nn.Module | Parameter]:
    if what == "none":
        return ()
    if what == "batchnorm":
        return _batch_norms(network)
    if what == "backbone":
        return (network.backbone,)
    if what == "all-but-head":
        return (child for child in network.children() if child is not network.heads)
    kind, _, count = what.partition(":")
    if kind == "stages" and count.isdecimal():
        return _stages(network, int(count))
    raise ValueError(f"to freeze is one of {WHAT}; got {what!r}")


def _batch_norms(network: Network) -> list[_BatchNorm]:
    layers = list(batchnorms(network))
    if not layers:
        raise ValueError(f"{network.name} has no batch norm to freeze; leave it out")
    return layers


def _stages(network: Network, count: int) -> Iterator[nn.Module | Parameter]:
    if not 1 <= count <= len(network.stages):
        named = "; ".join(f"{number} {', '.join(names)}"
                          for number, names in enumerate(network.stages, 1))  # fmt: skip
        raise ValueError(f"{network.name} has {len(network.stages)} stages to freeze, got {count}: "
                         f"{named}")  # fmt: skip
    for name in (name for stage in network.stages[:count] for name in stage):
        owner, _, last = name.rpartition(".")
        yield getattr(network.backbone.get_submodule(owner), last)


def parameter_groups(
    network: nn.Module,
    lr: float,
    *,
    weight_decay: float,
    loaded: Collection[str] | Report = (),
    fine_tune: float = 1.0,
    no_decay: bool = True,
) -> list[dict[str, Any]]:
    """Every parameter that learns, once, in groups as torch's optimisers take them.

    Weights that were loaded (`load`'s report, or their names) learn at `fine_tune` times the rate
    of new ones, also where the network is wrapped or compiled by now.
    Unless `no_decay` is off, biases, norms and tokens and tables of positions keep their size:
    weight decay is for what multiplies features. `lr_scale` is for schedules: a group's rate is
    the schedule's times this.
    """
    if not 0 < fine_tune <= 1:
        raise ValueError("loaded weights learn at more than 0 and at most 1 times the rate of new "
                         f"ones, got {fine_tune}; freeze what is not to learn")  # fmt: skip
    names = _loaded_names(network, loaded.loaded if isinstance(loaded, Report) else loaded)
    if fine_tune != 1 and not names:
        raise ValueError(f"loaded weights are to learn at {fine_tune} times the rate and none are "
                         "named: give the report of load() as loaded, or leave fine_tune "
                         "out")  # fmt: skip
    learning = [(_plain(name), one) for name, one in network.named_parameters()
                if one.requires_grad]  # fmt: skip
    if not learning:
        raise ValueError("there is nothing to train: all parameters are frozen")
    groups = []
    for is_loaded, is_kept in ((True, False), (True, True), (False, False), (False, True)):
        members = [one for name, one in learning
                   if (name in names) == is_loaded
                   and (no_decay and _keeps_its_size(name, one)) == is_kept]  # fmt: skip
        scale = fine_tune if is_loaded else 1.0
        groups.append({
            "name": ("loaded" if is_loaded else "new") + (" without decay" if is_kept else ""),
            "params": members,
            "lr": lr * scale,
            "lr_scale": scale,
            "weight_decay": 0.0 if is_kept else weight_decay,
        })  # fmt: skip
    return [group for group in groups if group["params"]]


def _loaded_names(network: nn.Module, loaded: Collection[str]) -> frozenset[str]:
    own = {_plain(name) for name in network.state_dict()}
    names = frozenset(map(_plain, loaded))
    # Statistics may have been loaded and then left out, by norms that keep none.
    unknown = sorted(name for name in names - own if not name.endswith(STATISTICS))
    if unknown:
        raise ValueError(f"{len(unknown)} of the loaded weights are not in the network, such as "
                         f"{unknown[0]}; give the report of loading into this one")  # fmt: skip
    return names


def _plain(name: str) -> str:
    """Without what DistributedDataParallel and compiling put before it, or in it."""
    return name.replace(COMPILED, "").removeprefix("module.")


def _keeps_its_size(name: str, parameter: Parameter) -> bool:
    words = name.rpartition(".")[2].split("_")
    return parameter.ndim < 2 or words[-1] == "embed" or not PLACES.isdisjoint(words)
