"""What a clip is asked to be, and the legend of the layouts used in names.

T frames, H height, W width, C colours (RGB), B clips of a batch. Pictures are uint8 `THWC`, a
batch of clips `BTHWC`; networks get `BCTHW`. uint8 until they are on the device.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class ClipShape:
    """How many frames, and the side of each square of the picture in pixels."""

    frames: int
    size: int

    def __post_init__(self) -> None:
        if self.frames < 1 or self.size < 1:
            raise ValueError(f"a clip has at least 1 frame of 1 pixel, got {self}")

    def __str__(self) -> str:
        return f"{self.frames}x{self.size}x{self.size}"
