"""The loss of each task, and the sum of them that is trained on.

Every mean is a weighted sum divided by the sum of its weights, both of which `Losses` tells, so
that a trainer can divide by the weights of all ranks, or of all parts of a step, instead. What has
no label, and what a clip that could not be read stands for, weighs nothing: its logits get a
gradient of exactly zero, whatever they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from network.heads import ONLY, Task, Tasks, tasks_of

LossKind = Literal["ce", "focal", "bce"]
SUM_TOLERANCE = 1e-2  # of soft targets: half precision rounds many small ones


@dataclass(frozen=True)
class Losses:
    """What a criterion says of one batch."""

    total: Tensor
    """The means by task, each times its task's weight, summed: what is trained on."""
    by_task: dict[str, Tensor]
    """The mean over what counts, 0 where nothing does."""
    sums: dict[str, Tensor]
    """What each mean was made of: the weighted sum of the losses."""
    counts: dict[str, Tensor]
    """What each mean was divided by: the sum of the weights."""
    task_weights: dict[str, float]

    def over(self, counts: Mapping[str, Tensor | float]) -> Tensor:
        """The total as this batch's share of a larger one that has these counts: the shares of
        all ranks, or of all parts of a step, sum to the total of the whole.

        `Criterion.counts` tells a part's counts before its forward: sum them over all parts of
        the step and all ranks. DistributedDataParallel takes the mean of the ranks' gradients, so
        there a share is multiplied by the number of ranks before its backward.
        """
        if counts.keys() != self.sums.keys():
            raise ValueError(f"counts are given for {', '.join(counts) or 'no task'}; the tasks "
                             f"are {', '.join(self.sums)}, each with the sum of its counts over "
                             "all ranks and parts of the step")  # fmt: skip
        means = {
            name: _mean(one, torch.as_tensor(counts[name], device=one.device))
            for name, one in self.sums.items()
        }
        return _total(means, self.task_weights)


