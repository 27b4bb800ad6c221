"""One shown picture, and how the pictures of a video are to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from data.colour import RgbConverter
from data.display import UPRIGHT, Size, Turn, check_size, fit_short_side, square_pixels, turn_of

WIDEST_PIXEL = 8  # a pixel aspect beyond this is a writing error


class Frame:
    """One shown picture: when it is shown, and its pixels once they are asked for."""

    __slots__ = ("_look", "_ticks", "picture", "pts")

    def __init__(self, picture: av.VideoFrame, pts: int, ticks: int, look: Look) -> None:
        self.picture = picture  # the decoder's frame: planes as coded, not to be written to
        self.pts = pts
        self._ticks = ticks  # after the first shown picture
        self._look = look

    @property
    def time(self) -> Fraction:
        """Exact seconds after the first shown picture."""
        return self._ticks * self._look.time_base

    def release(self) -> None:
        """Give the pixels back to the decoder; after this, only the times can be asked for."""
        del self.picture

    @property
    def key(self) -> bool:
        return bool(self.picture.key_frame)

    @property
    def interlaced(self) -> bool:
        return bool(self.picture.interlaced_frame)

    def rgb(self, short_side: int | None = None, size: Size | None = None) -> np.ndarray:
        """uint8 HWC, RGB, upright, pixels square; smaller if asked, never larger unless `size`."""
        look = self._look
        if size is None:
            size = look.size if short_side is None else fit_short_side(look.size, short_side)
        return look.converter.convert(self.picture, check_size(size), look.turn)


@dataclass(frozen=True)
class Look:
    """How this video's pictures are to be shown."""

    size: Size
    turn: Turn
    pixel_aspect: Fraction
    time_base: Fraction
    converter: RgbConverter


def look_of(first: av.VideoFrame, stream: Any) -> Look:
    side_data: Any = first.side_data
    matrix = side_data.get("DISPLAYMATRIX")
    turn = UPRIGHT
    if matrix is not None:
        turn = turn_of([int(number) for number in np.frombuffer(bytes(matrix), np.int32)])
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, WIDEST_PIXEL) <= aspect <= WIDEST_PIXEL:
        aspect = Fraction(1)
    size = turn.size(square_pixels((first.width, first.height), aspect))
    return Look(size, turn, aspect, stream.time_base, RgbConverter())
