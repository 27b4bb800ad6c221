"""A network that is quick to build, save and load, with all that weights are told apart by."""

from __future__ import annotations

import torch
from torch import nn

from network.model import Backbone, Network, Takes

HEADS = (("fc", ""), ("new_fc", ""), ("fc_verb", "verb"), ("fc_noun", "noun"))


class Small(nn.Module):
    """Two convolutions with norms, and a token."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU())
        self.layer1 = nn.Sequential(nn.Conv3d(4, 6, 3, padding=1), nn.BatchNorm3d(6))
        self.layer2 = nn.Sequential(nn.Conv3d(6, 6, 1), nn.BatchNorm3d(6))
        self.cls_token = nn.Parameter(torch.randn(1, 6))

    def forward(self, clip):
        return self.layer2(self.layer1(self.stem(clip))).mean((2, 3, 4)) + self.cls_token


def small(tasks=5, seed=0, kind=Network):
    torch.manual_seed(seed)
    stages = (("stem",), ("layer1.0", "layer1.1", "cls_token"), ("layer2",))
    network = kind("small", Backbone(Small(), 6, Takes(size=1), stages, HEADS), tasks, 0.0)
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return network


def published(network, head="fc"):
    """Its weights as a file of the published network has them."""
    state = {}
    for name, tensor in network.state_dict().items():
        task = name.removeprefix("heads.to_").partition(".")[0]
        name = name.replace("heads.to_label", head).replace(f"heads.to_{task}", f"fc_{task}")
        state[name.removeprefix("backbone.")] = tensor
    return state


def prefixed(state, prefix, but=()):
    return {name if name.startswith(but) else prefix + name: one for name, one in state.items()}
