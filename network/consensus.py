"""From what each frame says to what the clip is: averages, maxima, relations between frames.

A consensus may work on features (`gather`, before the heads) or on logits (`agree`, behind them).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import comb

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

PROJECTED = 256
"""Numbers a frame's features are brought down to before frames are related."""
SINGLE, MULTIPLE = 512, 256
"""Numbers in a relation: of all frames only; at each of several scales."""
SUBSETS = 3
"""At most so many sets of frames are related at each scale."""


class Consensus(nn.Module, ABC):
    """How the frames of a clip come to one answer."""

    def select(self, clip_BTCHW: Tensor) -> Tensor:  # noqa: N803
        """The frames that are looked at."""
        return clip_BTCHW

    def gather(self, features_BTF: Tensor) -> Tensor:  # noqa: N803
        """What the heads see."""
        return features_BTF

    @abstractmethod
    def agree(self, logits: Tensor) -> Tensor:
        """`B x classes` of what the heads say."""


class Average(Consensus):
    """The mean of the frames' logits."""

    def agree(self, logits_BTK: Tensor) -> Tensor:  # noqa: N803
        return logits_BTK.mean(1)


class Maximum(Consensus):
    """Each class's greatest logit of any frame."""

    def agree(self, logits_BTK: Tensor) -> Tensor:  # noqa: N803
        return logits_BTK.amax(1)


class Relation(Consensus):
    """Frames related in their order (TRN): of all frames at once, or also of each smaller number.

    Of each scale, the relations of at most three sets of frames are summed. Published code draws
    the sets anew at each step; here they are fixed, evenly spread over all there are, in training
    and in testing, so that a clip always gets the same answer. The scales lie side by side before
    the head, which is the sum of the published one head a scale.
    """

    def __init__(self, width: int, frames: int, dropout: float, multiple: bool) -> None:
        super().__init__()
        if multiple and frames < 2:
            raise ValueError(f"mtrn relates 2 frames or more, got {frames}; take trn for one")
        scales = range(frames, 1, -1) if multiple else (frames,)
        made = MULTIPLE if multiple else SINGLE
        self.frames = frames
        self.sets = [frame_sets(frames, scale) for scale in scales]
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(width, PROJECTED)
        self.relations = nn.ModuleList(nn.Linear(scale * PROJECTED, made) for scale in scales)
        self.width = made * len(self.relations)

    def select(self, clip_BTCHW: Tensor) -> Tensor:  # noqa: N803
        frames = clip_BTCHW.shape[1]
        if frames <= self.frames:
            return clip_BTCHW
        return torch.stack([clip_BTCHW[:, i] for i in evenly(frames, self.frames)], 1)

    def gather(self, features_BTF: Tensor) -> Tensor:  # noqa: N803
        given = F.relu(self.project(self.dropout(features_BTF)))
        frames = [given[:, i] for i in evenly(given.shape[1], self.frames)]
        return torch.cat(
            [
                self._relate(relation, frames, sets)
                for relation, sets in zip(self.relations, self.sets, strict=True)
            ],
            dim=1,
        )

    def _relate(
        self, relation: nn.Module, frames: list[Tensor], sets: tuple[tuple[int, ...], ...]
    ) -> Tensor:
        related = [F.relu(relation(torch.cat([frames[i] for i in one], 1))) for one in sets]
        return torch.stack(related).sum(0)

    def agree(self, logits: Tensor) -> Tensor:
        return logits


def evenly(count: int, wanted: int) -> list[int]:
    """The middles of `wanted` equal parts of so many frames; each frame repeats if they are few."""
    return [(2 * part + 1) * count // (2 * wanted) for part in range(wanted)]


def frame_sets(frames: int, size: int) -> tuple[tuple[int, ...], ...]:
    """At most three sets of this many of the frames, evenly spread over all in their order."""
    total = comb(frames, size)
    return tuple(frame_set(frames, size, rank) for rank in evenly(total, min(SUBSETS, total)))


def frame_set(frames: int, size: int, rank: int) -> tuple[int, ...]:
    """The set of this rank in the order of itertools.combinations, without listing the others,
    which are more than fit anywhere from some 30 frames on."""
    chosen: list[int] = []
    first = 0
    for left in range(size, 0, -1):
        while rank >= (sets := comb(frames - first - 1, left - 1)):
            rank -= sets
            first += 1
        chosen.append(first)
        first += 1
    return tuple(chosen)
