"""What published files of the frame-by-frame family (TSN, TRN, TSM) call their weights.

Keys come here as network/renaming.py leaves them: without `base_model.`, and those it knows (the
backbone's, one head a task) under our names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from network.renaming import State

RENAMES = (
    # TSM with non-local blocks: the wrappers around a block and around its first convolution.
    (re.compile(r"^(?:backbone\.)?(layer\d\.\d+)(?:\.block)?\."), r"backbone.\1."),
    (re.compile(r"\.conv1\.net\."), r".conv1."),
    # TRN: what brings features down, and the relation of all frames or of each number of them.
    (re.compile(r"^new_fc\."), r"consensus.project."),
    (re.compile(r"^consensus\.(?:pre_classifier|classifier)\.1\."), r"consensus.relations.0."),
    (re.compile(r"^consensus\.fc_fusion_scales\.(\d+)\.1\."), r"consensus.relations.\1."),
)
VIDEO_HEADS = (("new_fc", ""), ("fc_verb", "verb"), ("fc_noun", "noun"))
"""Heads of TSN and TSM, and of those for EPIC-Kitchens."""
RELATION_HEADS = (("consensus.classifier.3", ""), ("consensus.classifiers.0", "verb"),
                  ("consensus.classifiers.1", "noun"))  # fmt: skip
"""Of TRN, single scale."""
SCALE_HEADS = (
    ("consensus.fc_fusion_scales.{}.3", "", 0),
    ("consensus.classifiers.{}.0", "verb", 1),
    ("consensus.classifiers.{}.1", "noun", 1),
)
"""Of TRN, several scales: one head a scale, its task, and how many places before its own a scale
finds it. EPIC-Kitchens' code takes the head before (and the first one twice); files hold weights
that were trained so, and mean the same here."""


def renamed(state: State, own: State) -> State:
    """Under the network's names where it has them, else as they were."""
    return {_known(key, own): value for key, value in state.items()}


def _known(key: str, own: State) -> str:
    new = key
    for pattern, replacement in RENAMES:
        new = pattern.sub(replacement, new)
    return new if new in own else key


def joined_heads(state: State, sets: Sequence[int], tasks: Sequence[str]) -> State:
    """One head for relations side by side, of one head a scale whose answers are summed.

    `sets`: how many relations of each scale are summed before the head, so that its constants
    have to be counted as often. What was joined is left out.
    """
    joined: State = {}
    used: set[str] = set()
    for pattern, named, back in SCALE_HEADS:
        task = named or tasks[0]
        heads = [pattern.format(max(0, scale - back)) for scale in range(len(sets))]
        if task not in tasks or any(f"{head}.weight" not in state for head in heads):
            continue
        weights = [state[f"{head}.weight"] for head in heads]
        constants = [count * state[f"{head}.bias"] for head, count in zip(heads, sets, strict=True)]
        joined[f"heads.to_{task}.weight"] = torch.cat(weights, dim=1)
        joined[f"heads.to_{task}.bias"] = torch.stack(constants).sum(0)
        every = (pattern.format(scale) for scale in range(len(sets)))
        used |= {f"{head}.{kind}" for head in every for kind in ("weight", "bias")}
    return {key: value for key, value in state.items() if key not in used} | joined
