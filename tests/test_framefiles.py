"""Published files of the frame-by-frame family: their names, and heads that sum over scales."""

import pytest
import torch
from torch import nn

from tests.framenets import TWO, build, on_meta

NAMES = [
    ("tsm", "backbone.layer1.0.conv1.net.weight", "backbone.layer1.0.conv1.weight"),
    ("tsm-nl", "layer2.0.block.conv1.net.weight", "backbone.layer2.0.conv1.weight"),
    ("tsm-nl", "layer2.0.block.bn3.running_var", "backbone.layer2.0.bn3.running_var"),
    ("tsm-nl", "layer2.0.nl.W.1.weight", "backbone.layer2.0.nl.W.1.weight"),
    ("trn", "new_fc.bias", "consensus.project.bias"),
    ("trn", "consensus.pre_classifier.1.weight", "consensus.relations.0.weight"),
    ("trn", "consensus.classifier.1.weight", "consensus.relations.0.weight"),
    ("mtrn", "consensus.fc_fusion_scales.2.1.weight", "consensus.relations.2.weight"),
    ("average", "new_fc.bias", "new_fc.bias"),  # its head, which others name
    ("average", "something.else", "something.else"),
]


@pytest.mark.parametrize(("consensus", "theirs", "ours"), NAMES)
def test_published_names(consensus, theirs, ours):
    network = on_meta("resnet50", 3, consensus=consensus)
    assert [*network.adapt({theirs: torch.zeros(1)})] == [ours]


def test_published_heads():
    plain = {"fc": "", "last_linear": "", "new_fc": "", "fc_verb": "verb", "fc_noun": "noun"}
    assert dict(build().published_heads) == plain
    assert dict(build(consensus="trn").published_heads) == {
        "consensus.classifier.3": "", "consensus.classifiers.0": "verb",
        "consensus.classifiers.1": "noun"}  # fmt: skip
    assert build("timm:test_vit").published_heads == (("head", ""),)


@pytest.mark.parametrize(
    ("tasks", "head", "order"),
    [
        (3, "consensus.fc_fusion_scales.{}.3", (0, 1, 2)),
        (TWO, "consensus.classifiers.{}.0", (0, 0, 1)),  # as the published code looks them up
    ],
)
def test_heads_that_sum_over_scales_become_one_that_says_the_same(tasks, head, order):
    network = build(tasks=tasks, consensus="mtrn").eval()
    theirs = [nn.Linear(256, 3) for _ in range(3)]
    noun = [nn.Linear(256, 4) for _ in range(3)]
    state = {f"{head.format(i)}.{k}": v for i, one in enumerate(theirs)
             for k, v in one.state_dict().items()}  # fmt: skip
    if tasks is TWO:
        state |= {f"consensus.classifiers.{i}.1.{k}": v for i, one in enumerate(noun)
                  for k, v in one.state_dict().items()}  # fmt: skip
    adapted = network.adapt(state)
    task = "verb" if tasks is TWO else "label"
    assert {*adapted} == {f"heads.to_{one}.{k}" for one in network.heads.tasks
                          for k in ("weight", "bias")}  # fmt: skip
    network.load_state_dict(adapted, strict=False)
    features = torch.randn(2, 4, 512)
    consensus = network.consensus
    given = consensus.project(features).relu()
    expected = sum(
        theirs[order[scale]](relation(given[:, list(one)].flatten(1)).relu())
        for scale, (relation, sets) in enumerate(
            zip(consensus.relations, consensus.sets, strict=True)
        )
        for one in sets
    )
    made = network.logits(consensus.gather(features))
    assert torch.allclose(made[task] if tasks is TWO else made, expected, atol=1e-5)
