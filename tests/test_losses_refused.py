"""What a criterion refuses, in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from network.heads import Task
from network.losses import Criterion

CLASSES = 5
BALANCE = torch.tensor([1.0, 0.2, 3.0, 0.5, 2.0])
SINGLE, TWO, MANY = CLASSES, {"verb": 5, "noun": 5}, {"a": Task(5, multiple=True)}
Z = torch.zeros(2, 5)
I = torch.zeros(2, dtype=torch.int64)  # noqa: E741
REFUSED = [
    (TWO, {"verb": Z}, {"verb": I, "noun": I}, None, "outputs lack noun"),
    (TWO, Z, {"verb": I, "noun": I}, None, "outputs are given for label; the tasks are verb, noun"),
    (TWO, {"verb": Z, "noun": Z}, {"verb": I}, None, "targets lack noun; every task has some"),
    (TWO, {"verb": Z, "noun": Z}, I, None, "targets are given for label"),
    (SINGLE, Z, {"label": I, "noun": I}, None, "targets are given for noun; the tasks are label"),
    (SINGLE, Z[:, :4], I, None, r"float clips x 5 classes, got torch.float32 \(2, 4\)"),
    (SINGLE, Z[0], I, None, r"float clips x 5 classes, got torch.float32 \(5,\)"),
    (SINGLE, Z.long(), I, None, "float clips x 5 classes, got torch.int64"),
    (SINGLE, Z, I[:1], None, "one for each of the 2 clips"),
    (SINGLE, Z, I[0], None, "one for each of the 2 clips"),
    (SINGLE, Z, I.float(), None, r"indices in int64, .* got torch.float32 \(2,\)"),
    (SINGLE, Z, I.int(), None, "indices in int64, .* got torch.int32"),
    (SINGLE, Z, I + 5, None, "targets of label are 0 to 4, or -1 for no label, got 5"),
    (SINGLE, Z, I - 100, None, "or -1 for no label, got -100"),
    (SINGLE, Z, Z.long(), None, "soft targets of label are float, .* multiple=True"),
    (SINGLE, Z, Z[:, :4], None, r"clips x 5 classes, got torch.float32 \(2, 4\)"),
    (SINGLE, Z, Z + 0.5, None, "sum to 1 over the classes, got 2.5"),
    (SINGLE, Z, Z * float("nan"), None, "sum to 1 over the classes, got nan"),
    (MANY, {"a": Z}, {"a": I}, None, r"clips x 5 classes, got torch.int64 \(2,\)"),
    (MANY, {"a": Z}, {"a": Z + 2}, None, "0 to 1 for each class, or -1 .* got 2"),
    (MANY, {"a": Z}, {"a": Z * float("nan")}, None, "0 to 1 for each class, or -1 .* got nan"),
    (SINGLE, Z, I, torch.ones(3), r"one float of each of the 2 clips, got torch.float32 \(3,\)"),
    (SINGLE, Z, I, torch.ones(2).long(), "one float of each of the 2 clips, got torch.int64"),
    (SINGLE, Z, I, [1.0, 1.0], "weights are a tensor of one float a clip, got list"),
    (SINGLE, Z, [0, 1], None, "targets of label are a tensor, got list; torch.as_tensor makes"),
    (SINGLE, Z, {"label": I.numpy()}, None, "targets of label are a tensor, got ndarray"),
    (SINGLE, Z, I, -torch.ones(2), r"weighs 0 or more, got weights \[-1.0, -1.0\]"),
]


@pytest.mark.parametrize(("tasks", "outputs", "targets", "weights", "message"), REFUSED)
def test_bad_input_is_refused_in_a_sentence(tasks, outputs, targets, weights, message):
    with pytest.raises(ValueError, match=message) as refusal:
        Criterion(tasks)(outputs, targets, weights)
    assert "\n" not in str(refusal.value)


UNSEEN = [
    (torch.tensor([1, CLASSES]), None),
    (torch.tensor([1, -2]), None),
    (I, torch.tensor([1.0, torch.nan])),
    (Z + torch.nan, None),
]


@pytest.mark.parametrize(("target", "weights"), UNSEEN)
@pytest.mark.parametrize("loss", ["ce", "focal", "bce"])
def test_what_cannot_be_looked_at_is_not_passed_over(target, weights, loss):
    graph: Any = torch.compile(Criterion(CLASSES, loss), backend="eager")
    losses = graph(Z, target, weights)
    assert losses.total.isnan()
    assert losses.over(losses.counts).isnan()
    torch.compiler.reset()


@pytest.mark.parametrize("counts", [{}, {"b": 4.0}, {"a": 4.0, "b": 4.0}])
def test_counts_are_of_the_tasks(counts):
    with pytest.raises(ValueError, match=r"counts are given for .*; the tasks are a, each with"):
        Criterion({"a": CLASSES})({"a": Z}, {"a": I}).over(counts)


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"loss": "mse"}, "loss is 'mse'; allowed: ce, focal, bce"),
    ({"gamma": -1.0}, "gamma of the focal loss is 0 or more, got -1.0"),
    ({"class_weights": {"noun": BALANCE}}, "class weights are given for noun"),
    ({"class_weights": {"label": BALANCE[:4]}}, "class weights of label are 5 floats"),
    ({"class_weights": {"label": -BALANCE}}, "label are finite and 0 or more, got -1"),
    ({"class_weights": BALANCE / 0}, "label are finite and 0 or more, got inf"),
    ({"class_weights": BALANCE * torch.nan}, "label are finite and 0 or more, got nan"),
    ({"class_weights": [1.0] * 5}, "class weights of label are a tensor, got list"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Criterion(CLASSES, **options)
