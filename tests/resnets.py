"""Small networks of 3D convolutions, clips for them, and LSTMs that open or close their gates."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from network.resnet3d import Plan, plain_basic, plain_deep, srtg_basic, srtg_deep
from network.srtg import SqueezeAndRecursion

KINDS = ("r3d", "r2plus1d")
BLOCKS = (1, 2, 1, 1)

FORMS = {
    "plain_basic": plain_basic,
    "plain_deep": plain_deep,
    "plain_standard": partial(plain_deep, bottleneck="standard"),
    "srtg_basic": srtg_basic,
    "srtg_deep": srtg_deep,
    "srtg_standard": partial(srtg_deep, bottleneck="standard"),
    "srtg_gated": partial(srtg_basic, gates=True),
}


def tiny(make, kind="r3d", tasks=5, **options):
    """Always of the same weights."""
    torch.manual_seed(0)
    return make(Plan("tiny", kind, BLOCKS, width=4), tasks, frames=8, size=32, **options)


def clips(count=2, frames=8, height=32, width=32):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, 3, frames, height, width, generator=generator)


class Echo(nn.LSTM):
    """An LSTM that says what it heard: under it every gate is open."""

    def forward(self, sequence, state=None):
        return sequence, state


class Backwards(nn.LSTM):
    """Says it from the end: under it every gate is closed."""

    def forward(self, sequence, state=None):
        return sequence.flip(1), state


def recurrent(network, recursion):
    """With another LSTM in every block, to open or to close its gates."""
    for module in network.modules():
        if isinstance(module, SqueezeAndRecursion):
            size = module.lstm.hidden_size
            module.lstm = recursion(size, size, num_layers=2, batch_first=True)
    return network
