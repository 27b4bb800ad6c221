"""The 3D residual networks as any network: shapes, gradients, copies, gates, refusals."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from network.resnet3d import Plan, plain_basic, plain_deep, srtg_basic, srtg_deep
from tests.resnets import (
    BLOCKS,
    FORMS,
    KINDS,
    Backwards,
    Echo,
    clips,
    recurrent,
    tiny,
)

every_form = pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
both_kinds = pytest.mark.parametrize("kind", KINDS)
pytestmark = pytest.mark.usefixtures("one_thread")


def settled(network):
    """With batch norms that have seen some clips, without which an SRTG network says nothing."""
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(clips(4))
    return network.eval()


# -- as every network -----------------------------------------------------------------------------


@every_form
@both_kinds
@pytest.mark.parametrize("shape", [(1, 32, 32), (8, 33, 47), (19, 64, 32)])
def test_clips_of_any_shape_are_taken(make, kind, shape):
    network = tiny(make, kind).eval()
    assert network(clips(3, *shape)).shape == (3, 5)


@every_form
def test_several_tasks_are_decided(make):
    scores = tiny(make, tasks={"verb": 3, "noun": 4})(clips())
    assert {task: tuple(score.shape) for task, score in scores.items()} == {
        "verb": (2, 3),
        "noun": (2, 4),
    }


@every_form
@both_kinds
def test_a_gradient_reaches_every_parameter(make, kind):
    """Of 32 frames the last stage has two, so that the LSTMs have something to remember."""
    network = tiny(make, kind)
    if make is FORMS["srtg_gated"]:
        recurrent(network, EchoAndMore)
    network(clips(frames=32)).square().sum().backward()
    dead = [name for name, p in network.named_parameters() if not p.grad.count_nonzero()]
    assert not dead
    assert network.statistics() in ({}, {"open_gates": 1.0})


class EchoAndMore(Echo):
    """Opens every gate and learns nevertheless."""

    def forward(self, sequence, state=None):
        learned, state = nn.LSTM.forward(self, sequence, state)
        return sequence + 1e-6 * learned, state


@pytest.mark.parametrize("form", ["plain_basic", "srtg_deep", "srtg_gated"])
def test_it_learns(form):
    network, target = tiny(FORMS[form]), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9)
    losses = []
    for _ in range(40):
        loss = F.cross_entropy(network(clips(4)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 < losses[0]


@every_form
def test_the_seed_decides_the_weights(make):
    one, same = tiny(make).state_dict(), tiny(make).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    plan = Plan("tiny", "r3d", BLOCKS, width=4)
    other = make(plan, 5, frames=8, size=32).state_dict()
    assert not torch.equal(one["backbone.stem.0.weight"], other["backbone.stem.0.weight"])


@every_form
@both_kinds
def test_copies_layouts_and_autocast_change_nothing_that_matters(make, kind):
    network = settled(tiny(make, kind))
    with torch.no_grad():
        expected = network(clips())
        for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            assert torch.equal(copied(clips()), expected)
        last = copy.deepcopy(network).to(memory_format=torch.channels_last_3d)
        shown = clips().to(memory_format=torch.channels_last_3d)
        torch.testing.assert_close(last(shown), expected)
        with torch.autocast("cpu", torch.bfloat16):
            near = network(clips()).float()
    assert (near - expected).abs().max() < 0.15 * expected.abs().max()


# -- gates in a whole network ---------------------------------------------------------------------


@pytest.mark.parametrize("make", [srtg_basic, srtg_deep])
@both_kinds
def test_with_every_gate_closed_it_is_the_plain_network_bit_for_bit(make, kind):
    plain = settled(tiny(plain_basic if make is srtg_basic else plain_deep, kind))
    gated = tiny(make, kind, gates=True).eval()
    missing, unexpected = gated.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(".sar.lstm." in name for name in missing)
    shown = clips(frames=32)  # two frames in the last stage: what is one frame is always fused
    with torch.no_grad():
        assert torch.equal(recurrent(gated, Backwards)(shown), plain(shown))
        assert gated.statistics() == {"open_gates": 0.0}
        fused = recurrent(gated, Echo)(shown)
        assert gated.statistics() == {"open_gates": 1.0}
    assert not torch.isclose(fused, plain(shown)).any()


def test_open_gates_are_as_if_there_were_none():
    gated = recurrent(tiny(srtg_basic, gates=True), Echo)
    always = recurrent(tiny(srtg_basic, gates=False), Echo)
    assert torch.equal(gated(clips()), always(clips()))
    assert (gated.statistics(), always.statistics()) == ({"open_gates": 1.0}, {})


def test_gates_open_under_autocast():
    gated = recurrent(tiny(srtg_basic, gates=True), Echo).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        gated(clips(frames=32))
    assert gated.statistics() == {"open_gates": 1.0}


# -- what is asked for and refused ----------------------------------------------------------------


OPTIONS = {
    plain_basic: set(),
    plain_deep: {"bottleneck"},
    srtg_basic: {"gates"},
    srtg_deep: {"gates", "bottleneck"},
}


@pytest.mark.parametrize("make", OPTIONS)
def test_a_network_has_the_options_that_mean_something_to_it(make):
    own = set(inspect.signature(make).parameters) - {"plan", "tasks", "frames", "size", "dropout"}
    assert own == OPTIONS[make]


@every_form
def test_dropout_goes_before_the_head(make):
    assert tiny(make, dropout=0.25).heads.dropout.p == 0.25


@every_form
def test_stages_hold_the_whole_backbone_from_the_input_on(make):
    network = tiny(make)
    children = dict(network.backbone.named_children())
    with_weights = [name for name, child in children.items() if list(child.parameters())]
    assert network.stages == tuple((name,) for name in with_weights)
    assert with_weights == ["stem", "layer1", "layer2", "layer3", "layer4"]


def test_what_it_cannot_take_is_refused():
    with pytest.raises(ValueError, match="tiny cannot take height 24, width 24; it needs at least"):
        plain_basic(Plan("tiny", "r3d", BLOCKS, width=4), 5, frames=8, size=24)
    with pytest.raises(ValueError, match="bottleneck is one of seed, standard, got 'wide'"):
        tiny(plain_deep, bottleneck="wide")
