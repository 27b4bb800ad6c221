"""Weights: every predecessor's file loads by name and shape, and the report says what happened."""

import argparse
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from network.model import Backbone, Network, Takes
from network.weights import load
from network.zoo import build
from tests.smallnet import HEADS, Small, prefixed, published, small

TWO = {"verb": 4, "noun": 7}
SETTINGS = argparse.Namespace(lr=0.1, out=Path("runs/1"), sizes=[1, 2])


@pytest.fixture
def lightning(monkeypatch):
    """Classes of the library's names, there only while a file is written."""

    class ModelCheckpoint:
        pass

    class AttributeDict(dict):
        pass

    for room, made in (("callbacks.model_checkpoint", ModelCheckpoint),
                       ("utilities.parsing", AttributeDict)):  # fmt: skip
        name = f"pytorch_lightning.{room}"
        module = types.ModuleType(name)
        made.__module__, made.__qualname__ = name, made.__name__
        setattr(module, made.__name__, made)
        for part in ("pytorch_lightning", name.rpartition(".")[0]):
            monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(ModelCheckpoint=ModelCheckpoint, AttributeDict=AttributeDict)


def trained(network):
    """An optimiser's state, as checkpoints carry it."""
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.rand(2, 3, 2, 4, 4))
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    return optimiser.state_dict()


def autotosis(net, prefix):
    return {"epoch": 3, "arch": "resnet18", "state_dict": prefixed(published(net), prefix),
            "best_acc1": torch.tensor(71.5), "best_precision": np.float64(0.9),
            "optimizer": trained(net)}  # fmt: skip


def epic(net, prefix):
    state = prefixed(published(net), "base_model.", ("fc", "new_fc"))
    return {"model_type": "tsn", "epoch": 1, "segment_count": 8, "modality": "RGB",
            "state_dict": prefixed(state, prefix),
            "arch": "resnet50", "args": SETTINGS, "consensus_type": "avg"}  # fmt: skip


def shifted(state):
    """As TSM wraps layers."""
    return {name.replace("layer1.0.", "layer1.0.net."): one for name, one in state.items()}


def without_counters(state):
    return {name: one for name, one in state.items() if "num_batches" not in name}


FORMS = {
    "autotosis, on a CPU": ("model_best.pth.tar", 2, lambda net: autotosis(net, "")),
    "autotosis, on GPUs": ("model_best.pth.tar", 2, lambda net: autotosis(net, "module.")),
    "video-ml-training": ("n_v0.1_best.pth", 5, lambda net: {
        "model": published(net), "optimizer": trained(net), "epoch": 4, "args": SETTINGS}),
    "SRTG": ("srtg_r3d_34_ep-0001.pth", 5, lambda net: {
        "epoch": 1, "state_dict": prefixed(published(net), "module."), "optimizer": trained(net)}),
    "EPIC, verbs and nouns": ("tsn.pth.tar", TWO, lambda net: epic(net, "")),
    "EPIC, before its update": ("tsn.ckpt", TWO, lambda net: epic(net, "module.")),
    "TSN of one task": ("tsn.pth", 5, lambda net: {
        "state_dict": prefixed(published(net, "new_fc"), "base_model.", "new_fc")}),
    "TSM": ("tsm.pth", 5, lambda net: shifted(published(net))),
    "TimeSformer": ("divST.pyth", 5, lambda net: {
        "epoch": 14, "model_state": prefixed(published(net), "model."), "cfg": "TRAIN: {}"}),
    "Lightning": ("last.ckpt", 5, lambda net: {
        "state_dict": prefixed(published(net), "model.model."), "epoch": 2,
        "hyper_parameters": {"num_classes": 5}}),
    "compiled": ("c.pt", 5, lambda net: prefixed(published(net), "_orig_mod.")),
    "compiled, the backbone alone": ("c.pt", 5, lambda net: {
        "model": {name.replace("backbone.", "backbone._orig_mod."): one
                  for name, one in net.state_dict().items()}}),
    "averaged by torch": ("a.pt", 5, lambda net: {
        "ema": torch.optim.swa_utils.AveragedModel(net).state_dict()}),
    "averaged, compiled, published": ("a.pt", 5, lambda net: {
        "n_averaged": torch.tensor(3), **prefixed(published(net), "module._orig_mod.")}),
    "net.": ("n.pt", 5, lambda net: {"weights": prefixed(published(net), "net.")}),
    "bare": ("bare.pth", 5, published),
    "of before counters": ("old.pth", 5, lambda net: without_counters(published(net))),
    "under a name of its own": ("x.pth", 5, lambda net: {
        "step": 1, "best_weights": published(net)}),
    "within two": ("x.pth", 5, lambda net: {"model": {"state_dict": published(net)}, "step": 1}),
    "ours": ("last.pt", TWO, lambda net: {
        "format": 1, "step": 9, "model": net.state_dict(), "ema": None, "optimizer": trained(net)}),
    "ours, of many ranks": ("last.pt", 5, lambda net: prefixed(net.state_dict(), "module.")),
}  # fmt: skip


