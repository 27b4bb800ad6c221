"""Small moving pictures with sounds that fit them, for the demo. Time in seconds, numpy out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

SOUND_RATE = 48000
Picture = Callable[[float, int, int], np.ndarray]  # time, width, height -> uint8 HWC RGB
Sound = Callable[[float], np.ndarray]  # seconds -> float32, samples x 1


@dataclass(frozen=True)
class Scene:
    picture: Picture
    sound: Sound


def _gradient(width: int, height: int, top: tuple[int, ...], bottom: tuple[int, ...]) -> np.ndarray:
    ramp = np.linspace(0, 1, height)[:, None, None]
    rows = np.asarray(top) * (1 - ramp) + np.asarray(bottom) * ramp
    return np.ascontiguousarray(np.broadcast_to(rows, (height, width, 3)).astype(np.uint8))


def _disc(picture: np.ndarray, x: float, y: float, radius: float, colour: tuple[int, ...]) -> None:
    centre = round(x * 16), round(y * 16)  # sixteenths of a pixel, for smooth motion
    cv2.circle(picture, centre, round(radius * 16), colour, -1, cv2.LINE_AA, 4)


def _line(picture: np.ndarray, start: tuple, stop: tuple, colour: tuple, thick: int) -> None:
    ends = [(round(x * 16), round(y * 16)) for x, y in (start, stop)]
    cv2.line(picture, ends[0], ends[1], colour, thick, cv2.LINE_AA, 4)


def _hits(seconds: float, every: float, frequency: float, decay: float) -> np.ndarray:
    """A struck tone at 0, `every`, 2 x `every`, ..."""
    time = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    since = time % every
    tone = np.sin(2 * np.pi * frequency * since) * np.exp(-since / decay)
    return (0.4 * tone).astype(np.float32)[:, None]


BOUNCE = 0.7


def ball(time: float, width: int, height: int) -> np.ndarray:
    """A ball that falls and bounces."""
    picture = _gradient(width, height, (24, 42, 78), (92, 136, 178))
    floor = height * 0.86
    cv2.rectangle(picture, (0, int(floor)), (width, height), (38, 58, 48), -1)
    phase = time % BOUNCE / BOUNCE
    lift = 4 * phase * (1 - phase)
    x = width * (0.5 + 0.38 * np.sin(time * 0.9))
    radius = height * 0.09
    shadow = (round(x * 16), round((floor + 4) * 16))
    spread = (round(radius * (1.2 - 0.5 * lift) * 16), round(radius * 2.4))
    cv2.ellipse(picture, shadow, spread, 0, 0, 360, (24, 38, 32), -1, cv2.LINE_AA, 4)
    y = floor - radius - lift * height * 0.6
    _disc(picture, x, y, radius, (236, 92, 58))
    _disc(picture, x - radius * 0.3, y - radius * 0.35, radius * 0.25, (255, 196, 170))
    return picture


def clock(time: float, width: int, height: int) -> np.ndarray:
    """A clock whose second hand ticks."""
    picture = _gradient(width, height, (246, 240, 226), (214, 204, 184))
    cx, cy, radius = width / 2, height / 2, height * 0.42
    _disc(picture, cx, cy, radius * 1.04, (60, 52, 48))
    _disc(picture, cx, cy, radius, (252, 250, 244))
    for hour in range(12):
        angle = np.pi / 6 * hour
        spoke = np.array([np.sin(angle), -np.cos(angle)])
        outer, inner = spoke * radius * 0.92, spoke * radius * 0.8
        _line(picture, (cx + inner[0], cy + inner[1]), (cx + outer[0], cy + outer[1]),
              (60, 52, 48), 3)  # fmt: skip
    for turns, length, colour, thick in (
        (0.16, 0.5, (60, 52, 48), 6),
        (time / 3600 + 0.35, 0.72, (60, 52, 48), 4),
        (np.floor(time * 2) / 12, 0.84, (200, 48, 48), 2),
    ):
        angle = 2 * np.pi * turns
        tip = cx + np.sin(angle) * radius * length, cy - np.cos(angle) * radius * length
        _line(picture, (cx, cy), tip, colour, thick)
    return picture


def stars(time: float, width: int, height: int) -> np.ndarray:
    """A flight through stars."""
    picture = _gradient(width, height, (6, 6, 22), (18, 8, 40))
    random = np.random.default_rng(5)
    places, starts = random.uniform(-1, 1, (160, 2)), random.uniform(0, 1, 160)
    for (star_x, star_y), first in zip(places, starts, strict=True):
        depth = 1 - (first + time * 0.22) % 1
        screen_x = width * (0.5 + star_x * 0.3 / (depth + 0.02))
        screen_y = height * (0.5 + star_y * 0.3 / (depth + 0.02))
        if 0 <= screen_x < width and 0 <= screen_y < height:
            light = int(255 * min(1, (1.05 - depth) ** 1.5))
            _disc(picture, screen_x, screen_y, 0.6 + 2.2 * (1 - depth) ** 2, (light, light, 255))
    return picture


MELODY = (262, 330, 392, 523, 440, 392, 330, 294)
NOTE = 0.375


def bars(time: float, width: int, height: int) -> np.ndarray:
    """Dancing bars, tall as a telephone is held."""
    picture = _gradient(width, height, (18, 18, 24), (40, 22, 52))
    count = 8
    step = width / count
    for bar in range(count):
        beat = np.exp(-((time - bar * NOTE) % (NOTE * count)) * 2.5)
        level = 0.12 + 0.7 * beat + 0.04 * np.sin(time * 7 + bar)
        colour = cv2.cvtColor(
            np.full((1, 1, 3), (bar * 20, 200, 240), np.uint8), cv2.COLOR_HSV2RGB
        )[0, 0]
        left, right = int(bar * step + step * 0.15), int((bar + 1) * step - step * 0.15)
        top = int(height * (0.92 - 0.8 * level))
        cv2.rectangle(picture, (left, top), (right, int(height * 0.92)), colour.tolist(), -1)
    return picture


BAR_COLOURS = (
    (191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0),
    (191, 0, 191), (191, 0, 0), (0, 0, 191),
)  # fmt: skip


def card(time: float, width: int, height: int) -> np.ndarray:
    """A broadcaster's test card with a wandering white line."""
    edges = np.arange(width) * len(BAR_COLOURS) // width
    row = np.array(BAR_COLOURS, np.uint8)[edges]
    picture = np.repeat(row[None], height, axis=0)
    x = width * (time / 4 % 1)
    _line(picture, (x, 0), (x, height), (255, 255, 255), 3)
    _disc(picture, width / 2, height / 2, height * 0.2, (16, 16, 16))
    angle = 2 * np.pi * time
    tip = width / 2 + np.sin(angle) * height * 0.17, height / 2 - np.cos(angle) * height * 0.17
    _line(picture, (width / 2, height / 2), tip, (240, 240, 240), 3)
    return picture


def _melody(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    note = np.array(MELODY)[(time // NOTE).astype(int) % len(MELODY)]
    tone = np.sin(2 * np.pi * note * time) * np.exp(-(time % NOTE) * 6)
    return (0.4 * tone).astype(np.float32)[:, None]


def _swoosh(seconds: float) -> np.ndarray:
    count = round(seconds * SOUND_RATE)
    hiss = np.random.default_rng(6).standard_normal(count)
    soft = np.convolve(hiss, np.hanning(64) / 32, mode="same")
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 0.4 * np.arange(count) / SOUND_RATE)
    return (0.9 * soft * swell).astype(np.float32)[:, None]


SCENES = {
    "ball": Scene(ball, lambda seconds: _hits(seconds, BOUNCE, 110, 0.09)),
    "clock": Scene(clock, lambda seconds: _hits(seconds, 0.5, 1800, 0.01)),
    "stars": Scene(stars, _swoosh),
    "bars": Scene(bars, _melody),
    "card": Scene(card, lambda seconds: _hits(seconds, 1.0, 1000, 0.2)),
}
