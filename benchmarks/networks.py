"""What networks cost on this CPU, beside torchvision's own where it has the same one.

    python -m benchmarks.networks

Writes benchmarks/networks.md. One thread; ours and theirs in turn on the same clip, in CPU seconds.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

from network.count import CONVENTION, macs, parameters
from network.zoo import build
from tools.bench import Timing, head, markdown, spread, take_turns
from tools.terminal import start_logging

log = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
CLASSES, TIMES, BATCH = 400, 5, 1
NOISE = 0.05
# name -> frames and size, and torchvision's own if it has the same network
RUNS: dict[str, tuple[int, int, Callable[..., nn.Module] | None]] = {
    "resnet18": (8, 224, models.resnet18),
    "resnet50": (8, 224, models.resnet50),
    "bninception": (8, 224, None),
    "timm:convnext_tiny": (8, 224, None),
    "r3d_18": (16, 112, models.video.r3d_18),
    "mc3_18": (16, 112, models.video.mc3_18),
    "r2plus1d_18": (16, 112, models.video.r2plus1d_18),
    "s3d": (16, 224, models.video.s3d),
    "mvit_v2_s": (16, 224, models.video.mvit_v2_s),
    "swin3d_t": (16, 224, models.video.swin3d_t),
    "r3d_34": (16, 224, None),
    "srtg_r3d_34": (16, 224, None),
    "srtg_r3d_50": (16, 224, None),
    "srtg_r2plus1d_34": (16, 224, None),
    "timesformer": (8, 224, None),
}
Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Run:
    """One network measured; theirs is missing where torchvision has no such network."""

    name: str
    shape: tuple[int, int]
    parameters: int
    macs: int
    forward: dict[str, Timing]
    training: dict[str, Timing]


def main() -> int:
    torch.set_num_threads(1)
    runs = []
    for name in RUNS:
        log.info("measuring %s", name)
        runs.append(measure(name))
        gc.collect()
    report = write(runs)
    print(report)
    (HERE / "networks.md").write_text(report)
    return 0


def measure(name: str, times: int = TIMES) -> Run:
    frames, size, theirs = RUNS[name]
    torch.manual_seed(0)
    ours = build(name, CLASSES, frames, size)
    contenders: dict[str, nn.Module] = {"ours": ours}
    if theirs is not None:
        made = theirs(num_classes=CLASSES)
        contenders["theirs"] = made if "video" in theirs.__module__ else Folded(made)
    clip = torch.rand(BATCH, 3, frames, size, size)
    return Run(
        name,
        (frames, size),
        parameters(ours),
        macs(ours, frames, size),
        timed({who: forward(net.eval()) for who, net in contenders.items()}, clip, times),
        timed({who: training(net.train()) for who, net in contenders.items()}, clip, times),
    )


class Folded(nn.Module):
    """A picture network on every frame, answers averaged: the shortest way to write it."""

    def __init__(self, pictures: nn.Module) -> None:
        super().__init__()
        self.pictures = pictures

    def forward(self, clip_BCTHW: Tensor) -> Tensor:  # noqa: N803
        answers = self.pictures(clip_BCTHW.transpose(1, 2).flatten(0, 1))
        return answers.unflatten(0, (len(clip_BCTHW), -1)).mean(1)


def timed(steps: dict[str, Step], clip: Tensor, times: int) -> dict[str, Timing]:
    found = take_turns(steps, [clip], times)
    return {who: Timing(clip.shape[2], tuple(seconds)) for who, seconds in found.items()}


def forward(network: nn.Module) -> Step:
    def step(clip: Tensor) -> Tensor:
        with torch.inference_mode():
            return network(clip)

    return step


def training(network: nn.Module) -> Step:
    def step(clip: Tensor) -> Tensor:
        network.zero_grad()
        answers = network(clip)
        answers.square().sum().backward()
        return answers.detach()

    return step


def write(runs: list[Run]) -> str:
    rows = [("network", "clip", "parameters", "GMACs", "forward, frames/s",
             "forward and backward, frames/s", "forward, ours / torchvision's",
             "both, ours / torchvision's")]  # fmt: skip
    rows += [
        (f"`{run.name}`", f"{run.shape[0]}x{run.shape[1]}x{run.shape[1]}",
         f"{run.parameters / 1e6:.2f}M", f"{run.macs / 1e9:.2f}", pace(run.forward),
         pace(run.training), beside(run.forward), beside(run.training))
        for run in runs
    ]  # fmt: skip
    far = [run.name for run in runs for found in (run.forward, run.training) if is_far(found)]
    verdict = (
        f"More than {NOISE:.0%} slower than torchvision's own: {', '.join(far)}."
        if far
        else f"Nowhere more than {NOISE:.0%} slower than torchvision's own."
    )
    return (
        head("Networks on a CPU", ["torch", "torchvision", "timm"])
        + f"\nOne thread, batches of {BATCH}, float32, {CLASSES} classes. Frames a CPU second: "
        f"median of {TIMES}. Ratios are CPU seconds of ours by torchvision's, in turn on the same "
        f"clip: **median** (middle half); 1 is the same, less is quicker. {verdict}\n\n"
        + markdown(rows)
        + f"\n{CONVENTION}\n"
    )


def pace(found: dict[str, Timing]) -> str:
    return f"{found['ours'].count / found['ours'].median:.1f}"


def beside(found: dict[str, Timing]) -> str:
    return spread(found["ours"], found["theirs"], ".2f") if "theirs" in found else ""


def is_far(found: dict[str, Timing]) -> bool:
    return "theirs" in found and found["ours"].median > (1 + NOISE) * found["theirs"].median


if __name__ == "__main__":
    start_logging()
    sys.exit(main())