def same(network, other):
    mine, theirs = network.state_dict(), other.state_dict()
    return [name for name in mine if not torch.equal(mine[name], theirs[name])]


@pytest.mark.parametrize("zipped", [True, False], ids=["of today", "of before torch 1.6"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_loads_whole(form, zipped, tmp_path):
    file, tasks, content = FORMS[form]
    source, network = small(tasks, seed=1), small(tasks, seed=2)
    torch.save(content(source), tmp_path / file, _use_new_zipfile_serialization=zipped)
    report = load(network, tmp_path / file, strict=True)
    assert (report.is_exact, report.share) == (True, 1)
    assert [name for name in same(network, source) if "num_batches" not in name] == []


def test_a_file_of_lightnings_classes_loads_without_lightning(lightning, tmp_path, monkeypatch):
    source, network = small(TWO, seed=1), small(TWO, seed=2)
    content = epic(source, "tsn_model.")
    content["hyper_parameters"] = lightning.AttributeDict(batch=1)
    content["callbacks"] = {lightning.ModelCheckpoint: {"best_model_score": torch.tensor(1.0)}}
    torch.save(content, tmp_path / "epoch=3.ckpt")
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, name)
    assert load(network, tmp_path / "epoch=3.ckpt", strict=True).is_exact
    assert same(network, source) == []


def test_safetensors_load(tmp_path):
    source, network = small(seed=1), small(seed=2)
    save_file(published(source), tmp_path / "model.safetensors")
    assert load(network, str(tmp_path / "model.safetensors"), strict=True).is_exact
    assert same(network, source) == []


@pytest.mark.parametrize(("part", "seed"), [(None, 2), ("ema", 2), ("model", 1)])
@pytest.mark.parametrize("nested", [True, False])
def test_averaged_weights_come_first_unless_others_are_asked_for(part, seed, nested, tmp_path):
    averaged = small(seed=2).state_dict()
    torch.save({"model": small(seed=1).state_dict(),
                "ema": {"decay": 0.999, "state": averaged} if nested else averaged},
               tmp_path / "c.pt")  # fmt: skip
    network = small(seed=3)
    report = load(network, tmp_path / "c.pt", part=part)
    assert same(network, small(seed=seed)) == []
    assert ("ema" if seed == 2 else "model") in report.source.rpartition("c.pt")[2]


def test_another_number_of_classes_is_reported_with_both_shapes(tmp_path):
    torch.save(published(small(400)), tmp_path / "k400.pth")
    network = small(5, seed=1)
    before = network.heads.of("label").weight.clone()
    report = load(network, tmp_path / "k400.pth")
    assert [str(one) for one in report.skipped] == [
        "heads.to_label.weight (400x6 there, 5x6 here)", "heads.to_label.bias (400 there, 5 here)"
    ]  # fmt: skip
    assert (report.share, report.missing, report.unexpected) == (1, (), ())
    assert torch.equal(network.heads.of("label").weight, before)


def test_the_report_counts_all_and_shows_some(tmp_path):
    state = published(small(400))
    del state["layer2.0.weight"]
    state |= {f"extra.{index}": torch.zeros(1) for index in range(9)}
    torch.save({"state_dict": state}, tmp_path / "k400.pth")
    report = load(small(5), tmp_path / "k400.pth")
    assert report.share == pytest.approx(2 / 3)  # of its kernels
    assert str(report).splitlines() == [
        f"small from {tmp_path}/k400.pth, state_dict: {report.share:.1%} of it, heads aside",
        "  loaded        21",
        "  skipped        2  heads.to_label.weight (400x6 there, 5x6 here), "
        "heads.to_label.bias (400 there, 5 here)",
        "  missing        1  backbone.layer2.0.weight",
        "  unexpected     9  extra.0, extra.1, extra.2, extra.3 and 5 more",
    ]


def test_weights_of_half_precision_fill_whole_ones(tmp_path):
    source, network = small(seed=1), small(seed=2)
    torch.save(published(small(seed=1).half()), tmp_path / "x.pth")
    load(network, tmp_path / "x.pth", strict=True)
    assert same(network, source.half().float()) == []
    assert {one.dtype for one in network.parameters()} == {torch.float32}


# Which of a file's heads go where.
@pytest.mark.parametrize(
    ("theirs", "mine", "missing", "unexpected"),
    [
        (5, {"action": 5}, [], []),  # an only task, whatever it is called
        (5, TWO, ["heads.to_verb.weight", "heads.to_noun.weight"], ["fc.weight"]),
        (TWO, {"verb": 4}, [], ["fc_noun.weight"]),
        (TWO, {"verb": 4, "noun": 7, "action": 3}, ["heads.to_action.weight"], []),
    ],
)  # fmt: skip
def test_heads_find_their_tasks(theirs, mine, missing, unexpected, tmp_path):
    torch.save(published(small(theirs)), tmp_path / "x.pth")
    report = load(small(mine, seed=1), tmp_path / "x.pth")
    assert [name for name in report.missing if name.endswith("weight")] == missing
    assert [name for name in report.unexpected if name.endswith("weight")] == unexpected


def test_rows_and_1x1x1_kernels_are_the_vectors_and_layers_they_hold(tmp_path):
    state = published(small(seed=1))
    state["fc.weight"] = state["fc.weight"][:, :, None, None, None]
    state["stem.1.weight"] = state["stem.1.weight"][None]
    torch.save(state, tmp_path / "x.pth")
    network = small(seed=2)
    assert load(network, tmp_path / "x.pth", strict=True).is_exact
    assert same(network, small(seed=1)) == []


class Adapting(Network):
    """A family whose first kernels mean something else than a published file's."""

    def adapt(self, state):
        return {name: one * 2 if name == "backbone.stem.0.weight" else one
                for name, one in state.items()}  # fmt: skip


@pytest.mark.parametrize(("content", "factor"), [(published, 2), (Network.state_dict, 1)])
def test_a_family_fits_the_weights_of_others_and_not_its_own(content, factor, tmp_path):
    source, network = small(seed=1), small(seed=2, kind=Adapting)
    torch.save(content(source), tmp_path / "x.pth")
    load(network, tmp_path / "x.pth", strict=True)
    assert torch.equal(network.backbone.stem[0].weight, factor * source.backbone.stem[0].weight)


def cut(state, *names):
    return {name: one for name, one in state.items() if not name.startswith(names)}


def test_less_than_half_is_an_error_unless_allowed_and_changes_nothing(tmp_path):
    # Six of nine tensors of the backbone, but far less than half of its numbers.
    torch.save(cut(published(small(seed=1)), "layer1.0.w", "stem.0.w"), tmp_path / "x.pth")
    network = small(seed=2)
    with pytest.raises(ValueError, match=r"less than half of small; build the network they are of"):
        load(network, tmp_path / "x.pth")
    assert same(network, small(seed=2)) == []
    report = load(network, tmp_path / "x.pth", allow_partial=True)
    assert report.share < 0.5
    assert "backbone.layer2.0.weight" in report.loaded
    assert torch.equal(network.backbone.cls_token, small(seed=1).backbone.cls_token)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {**state, "fc.weight": torch.zeros(9, 6)},
        lambda state: cut(state, "cls_token"),
        lambda state: cut(state, "stem.1.running_mean"),
        lambda state: {**state, "other.weight": torch.zeros(1)},
    ],
)
def test_strict_refuses_any_difference_and_changes_nothing(change, tmp_path):
    torch.save(change(published(small(seed=1))), tmp_path / "x.pth")
    network = small(seed=2)
    with pytest.raises(ValueError, match=r"not exactly those of small(?s:.*)unexpected"):
        load(network, tmp_path / "x.pth", strict=True)
    assert same(network, small(seed=2)) == []
    load(network, tmp_path / "x.pth")