class Criterion(nn.Module):
    """`criterion(outputs, targets, weights)`, for the outputs of a network of the same tasks.

    A target is a class index a clip (-1: no label), or float `clips x classes` that sum to 1, as
    mixing clips makes them (a row with a negative number: no label). A `multiple` task's is
    `clips x classes` of 0, 1 or what lies between (negative: not known), and its loss is binary:
    with "focal" the focal one, else plain cross entropy of each class.
    """

    def __init__(
        self,
        tasks: Tasks,
        loss: LossKind = "ce",
        *,
        gamma: float = 2.0,
        class_weights: Tensor | Mapping[str, Tensor] | None = None,
    ) -> None:
        """`gamma` is how much focal loss turns away from what is already easy (0: not at all);
        `class_weights` are one number a class, by task where the tasks have names."""
        super().__init__()
        if loss not in get_args(LossKind):
            raise ValueError(f"loss is {loss!r}; allowed: {', '.join(get_args(LossKind))}")
        if not gamma >= 0:
            raise ValueError(f"gamma of the focal loss is 0 or more, got {gamma}")
        self.tasks = tasks_of(tasks)
        self.loss = loss
        self.gamma = gamma if loss == "focal" else 0.0
        given = {} if class_weights is None else _by_name("class weights", class_weights)
        _same_names("class weights", given, self.tasks, all_of_them=False)
        for name, task in self.tasks.items():
            self.register_buffer(f"of_{name}", _class_weights(name, task, given.get(name)),
                                 persistent=False)  # fmt: skip

    def forward(
        self,
        outputs: Tensor | Mapping[str, Tensor],
        targets: Tensor | Mapping[str, Tensor],
        weights: Tensor | None = None,
    ) -> Losses:
        outputs, targets = _by_name("outputs", outputs), _by_name("targets", targets)
        _same_names("outputs", outputs, self.tasks)
        _same_names("targets", targets, self.tasks)
        sums, counts = {}, {}
        for name, task in self.tasks.items():
            logits = _checked_logits(name, task, outputs[name])
            sums[name], counts[name] = self._sum(name, logits, targets[name], weights)
        by_task = {name: _mean(one, counts[name]) for name, one in sums.items()}
        task_weights = {name: task.weight for name, task in self.tasks.items()}
        return Losses(_total(by_task, task_weights), by_task, sums, counts, task_weights)

    def counts(
        self, targets: Tensor | Mapping[str, Tensor], weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The counts that the losses of these targets will have, known before any forward: summed
        over all parts of a step and all ranks, they are what `Losses.over` takes."""
        targets = _by_name("targets", targets)
        _same_names("targets", targets, self.tasks)
        found = {}
        for name, task in self.tasks.items():
            clips = targets[name].shape[:1].numel()
            like = torch.zeros(clips, task.classes, device=targets[name].device)
            _, entries, wanted = self._weighed(name, like, targets[name], weights)
            found[name] = self._count(name, entries, wanted)
        return found

    def _sum(
        self, name: str, logits: Tensor, target: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The weighted sum of one task's losses, and the sum of the weights."""
        task = self.tasks[name]
        counting, entries, wanted = self._weighed(name, logits, target, weights)
        # A loss of no weight is not enough: its gradient is 0 x infinity where logits overflow.
        logits = torch.where(counting, logits, 0.0)
        spread = 2 if task.multiple else task.classes
        smooth = wanted * (1 - task.smoothing) + task.smoothing / spread
        if self._is_binary(name):
            losses = entries * binary_loss(logits, smooth, self.gamma)
        else:
            losses = class_loss(logits, entries * smooth, self.gamma)
        return losses.sum(), self._count(name, entries, wanted)

    def _weighed(
        self, name: str, logits: Tensor, target: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Which logits count, what each one's loss weighs, and how much of each class is wanted."""
        clip_weights = _clip_weights(name, logits, weights)
        _check_clips(name, logits, target)
        wanted, known = _wanted(name, self.tasks[name], target.to(logits.device))
        counting = known & (clip_weights != 0).unsqueeze(1)
        entries = clip_weights.unsqueeze(1) * counting * self._class_weights(name, logits)
        return counting, entries, wanted.to(logits.dtype)

    def _count(self, name: str, entries: Tensor, wanted: Tensor) -> Tensor:
        return entries.sum() if self._is_binary(name) else (entries * wanted).sum()

    def _is_binary(self, name: str) -> bool:
        return self.loss == "bce" or self.tasks[name].multiple

    def _class_weights(self, name: str, like: Tensor) -> Tensor:
        given = self.get_buffer(f"of_{name}")
        return given.to(device=like.device, dtype=like.dtype)


def class_loss(logits: Tensor, wanted: Tensor, gamma: float = 0.0) -> Tensor:
    """Cross entropy of a softmax, the part of each class; focal where gamma is not 0."""
    # A class that is not wanted may be ruled out, by a logit of minus infinity.
    logs = torch.where(wanted != 0, logits.log_softmax(1), 0.0)
    losses = -wanted * logs
    return losses * _off_target(-torch.expm1(logs), gamma) if gamma else losses


def binary_loss(logits: Tensor, wanted: Tensor, gamma: float = 0.0) -> Tensor:
    """Cross entropy of every class's own yes and no; focal where gamma is not 0."""
    if not gamma:
        return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    yes = wanted * functional.softplus(-logits) * _off_target((-logits).sigmoid(), gamma)
    no = (1 - wanted) * functional.softplus(logits) * _off_target(logits.sigmoid(), gamma)
    return yes + no


def _off_target(miss: Tensor, gamma: float) -> Tensor:
    # Kept off 0, where the slope of a root is infinite.
    return miss.clamp(min=torch.finfo(miss.dtype).eps) ** gamma


def _mean(total: Tensor, count: Tensor) -> Tensor:
    # Classes of no weight have a loss all the same where labels are smoothed.
    # A count of NaN is no count of nothing.
    return torch.where(count == 0, 0.0, total / torch.where(count == 0, 1.0, count))


def _total(means: Mapping[str, Tensor], task_weights: Mapping[str, float]) -> Tensor:
    return torch.stack([weight * means[name] for name, weight in task_weights.items()]).sum()


# -- what is given, refused in a sentence or brought into one form --------------------------------


def _by_name(what: str, values: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    named = values if isinstance(values, Mapping) else {ONLY: values}
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{what} of {name} are a tensor, got {type(value).__name__}; "
                             "torch.as_tensor makes one of numbers")  # fmt: skip
    return named


def _same_names(
    what: str, given: Mapping[str, Tensor], tasks: Mapping[str, Task], all_of_them: bool = True
) -> None:
    if unknown := [name for name in given if name not in tasks]:
        raise ValueError(f"{what} are given for {', '.join(unknown)}; the tasks are "
                         f"{', '.join(tasks)}")  # fmt: skip
    if all_of_them and (missing := [name for name in tasks if name not in given]):
        raise ValueError(f"{what} lack {', '.join(missing)}; every task has some, and a clip "
                         "without a label has -1")  # fmt: skip


def _class_weights(name: str, task: Task, given: Tensor | None) -> Tensor:
    if given is None:
        return torch.ones(task.classes)
    if given.shape != (task.classes,) or not given.is_floating_point():
        raise ValueError(f"class weights of {name} are {task.classes} floats of 0 or more, got "
                         f"{given.dtype} {tuple(given.shape)}")  # fmt: skip
    wrong = given[~(given.isfinite() & (given >= 0))]
    if len(wrong):
        raise ValueError(f"class weights of {name} are finite and 0 or more, got "
                         f"{wrong[0].item():g}; a class without weight has 0")  # fmt: skip
    return given.detach().clone()


def _checked_logits(name: str, task: Task, logits: Tensor) -> Tensor:
    """In float32 at least: half precision is too coarse to sum a thousand classes in."""
    if logits.ndim != 2 or logits.shape[1] != task.classes or not logits.is_floating_point():
        raise ValueError(f"outputs of {name} are float clips x {task.classes} classes, got "
                         f"{logits.dtype} {tuple(logits.shape)}")  # fmt: skip
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _clip_weights(name: str, logits: Tensor, weights: Tensor | None) -> Tensor:
    clips = logits.shape[0]
    if weights is None:
        return logits.new_ones(clips)
    if not isinstance(weights, Tensor):
        raise ValueError(f"weights are a tensor of one float a clip, got {type(weights).__name__}")
    if weights.shape != (clips,) or not weights.is_floating_point():
        raise ValueError(f"weights are one float of each of the {clips} clips, got "
                         f"{weights.dtype} {tuple(weights.shape)}")  # fmt: skip
    if _can_look(weights) and not (weights >= 0).all():
        raise ValueError(f"a clip weighs 0 or more, got weights {weights.tolist()} for {name}")
    return weights.to(device=logits.device, dtype=logits.dtype)


def _wanted(name: str, task: Task, target: Tensor) -> tuple[Tensor, Tensor]:
    """How much of each class is wanted, and where that is known (a bool that spreads to it)."""
    if task.multiple:
        return _several(name, task, target)
    return _indices(name, task, target) if target.ndim == 1 else _soft(name, task, target)


def _indices(name: str, task: Task, target: Tensor) -> tuple[Tensor, Tensor]:
    if target.dtype != torch.int64:
        raise ValueError(f"targets of {name} are class indices in int64, or float of every clip "
                         f"and class, got {target.dtype} {tuple(target.shape)}")  # fmt: skip
    if _can_look(target) and target.numel():
        least, most = target.min().item(), target.max().item()
        if least < -1 or most >= task.classes:
            raise ValueError(f"targets of {name} are 0 to {task.classes - 1}, or -1 for no label, "
                             f"got {least if least < -1 else most}")  # fmt: skip
    target = target.unsqueeze(1)
    wanted = (target == torch.arange(task.classes, device=target.device)).float()
    # Where no one looks, an index that is no class makes the loss NaN: it must not weigh nothing.
    wrong = (target < -1) | (target >= task.classes)
    return wanted.masked_fill(wrong, torch.nan), target != -1


def _soft(name: str, task: Task, target: Tensor) -> tuple[Tensor, Tensor]:
    _check_table(name, task, target)
    if not target.is_floating_point():
        raise ValueError(f"soft targets of {name} are float, got {target.dtype}; where several "
                         "classes are right at once it is a task with multiple=True")  # fmt: skip
    known = ~(target < 0).any(1, keepdim=True)
    if _can_look(target):
        sums = target.sum(1, keepdim=True)[known]
        wrong = sums[~((sums - 1).abs() < SUM_TOLERANCE)]
        if len(wrong):
            raise ValueError(f"soft targets of {name} sum to 1 over the classes, got "
                             f"{wrong[0].item():g}")  # fmt: skip
    return target, known


def _several(name: str, task: Task, target: Tensor) -> tuple[Tensor, Tensor]:
    _check_table(name, task, target)
    if _can_look(target) and not (target <= 1).all():
        raise ValueError(f"targets of {name} are 0 to 1 for each class, or -1 where it is not "
                         f"known, got {target.max().item():g}")  # fmt: skip
    return target, ~(target < 0)


def _check_clips(name: str, logits: Tensor, target: Tensor) -> None:
    if target.ndim == 0 or target.shape[0] != logits.shape[0]:
        raise ValueError(f"targets of {name} are one for each of the {logits.shape[0]} clips, got "
                         f"{target.dtype} {tuple(target.shape)}")  # fmt: skip


def _check_table(name: str, task: Task, target: Tensor) -> None:
    if target.ndim != 2 or target.shape[1] != task.classes:
        raise ValueError(f"targets of {name} are clips x {task.classes} classes, got "
                         f"{target.dtype} {tuple(target.shape)}")  # fmt: skip


def _can_look(values: Tensor) -> bool:
    """Whether looking at values is free: a device would have to be waited for at every step."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()
