"""From the names in others' weight files to ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import Tensor

from network.model import Network

State = dict[str, Tensor]
COMPILED = "_orig_mod."  # what torch.compile puts before the names of a module, at any depth
AVERAGED = "n_averaged"  # torch's AveragedModel counts its steps beside the weights


def ours(state: State, network: Network) -> State:
    """The same tensors under the network's names; what it has no name for keeps its own."""
    known = {name.replace(COMPILED, ""): name for name in network.state_dict()}
    renamed: State = {}
    origin: dict[str, str] = {}
    for name, tensor in state.items():
        new = next((known[one] for one in _candidates(name, network) if one in known), name)
        if new in renamed:
            raise ValueError(f"the weights hold {origin[new]!r} and {name!r}, and both would be "
                             f"{new} of {network.name}; take one of them out")  # fmt: skip
        renamed[new], origin[new] = tensor, name
    return renamed


def unwrapped(state: State, network: Network) -> State:
    """Without what the modules around a network put before its names (`module.` of
    DataParallel, `_orig_mod.` of compiled ones, `model.`, `net.`, `base_model.` of training
    scripts): a first name that most weights have in common and that the network has not.
    Heads may lie beside it."""
    state = _of_modules_inside(state)
    own = {name.split(".")[0] for name in network.state_dict()}
    own |= {name.split(".")[0] for name in network.backbone.state_dict()}
    own |= {prefix.split(".")[0] for prefix, _ in network.published_heads}
    while wrapper := _wrapper(state, own):
        names = {name.removeprefix(wrapper): name for name in state}
        if len(names) < len(state):
            both = next(name for name in state if f"{wrapper}{name}" in state)
            raise ValueError(f"the weights hold both {both!r} and {wrapper + both!r}; take one of "
                             "them out")  # fmt: skip
        state = {name: state[old] for name, old in names.items()}
    return state


def _of_modules_inside(state: State) -> State:
    """Without the marks of modules that were compiled, and the count of averaged ones."""
    plain = {name.replace(COMPILED, ""): one for name, one in state.items() if name != AVERAGED}
    if len(plain) < len(state) - (AVERAGED in state):
        both = next(name for name in state if COMPILED in name)
        raise ValueError(f"the weights hold both {both!r} and {both.replace(COMPILED, '')!r}; take "
                         "one of them out")  # fmt: skip
    return plain


def _wrapper(state: State, own: set[str]) -> str:
    """The first name to take off, with its dot, or nothing."""
    first = Counter(name.partition(".")[0] for name in state if "." in name)
    name, count = first.most_common(1)[0] if first else ("", 0)
    return f"{name}." if name not in own and 2 * count > len(state) else ""


def _candidates(name: str, network: Network) -> Iterator[str]:
    """What a weight may be called here, the likeliest first."""
    without_net = name.replace(".net.", ".")  # of layers wrapped to shift features over time
    for one in dict.fromkeys((name, without_net)):
        yield one
        yield f"backbone.{one}"
        yield from _in_heads(one, network)


def _in_heads(name: str, network: Network) -> Iterator[str]:
    tasks = list(network.heads.tasks)
    for prefix, published in network.published_heads:
        task = tasks[0] if not published and len(tasks) == 1 else published
        if name.startswith(f"{prefix}.") and task in tasks:
            yield f"heads.to_{task}.{name.removeprefix(f'{prefix}.')}"
