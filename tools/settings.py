"""What a conversion makes of a video: sizes, quality, rate, sound. Checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from data.jpeg import SUBSAMPLINGS

SHORT_SIDE = 256
PICTURE_RATE = Fraction(25)  # of numbered pictures, which have no times of their own
SOUND_RATE = 16000
FIDELITIES = {"small": (75, "4:2:0"), "default": (90, "4:2:0"), "exact": (98, "4:4:4")}


@dataclass(frozen=True)
class Settings:
    """All that decides what is in a database. Without `fps`, every picture at its own time."""

    short_side: int | None = None  # None: 256 for videos, their own size for pictures; 0: as it is
    levels: tuple[int, ...] = ()
    quality: int = 90
    subsampling: str = "4:2:0"
    fps: Fraction | None = None
    audio: bool = True

    def __post_init__(self) -> None:
        for name in ("short_side", "quality"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                raise ValueError(f"--{name.replace('_', '-')} is a whole number, got {value!r}")
        if self.short_side is not None and self.short_side < 0:
            raise ValueError(
                f"--short-side is at least 0 (0 keeps the size), got {self.short_side}"
            )
        if not 1 <= self.quality <= 100:
            raise ValueError(f"--quality is from 1 to 100, got {self.quality}")
        if self.subsampling not in SUBSAMPLINGS:
            allowed = " or ".join(SUBSAMPLINGS)
            raise ValueError(f"--subsampling is {allowed}, got {self.subsampling!r}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ValueError(f"--fps is native or a rate of up to 1000, got {self.fps}")
        largest = self.short_side or (SHORT_SIDE if self.short_side is None else None)
        for level in self.levels:
            if level < 1 or (largest is not None and level >= largest):
                limit = f"less than --short-side ({largest})" if largest else "at least 1"
                raise ValueError(f"--levels are smaller short sides, {limit}; got {level}")
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"--levels are all different, got {self.levels}")

    def side_for(self, pictures: bool) -> int:
        """The short side to come down to; 0 keeps the size."""
        if self.short_side is None:
            return 0 if pictures else SHORT_SIDE
        return self.short_side

    @classmethod
    def again(cls, recorded: Mapping[str, Any]) -> Settings:
        """Those that `recorded` stands for."""
        fps = None if recorded["fps"] == "native" else Fraction(recorded["fps"])
        return cls(**{**recorded, "fps": fps})

    def recorded(self, pictures: bool) -> dict[str, object]:
        """As they stand in a database. Levels are no part of it: they can be added."""
        return {
            "short_side": self.side_for(pictures),
            "quality": self.quality,
            "subsampling": self.subsampling,
            "fps": "native" if self.fps is None else str(self.fps),
            "audio": self.audio,
        }


def parse_fps(text: str) -> Fraction | None:
    """native, 10, 12.5 or 30000/1001."""
    if text == "native":
        return None
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"--fps is native or a number such as 10 or 30000/1001, got {text!r}"
        ) from None


def parse_levels(text: str) -> tuple[int, ...]:
    """160,96"""
    try:
        return tuple(sorted((int(part) for part in text.split(",") if part.strip()), reverse=True))
    except ValueError:
        raise ValueError(f"--levels are numbers such as 160,96, got {text!r}") from None