def doubled(state):
    """The same weight under two names."""
    return {**prefixed(state, "module."), "cls_token": state["cls_token"]}


def infinite(state):
    return {**state, "layer2.0.bias": torch.full((6,), float("inf"))}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (doubled, "hold both 'cls_token' and 'module.cls_token'"),
        (lambda state: {**state, "new_fc.weight": state["fc.weight"]},
         "'fc.weight' and 'new_fc.weight', and both would be heads.to_label.weight of small"),
        (infinite, "not finite, in backbone.layer2.0.bias"),
        (lambda state: {name: one.double() * 1e40 for name, one in state.items()},
         "too large for torch.float32, in backbone.cls_token"),
        (lambda state: {name: one.to(torch.int8) for name, one in state.items()},
         "holds torch.int8 where small has torch.float32, in backbone.cls_token"),
        (lambda state: {"_orig_mod.cls_token": state["cls_token"], **state},
         "hold both '_orig_mod.cls_token' and 'cls_token'"),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_right_change_nothing(content, message, tmp_path):
    torch.save(content(published(small(seed=1))), tmp_path / "x.pth")
    network = small(seed=2)
    with pytest.raises(ValueError, match=message):
        load(network, tmp_path / "x.pth")
    assert same(network, small(seed=2)) == []


def test_numbers_too_large_for_half_precision_change_nothing(tmp_path):
    torch.save({**published(small()), "fc.bias": torch.full((5,), 1e6)}, tmp_path / "x.pth")
    network = small(seed=2).half()
    with pytest.raises(ValueError, match=r"too large for torch.float16, in heads.to_label.bias"):
        load(network, tmp_path / "x.pth")
    assert same(network, small(seed=2).half()) == []
    load(small(seed=2).bfloat16(), tmp_path / "x.pth")


