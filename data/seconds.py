"""Times as people give them, made exact."""

from __future__ import annotations

import math
from fractions import Fraction

Time = int | float | Fraction


def as_time(value: Time) -> Fraction:
    """Exact seconds; a float means the simple fraction it stands for (0.1 is 1/10)."""
    if not math.isfinite(value):
        raise ValueError(f"a time is a finite number of seconds, got {value}")
    return Fraction(value).limit_denominator(10**6) if isinstance(value, float) else Fraction(value)
