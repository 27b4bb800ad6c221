"""Parameters and MACs against what can be worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from network.count import macs, on_meta, parameters
from network.summary import layers
from network.zoo import build


class Flat(nn.Module):
    """What takes no clip made to take one: a sequence of its frames' means."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, clip):
        return self.inner(clip.mean((3, 4)).mT)


BY_HAND = {
    "convolution": (nn.Conv3d(3, 8, (1, 3, 3), padding=(0, 1, 1)), 3 * 9 * 8 + 8,
                    4 * 10 * 10 * 8 * 27),
    "grouped": (nn.Conv3d(3, 6, 1, groups=3, bias=False), 6, 4 * 10 * 10 * 6),
    "linear": (Flat(nn.Linear(3, 5)), 20, 4 * 15),
    "lstm": (Flat(nn.LSTM(3, 7, 2, batch_first=True)),
             4 * 7 * (3 + 7 + 2) + 4 * 7 * (7 + 7 + 2), 4 * (4 * 7 * (3 + 7) + 4 * 7 * (7 + 7))),
    "both ways": (Flat(nn.LSTM(3, 7, bidirectional=True)), 2 * 4 * 7 * (3 + 7 + 2),
                  2 * 4 * 4 * 7 * (3 + 7)),
    "norm": (nn.BatchNorm3d(3), 6, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_counts_are_those_worked_out_by_hand(name):
    module, numbers, products = BY_HAND[name]
    assert parameters(module) == numbers
    assert macs(module, 4, 10) == products


def test_what_two_layers_share_counts_once():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    assert parameters(nn.Sequential(first, second)) == 16 + 4 + 4


def test_counting_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), Flat(nn.LSTM(4, 4))).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    macs(network, 2, 8)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network[0]._forward_hooks
    assert network(torch.rand(2, 3, 2, 8, 8))[0].shape == (2, 2, 4)  # the LSTM is one again


def test_the_copy_on_meta_has_no_numbers_and_shares_what_was_shared():
    shared = nn.Linear(4, 4)
    copy = on_meta(nn.Sequential(shared, shared, nn.BatchNorm1d(4)))
    first, second = (copy.get_submodule(at) for at in "01")
    assert {tensor.device.type for tensor in copy.state_dict().values()} == {"meta"}
    assert first is second


def test_a_wide_clip_costs_by_its_height_and_width():
    assert macs(nn.Conv3d(3, 2, 1), 5, 10, 30) == 5 * 10 * 30 * 6


class Related(nn.Module):
    """Calls a part of a part, never the part itself."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"used": nn.Conv3d(3, 2, 1)})

    def forward(self, clip):
        return self.inner["used"](clip)


def test_layers_are_listed_as_defined_with_shapes_and_costs():
    network = nn.Sequential()
    network.add_module("last", nn.Conv3d(3, 2, 1))  # named so as to sort the other way round
    network.add_module("first", nn.Sequential(nn.ReLU(), nn.Conv3d(2, 1, 1)))
    found = layers(network, 2, 8, depth=1)
    assert [(layer.path, layer.shape, layer.macs) for layer in found] == [
        ("last", (1, 2, 2, 8, 8), 2 * 8 * 8 * 6),
        ("first", (1, 1, 2, 8, 8), 2 * 8 * 8 * 2),
    ]
    assert [layer.path for layer in layers(network, 2, 8, depth=2)][1:] == ["first", "first.1"]


def test_a_layer_that_is_not_called_itself_has_what_its_parts_cost():
    (found,) = layers(Related(), 2, 8, depth=1)
    assert (found.path, found.shape, found.parameters, found.macs) == ("inner", (), 8, 768)


@pytest.mark.parametrize("consensus", ["average", "mtrn"])
def test_the_rows_of_a_summary_add_up(consensus):
    with torch.device("meta"):
        network = build("resnet18", 5, 8, 64, consensus=consensus)
    found = layers(network, 8, 64, depth=1)
    assert sum(layer.parameters for layer in found) == parameters(network)
    assert sum(layer.macs for layer in found) == macs(network, 8, 64)


def test_networks_that_hand_on_more_than_tensors_are_counted():
    with torch.device("meta"):
        assert macs(build("timm:cait_xxs24_224", 5, 1), 1, 224) > 2e9