@pytest.mark.parametrize("inner", [False, True], ids=["all", "its backbone"])
def test_a_compiled_network_is_loaded_as_the_one_within(inner, tmp_path):
    torch.save(published(small(seed=1)), tmp_path / "x.pth")
    network = small(seed=2)
    if inner:
        network.backbone = torch.compile(network.backbone)
        compiled = network
    else:
        compiled = torch.compile(network)
    report = load(compiled, tmp_path / "x.pth", strict=True)
    assert report.is_exact
    assert "heads.to_label.weight" in report.loaded
    assert torch.equal(network.heads.of("label").weight, small(seed=1).heads.of("label").weight)
    assert torch.equal(network.backbone.cls_token, small(seed=1).backbone.cls_token)


class Recalled(Small):
    """With far more numbers in what is learnt on top than in what is published."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(6, 60, 2)


def test_recurrent_layers_are_missing_and_do_not_count(tmp_path):
    torch.save(published(small(seed=1)), tmp_path / "x.pth")
    network = Network("recalled", Backbone(Recalled(), 6, Takes(size=1), (), HEADS), 5)
    report = load(network, tmp_path / "x.pth")
    assert report.share == 1
    assert len(report.missing) == 8
    assert "recurrent layers that are missing begin anew" in str(report)


class OneKernel(torch.nn.Module):
    """As in a transformer: one kernel, and its numbers are few."""

    def __init__(self, patch=2):
        super().__init__()
        self.patches = torch.nn.Conv3d(3, 4, patch)
        self.layers = torch.nn.Linear(100, 100)


def test_kernels_are_not_counted_where_they_are_few(tmp_path):
    def made(patch):
        return Network("one", Backbone(OneKernel(patch), 4, Takes(), (), HEADS), 5)

    torch.save(made(1).state_dict(), tmp_path / "x.pth")
    report = load(made(2), tmp_path / "x.pth")
    assert [one.name for one in report.skipped] == ["backbone.patches.weight"]
    assert 0.98 < report.share < 1


def test_a_file_that_shifts_channels_is_noted(tmp_path):
    def made(**options):
        return build("resnet18", 5, size=32, **options)

    torch.save({name.replace(".conv1.", ".conv1.net."): one
                for name, one in made().state_dict().items()}, tmp_path / "tsm.pth")  # fmt: skip
    report = load(made(), tmp_path / "tsm.pth")
    assert len(report.notes) == 1
    assert str(report).endswith(f"\n  note: {report.notes[0]}")
    assert "shifts channels over time, and this one does not" in str(report)
    assert load(made(consensus="tsm"), tmp_path / "tsm.pth").notes == ()
    torch.save(made().state_dict(), tmp_path / "plain.pth")
    assert load(made(), tmp_path / "plain.pth").notes == ()


def test_a_network_without_memory_takes_no_weights(tmp_path):
    torch.save(published(small()), tmp_path / "x.pth")
    with torch.device("meta"):
        network = small()
    with pytest.raises(ValueError, match="small is on the meta device"):
        load(network, tmp_path / "x.pth")
