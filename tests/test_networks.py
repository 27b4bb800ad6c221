"""One suite over every network: what a trainer may rely on, whatever its name.

`python -m tests.test_networks` prints the golden parameters and keys as they are now.
"""

from __future__ import annotations

import copy
import hashlib
import json
from itertools import product
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from network.count import parameters
from network.norm import batchnorms, precise_bn
from network.zoo import NETWORKS, build

GOLDEN = Path(__file__).parent / "golden" / "networks.json"
SHAPES = ((8, 32), (4, 64), (6, 48))  # frames and size; the nearest that the network takes
LONG = (32, 32)  # an LSTM after four halvings of time still has two frames to remember between
CLASSES = 7
NAMES = list(NETWORKS)
DEEP = tuple(f"_{depth}" for depth in (101, 152, 200))
# The large ones of a family, and second names: their keys and a gradient here, the rest in slow.
LARGE = [name for name in NAMES if name.endswith(DEEP) or name.endswith("_18_pool")]
MANY = [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in NAMES]
# What only the patches see that the last block throws away; in torchvision's own, too.
UNSEEN = {
    "mvit_v2_s": {
        f"backbone.blocks.15.attn.{name}"
        for name in ("rel_pos_h", "rel_pos_w", "rel_pos_t", "pool_q.pool.weight")
    }
}
NAMES = list(NETWORKS)


def clip(network, frames: int, size: int, batch: int = 2):
    """Soft shapes that move, each clip of a brightness of its own: noise has no features."""
    frames, size = network.takes.nearest(frames, size)
    coarse = torch.randn(batch, 3, 4, 4, 4) + torch.randn(batch, 3, 1, 1, 1)
    return functional.interpolate(coarse, (frames, size, size), mode="trilinear")


def fingerprint(network) -> dict[str, object]:
    """Names and shapes of all that is kept, so that a checkpoint of today loads tomorrow."""
    lines = [f"{key} {tuple(value.shape)}" for key, value in network.state_dict().items()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"parameters": parameters(network), "keys": len(lines), "sha256": digest[:16]}


def golden_now() -> dict[str, dict[str, object]]:
    with torch.device("meta"):
        return {name: fingerprint(build(name, 400)) for name in NAMES}


def known(network):
    """The clips that the network's norms are used to: with others, a hundred layers that were
    never trained grow what is a little off into numbers of any size."""
    torch.manual_seed(2)
    return clip(network, *LONG, batch=4)


@pytest.fixture(scope="module")
def made():
    """`made(name)`: that network, and clips that its norms are used to; the last one is kept."""
    kept: dict[str, object] = {}

    def get(name: str):
        if name not in kept:
            kept.clear()
            torch.manual_seed(5)
            network = build(name, CLASSES, *SHAPES[0])
            if any(batchnorms(network)):  # an srtg_ network answers 1e-20 before
                precise_bn(network, [known(network)], 1)
            kept[name] = network
        return kept[name]

    return get


@pytest.fixture
def network(request, made):
    return made(request.param).eval()


def is_last(kernel):
    form = torch.channels_last if kernel.ndim == 4 else torch.channels_last_3d
    return kernel.is_contiguous(memory_format=form)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_of_today_loads_tomorrow(name):
    with torch.device("meta"):
        assert fingerprint(build(name, 400)) == json.loads(GOLDEN.read_text())[name]


@pytest.mark.parametrize("network", NAMES, indirect=True)
def test_a_gradient_reaches_every_parameter(network):
    network.train()
    torch.manual_seed(1)  # of a batch of two, a path may be dropped for both
    shown = clip(network, *(LONG if "srtg" in network.name else SHAPES[0]))
    network(shown).square().sum().backward()
    without = {
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    }
    network.zero_grad()
    assert without == UNSEEN.get(network.name, set())


@pytest.mark.parametrize("network", MANY, indirect=True)
def test_it_takes_clips_of_many_shapes(network):
    for shape, is_training in product(SHAPES, (True, False)):
        network.train(is_training)
        with torch.no_grad():
            out = network(clip(network, *shape))
        assert out.shape == (2, CLASSES)
        assert out.isfinite().all()
        # An answer to the clip, not to the network alone.
        assert not torch.equal(out[0], out[1]), (shape, is_training)


@pytest.mark.parametrize("network", MANY, indirect=True)
def test_the_same_seed_gives_the_same_weights(network):
    torch.manual_seed(5)
    again = dict(build(network.name, CLASSES, *SHAPES[0]).named_parameters())
    own = dict(network.named_parameters())
    assert all(torch.equal(again[name], parameter) for name, parameter in own.items())


@pytest.mark.parametrize("network", MANY, indirect=True)
def test_a_deep_copy_answers_alike_and_stands_alone(network):
    shown = clip(network, *SHAPES[0], batch=1)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        before = network(shown)
        assert torch.equal(twin(shown), before)
        for parameter in twin.parameters():
            parameter.fill_(0.0)
        assert torch.equal(network(shown), before)


@pytest.mark.parametrize("network", MANY, indirect=True)
def test_bf16_and_channels_last_are_as_near_as_their_digits_allow(network):
    """Layers that were never trained make much of a little, so the truth is known from twice as
    many digits, and how much they make of it from what plain float32 is off."""
    shown = known(network)
    last = copy.deepcopy(network).channels_last()
    kernels = [parameter for parameter in last.parameters() if parameter.ndim in (4, 5)]
    assert kernels
    assert all(is_last(kernel) for kernel in kernels)
    with torch.no_grad():
        plain, by_last = (
            network(shown),
            last(shown.contiguous(memory_format=torch.channels_last_3d)),
        )
        with torch.autocast("cpu", torch.bfloat16):
            bf16 = network(shown)
        exact = last.double()(shown.double())
    off, last_off, bf16_off = ((one - exact).norm() for one in (plain, by_last, bf16))
    assert last_off <= 20 * off
    assert bf16.isfinite().all()
    assert bf16_off > 20 * off  # really in bf16
    # It has 16 binary digits less. What a hundred products in a row make of that has no bound.
    if not ("srtg" in network.name and network.name.endswith(DEEP)):
        assert bf16_off <= 4 * 2**16 * off


if __name__ == "__main__":
    print(json.dumps(golden_now(), indent=1))
