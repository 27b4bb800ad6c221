"""Heads of one task or several, and the actions that two of them make together."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from network.heads import ONLY, Heads, Task, action_scores, tasks_of, top_actions

PAIR = ("verb", "noun")


def logits(*shape, seed=0, spread=3.0):
    return spread * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair_of(clips=6, verbs=5, nouns=7, spread=3.0):
    return {"verb": logits(clips, verbs, spread=spread),
            "noun": logits(clips, nouns, seed=1, spread=spread)}  # fmt: skip


# -- heads ----------------------------------------------------------------------------------------

TASKS = [
    (4, {ONLY: Task(4)}),
    ({"verb": 97, "noun": 300}, {"verb": Task(97), "noun": Task(300)}),
    ({"verb": Task(97, smoothing=0.1), "noun": 3}, {"verb": Task(97, smoothing=0.1),
                                                    "noun": Task(3)}),
    ({"only": 2}, {"only": Task(2)}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "tasks"), TASKS)
def test_heads_answer_every_task(given, tasks):
    heads = Heads(8, given)
    assert tasks_of(given) == heads.tasks == tasks
    names = [f"to_{name}.{kind}" for name in tasks for kind in ("weight", "bias")]
    assert list(heads.state_dict()) == names
    features = logits(2, 8)
    answers: Any = heads(features)
    if isinstance(given, int):
        answers = {ONLY: answers}
    assert {name: tuple(answer.shape) for name, answer in answers.items()} == {
        name: (2, task.classes) for name, task in tasks.items()
    }
    for name, answer in answers.items():
        head = heads.of(name)
        assert torch.equal(answer, nn.functional.linear(features, head.weight, head.bias))


@pytest.mark.parametrize(
    "name", ["type", "forward", "training", "tasks", "dropout", "of", "to", "weight", "a b", "é"]
)
def test_a_task_may_be_called_what_a_module_has(name):
    heads = copy.deepcopy(Heads(4, {name: 3, "noun": 2}))
    assert heads(torch.zeros(2, 4))[name].shape == (2, 3)
    assert f"to_{name}.weight" in heads.state_dict()


def test_tasks_share_what_dropout_leaves():
    heads: Any = Heads(1000, {"verb": 3, "noun": 3}, dropout=0.5)
    heads.of("noun").load_state_dict(heads.of("verb").state_dict())
    features = torch.ones(2, 1000)
    answers = heads(features)
    assert torch.equal(answers["verb"], answers["noun"])
    assert not torch.equal(answers["verb"][0], answers["verb"][1])
    heads.eval()
    assert torch.equal(heads(features)["verb"], heads.of("verb")(features))


def test_features_may_have_more_dimensions():
    assert Heads(4, 3)(torch.zeros(2, 5, 4)).shape == (2, 5, 3)


BAD_TASKS = [
    ({}, ValueError, "decides at least one task, a number of classes"),
    (0, ValueError, "at least 1 class, got 0"),
    ({"verb": -2}, ValueError, "at least 1 class, got -2"),
    ({"verb": 2.0}, TypeError, "a whole number, got 2.0"),
    ({"a.b": 2}, ValueError, "a task cannot be called 'a.b', since its head is a module"),
    ({"": 2}, ValueError, "a task cannot be called ''"),
    ({"empty": 2}, ValueError, "a task cannot be called 'empty'"),
    ({3: 2}, ValueError, "a task cannot be called 3"),
]


@pytest.mark.parametrize(("tasks", "kind", "message"), BAD_TASKS)
def test_what_cannot_be_a_task(tasks, kind, message):
    with pytest.raises(kind, match=message):
        Heads(4, tasks)


BAD_OPTIONS = [
    ({"smoothing": 1.0}, "less than 1, got 1.0"),
    ({"smoothing": -0.1}, "0 or more and less than 1, got -0.1"),
    ({"weight": -1.0}, "weight is 0 or more, got -1.0"),
    ({"weight": float("nan")}, "weight is 0 or more, got nan"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_what_a_task_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        Task(3, **options)


# -- actions --------------------------------------------------------------------------------------


def scorers_ranking(verbs, nouns, k, kept=100):
    """How the EPIC-KITCHENS scorer ranks: from the best `kept` of each task alone, through a
    softmax over the whole array, which scales all scores and changes no clip's order."""

    def best(scores):
        order = np.argsort(scores, axis=-1)[:, ::-1][:, :kept]
        values = np.take_along_axis(scores, order, axis=-1)
        powers = np.exp(values - values.max())
        return order, powers / powers.sum()

    (verb, of_verb), (noun, of_noun) = best(verbs), best(nouns)
    actions = []
    for clip in range(len(verbs)):
        products = np.outer(of_verb[clip], of_noun[clip])
        flat = np.argsort(products, axis=None)[::-1][:k]
        rows, columns = np.unravel_index(flat, products.shape)
        actions.append(np.stack([verb[clip][rows], noun[clip][columns]], axis=-1))
    return np.stack(actions)


