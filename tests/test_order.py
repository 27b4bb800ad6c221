"""Does a network see which way things move? One that averages over single frames cannot.

The clips that it is asked about come in pairs, one the other played backwards, so what cannot tell
them apart is right about exactly one of each pair: not about half of them, but one half to the
last clip. A plain test set would not show it: a network learns many clips by heart.
"""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from network.frame2d import frame2d
from network.norm import precise_bn
from network.resnet3d import Plan, plain_basic, srtg_basic

LEFT, RIGHT = 0, 1
FRAMES, SIZE = 8, 32
SMALL = Plan("small", "r3d", (1, 1, 1, 1), width=8)
PICTURES = "timm:test_resnet"
BATCH, RATE = 32, 3e-3


def moving(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Random textures that move 2 pixels a frame on a torus, left or right, with noise."""
    coarse = torch.randn(count, 3, SIZE // 4, SIZE // 4, generator=generator)
    texture = functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic")
    way = torch.randint(2, (count,), generator=generator)
    steps = [2 * at * (2 * way - 1) for at in range(FRAMES)]
    columns = torch.stack([(torch.arange(SIZE) - step[:, None]) % SIZE for step in steps], 1)
    frames = texture[:, :, None].expand(-1, -1, FRAMES, -1, -1)
    index = columns[:, None, :, None].expand(-1, 3, -1, SIZE, -1)
    clips = frames.gather(4, index)
    return clips + 0.3 * torch.randn(clips.shape, generator=generator), way


def learned(network, steps: int):
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    for _ in range(steps):
        clips, way = moving(BATCH, generator)
        optimizer.zero_grad()
        functional.cross_entropy(network.train()(clips), way).backward()
        optimizer.step()
    precise_bn(network, [moving(BATCH, generator)[0] for _ in range(4)], 4)
    return network.eval()


@torch.no_grad()
def score(network) -> float:
    """On a set that is closed under playing backwards."""
    clips, way = moving(128, torch.Generator().manual_seed(2))
    both = torch.cat((clips, clips.flip(2))), torch.cat((way, 1 - way))
    return float((network(both[0]).argmax(1) == both[1]).double().mean())


@pytest.mark.parametrize("consensus", ["average", "maximum"])
def test_what_looks_at_single_frames_is_right_exactly_half_the_time(consensus):
    torch.manual_seed(0)
    network = frame2d(PICTURES, 2, frames=FRAMES, size=SIZE, consensus=consensus)
    assert score(learned(network, steps=15)) == 0.5


@pytest.mark.parametrize("make", [plain_basic, srtg_basic])
def test_what_looks_across_frames_is_nearly_always_right(make):
    torch.manual_seed(0)
    assert score(learned(make(SMALL, 2, frames=FRAMES, size=SIZE), steps=60)) > 0.99


def test_gates_open_while_a_network_learns():
    """A closed gate tells its LSTM nothing, so one that never opens would stay so."""
    torch.manual_seed(0)
    network = srtg_basic(SMALL, 2, frames=32, size=SIZE, gates=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        clips, way = moving(8, generator)
        optimizer.zero_grad()
        functional.cross_entropy(network(clips.repeat(1, 1, 4, 1, 1)), way).backward()
        optimizer.step()
    assert network.statistics()["open_gates"] > 0.05
    recurrent = network.get_parameter("backbone.layer4.0.sar.lstm.weight_hh_l0")
    assert recurrent.grad is not None
    assert recurrent.grad.abs().sum() > 0
