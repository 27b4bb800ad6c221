"""How a coded picture is shown: turned, mirrored, with square pixels. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to lay a picture down: transposed first, then flipped."""

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @property
    def degrees(self) -> int:
        """Clockwise degrees, as a person would say it; a mirror image counts beside it."""
        if self.transposed:
            return 90 if self.flipped_x else 270
        return 180 if self.flipped_x and self.flipped_y else 0

    @property
    def mirrored(self) -> bool:
        return (self.transposed + self.flipped_x + self.flipped_y) % 2 == 1

    def size(self, size: Size) -> Size:
        return size[::-1] if self.transposed else size

    def __bool__(self) -> bool:
        return self.transposed or self.flipped_x or self.flipped_y


UPRIGHT = Turn()


def turn_of(matrix: Sequence[int]) -> Turn:
    """The turn in a display matrix (nine numbers, row by row; x' = a x + c y, y' = b x + d y).

    Angles between quarter turns go to the nearest one.
    """
    a, b, _, c, d = matrix[:5]
    if abs(a) >= abs(b):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)


def check_size(size: Size) -> Size:
    if min(size) < 1:
        raise ValueError(f"a picture is at least 1x1, asked for {size[0]}x{size[1]}")
    return size


def square_pixels(size: Size, pixel_aspect: Fraction) -> Size:
    """The size with square pixels: the height stays, the width is stretched and rounded."""
    width, height = size
    return max(1, int(width * pixel_aspect + Fraction(1, 2))), height


def fit_short_side(size: Size, short_side: int) -> Size:
    """The size whose shorter side is `short_side`; never larger than it was."""
    width, height = size
    if short_side < 1:
        raise ValueError(f"short_side must be at least 1, got {short_side}")
    if min(size) <= short_side:
        return size
    scale = Fraction(short_side, min(size))
    return max(1, round(width * scale)), max(1, round(height * scale))
