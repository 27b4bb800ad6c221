"""Freezing holds through whatever a trainer does; what learns is in one group of parameters."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from network.freeze import freeze, parameter_groups, thaw
from network.model import Backbone, Network, Takes
from network.norm import convert
from network.vision import mvit_v2_s
from network.weights import load
from tests.smallnet import published, small

TWO = {"verb": 4, "noun": 7}


class Between(Network):
    """A family with something between backbone and heads."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.consensus = nn.Linear(6, 6)

    def features(self, clip):
        return self.consensus(super().features(clip))


FROZEN = {  # what learns no more, by the start of its name
    "none": (),
    "stages:1": ("backbone.stem.",),
    "stages:2": ("backbone.stem.", "backbone.layer1.", "backbone.cls_token"),
    "stages:3": ("backbone.",),
    "backbone": ("backbone.",),
    "all-but-head": ("backbone.", "consensus."),
    "batchnorm": ("backbone.stem.1.", "backbone.layer1.1.", "backbone.layer2.1."),
}


def stepped(network):
    """After three steps of a trainer that calls train() when it likes."""
    optimiser = torch.optim.SGD([one for one in network.parameters() if one.requires_grad], lr=0.5)
    for _ in range(3):
        network.train()
        output = network(torch.rand(4, 3, 2, 6, 6))
        loss = sum(one.square().sum() for one in output.values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        network.eval()
    return network


HANDED_ON = {
    "as it is": lambda network: network,
    "copied": copy.deepcopy,
    "pickled": lambda network: pickle.loads(pickle.dumps(network)),
    "moved": lambda network: network.double().float(),
}


@pytest.mark.parametrize("what", FROZEN)
@pytest.mark.parametrize("handed_on", HANDED_ON)
def test_what_is_frozen_stays_to_the_bit_and_the_rest_learns(what, handed_on):
    network = small(TWO, kind=Between)
    freeze(network, what)
    before = copy.deepcopy(network.state_dict())
    after = stepped(HANDED_ON[handed_on](network)).state_dict()
    stayed = {name for name in before if torch.equal(before[name], after[name])}
    assert stayed == {name for name in before if name.startswith(FROZEN[what])}


def test_what_is_frozen_twice_over_is_all_frozen():
    network = small(TWO, kind=Between)
    freeze(network, "stages:1")
    freeze(network, "batchnorm")
    learning = [name for name, one in network.named_parameters() if one.requires_grad]
    assert not [name for name in learning if name.startswith(FROZEN["stages:1"])]
    assert not [name for name in learning if name.startswith(FROZEN["batchnorm"])]
    assert "backbone.layer1.0.weight" in learning


def test_norms_over_a_few_clips_freeze_too():
    network = small(TWO)
    convert(network, "sub", clips=2)
    freeze(network, "stages:1")
    before = network.backbone.stem[1].running_mean.clone()
    stepped(network)
    assert torch.equal(network.backbone.stem[1].running_mean, before)
    assert network.backbone.layer1[1].training is False  # by eval() alone
    network.train()
    assert [layer[1].training for layer in (network.backbone.stem, network.backbone.layer1)] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("stages:0", "small has 3 stages to freeze, got 0: 1 stem; 2 layer1.0, layer1.1, cls_to"),
        ("stages:4", "small has 3 stages to freeze, got 4: .*; 3 layer2$"),
        ("stages", "one of none, batchnorm, stages:N, backbone, all-but-head; got 'stages'"),
        ("stages:two", "got 'stages:two'"),
        ("stages:-1", "got 'stages:-1'"),
        ("head", "got 'head'"),
    ],
)
def test_what_cannot_be_frozen_is_one_sentence(what, message):
    network = small()
    with pytest.raises(ValueError, match=message):
        freeze(network, what)
    assert all(one.requires_grad for one in network.parameters())


def test_a_network_without_batch_norm_has_none_to_freeze():
    network = Network("flat", Backbone(nn.Flatten(), 6, Takes(), ()), 2)
    with pytest.raises(ValueError, match="flat has no batch norm to freeze; leave it out"):
        freeze(network, "batchnorm")


@pytest.mark.parametrize("what", ["stages:2", "all-but-head", "batchnorm"])
def test_what_is_thawed_learns_again(what):
    network = small(TWO, kind=Between)
    freeze(network, what)
    thaw(network)
    before = copy.deepcopy(network.state_dict())
    after = stepped(network).state_dict()
    assert not [name for name in before if torch.equal(before[name], after[name])]


# -- groups of parameters -------------------------------------------------------------------------


def names_in(network, groups):
    names = {id(one): name for name, one in network.named_parameters()}
    return {group["name"]: [names[id(one)] for one in group["params"]] for group in groups}


@pytest.mark.parametrize("what", ["none", "stages:1", "batchnorm"])
@pytest.mark.parametrize("no_decay", [True, False])
@pytest.mark.parametrize("loaded", [(), ("backbone.layer1.0.weight", "backbone.layer1.0.bias")])
def test_every_parameter_that_learns_is_in_one_group_and_no_other(what, no_decay, loaded):
    network = small(TWO)
    freeze(network, what)
    groups = parameter_groups(network, 0.1, weight_decay=1e-4, loaded=loaded, no_decay=no_decay)
    listed = [id(one) for group in groups for one in group["params"]]
    learning = {id(one) for one in network.parameters() if one.requires_grad}
    assert sorted(listed) == sorted(learning)
    torch.optim.SGD(groups, lr=1.0)
    again = parameter_groups(network, 0.1, weight_decay=1e-4, loaded=loaded, no_decay=no_decay)
    assert names_in(network, groups) == names_in(network, again)


