"""The loss of each task against plain torch, what weighs nothing, shares and counts."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import functional

from network.heads import Task
from network.losses import Criterion, Losses

CLIPS, CLASSES = 6, 5
HALVES = (slice(0, 2), slice(2, 6))
MISSING = torch.tensor([1, 4, -1, 0, -1, 3])
LABELS = torch.tensor([1, 4, 2, 0, 2, 3])
WEIGHTS = torch.tensor([1.0, 0.5, 2.0, 0.0, 1.0, 1.0])
BALANCE = torch.tensor([1.0, 0.2, 3.0, 0.5, 2.0])
SEVERAL = torch.tensor([[0, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0],
                        [-1, 1, 0, -1, 1], [-1, -1, -1, -1, -1], [1, 0, 0, 0, 1]])  # fmt: skip


def logits(seed=0, classes=CLASSES, clips=CLIPS):
    values = torch.randn(clips, classes, generator=torch.Generator().manual_seed(seed))
    return (3 * values).requires_grad_()


def mixed(labels=LABELS, classes=CLASSES):
    """What mixing each clip with the next makes of the labels."""
    hot = functional.one_hot(labels, classes).float()
    return 0.7 * hot + 0.3 * hot.roll(1, 0)


def one_task(smoothing=0.0, **options):
    return {"a": Task(CLASSES, smoothing=smoothing, **options)}


def gradient(loss, values):
    return torch.autograd.grad(loss, values)[0]


def same(ours, theirs, values, tolerance=1e-6):
    assert torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    one, other = (gradient(loss, values) for loss in (ours, theirs))
    assert torch.allclose(one, other, rtol=tolerance, atol=tolerance)


# -- against plain torch --------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("balance", [None, {"a": BALANCE}])
@pytest.mark.parametrize("labels", [LABELS, MISSING])
def test_cross_entropy_is_torchs(smoothing, balance, labels):
    values = logits()
    criterion = Criterion(one_task(smoothing), class_weights=balance)
    ours = criterion({"a": values}, {"a": labels}).total
    theirs = functional.cross_entropy(
        values, labels, weight=balance and balance["a"], ignore_index=-1, label_smoothing=smoothing
    )
    same(ours, theirs, values)


@pytest.mark.parametrize("options", [{}, {"loss": "focal", "gamma": 1e-9}])
def test_a_class_that_is_ruled_out_costs_nothing(options):
    values = logits()
    barred = values + torch.where(torch.arange(CLASSES) == 2, -torch.inf, 0.0)
    labels = torch.where(LABELS == 2, -1, LABELS)
    expected = functional.cross_entropy(barred, labels, ignore_index=-1)
    criterion = Criterion(one_task(), **options)
    ours = criterion({"a": barred}, {"a": labels}).total
    assert torch.allclose(ours, expected)
    one, other = (torch.autograd.grad(x, values, retain_graph=True) for x in (ours, expected))
    assert torch.allclose(one[0], other[0], atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_soft_targets_are_torchs(smoothing):
    values = logits()
    ours = Criterion(one_task(smoothing))({"a": values}, {"a": mixed()}).total
    same(ours, functional.cross_entropy(values, mixed(), label_smoothing=smoothing), values)


@pytest.mark.parametrize("loss", ["ce", "focal", "bce"])
@pytest.mark.parametrize("balance", [None, {"a": BALANCE}])
def test_soft_targets_that_are_hard_are_indices(loss, balance):
    values, hot = logits(), functional.one_hot(LABELS, CLASSES).float()
    hot[2] = -1
    hard = torch.where(torch.arange(CLIPS) == 2, -1, LABELS)
    criterion = Criterion(one_task(0.1), loss, class_weights=balance)
    soft, indices = (criterion({"a": values}, {"a": one}, WEIGHTS) for one in (hot, hard))
    same(soft.total, indices.total, values)
    assert torch.allclose(soft.counts["a"], indices.counts["a"])


def test_balance_of_mixed_clips_lies_between():
    """A clip that is mixed of two classes weighs what its parts do."""
    values = logits()
    ours = Criterion(one_task(), class_weights={"a": BALANCE})({"a": values}, {"a": mixed()})
    assert torch.allclose(ours.counts["a"], (mixed() * BALANCE).sum())
    theirs = -(mixed() * BALANCE * values.log_softmax(1)).sum() / (mixed() * BALANCE).sum()
    same(ours.total, theirs, values)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_loss_is_the_papers(gamma):
    values = logits()
    right = values.softmax(1)[torch.arange(CLIPS), LABELS]
    theirs = (-((1 - right) ** gamma) * right.log()).mean()
    ours = Criterion(one_task(), "focal", gamma=gamma)({"a": values}, {"a": LABELS}).total
    same(ours, theirs, values, 1e-5)


def test_focal_loss_of_what_is_certain_has_a_gradient():
    values = (200 * functional.one_hot(LABELS, CLASSES)).float().requires_grad_()
    for gamma in (0.5, 2.0):
        for task in (Task(CLASSES), Task(CLASSES, multiple=True)):
            target = SEVERAL.clamp(min=0) if task.multiple else LABELS
            loss = Criterion({"a": task}, "focal", gamma=gamma)({"a": values}, {"a": target}).total
            assert gradient(loss, values).isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_loss_of_one_class_is_torchs(smoothing):
    values = logits()
    wanted = functional.one_hot(LABELS, CLASSES) * (1 - smoothing) + smoothing / CLASSES
    theirs = functional.binary_cross_entropy_with_logits(values, wanted)
    same(Criterion(one_task(smoothing), "bce")({"a": values}, {"a": LABELS}).total, theirs, values)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.int8])
@pytest.mark.parametrize("loss", ["ce", "bce"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_several_classes_are_torchs_binary_loss(dtype, loss, smoothing):
    values, known = logits(), SEVERAL >= 0
    wanted = SEVERAL * (1 - smoothing) + smoothing / 2
    theirs = functional.binary_cross_entropy_with_logits(values[known], wanted[known])
    ours = Criterion(one_task(smoothing, multiple=True), loss)(
        {"a": values}, {"a": SEVERAL.to(dtype)}
    )
    same(ours.total, theirs, values)
    assert ours.counts["a"] == known.sum()


def test_several_classes_as_bools_and_probabilities():
    values, criterion = logits(), Criterion(one_task(multiple=True))
    bools = SEVERAL == 1
    pair = [criterion({"a": values}, {"a": one}).total for one in (bools, bools.float())]
    assert torch.equal(*pair)
    wanted = mixed() / 2
    theirs = functional.binary_cross_entropy_with_logits(values, wanted)
    same(criterion({"a": values}, {"a": wanted}).total, theirs, values)


def test_focal_loss_of_several_classes():
    values, criterion = logits(), Criterion(one_task(multiple=True), "focal", gamma=2.0)
    wanted = SEVERAL.clamp(min=0).float()
    right = torch.where(wanted == 1, values.sigmoid(), 1 - values.sigmoid())
    same(criterion({"a": values}, {"a": wanted}).total,
         (-((1 - right) ** 2) * right.log()).mean(), values, 1e-5)  # fmt: skip


# -- what weighs nothing --------------------------------------------------------------------------

HARD, SOFT = MISSING, mixed()
SOFT[MISSING < 0, 2] = -1  # one such number is enough
KINDS = [("ce", HARD), ("focal", HARD), ("bce", HARD), ("ce", SOFT), ("focal", SOFT),
         ("bce", SOFT), ("ce", SEVERAL), ("focal", SEVERAL)]  # fmt: skip


def criterion_for(loss, target, smoothing=0.1):
    return Criterion(one_task(smoothing, multiple=target is SEVERAL, weight=1.5), loss)


def missing(target):
    """Which numbers of the logits have no say."""
    lost = target < 0
    if target is HARD:
        lost = lost[:, None]
    return (lost if target is SEVERAL else lost.any(1, keepdim=True)).expand(CLIPS, CLASSES)


@pytest.mark.parametrize(("loss", "target"), KINDS)
@pytest.mark.parametrize("nonsense", [0.0, float("nan"), float("inf"), -float("inf")])
def test_what_is_missing_or_unread_has_no_gradient(loss, target, nonsense):
    unread = (WEIGHTS == 0)[:, None].expand(CLIPS, CLASSES)
    gone = missing(target) | unread
    good = logits()
    values = torch.where(gone, nonsense, good.detach()).requires_grad_()
    losses = criterion_for(loss, target)({"a": values}, {"a": target}, WEIGHTS)
    flowing = gradient(losses.total, values)
    assert (flowing[gone] == 0).all()
    assert (flowing[~gone] != 0).all()
    assert flowing.isfinite().all()
    clean = criterion_for(loss, target)({"a": good}, {"a": target}, WEIGHTS)
    assert torch.equal(losses.total, clean.total)


@pytest.mark.parametrize(("loss", "target"), KINDS)
def test_a_clips_weight_is_how_often_it_counts(loss, target):
    twice, values = torch.tensor([0, 0, 1, 2, 2, 3, 4, 5]), logits()
    weights = torch.tensor([2.0, 1.0, 2.0, 1.0, 1.0, 1.0])
    weighted = criterion_for(loss, target)({"a": values}, {"a": target}, weights)
    multiple = target is SEVERAL
    repeated = Criterion(one_task(0.1, multiple=multiple, weight=1.5), loss)(
        {"a": values[twice]}, {"a": target[twice]}
    )
    same(weighted.total, repeated.total, values)
    assert torch.allclose(weighted.counts["a"], repeated.counts["a"])


@pytest.mark.parametrize(("loss", "target"), KINDS)
def test_only_weights_beside_one_another_matter(loss, target):
    values, criterion = logits(), criterion_for(loss, target)
    whole, light = (criterion({"a": values}, {"a": target}, WEIGHTS * by) for by in (1, 0.01))
    same(light.total, whole.total, values)
    assert torch.allclose(light.counts["a"], whole.counts["a"] * 0.01)


@pytest.mark.parametrize(("loss", "target"), KINDS)
@pytest.mark.parametrize("how", ["no label", "no weight", "no clip"])
def test_where_nothing_counts_the_loss_is_zero(loss, target, how):
    values = logits(clips=0 if how == "no clip" else CLIPS)
    nothing = torch.full_like(target, -1) if how == "no label" else target[: len(values)]
    weights = torch.zeros(len(values)) if how == "no weight" else None
    criterion = Criterion(one_task(0.1, multiple=target is SEVERAL), loss)
    losses = criterion({"a": values}, {"a": nothing}, weights)
    assert losses.total == losses.by_task["a"] == losses.counts["a"] == 0
    assert (gradient(losses.total, values) == 0).all()


def test_one_tasks_missing_label_is_not_anothers():
    outputs = {"verb": logits(), "noun": logits(1)}
    losses = Criterion({"verb": 5, "noun": 5})(outputs, {"verb": LABELS, "noun": MISSING})
    losses.total.backward()
    assert (outputs["noun"].grad[MISSING < 0] == 0).all()
    assert (outputs["verb"].grad != 0).all()
    assert {name: float(count) for name, count in losses.counts.items()} == {"verb": 6, "noun": 4}


# -- sums -----------------------------------------------------------------------------------------


def test_the_total_is_the_weighted_sum_of_tasks():
    tasks: dict[str, Any] = {
        "verb": Task(5, weight=0.5),
        "noun": Task(4, weight=2.0, smoothing=0.2),
        "x": 3,
    }
    outputs = {"verb": logits(), "noun": logits(1, 4), "x": logits(2, 3)}
    targets = {"verb": LABELS, "noun": LABELS.clamp(max=3), "x": LABELS.clamp(max=2)}
    losses = Criterion(tasks)(outputs, targets)
    alone = {
        name: functional.cross_entropy(
            outputs[name], targets[name], label_smoothing=0.2 * (name == "noun")
        )
        for name in tasks
    }
    assert losses.by_task.keys() == alone.keys()
    for name, loss in losses.by_task.items():
        assert torch.allclose(loss, alone[name])
    total = 0.5 * alone["verb"] + 2 * alone["noun"] + alone["x"]
    for values in outputs.values():
        same(losses.total, total, values)


@pytest.mark.parametrize(("loss", "target"), KINDS)
@pytest.mark.parametrize("sizes", [(3, 3), (1, 5), (2, 0, 4)])
def test_shares_of_ranks_sum_to_the_whole(loss, target, sizes):
    values, criterion = logits(), criterion_for(loss, target)
    whole = criterion({"a": values}, {"a": target}, WEIGHTS)
    split = [one.split(sizes) for one in (values, target, WEIGHTS)]
    parts = [criterion({"a": a}, {"a": b}, w) for a, b, w in zip(*split, strict=True)]
    early = [criterion.counts({"a": b}, w)["a"] for _, b, w in zip(*split, strict=True)]
    assert torch.equal(torch.stack(early), torch.stack([part.counts["a"] for part in parts]))
    counts = {"a": sum(early)}
    assert torch.allclose(counts["a"], whole.counts["a"])
    assert torch.equal(parts[0].over({"a": float(counts["a"])}), parts[0].over(counts))
    same(sum(part.over(counts) for part in parts), whole.total, values)
    assert torch.equal(whole.over(whole.counts), whole.total)


def test_shares_are_exact_where_a_part_has_only_classes_of_no_weight():
    criterion = Criterion(one_task(0.1), class_weights={"a": torch.tensor([1.0, 0, 1, 1, 0])})
    values = logits()
    whole = criterion({"a": values}, {"a": LABELS})
    parts = [criterion({"a": values[half]}, {"a": LABELS[half]}) for half in HALVES]
    assert parts[0].counts["a"] == parts[0].total == parts[0].by_task["a"] == 0
    same(sum(part.over(whole.counts) for part in parts), whole.total, values)


@pytest.mark.parametrize(("loss", "target"), KINDS)
def test_half_precision_is_summed_in_float32(loss, target):
    values = logits().detach().bfloat16().requires_grad_()
    criterion = criterion_for(loss, target)
    with torch.autocast("cpu", torch.bfloat16):
        losses = criterion({"a": values}, {"a": target})
    wide = criterion({"a": values.float()}, {"a": target})
    assert losses.total.dtype is losses.counts["a"].dtype is torch.float32
    assert torch.equal(losses.total, wide.total)
    assert gradient(losses.total, values).dtype is torch.bfloat16


@pytest.mark.parametrize(("loss", "target"), KINDS)
def test_gradients_are_those_of_differences(loss, target):
    criterion = criterion_for(loss, target)

    def total(values):
        return criterion({"a": values}, {"a": target}, WEIGHTS).total

    assert torch.autograd.gradcheck(total, logits().detach().double().requires_grad_())


def test_a_plain_network_needs_no_names():
    values, criterion = logits(), Criterion(CLASSES)
    expected = functional.cross_entropy(values, LABELS)
    for outputs in (values, {"label": values}):
        for targets in (LABELS, {"label": LABELS}):
            losses = criterion(outputs, targets)
            assert isinstance(losses, Losses)
            assert torch.allclose(losses.total, expected)
            assert list(losses.by_task) == ["label"]


def test_class_weights_travel_but_are_not_kept():
    criterion = Criterion(CLASSES, class_weights={"label": BALANCE})
    assert not criterion.state_dict()
    assert not list(criterion.parameters())
    on_meta = copy.deepcopy(criterion).to("meta")
    assert {buffer.device.type for buffer in on_meta.buffers()} == {"meta"}
    total = on_meta(torch.zeros(2, CLASSES, device="meta"), torch.zeros(2, device="meta").long())
    assert total.total.shape == ()


@pytest.mark.parametrize(("loss", "target"), KINDS)
def test_compiles_in_one_piece(loss, target):
    criterion = criterion_for(loss, target)
    graph: Any = torch.compile(criterion, backend="aot_eager", fullgraph=True)
    values = logits()
    losses = graph({"a": values}, {"a": target}, WEIGHTS)
    same(losses.total, criterion({"a": values}, {"a": target}, WEIGHTS).total, values)
    torch.compiler.reset()


def test_class_weights_of_a_plain_network_need_no_name():
    named = Criterion(CLASSES, class_weights={"label": BALANCE})(logits(), LABELS)
    assert torch.equal(Criterion(CLASSES, class_weights=BALANCE)(logits(), LABELS).counts["label"],
                       named.counts["label"])  # fmt: skip
