"""The measuring stick: fair turns, honest ratios, and no comparison of unequal work."""

from __future__ import annotations

import sys

import pytest

from tools.bench import Contender, Timing, head, markdown, race, ratio


def saying(*words: str) -> list[str]:
    return [sys.executable, "-c", f"print({' '.join(words)!r})"]


def test_a_race_warms_up_and_then_counts_every_round():
    one, two = Contender("one", saying("5", "0.25")), Contender("two", saying("5", "0.5"))
    results = race([one, two], rounds=3)
    assert results["one"] == Timing(5, (0.25, 0.25, 0.25))
    assert results["two"].median == 0.5


def test_unequal_work_is_no_race():
    contenders = [Contender("one", saying("5", "1")), Contender("two", saying("6", "1"))]
    with pytest.raises(RuntimeError, match=r"did not do the same work: \{'one': 5, 'two': 6\}"):
        race(contenders, rounds=1)


def test_a_contender_that_fails_is_heard():
    broken = Contender("broken", [sys.executable, "-c", "raise SystemExit('no such codec')"])
    with pytest.raises(RuntimeError, match="failed:\nno such codec"):
        race([broken], rounds=1)


def test_ratios_are_taken_round_by_round():
    """A machine that slows down halfway slows both, and the ratio stays."""
    limit, ours = Timing(1, (1.0, 2.0, 4.0)), Timing(1, (2.0, 4.0, 8.0))
    assert ratio(limit, ours) == (0.5, 0.5, 0.5)
    assert ratio(ours, limit) == (2.0, 2.0, 2.0)


def test_tables_are_markdown_with_their_circumstances():
    assert markdown([("a", "b"), ("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |\n"
    text = head("Title", ["numpy"], {"FFmpeg": "8"})
    assert text.startswith("# Title\n\nMeasured 2")
    assert ", Python 3." in text
    assert "numpy 2." in text
    assert "FFmpeg 8.\n" in text
