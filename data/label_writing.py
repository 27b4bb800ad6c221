"""Write labelled clips: our own CSV, which keeps everything, and K400-Tiny's annotations.json."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from data.classes import Classes, main_task
from data.label_tables import OWN_COLUMNS, TASK
from data.labelled import SPLITS, LabelledClip


def own_csv(clips: Sequence[LabelledClip], classes: Classes) -> str:
    """Every clip exactly; a column for each task of the dictionary."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*OWN_COLUMNS, *(TASK + task for task in classes.tasks)])
    for clip in clips:
        region = " ".join(map(repr, clip.region)) if clip.region else ""
        writer.writerow([
            clip.video, exact_text(clip.start), exact_text(clip.stop), clip.unit, clip.split,
            clip.group, region, *(clip.targets.get(task, "") for task in classes.tasks),
        ])  # fmt: skip
    return text.getvalue()


@lru_cache(1 << 16)
def exact_text(time: Fraction | None) -> str:
    """12.5, or 1001/30000 where no decimal number is exact; empty for an open end."""
    if time is None:
        return ""
    rest, places = time.denominator, 0
    while rest % 10 == 0 or rest % 5 == 0 or rest % 2 == 0:
        rest //= next(factor for factor in (10, 5, 2) if rest % factor == 0)
        places += 1
    if rest > 1:
        return str(time)
    digits = f"{int(time * 10**places):0{places + 1}d}"
    return f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".") if places else digits


def annotations_json(clips: Sequence[LabelledClip], classes: Classes) -> str:
    """The clips that have a split, as annotations.json.

    Other readers of this format know `video`, `segment` (first and last frame) and `target` (the
    number of one task's class: label, else action) and nothing more. Passages in seconds, further
    tasks, groups and regions are under keys that only we read; a clip in seconds has no `segment`.
    """
    task = main_task(clips)
    names = classes.tasks.get(task, ())
    numbers = {name: number for number, name in enumerate(names)}
    lists: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for clip in clips:
        if clip.split:
            lists[clip.split].append(_annotation(clip, task, numbers))
    return json.dumps({"categories": numbers, **lists}, ensure_ascii=False) + "\n"


def _annotation(clip: LabelledClip, task: str, numbers: Mapping[str, int]) -> dict[str, Any]:
    entry: dict[str, Any] = {"video": clip.video}
    if clip.unit == "frames" and clip.start is not None and clip.stop is not None:
        entry["segment"] = [int(clip.start), int(clip.stop) - 1]
    else:
        ends = {"start": clip.start, "stop": clip.stop}
        entry |= {name: exact_text(end) for name, end in ends.items() if end is not None}
        entry |= {"unit": clip.unit} if clip.unit == "frames" else {}
    if task in clip.targets:
        entry["target"] = numbers[clip.targets[task]]
    if clip.targets and clip.targets.keys() != {"label"}:
        entry["targets"] = dict(clip.targets)
    if clip.group:
        entry["group"] = clip.group
    if clip.region:
        entry["region"] = list(clip.region)
    return entry
