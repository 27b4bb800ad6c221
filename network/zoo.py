"""Every network by its name, and one way to build it."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from network import frame2d, resnet3d, timesformer, vision
from network.difference import DIFFERENCES
from network.from_timm import TIMM, usual_size
from network.heads import Tasks
from network.model import Network

Make = Callable[..., Network]


@dataclass(frozen=True)
class Entry:
    """What a name stands for."""

    family: str
    needs: Literal["clip", "frame"]
    """clip: motion is seen by the layers; frame: each frame by itself, one is enough."""
    usual: tuple[int, int]
    """Frames and size of its usual input."""
    make: Make
    """Takes tasks and, by name, frames, size and the network's own options."""

    @property
    def options(self) -> dict[str, object]:
        """Its own options and what they are if nothing is said."""
        return {
            name: parameter.default
            for name, parameter in inspect.signature(self.make).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY and name not in ("frames", "size")
        }

    def usual_with(self, options: Mapping[str, object]) -> tuple[int, int]:
        """Frames and size if nothing is said: of differences there are as many stacks as else
        there are frames."""
        group = DIFFERENCES + 1 if options.get("modality") == "rgbdiff" else 1
        return group * self.usual[0], self.usual[1]


def build(
    name: str, tasks: Tasks, frames: int | None = None, size: int | None = None, **options: Any
) -> Network:
    """The network of this name, with weights drawn from torch's generator.

    `tasks` is a number of classes, or {task: classes}. Frames and size are what it will usually
    see; it takes others as well, as far as `network.takes` says.
    """
    entry = entry_of(name)
    unknown = sorted(set(options) - set(entry.options))
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}; it has "
                         f"{', '.join(entry.options)}")  # fmt: skip
    _check_values(name, entry, options)
    usual = entry.usual_with(options)
    frames = usual[0] if frames is None else frames
    size = usual[1] if size is None else size
    for what, value in (("frames", frames), ("size", size)):
        if not isinstance(value, int):
            raise ValueError(f"{name} is built for a whole number of {what}, got {value!r}")
    return entry.make(tasks, frames=frames, size=size, **options)


def _check_values(name: str, entry: Entry, options: dict[str, Any]) -> None:
    """Words where yes or no is meant ("False" is true), and shares that are none."""
    usually = entry.options
    for option, value in options.items():
        usual = usually[option]
        if isinstance(usual, bool) and not isinstance(value, bool):
            raise ValueError(f"{option} of {name} is True or False, got {value!r}")
        if isinstance(usual, float) and not (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
        ):
            raise ValueError(f"{option} of {name} is a share of 0 to less than 1, got {value!r}")


def entry_of(name: str) -> Entry:
    """Exact match only: the wrong network is worse than none."""
    if not isinstance(name, str):
        raise ValueError(f"a network's name is text, got {name!r}; python -m network lists all")
    if name.startswith(TIMM):
        return _timm(name.removeprefix(TIMM))
    if name not in NETWORKS:
        raise ValueError(f"there is no network {name!r}; {_near(name, NETWORKS)}; "
                         "python -m network lists all")  # fmt: skip
    return NETWORKS[name]


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.lower(), list(known), n=4, cutoff=0.5)
    return f"the nearest are {', '.join(near)}" if near else "none is called like that"


# -- the table ------------------------------------------------------------------------------------


def _frame_by_frame(backbone: str) -> Entry:
    return Entry("2D", "frame", (8, 224), partial(frame2d.frame2d, backbone))


def _timm(name: str) -> Entry:
    entry = _frame_by_frame(f"{TIMM}{name}")
    return replace(entry, usual=(entry.usual[0], usual_size(name, entry.usual[1])))


def _torchvision(frames: int, size: int, make: Make) -> Entry:
    return Entry("torchvision", "clip", (frames, size), make)


def _timesformer(plan: timesformer.Plan) -> Entry:
    return Entry("TimeSformer", "clip", (8, 224), partial(timesformer.timesformer, plan))


def _resnet(name: str, kind: resnet3d.Kind, depth: int) -> Entry:
    """The predecessor's; its usual clips are 16x224, too."""
    makes = {
        (False, False): resnet3d.plain_basic,
        (False, True): resnet3d.plain_deep,
        (True, False): resnet3d.srtg_basic,
        (True, True): resnet3d.srtg_deep,
    }
    make = makes[name.startswith("srtg_"), depth >= 50]
    plan = resnet3d.Plan(name, kind, resnet3d.BLOCKS[depth])
    return Entry("SRTG" if name.startswith("srtg_") else "ResNet 3D", "clip", (16, 224),
                 partial(make, plan))  # fmt: skip


def _resnets() -> dict[str, Entry]:
    """Plain and with squeeze and recursion. torchvision's own the plain names at 18 layers, so the
    predecessor's, which pool in the stem, say so; its srtg_ name at 18 is kept beside it."""
    entries: dict[str, Entry] = {}
    kinds: tuple[resnet3d.Kind, ...] = ("r3d", "r2plus1d")
    for kind in kinds:
        for prefix in ("", "srtg_"):
            named = {f"{prefix}{kind}_18_pool": 18} | ({f"{prefix}{kind}_18": 18} if prefix else {})
            named |= {f"{prefix}{kind}_{depth}": depth for depth in (34, 50, 101, 152, 200)}
            entries |= {name: _resnet(name, kind, depth) for name, depth in named.items()}
    return entries


NETWORKS: dict[str, Entry] = {
    "resnet18": _frame_by_frame("resnet18"),
    "resnet34": _frame_by_frame("resnet34"),
    "resnet50": _frame_by_frame("resnet50"),
    "resnet101": _frame_by_frame("resnet101"),
    "bninception": _frame_by_frame("bninception"),
    "r3d_18": _torchvision(16, 112, vision.r3d_18),
    "mc3_18": _torchvision(16, 112, vision.mc3_18),
    "r2plus1d_18": _torchvision(16, 112, vision.r2plus1d_18),
    "s3d": _torchvision(16, 224, vision.s3d),
    "mvit_v1_b": _torchvision(16, 224, vision.mvit_v1_b),
    "mvit_v2_s": _torchvision(16, 224, vision.mvit_v2_s),
    "swin3d_t": _torchvision(16, 224, vision.swin3d_t),
    **_resnets(),
    "timesformer": _timesformer(timesformer.BASE),
    "timesformer_s": _timesformer(timesformer.SMALL),
}
