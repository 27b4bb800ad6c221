"""Numbers and tables as people read them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tools.terminal import columns, rate_text, time_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00.00"),
        (Fraction(1, 3), "0:00.33"),
        (59.996, "1:00.00"),
        (61.5, "1:01.50"),
        (3599.999, "1:00:00.00"),
        (36000, "10:00:00.00"),
        (Fraction(-5, 2), "-0:02.50"),
        (-3700.25, "-1:01:40.25"),
    ],
)
def test_times(seconds, text: str):
    assert time_text(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Fraction(30), "30"),
        (Fraction(30000, 1001), "29.97 (30000/1001)"),
        (Fraction(24000, 1001), "23.98 (24000/1001)"),
        (Fraction(25, 2), "12.50"),
        (Fraction(3450000, 117637), "29.33"),
        (None, "?"),
    ],
)
def test_rates(rate, text: str):
    assert rate_text(rate) == text


def test_columns_line_up_also_under_wide_characters():
    lines = columns([("name", "n"), ("日本", "1"), ("a longer one", "22")]).splitlines()
    assert lines == [
        "name          n",
        "────────────  ──",
        "日本          1",
        "a longer one  22",
    ]