@pytest.mark.parametrize(("verbs", "nouns"), [(125, 352), (97, 300), (5, 7)])
@pytest.mark.parametrize("spread", [1.0, 5.0])
def test_actions_are_ranked_as_by_epics_scorer(verbs, nouns, spread):
    outputs = {name: values.double() for name, values in pair_of(4, verbs, nouns, spread).items()}
    k = min(100, verbs * nouns)
    ours = top_actions(outputs, PAIR, k)
    theirs = scorers_ranking(outputs["verb"].numpy(), outputs["noun"].numpy(), k)
    assert np.array_equal(ours.classes, theirs)


def test_scores_are_products_of_each_tasks_own_softmax():
    outputs = pair_of()
    scores = action_scores(outputs, PAIR)
    verb, noun = (outputs[task].softmax(-1) for task in PAIR)
    assert torch.allclose(scores, verb[:, :, None] * noun[:, None, :], atol=1e-7)
    assert torch.allclose(scores.sum((1, 2)), torch.ones(6))
    best = top_actions(outputs, PAIR, 35)
    for clip, (classes, given) in enumerate(zip(best.classes, best.scores, strict=True)):
        assert torch.allclose(scores[clip][tuple(classes.T)], given)
        assert torch.equal(given, given.sort(descending=True).values)
    assert len(set(map(tuple, best.classes[0].tolist()))) == 35


def test_products_too_small_to_tell_apart_are_ranked():
    outputs = {"verb": torch.tensor([[0.0, -300.0, -301.0]]), "noun": torch.tensor([[0.0, -400.0]])}
    best = top_actions(outputs, PAIR, 6)
    assert best.classes[0].tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]


def test_only_actions_that_exist():
    outputs = pair_of()
    among = torch.tensor([[0, 0], [4, 6], [2, 3], [1, 5]])
    best = top_actions(outputs, PAIR, 4, among)
    scores = action_scores(outputs, PAIR)
    for clip in range(6):
        expected = sorted(among.tolist(), key=lambda pair: -scores[clip][tuple(pair)])
        assert best.classes[clip].tolist() == expected
        found = scores[clip][tuple(best.classes[clip].T)]
        assert torch.allclose(best.scores[clip], found)
    everything = torch.tensor(list(itertools.product(range(5), range(7))))
    assert torch.equal(
        top_actions(outputs, PAIR, 9, everything).classes, top_actions(outputs, PAIR, 9).classes
    )


def test_three_tasks_and_more_dimensions():
    outputs = {name: logits(2, 3, size, seed=size)
               for name, size in (("verb", 3), ("noun", 4), ("hand", 2))}  # fmt: skip
    tasks = ("hand", "verb", "noun")
    scores = action_scores(outputs, tasks)
    assert scores.shape == (2, 3, 2, 3, 4)
    best = top_actions(outputs, tasks, 1)
    assert best.classes.shape == (2, 3, 1, 3)
    at = scores[1, 2].argmax()
    assert best.classes[1, 2, 0].tolist() == [int(i) for i in torch.unravel_index(at, (2, 3, 4))]


def test_half_precision_is_ranked_in_float32():
    outputs = {name: values.bfloat16() for name, values in pair_of().items()}
    wide = {name: values.float() for name, values in outputs.items()}
    assert torch.equal(top_actions(outputs, PAIR, 9).classes, top_actions(wide, PAIR, 9).classes)
    assert action_scores(outputs, PAIR).dtype is torch.float32


INT = torch.int64
BAD_ACTIONS = [
    (("verb",), 1, None, "two or more different tasks, got .'verb'."),
    (("verb", "verb"), 1, None, "two or more different tasks"),
    (("verb", "object"), 1, None, "does not decide object; .* its tasks, which are verb, noun"),
    (PAIR, 0, None, "the best 0 of 35 actions"),
    (PAIR, 36, None, "the best 36 of 35 actions"),
    (PAIR, 2, torch.zeros(1, 2, dtype=INT), "the best 2 of 1 actions"),
    (PAIR, 1, torch.zeros(1, 3, dtype=INT), r"one row each of verb, noun, got torch.int64 \(1, 3"),
    (PAIR, 1, torch.zeros(1, 2), "int64 and one row each of verb, noun, got torch.float32"),
    (PAIR, 1, torch.tensor([[0, 7]]), r"verb, noun have \[5, 7\]"),
    (PAIR, 1, torch.tensor([[-1, 0]]), "classes the tasks have not"),
]


@pytest.mark.parametrize(("tasks", "k", "among", "message"), BAD_ACTIONS)
def test_what_is_no_action(tasks, k, among, message):
    with pytest.raises(ValueError, match=message):
        top_actions(pair_of(), tasks, k, among)


def test_a_plain_network_has_no_actions():
    plain: Any = logits(2, 4)
    with pytest.raises(ValueError, match="which are label"):
        top_actions(plain, PAIR, 1)
