"""Heads: from features to classes, one task or several, and what two tasks say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ONLY = "label"
"""What the task is called where only a number of classes is given; as in label files."""


@dataclass(frozen=True)
class Task:
    """What one head decides."""

    classes: int
    multiple: bool = False
    """Several classes may be right at once; else exactly one is."""
    smoothing: float = 0.0
    """Label smoothing: so much of a clip's weight is spread over all classes. Of a `multiple`
    task each class is spread over its own yes and no."""
    weight: float = 1.0
    """Of this task's loss in the sum."""

    def __post_init__(self) -> None:
        if not isinstance(self.classes, int) or isinstance(self.classes, bool):
            raise TypeError(f"a task's number of classes is a whole number, got {self.classes!r}")
        if self.classes < 1:
            raise ValueError(f"a task has at least 1 class, got {self.classes}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"label smoothing is 0 or more and less than 1, got {self.smoothing}")
        if not self.weight >= 0:
            raise ValueError(f"a task's weight is 0 or more, got {self.weight}")


Tasks = int | Mapping[str, int | Task]


def tasks_of(tasks: Tasks) -> dict[str, Task]:
    """Every task by its name."""
    if isinstance(tasks, int):
        return {ONLY: Task(tasks)}
    if not isinstance(tasks, Mapping) or not tasks:
        raise ValueError(f"a network decides at least one task, a number of classes or "
                         f"{{task: classes}}; got {tasks!r}")  # fmt: skip
    for name in tasks:
        _check_name(name)
    return {name: task if isinstance(task, Task) else Task(task) for name, task in tasks.items()}


def _module_name(task: str) -> str:
    """Modules are prefixed: a task may be called what nn.Module has a method for ("type")."""
    return f"to_{task}"


def _check_name(task: str) -> None:
    if not isinstance(task, str) or not task or "." in task or hasattr(nn.Module, f"to_{task}"):
        raise ValueError(f"a task cannot be called {task!r}, since its head is a module named "
                         "after it; choose a name that is not empty, has no dot and is not "
                         "'empty'")  # fmt: skip


class Heads(nn.Module):
    """One linear layer a task on shared features, dropout before them."""

    def __init__(self, width: int, tasks: Tasks, dropout: float = 0.0) -> None:
        super().__init__()
        self.tasks = tasks_of(tasks)
        self.is_plain = isinstance(tasks, int)
        self.dropout = nn.Dropout(dropout)
        for name, task in self.tasks.items():
            self.add_module(_module_name(name), nn.Linear(width, task.classes))

    def of(self, task: str) -> nn.Linear:
        head = self.get_submodule(_module_name(task))
        assert isinstance(head, nn.Linear)
        return head

    def forward(self, features: Tensor) -> Tensor | dict[str, Tensor]:
        """Features `... x width` to logits `... x classes`, one tensor or one of each task."""
        features = self.dropout(features)
        if self.is_plain:
            return self.of(ONLY)(features)
        return {name: self.of(name)(features) for name in self.tasks}


# -- actions: one class of each of several tasks ---------------------------------------------------


@dataclass(frozen=True)
class Actions:
    """The best actions of each clip, the best first."""

    classes: Tensor
    """int64, `... x k x tasks`: such as verb and noun."""
    scores: Tensor
    """`... x k`: the product of the tasks' probabilities."""


def action_scores(outputs: Mapping[str, Tensor], tasks: Sequence[str]) -> Tensor:
    """The probability of every action, `... x classes of the first task x of the second x ...`:
    the product of the tasks' own, as if they were independent."""
    logs = _log_probabilities(outputs, tasks)
    sizes = [log.shape[-1] for log in logs]
    return _joint(logs).exp().unflatten(-1, sizes)


def top_actions(
    outputs: Mapping[str, Tensor], tasks: Sequence[str], k: int, among: Tensor | None = None
) -> Actions:
    """The `k` best actions of each clip, of all there can be or `among` some (`actions x tasks`).

    They are ranked by logarithms, in which no two products are rounded to the same zero.
    """
    logs = _log_probabilities(outputs, tasks)
    if among is None:
        scores = _joint(logs)
    else:
        among = _checked(among, tasks, logs).to(logs[0].device)
        pairs = zip(logs, among.unbind(1), strict=True)
        scores = torch.stack([log[..., classes] for log, classes in pairs]).sum(0)
    if not 1 <= k <= scores.shape[-1]:
        raise ValueError(f"cannot give the best {k} of {scores.shape[-1]} actions; k is at least "
                         "1 and at most their number")  # fmt: skip
    best, places = scores.topk(k, dim=-1)
    if among is None:
        sizes = tuple(log.shape[-1] for log in logs)
        return Actions(torch.stack(torch.unravel_index(places, sizes), dim=-1), best.exp())
    return Actions(among[places], best.exp())


def _log_probabilities(outputs: Mapping[str, Tensor], tasks: Sequence[str]) -> list[Tensor]:
    if len(set(tasks)) != len(tasks) or len(tasks) < 2:
        raise ValueError(f"an action is of two or more different tasks, got {list(tasks)}")
    known = list(outputs) if isinstance(outputs, Mapping) else [ONLY]
    if unknown := [task for task in tasks if task not in known]:
        raise ValueError(f"the network does not decide {', '.join(unknown)}; an action is of "
                         f"its tasks, which are {', '.join(known)}")  # fmt: skip
    wide = [torch.promote_types(outputs[task].dtype, torch.float32) for task in tasks]
    return [
        outputs[task].to(dtype).log_softmax(-1) for task, dtype in zip(tasks, wide, strict=True)
    ]


def _joint(logs: Sequence[Tensor]) -> Tensor:
    """Sums of every combination, `... x (classes of the first * of the second * ...)`."""
    joint, *others = logs
    for other in others:
        joint = (joint.unsqueeze(-1) + other.unsqueeze(-2)).flatten(-2)
    return joint


def _checked(among: Tensor, tasks: Sequence[str], logs: Sequence[Tensor]) -> Tensor:
    if among.ndim != 2 or among.shape[1] != len(tasks) or among.dtype != torch.int64:
        raise ValueError(f"the actions to choose among are int64 and one row each of "
                         f"{', '.join(tasks)}, got {among.dtype} {tuple(among.shape)}")  # fmt: skip
    sizes = torch.tensor([log.shape[-1] for log in logs], device=among.device)
    if ((among < 0) | (among >= sizes)).any():
        raise ValueError(f"the actions to choose among have classes the tasks have not: "
                         f"{', '.join(tasks)} have {sizes.tolist()}")  # fmt: skip
    return among
