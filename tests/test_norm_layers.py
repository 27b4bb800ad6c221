"""Norms turned into one another, layers held as they are, statistics made precise."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d, GroupNormAct
from torch import nn

from network import norm
from network.norm import SubBatchNorm3d, SubBatchNormAct2d
from tests.test_norm import clips_of, seeded, varied, worst


def convert(network, to, **options) -> Any:
    return norm.convert(network, to, **options)


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(3, 8, 3),
        nn.BatchNorm3d(8, momentum=0.3),
        nn.ReLU(),
        nn.Conv3d(8, 6, 2),
        nn.Sequential(nn.BatchNorm3d(6), nn.Dropout(0.5)),
        nn.BatchNorm3d(6, momentum=None),
    )


# -- conversions ----------------------------------------------------------------------------------


def test_there_and_back_with_the_same_tensors():
    network = small_network()
    network(seeded(4, 3, 6, 6, 6))
    network[1].weight.requires_grad_(False)
    network[4].eval()
    tensors = {name: id(value) for name, value in network.state_dict(keep_vars=True).items()}
    values = copy.deepcopy(network.state_dict())
    assert convert(network, "sub", clips=2) is network
    assert [type(layer) for layer in norm.batchnorms(network)] == [SubBatchNorm3d] * 3
    assert {layer.clips for layer in norm.batchnorms(network)} == {2}
    assert isinstance(network[1], nn.BatchNorm3d)
    convert(network, "sub", clips=4)
    assert {layer.clips for layer in norm.batchnorms(network)} == {4}
    for kind in ("sub", "batch"):
        convert(network, kind)
        now = network.state_dict(keep_vars=True)
        assert {name: id(value) for name, value in now.items()} == tensors
        assert all(torch.equal(now[name], value) for name, value in values.items())
        assert [layer.training for layer in norm.batchnorms(network)] == [True, False, True]
        assert network[1].momentum == 0.3
        assert network[5].momentum is None
    assert [type(layer) for layer in norm.batchnorms(network)] == [nn.BatchNorm3d] * 3
    assert vars(network[1]).keys() == vars(nn.BatchNorm3d(8)).keys()


def test_copies_pickles_and_averages():
    network = convert(small_network(), "sub", clips=2)
    network(seeded(6, 3, 6, 6, 6))
    plain = small_network()
    plain.load_state_dict(network.state_dict())
    average = copy.deepcopy(network)  # what an average of weights is kept in
    for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        mean.copy_(0.9 * mean + 0.1 * now)
    for other in (plain, pickle.loads(pickle.dumps(network)), average):
        assert worst([other.eval()(seeded(2, 3, 6, 6, 6))],
                     [network.eval()(seeded(2, 3, 6, 6, 6))]) < 1e-6  # fmt: skip
    assert average[1].clips == 2
    assert average[1].running_mean is not network[1].running_mean


@pytest.mark.parametrize("to", ["sub", "group"])
def test_one_layer_by_two_names_stays_one(to):
    layer = nn.BatchNorm3d(4)
    network = convert(nn.Sequential(layer, nn.Sequential(layer)), to)
    assert network[0] is network[1][0]
    assert type(network[0]) is not nn.BatchNorm3d


def test_group_norm_has_the_weights_and_no_statistics():
    network = small_network()
    network[1].eval()
    weights = [layer.weight for layer in norm.batchnorms(network)]
    convert(network, "group")
    groups = [module for module in network.modules() if isinstance(module, nn.GroupNorm)]
    assert [layer.weight for layer in groups] == weights
    assert [layer.training for layer in groups] == [False, True, True]
    assert not list(network.buffers())
    clips = seeded(3, 3, 6, 6, 6)
    network.eval()
    assert worst([network(clips)[:1]], [network(clips[:1])]) < 1e-6
    layer = convert(varied(nn.BatchNorm3d(6)), "group")
    expected = nn.functional.group_norm(clips_of(2, 6), 3, layer.weight, layer.bias, 1e-5)
    assert torch.equal(layer(clips_of(2, 6)), expected)


CHANNELS = [(1, 1), (2, 1), (3, 1), (4, 2), (45, 15), (64, 32), (144, 24), (45 * 7, 21), (37, 1)]


@pytest.mark.parametrize(("channels", "groups"), CHANNELS)
def test_channel_groups(channels, groups):
    assert norm.channel_groups(channels) == groups


def test_sync_on_a_device():
    with torch.device("meta"):
        network: Any = nn.Sequential(nn.BatchNorm3d(4), nn.BatchNorm3d(4), BatchNormAct2d(4))
    norm.hold([network[1]])
    keys, weight = list(network.state_dict()), network[0].weight
    convert(network, "sync")
    assert isinstance(network[0], nn.SyncBatchNorm)
    assert isinstance(network[2], nn.SyncBatchNorm)
    assert network[0].weight is weight
    assert type(network[1]) is nn.BatchNorm3d
    assert list(network.state_dict()) == keys
    with pytest.raises(ValueError, match="build the network afresh and load the weights"):
        convert(network, "batch")


REFUSED = [
    (nn.BatchNorm3d(4), "sync", "CUDA devices only and this network is on the CPU"),
    (nn.BatchNorm1d(4), "sub", "cannot turn BatchNorm1d into 'sub', only BatchNorm2d, BatchNorm3d"),
    (nn.BatchNorm1d(4), "group", "cannot turn BatchNorm1d into 'group'"),
    (nn.BatchNorm3d(4), "layer", "no norm is called 'layer'; allowed: batch, sub, sync, group"),
]


@pytest.mark.parametrize(("layer", "to", "message"), REFUSED)
def test_what_cannot_be_converted_is_left_alone(layer, to, message):
    network = nn.Sequential(nn.BatchNorm3d(4), copy.deepcopy(layer))
    with pytest.raises(ValueError, match=message):
        convert(network, to)
    assert [type(one) for one in network] == [nn.BatchNorm3d, type(layer)]


def test_timms_layers_keep_their_activation():
    layer = varied(BatchNormAct2d(5, act_layer=nn.ReLU))
    frames = clips_of(8, dims=2)
    expected = layer(frames)
    assert (expected == 0).any()
    plain = copy.deepcopy(layer)
    convert(layer, "sub", clips=4)
    assert type(layer) is SubBatchNormAct2d
    halves = torch.cat([plain(half) for half in frames.split(4)])
    assert worst([layer(frames)], [halves]) < 5e-7
    layer.clips = 8
    assert worst([layer(frames)], [expected]) < 5e-7
    group = convert(copy.deepcopy(layer), "group")
    assert isinstance(group, GroupNormAct)
    assert (group(frames) >= 0).all()
    assert type(convert(layer, "batch")) is BatchNormAct2d


# -- held layers ----------------------------------------------------------------------------------


def copied(network):
    return copy.deepcopy(network)


def pickled(network):
    return pickle.loads(pickle.dumps(network))


def to_sub(network):
    return convert(network, "sub", clips=2)


def there_and_back(network):
    return convert(to_sub(network), "batch")


@pytest.mark.parametrize("after", [copied, pickled, to_sub, there_and_back])
@pytest.mark.parametrize("call", [lambda net: net.train(), lambda net: [m.train() for m in net]])
def test_partial_bn_is_proof_against_train(after, call):
    network = small_network()
    norm.partial_bn(network)
    network = after(network)
    call(network)
    layers = list(norm.batchnorms(network))
    assert [layer.training for layer in layers] == [True, False, False]
    assert [layer.weight.requires_grad for layer in layers] == [True, False, False]
    assert [norm.is_held(layer) for layer in layers] == [False, True, True]
    assert network[4][1].training
    before = copy.deepcopy(network.state_dict())
    network(seeded(4, 3, 6, 6, 6)).square().sum().backward()
    now = network.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, now[name])}
    assert changed == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert layers[1].weight.grad is layers[2].bias.grad is None


def test_partial_bn_of_none_is_refused():
    with pytest.raises(ValueError, match="it has none: leave it out"):
        norm.partial_bn(nn.Sequential(nn.Conv3d(3, 4, 1)))


def test_what_is_released_learns_again():
    network = small_network()
    norm.partial_bn(network)
    norm.release(norm.batchnorms(network))
    network.train()
    before = copy.deepcopy(network.state_dict())
    network(seeded(4, 3, 6, 6, 6)).square().sum().backward()
    for name, layer in network.named_modules():
        if isinstance(layer, nn.BatchNorm3d):
            assert not norm.is_held(layer)
            assert layer.weight.grad is not None
            assert layer.running_mean is not None
            assert not torch.equal(layer.running_mean, before[f"{name}.running_mean"])
    assert vars(network[5]).keys() == vars(nn.BatchNorm3d(6)).keys()


def test_there_is_something_to_convert():
    with pytest.raises(ValueError, match="no BatchNorm layer to turn into 'sub': leave it out"):
        convert(nn.Sequential(nn.Conv3d(3, 4, 1)), "sub")


# -- precise statistics ---------------------------------------------------------------------------


def batchnorm3d(channels, **options) -> Any:
    return nn.BatchNorm3d(channels, **options)


def batches_of(*sizes):
    return [clips_of(size, channels=3, seed=number) for number, size in enumerate(sizes)]


@pytest.mark.parametrize("sizes", [(4,), (4, 4, 4), (6, 1, 3), (2, 9)])
@pytest.mark.parametrize("kind", [nn.BatchNorm3d, SubBatchNorm3d])
def test_precise_statistics_are_one_huge_batchs(sizes, kind):
    layer = varied(kind(3, momentum=0.2))
    if kind is SubBatchNorm3d:
        layer.clips = 2
    layer(clips_of(4, channels=3))
    layer.eval()
    tracked = layer.num_batches_tracked.clone()
    weight = layer.weight.clone()
    norm.precise_bn(nn.Sequential(layer), batches_of(*sizes, 5), len(sizes))
    values = torch.cat(batches_of(*sizes)).double().transpose(0, 1).flatten(1).numpy()
    assert np.allclose(layer.running_mean, values.mean(1), rtol=1e-6, atol=1e-6)
    assert np.allclose(layer.running_var, values.var(1, ddof=1), rtol=1e-6)
    assert (layer.momentum, layer.training) == (0.2, False)
    assert torch.equal(layer.num_batches_tracked, tracked)
    assert torch.equal(layer.weight, weight)
    assert not layer._forward_hooks


def test_later_layers_see_what_training_lets_through():
    """The second layer's statistics are of what the first one normalises batch by batch, and
    dropout is off."""
    first, second = batchnorm3d(3), batchnorm3d(3)
    network = nn.Sequential(first, nn.Dropout(0.5), second).train()
    norm.precise_bn(network, batches_of(4, 3), 2)
    seen = torch.cat([nn.BatchNorm3d(3)(batch) for batch in batches_of(4, 3)]).transpose(0, 1)
    assert torch.allclose(second.running_var, seen.flatten(1).var(1), rtol=1e-5)
    assert [module.training for module in network.modules()] == [True] * 4


def test_no_graph_is_kept_of_it():
    seen: list[bool] = []
    network = nn.Sequential(nn.Conv3d(3, 3, 1), nn.BatchNorm3d(3))
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.requires_grad))
    norm.precise_bn(network, batches_of(4, 2), 2)
    assert seen == [False, False]


def test_a_layer_used_twice_counts_both_times():
    layer = batchnorm3d(3)
    clips = batches_of(4)[0]
    seen = torch.cat([clips, nn.BatchNorm3d(3)(clips)]).transpose(0, 1).flatten(1)
    norm.precise_bn(nn.Sequential(layer, layer), [clips], 1)
    assert torch.allclose(layer.running_mean, seen.mean(1), atol=1e-6)
    assert torch.allclose(layer.running_var, seen.var(1), rtol=1e-5)


def test_held_and_statisticless_layers_are_left_alone():
    held, without = batchnorm3d(3), batchnorm3d(3, track_running_stats=False)
    first, unused = batchnorm3d(3), batchnorm3d(3)
    network = nn.Sequential(first, held, without)
    network.train()
    norm.hold([held])
    first.unused = unused
    norm.precise_bn(network, batches_of(4), 1)
    for layer in (held, unused):
        assert torch.equal(layer.running_mean, torch.zeros(3))
        assert torch.equal(layer.running_var, torch.ones(3))
    assert not torch.equal(first.running_var, torch.ones(3))


NO_PRECISION = [
    (3, "was to see 3 batches and got 2"),
    (0, "got 0 batches and 1 layers"),
]


@pytest.mark.parametrize(("count", "message"), NO_PRECISION)
def test_after_an_error_all_is_as_it_was(count, message):
    layer = nn.BatchNorm3d(3)
    layer(clips_of(4, channels=3, seed=7))
    before = copy.deepcopy(layer.state_dict())
    network = nn.Sequential(layer, nn.Dropout())
    network[1].eval()
    with pytest.raises(ValueError, match=message):
        norm.precise_bn(network, batches_of(4, 4), count)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert (layer.training, network[1].training, layer.momentum) == (True, False, 0.1)
    assert not layer._forward_hooks


def test_precise_bn_of_no_layer_is_refused():
    network = nn.Sequential(nn.BatchNorm3d(3))
    norm.hold(network)
    with pytest.raises(ValueError, match="got 1 batches and 0 layers"):
        norm.precise_bn(network, batches_of(4), 1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_batch_that_is_not_finite_is_named_and_nothing_changes(bad):
    network: Any = nn.Sequential(nn.Conv3d(3, 3, 1), batchnorm3d(3), batchnorm3d(3))
    good, broken = batches_of(4, 4)
    broken[1, 2, 0] = bad
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match="batch 2 of precise BN makes the statistics of 1 not fin"):
        norm.precise_bn(network, [good, broken, good], 3)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert (network[1].training, network[1].momentum) == (True, 0.1)