def test_loaded_weights_learn_slower_and_norms_biases_and_tokens_keep_their_size(tmp_path):
    torch.save(published(small(400)), tmp_path / "k400.pth")
    network = small(5)
    report = load(network, tmp_path / "k400.pth")
    groups = parameter_groups(
        network, 0.1, weight_decay=1e-4, loaded=report.loaded, fine_tune=0.25
    )  # fmt: skip
    rates = {group["name"]: (group["lr"], group["lr_scale"], group["weight_decay"])
             for group in groups}  # fmt: skip
    assert rates == {
        "loaded": (0.025, 0.25, 1e-4),
        "loaded without decay": (0.025, 0.25, 0.0),
        "new": (0.1, 1.0, 1e-4),
        "new without decay": (0.1, 1.0, 0.0),
    }
    convolutions = [f"backbone.{name}.0" for name in ("stem", "layer1", "layer2")]
    names = names_in(network, groups)
    assert names["loaded"] == [f"{name}.weight" for name in convolutions]
    assert set(names["loaded without decay"]) == {
        name for name, _ in network.backbone.named_parameters(prefix="backbone")
    } - set(names["loaded"])
    assert names["new"] == ["heads.to_label.weight"]
    assert names["new without decay"] == ["heads.to_label.bias"]


def test_tables_of_positions_keep_their_size():
    with torch.device("meta"):
        network = mvit_v2_s(5, frames=16, size=224)
    for name in ("pos_embed", "time_embed", "relative_position_bias_table", "patch_embedding"):
        network.register_parameter(name, nn.Parameter(torch.zeros(3, 3)))
    (_, decaying), (_, kept) = names_in(
        network, parameter_groups(network, 0.1, weight_decay=1.0)
    ).items()  # fmt: skip
    tables = {name.rpartition(".")[2] for name in kept} - {"weight", "bias"}
    assert tables == {"class_token", "rel_pos_h", "rel_pos_w", "rel_pos_t",
                      "pos_embed", "time_embed", "relative_position_bias_table"}  # fmt: skip
    assert {name.rpartition(".")[2] for name in decaying} == {"weight", "patch_embedding"}
    assert all(network.get_parameter(name).ndim > 1 for name in decaying)


def test_only_what_is_there_makes_a_group():
    network = small()
    freeze(network, "backbone")
    groups = parameter_groups(network, 0.1, weight_decay=1e-4, no_decay=False)
    assert [group["name"] for group in groups] == ["new"]


@pytest.mark.parametrize("fine_tune", [0.0, -1.0, 1.5])
def test_a_rate_for_loaded_weights_is_a_share(fine_tune):
    with pytest.raises(ValueError, match="more than 0 and at most 1 times"):
        parameter_groups(small(), 0.1, weight_decay=0.0, fine_tune=fine_tune)


def test_nothing_to_train_is_said():
    network = small()
    network.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        parameter_groups(network, 0.1, weight_decay=0.0)


class Wrapped(nn.Module):
    """Names as DistributedDataParallel makes them."""

    def __init__(self, module):
        super().__init__()
        self.module = module


WRAPPED: dict[str, Callable[..., Any]] = {
    "compiled": torch.compile,
    "distributed": Wrapped,
    "distributed, then compiled": lambda network: torch.compile(Wrapped(network)),
    "compiled, then distributed": lambda network: Wrapped(torch.compile(network)),
}


@pytest.mark.parametrize("wrap", WRAPPED)
def test_wrapped_networks_have_the_same_groups(wrap, tmp_path):
    torch.save(published(small(400)), tmp_path / "k400.pth")
    network = small(5)
    report = load(network, tmp_path / "k400.pth")
    options: dict[str, Any] = {"lr": 0.1, "weight_decay": 1e-4, "fine_tune": 0.25}
    plain = parameter_groups(network, loaded=report.loaded, **options)
    assert len(plain) == 4
    for loaded in (report, report.loaded):
        wrapped = parameter_groups(WRAPPED[wrap](network), loaded=loaded, **options)
        assert names_in(network, wrapped) == names_in(network, plain)


def test_one_part_compiled_by_itself_has_the_same_groups():
    network = small()
    names = list(network.state_dict())
    network.backbone.stem = torch.compile(network.backbone.stem)
    groups = parameter_groups(network, 0.1, weight_decay=1e-4, loaded=names, fine_tune=0.5)
    assert {group["lr_scale"] for group in groups} == {0.5}


def test_statistics_that_a_norm_no_longer_keeps_may_have_been_loaded():
    network = small()
    names = list(network.state_dict())
    convert(network, "group")
    parameter_groups(network, 0.1, weight_decay=1e-4, loaded=names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loaded": ["backbone.stem.0.weight", "stem.0.bias"]}, "1 of the loaded .* as stem.0.b"),
        ({"fine_tune": 0.1}, "learn at 0.1 times the rate and none are named: give the report"),
    ],
)
def test_what_was_loaded_is_of_this_network(options, message):
    with pytest.raises(ValueError, match=message):
        parameter_groups(small(), 0.1, weight_decay=0.0, **options)
