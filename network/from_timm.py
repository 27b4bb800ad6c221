"""timm's networks for single pictures, by timm's own names, without their heads.

Sizes: a convolutional network takes any. One of fixed size is built so that it takes other sizes
if it can (`dynamic_img_size`: multiples of its patches), else for squares of the size that is
asked for (`img_size`) and no others.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from network.model import Backbone, Takes

TIMM = "timm:"
"""What stands before timm's names where ours are listed too."""
LEAST_SIZE = 32
"""Pixels any convolutional network takes unless its configuration asks for more."""


@dataclass(frozen=True)
class OneSize(Takes):
    """Squares of one size only."""

    def check(self, name: str, frames: int, height: int, width: int) -> None:
        super().check(name, frames, height, width)
        if height != self.size or width != self.size:
            raise ValueError(f"{name} cannot take height {height}, width {width}; it needs {self}")

    def nearest(self, frames: int, size: int) -> tuple[int, int]:
        return super().nearest(frames, size)[0], self.size

    def __str__(self) -> str:
        frames, _, _ = super().__str__().partition(", height")
        return f"{frames}, height and width exactly {self.size} pixels"


def timm_backbone(name: str, channels: int, size: int) -> Backbone:
    """timm's network of this name, for pictures of so many channels and usually this size."""
    configuration = _configuration(name)
    model, takes = _build(name, configuration, channels, size)
    takes.check(f"{TIMM}{name}", takes.frames, size, size)
    heads = tuple((head, "") for head in _all(configuration.classifier))
    return Backbone(model, _width(name, model, channels, size), takes, stages_of(model), heads)


def usual_size(name: str, free: int) -> int:
    """What the network was published for where it takes one size only, `free` where it takes
    any; and for names that are none, which are refused when they are built."""
    import timm

    if name.partition(".")[0] not in timm.list_models():
        return free
    configuration: Any = timm.get_pretrained_cfg(name)
    return configuration.input_size[1] if configuration.fixed_input_size else free


def _configuration(name: str) -> Any:
    import timm  # takes a second, and only these networks need it

    known = [*timm.list_models(), *timm.list_pretrained()]
    if name not in known:
        sisters = [one for one in known if one.startswith(f"{name.partition('.')[0]}.")]
        near = sisters[:4] or difflib.get_close_matches(name.lower(), known, n=4)
        hint = f"the nearest are {', '.join(near)}" if near else "none is called like that"
        raise ValueError(f"timm has no network {name!r}; {hint}; timm.list_models() lists all")
    return timm.get_pretrained_cfg(name)


def _all(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _build(name: str, configuration: Any, channels: int, size: int) -> tuple[nn.Module, Takes]:
    import timm

    build = partial(timm.create_model, name, num_classes=0, in_chans=channels)
    if not configuration.fixed_input_size:
        _, *least = configuration.min_input_size or (channels, LEAST_SIZE)
        return build(), Takes(size=max(least))
    if (model := _accepting(build, dynamic_img_size=True)) is not None:
        return model, Takes(size=1, size_step=model.patch_embed.feat_ratio())
    return build(img_size=size), OneSize(size=size)


def _accepting(build: Callable[..., Any], **option: object) -> Any | None:
    """The network built with this option; nothing if it has none of that name.

    Which network has which is written nowhere: asking is the way. Options are bound before any
    weight is drawn, so that asking in vain takes nothing from the generator.
    """
    try:
        return build(**option)
    except TypeError as error:
        if f"unexpected keyword argument {next(iter(option))!r}" not in str(error):
            raise
        return None


def _width(name: str, model: nn.Module, channels: int, size: int) -> int:
    """Seen, not believed: what networks say of their features is not always what comes out."""
    training = model.training
    given = next(model.parameters())
    try:
        with torch.no_grad():
            features = model.eval()(torch.zeros(1, channels, size, size, device=given.device))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # timm's networks fail in many ways at sizes they were not made for
        raise ValueError(f"{TIMM}{name} cannot take pictures of {size}x{size} ({error}); try the "
                         "size it was published for") from error  # fmt: skip
    model.train(training)
    if features.ndim != 2:
        raise ValueError(f"{TIMM}{name} gives features of shape {tuple(features.shape)} for one "
                         "picture, not one row of numbers; take another network")  # fmt: skip
    return features.shape[1]


def stages_of(model: Any) -> tuple[tuple[str, ...], ...]:
    """Groups of layers from the input on, as timm groups them for its rates of learning; a
    network that is not grouped by timm freezes child by child."""
    from timm.models import group_parameters

    if not hasattr(model, "group_matcher"):
        first, *others = ((name,) for name, child in model.named_children() if _weights(child))
        own = [name for name, _ in model.named_parameters(recurse=False)]  # tokens and positions
        return ((*first, *own), *others)
    groups = group_parameters(model, model.group_matcher(coarse=True), reverse=True)
    stages: dict[int, list[str]] = {group: [] for group in sorted(set(groups.values()))}
    for path, group in _whole(model, "", groups):
        stages[group].append(path)
    return tuple(tuple(stage) for stage in stages.values())


def _weights(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _whole(module: nn.Module, path: str, groups: dict[str, int]) -> Iterator[tuple[str, int]]:
    """The largest parts of the module that lie in one group, and their groups."""
    prefix = f"{path}." if path else ""
    found = {groups[f"{prefix}{name}"] for name, _ in module.named_parameters()}
    if path and len(found) == 1:
        yield path, found.pop()
        return
    for name, _ in module.named_parameters(recurse=False):
        yield f"{prefix}{name}", groups[f"{prefix}{name}"]
    for name, child in module.named_children():
        yield from _whole(child, f"{prefix}{name}", groups)
