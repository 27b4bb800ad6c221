"""Draw one plan per clip: the same for all its frames, from nothing but seed and position.

The predecessor's set with its probabilities and ranges, and what others use beside it. What a plan
is stands in data/plan.py; data/render.py runs it on the CPU, train/device_augment.py on a device.

    plan = draw_plan(Augmentation(), Draws(seed=42, position=7), size=(340, 256))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType

from data.crops import Crop, Range, draw_box, erased_box
from data.display import Size
from data.draws import Draws, Slot
from data.plan import (
    GREY,
    KEEP,
    Blur,
    Erased,
    HueShift,
    Matrix,
    Noise,
    Plan,
    chain,
    perspective,
    rotation,
)

SIGMAS = (0.1, 0.2, 0.3)
MOTIONS = (3, 5, 7)
ADD: Range = (-5, 15)
NOISE = 0.03 * 255  # the predecessor's text says ten times as much; its code does this
ENHANCE: Range = (1.2, 1.6)
HUE_SATURATION = 16
CONTRAST: Range = (0.85, 1.115)
PERSPECTIVE: Range = (0.02, 0.05)
FURTHEST = 0.33  # a third would let a corner lie between its neighbours: a fold
ROTATION: Range = (-10, 10)
MIDDLE = 127.0  # grey that contrast leaves alone
SEED_SET = ("gaussian_blur", "add", "noise", "enhance", "motion_blur", "hue_saturation",
            "contrast", "warp")  # fmt: skip
ERASED_COLOUR = (124, 116, 104)  # ImageNet's mean: nothing, to most networks


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value:g}; allowed: {low:g} to {high:g}")


@dataclass(frozen=True)
class Jitter:
    """How far each is changed at most, as torchvision's ColorJitter counts; hue to 0.5."""

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for one in fields(self):
            limit = 0.5 if one.name == "hue" else 1.0
            _check(one.name, getattr(self, one.name), 0, limit)


@dataclass(frozen=True)
class Augmentation:
    """What may be drawn for a clip, and how often."""

    crop: Crop = field(default_factory=Crop)
    flip: float = 0.5
    """How often left and right are exchanged; 0 where classes tell them apart."""
    any: float = 0.8
    """How often a clip is changed at all, beyond crop and flip."""
    each: float = 0.4
    """How often each operation then applies."""
    operations: tuple[str, ...] = SEED_SET
    """Those that `any` and `each` are about."""
    strength: float = 1.0
    """Widens (or narrows) the range of every operation."""
    noise_per_frame: bool = False
    """A new field of noise for every frame, not one for the clip."""
    jitter: Jitter = field(default_factory=Jitter)
    grayscale: float = 0.0
    """How often all colour is taken away."""
    erase: float = 0.0
    """How often a box is erased."""
    erase_sound: float = 0.0
    """How often one is of a spectrogram."""

    def __post_init__(self) -> None:
        for name in ("flip", "any", "each", "grayscale", "erase", "erase_sound"):
            _check(name, getattr(self, name), 0, 1)
        _check("strength", self.strength, 0, 4)
        unknown = [name for name in self.operations if name not in OPERATIONS]
        if unknown:
            raise ValueError(f"operations has {unknown[0]!r}; allowed: {', '.join(OPERATIONS)}")


def draw_plan(augmentation: Augmentation, draws: Draws, size: Size) -> Plan:
    """The plan of one clip whose pictures are of this size (only its shape matters)."""
    plan = Plan(
        box=draw_box(augmentation.crop, draws, size),
        flip=draws.uniform(Slot.FLIP) < augmentation.flip,
    )
    if augmentation.strength and draws.uniform(Slot.ANY) < augmentation.any:
        for name in augmentation.operations:
            slot, change = OPERATIONS[name]
            if draws.uniform(slot) < augmentation.each:
                plan = change(plan, draws, augmentation)
    plan = _jittered(plan, augmentation.jitter, draws)
    if draws.uniform(Slot.GRAYSCALE) < augmentation.grayscale:
        plan = _recoloured(plan, "grey", after=_saturation(0))
    if draws.uniform(Slot.ERASE) < augmentation.erase:
        erased = Erased(erased_box(draws), ERASED_COLOUR)
        plan = replace(plan, erased=(*plan.erased, erased))
    return plan


# -- the predecessor's set: lane 0 of a slot decides whether, the others how --------------------


def _stretched(span: Range, neutral: float, strength: float) -> Range:
    """A range, further from (or nearer to) what changes nothing."""
    low, high = span
    return neutral + (low - neutral) * strength, neutral + (high - neutral) * strength


def _gaussian_blur(plan: Plan, draws: Draws, augmentation: Augmentation) -> Plan:
    sigma = draws.choice(Slot.GAUSSIAN_BLUR, SIGMAS, lane=1) * augmentation.strength
    return replace(plan, blur=plan.blur._replace(sigma=sigma))


def _add(plan: Plan, draws: Draws, augmentation: Augmentation) -> Plan:
    """Each colour by a whole step of its own."""
    low, high = (value * augmentation.strength for value in ADD)
    steps = [round(draws.uniform(Slot.ADD, low, high, lane=1 + colour)) for colour in range(3)]
    moved = tuple((*row[:3], float(step)) for row, step in zip(KEEP, steps, strict=True))
    return _recoloured(plan, "add {:+d} {:+d} {:+d}".format(*steps), before=moved)


def _noise(plan: Plan, draws: Draws, augmentation: Augmentation) -> Plan:
    noise = Noise(NOISE * augmentation.strength, draws.seed, draws.position, draws.part,
                  augmentation.noise_per_frame)  # fmt: skip
    return replace(plan, noise=noise)


