"""A bounded memory: never more bytes than allowed, what was used last stays."""

from __future__ import annotations

import numpy as np
import pytest

from data.cache import ByteCache, Key

A, B, C, D = (("a.db", number) for number in range(1, 5))


def test_what_was_put_in_is_found():
    cache = ByteCache(100)
    assert cache.get(A) is None
    cache.put(A, b"one")
    cache.put(("b.db", 1), b"other")
    assert cache.get(A) == b"one"
    assert cache.get(("b.db", 1)) == b"other"
    assert cache.get(B) is None
    assert (len(cache), cache.size) == (2, 8)


READ = None
# What is put in (key, bytes) or read (key, READ), of 10 bytes at most; what is then held.
STEPS: dict[str, tuple[list[tuple[Key, int | None]], dict[Key, int]]] = {
    "all that fits": ([(A, 4), (B, 6)], {A: 4, B: 6}),
    "the oldest goes first": ([(A, 4), (B, 4), (C, 4)], {B: 4, C: 4}),
    "but not what was read since": ([(A, 4), (B, 4), (A, READ), (C, 4)], {A: 4, C: 4}),
    "nor what was put in again": ([(A, 4), (B, 4), (A, 4), (C, 4)], {A: 4, C: 4}),
    "reading what is not there keeps nothing": ([(A, 4), (B, 4), (D, READ), (C, 4)], {B: 4, C: 4}),
    "as many as need be go": ([(A, 3), (B, 3), (C, 3), (D, 9)], {D: 9}),
    "exactly as much as fits": ([(A, 3), (B, 10)], {B: 10}),
    "what is too large moves nothing": ([(A, 3), (B, 11)], {A: 3}),
    "again, and larger": ([(A, 3), (B, 3), (A, 7)], {A: 7, B: 3}),
    "again, and so large that another goes": ([(A, 3), (B, 3), (A, 8)], {A: 8}),
    "again, and smaller": ([(A, 9), (A, 2), (B, 8)], {A: 2, B: 8}),
}


@pytest.mark.parametrize("case", STEPS)
def test_what_is_held(case: str):
    steps, held = STEPS[case]
    cache = ByteCache(10)
    for key, count in steps:
        if count is READ:
            cache.get(key)
        else:
            cache.put(key, bytes(count))
    found = {key: cache.get(key) for key in (A, B, C, D)}
    assert {key: len(data) for key, data in found.items() if data is not None} == held
    assert cache.size == sum(held.values())
    assert len(cache) == len(held)


def test_never_more_than_allowed():
    cache, truth = ByteCache(1000), {}
    draw = np.random.default_rng(3)
    for number in draw.integers(0, 60, 3000).tolist():
        content = bytes(int(draw.integers(0, 200)))
        truth["a.db", number] = content
        cache.put(("a.db", number), content)
        assert cache.size <= 1000
    held = {key: data for key in truth if (data := cache.get(key)) is not None}
    assert sum(map(len, held.values())) == cache.size > 700
    assert held == {key: truth[key] for key in held}


def test_a_cache_of_nothing():
    cache = ByteCache(0)
    cache.put(A, b"one")
    assert cache.get(A) is None
    assert (len(cache), cache.size) == (0, 0)


def test_less_than_nothing_is_refused():
    with pytest.raises(ValueError, match="0 bytes or more, got -1"):
        ByteCache(-1)