def _enhance(plan: Plan, draws: Draws, augmentation: Augmentation) -> Plan:
    low, high = _stretched(ENHANCE, 1, augmentation.strength)
    factor = draws.uniform(Slot.ENHANCE, low, high, lane=1)
    return _recoloured(plan, f"enhance {factor:.2f}", before=_saturation(factor))


def _motion_blur(plan: Plan, draws: Draws, augmentation: Augmentation) -> Plan:
    length = 1 + (draws.choice(Slot.MOTION_BLUR, MOTIONS, lane=1) - 1) * augmentation.strength
    angle = draws.uniform(Slot.MOTION_BLUR, 0, 360, lane=2)
    direction = draws.uniform(Slot.MOTION_BLUR, -1, 1, lane=3)
    return replace(plan, blur=Blur(plan.blur.sigma, length, angle, direction))


def _hue_saturation(plan: Plan, draws: Draws, augmentation: Augmentation) -> Plan:
    """A whole number for each. imgaug counts hue in 255ths of half a turn, cut to steps of 2°."""
    limit = round(HUE_SATURATION * augmentation.strength)
    hue, saturation = (
        draws.integer(Slot.HUE_SATURATION, 2 * limit + 1, lane) - limit for lane in (1, 2)
    )
    return replace(plan, hue=HueShift(2 * int(hue / 255 * 180), saturation))


def _contrast(plan: Plan, draws: Draws, augmentation: Augmentation) -> Plan:
    low, high = _stretched(CONTRAST, 1, augmentation.strength)
    factor = draws.uniform(Slot.CONTRAST, low, high, lane=1)
    return _recoloured(plan, f"contrast {factor:.2f}", after=_scaled(factor, MIDDLE))


def _warp(plan: Plan, draws: Draws, augmentation: Augmentation) -> Plan:
    """Perspective or rotation, never both."""
    if draws.uniform(Slot.WARP, lane=1) < 0.5:
        low, high = (value * augmentation.strength for value in PERSPECTIVE)
        spread = draws.uniform(Slot.WARP, low, high, lane=2)
        moves = [
            min(abs(draws.normal(Slot.PERSPECTIVE, lane)) * spread, FURTHEST) for lane in range(8)
        ]
        ends = ((0, 0), (1, 0), (1, 1), (0, 1))
        corners = tuple(
            tuple(end + (move if end == 0 else -move)
                  for end, move in zip(ends[at], moves[2 * at : 2 * at + 2], strict=True))
            for at in range(4)
        )  # fmt: skip
        return replace(plan, bend=perspective(corners))
    low, high = (value * augmentation.strength for value in ROTATION)
    return replace(plan, bend=rotation(draws.uniform(Slot.ROTATION, low, high)))


Change = Callable[[Plan, Draws, Augmentation], Plan]
OPERATIONS: Mapping[str, tuple[Slot, Change]] = MappingProxyType(
    {
        "gaussian_blur": (Slot.GAUSSIAN_BLUR, _gaussian_blur),
        "add": (Slot.ADD, _add),
        "noise": (Slot.NOISE, _noise),
        "enhance": (Slot.ENHANCE, _enhance),
        "motion_blur": (Slot.MOTION_BLUR, _motion_blur),
        "hue_saturation": (Slot.HUE_SATURATION, _hue_saturation),
        "contrast": (Slot.CONTRAST, _contrast),
        "warp": (Slot.WARP, _warp),
    }
)


# -- colours ------------------------------------------------------------


def _saturation(factor: float) -> Matrix:
    """Each colour's distance from grey, times `factor`."""
    return tuple(
        (*((1 - factor) * weight + (factor if row == column else 0)
           for column, weight in enumerate(GREY)), 0.0)
        for row in range(3)
    )  # fmt: skip


def _scaled(factor: float, middle: float) -> Matrix:
    """Each value's distance from `middle`, times `factor`."""
    return tuple((*(factor if row == column else 0.0 for column in range(3)),
                  middle * (1 - factor)) for row in range(3))  # fmt: skip


def _jittered(plan: Plan, jitter: Jitter, draws: Draws) -> Plan:
    """Brightness, contrast, saturation, hue; what is 0 draws nothing and shifts nothing."""

    def factor(limit: float, lane: int) -> float:
        return draws.uniform(Slot.JITTER, 1 - limit, 1 + limit, lane)

    if jitter.brightness:
        by = factor(jitter.brightness, 0)
        plan = _recoloured(plan, f"brightness {by:.2f}", after=_scaled(by, 0))
    if jitter.contrast:
        by = factor(jitter.contrast, 1)
        plan = _recoloured(plan, f"contrast {by:.2f}", after=_scaled(by, MIDDLE))
    if jitter.saturation:
        by = factor(jitter.saturation, 2)
        plan = _recoloured(plan, f"saturation {by:.2f}", after=_saturation(by))
    if jitter.hue:
        turn = 360 * draws.uniform(Slot.JITTER, -jitter.hue, jitter.hue, lane=3)
        known = plan.hue or HueShift(0, 0)
        plan = replace(plan, hue=known._replace(degrees=known.degrees + turn))
    return plan


def _recoloured(plan: Plan, words: str, before: Matrix = KEEP, after: Matrix = KEEP) -> Plan:
    """With one more colour matrix, and what people call it."""
    return replace(plan, before=chain(plan.before, before), after=chain(plan.after, after),
                   said=(*plan.said, words))  # fmt: skip
