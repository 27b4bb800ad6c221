"""Every clip once an epoch, in an order that ranks, chunks and interruptions leave alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.batching import (
    CHUNK,
    BatchSampler,
    BatchShape,
    Chunk,
    ClipKey,
    Order,
    Rank,
    Tail,
    balanced,
    constant,
    harder,
)
from data.clip import ClipShape

SHAPE = ClipShape(4, 32)
FULL = ClipShape(16, 64)
GOLDEN_ORDER = [0, 2, 6, 3, 5, 4, 7, 1, 4, 1, 0, 5, 2, 3, 6, 7]
counts = st.integers(1, 300)


def grid(step: int) -> BatchShape:
    """A schedule in the manner of multigrid: three shapes in turn."""
    return [BatchShape(48, SHAPE), BatchShape(12, FULL), BatchShape(7, ClipShape(8, 48))][step % 3]


def batches(chunks: Iterable[Chunk]) -> dict[int, list[ClipKey]]:
    """Keys of every step, in their order."""
    found: dict[int, list[ClipKey]] = {}
    for chunk in chunks:
        keys = found.setdefault(chunk.step, [])
        assert len(keys) == chunk.first
        keys += chunk.keys
        assert 1 <= len(chunk.keys) <= CHUNK
        assert len(keys) <= chunk.share
    return found


def counted(keys: Iterable[ClipKey]) -> list[int]:
    return [key.clip for key in keys if key.counts]


def everything(sampler: BatchSampler) -> list[ClipKey]:
    return [key for chunk in sampler for key in chunk.keys]


# -- order ------------------------------------------------------------


@given(clips=counts, epoch=st.integers(0, 2**40), seed=st.integers(0, 2**64 - 1))
def test_an_epoch_is_every_clip_once(clips: int, epoch: int, seed: int):
    order = Order(clips, seed)
    drawn = [order.at(epoch * clips + place)[0] for place in range(clips)]
    assert sorted(drawn) == list(range(clips))


def test_the_order_is_this_one_for_ever():
    """A run that is resumed years later goes on in the same order."""
    order = Order(8, seed=42)
    assert [order.at(place)[0] for place in range(16)] == GOLDEN_ORDER


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {
        tuple(Order(50, seed).at(epoch * 50 + place)[0] for place in range(50))
        for seed in (1, 2)
        for epoch in (0, 1, 2)
    }
    assert len(orders) == 6


def test_tests_keep_the_order_and_show_every_view():
    order = Order(3, shuffled=False, views=2)
    assert [order.at(place) for place in range(len(order))] == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)
    ]  # fmt: skip


def test_skipped_clips_are_left_out():
    order = Order(6, seed=1, skip=[0, 4])
    assert sorted(order.at(place)[0] for place in range(len(order))) == [1, 2, 3, 5]


# -- weights ------------------------------------------------------------

weights_of = st.lists(st.floats(0, 10), min_size=1, max_size=60).filter(lambda many: sum(many) > 0)


@given(weights=weights_of, epoch=st.integers(0, 1000))
def test_weights_are_kept_to_within_one(weights: list[float], epoch: int):
    count = len(weights)
    order = Order(count, 3, np.array(weights))
    drawn = Counter(order.at(epoch * count + place)[0] for place in range(count))
    assert sum(drawn.values()) == count
    for clip, weight in enumerate(weights):
        wanted = count * weight / sum(weights)
        assert math.floor(wanted - 1e-6) <= drawn[clip] <= math.ceil(wanted + 1e-6)


def test_over_many_epochs_weights_are_exact_on_average():
    weights = np.array([0.1, 1.0, 2.9])
    order = Order(3, 5, weights)
    drawn = Counter(order.at(place)[0] for place in range(3 * 2000))
    assert [drawn[clip] / 2000 for clip in range(3)] == pytest.approx(3 * weights / 4, abs=0.04)


def test_weights_do_not_sort_the_epoch():
    order = Order(40, 5, np.r_[np.full(20, 2.0), np.zeros(20)])
    drawn = [order.at(place)[0] for place in range(40)]
    assert drawn != sorted(drawn)
    assert max(drawn) < 20


def test_balanced_weights_draw_classes_alike():
    labels = np.array([0] * 30 + [1] * 6 + [2] * 4 + [-1] * 5)
    order = Order(len(labels), 1, balanced(labels))
    drawn = Counter(int(labels[order.at(place)[0]]) for place in range(45))
    assert drawn == {0: 15, 1: 15, 2: 15}


def test_hard_examples_weigh_more_and_none_nothing():
    found = harder(np.array([0.0, 1.0, 3.0, np.nan]), floor=0.25)
    assert found == pytest.approx([0.25, 0.75, 2.25, 1.0])
    assert harder(np.array([np.nan, np.nan])) == pytest.approx([1.0, 1.0])
    assert harder(np.array([1.0, 4.0]), power=0) == pytest.approx([1.0, 1.0])


# -- batches ------------------------------------------------------------

TAILS: dict[Tail, tuple[list[int], list[int]]] = {
    # 10 clips, batches of 4, 2 epochs: how many clips count in each batch, and how many are in it
    "on": ([4, 4, 4, 4, 4], [4, 4, 4, 4, 4]),
    "short": ([4, 4, 2, 4, 4, 2], [4, 4, 2, 4, 4, 2]),
    "drop": ([4, 4, 4, 4], [4, 4, 4, 4]),
    "pad": ([4, 4, 2, 4, 4, 2], [4, 4, 4, 4, 4, 4]),
}


@pytest.mark.parametrize("tail", TAILS)
def test_what_becomes_of_an_epochs_end(tail: Tail):
    sampler = BatchSampler(Order(10, 1), constant(4, SHAPE), 2, tail=tail)
    found = batches(sampler)
    assert ([len(counted(keys)) for keys in found.values()],
            [len(keys) for keys in found.values()]) == TAILS[tail]  # fmt: skip
    assert list(found) == list(range(len(sampler)))
    assert all(chunk.batch == len(counted(found[chunk.step])) for chunk in sampler)


@given(clips=counts, epochs=st.integers(1, 3), tail=st.sampled_from(["on", "short", "pad"]))
@settings(max_examples=60)
def test_a_run_counts_every_clip_once_an_epoch(clips: int, epochs: int, tail: Tail):
    sampler = BatchSampler(Order(clips, 9), grid, epochs, tail=tail)
    drawn = Counter(counted(everything(sampler)))
    assert drawn == dict.fromkeys(range(clips), epochs)
    assert len(sampler) == len(batches(sampler))


@given(clips=counts, batch=st.integers(1, 100), epochs=st.integers(1, 3))
def test_len_is_what_division_says(clips: int, batch: int, epochs: int):
    lengths = {
        tail: len(BatchSampler(Order(clips), constant(batch, SHAPE), epochs, tail=tail))
        for tail in TAILS
    }
    assert lengths == {
        "on": -(-clips * epochs // batch),
        "short": epochs * -(-clips // batch),
        "drop": epochs * (clips // batch),
        "pad": epochs * -(-clips // batch),
    }


def test_shapes_follow_the_schedule():
    found = batches(BatchSampler(Order(200), grid))
    assert [len(keys) for keys in found.values()] == [48, 12, 7, 48, 12, 7, 48, 12, 6]
    assert [keys[0].shape for keys in found.values()][:4] == [SHAPE, FULL, ClipShape(8, 48), SHAPE]


@pytest.mark.parametrize("share", [1, 63, 64, 65, 128, 1536])
def test_large_shares_are_cut_into_even_chunks(share: int):
    chunks = list(BatchSampler(Order(share), constant(share, SHAPE)))
    sizes = [len(chunk.keys) for chunk in chunks]
    assert len(chunks) == -(-share // CHUNK)
    assert max(sizes) - min(sizes) <= 1
    assert [chunk.first for chunk in chunks] == np.cumsum([0, *sizes[:-1]]).tolist()


def test_repeats_of_a_clip_have_places_of_their_own():
    """A weighted clip that is drawn twice gets two different draws."""
    keys = everything(BatchSampler(Order(8, 1, np.eye(8)[3]), constant(4, SHAPE)))
    assert [key.clip for key in keys] == [3] * 8
    assert [key.position for key in keys] == list(range(8))


# -- ranks ------------------------------------------------------------


@given(clips=counts, ranks=st.sampled_from([2, 3, 4, 8]), tail=st.sampled_from(list(TAILS)))
@settings(max_examples=60)
def test_ranks_share_the_same_batches(clips: int, ranks: int, tail: Tail):
    def sampler(rank: Rank) -> BatchSampler:
        return BatchSampler(Order(clips, 4), grid, 2, tail=tail, rank=rank)

    alone = batches(sampler(Rank()))
    shares = [batches(sampler(Rank(number, ranks))) for number in range(ranks)]
    for step, keys in alone.items():
        parts = [share[step] for share in shares]
        assert len({len(part) for part in parts}) == 1, "a rank would wait for another"
        together = [key for part in parts for key in part if key.counts]
        assert together == [key for key in keys if key.counts]
    assert {len(sampler(Rank(number, ranks))) for number in range(ranks)} == {len(alone)}


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("clips", [1, 2, 5, 16, 33])
def test_an_evaluation_counts_every_view_once_on_any_number_of_ranks(clips: int, ranks: int):
    seen = Counter(
        (key.clip, key.view)
        for number in range(ranks)
        for key in everything(
            BatchSampler(Order(clips, shuffled=False, views=3), constant(8, SHAPE), tail="short",
                         rank=Rank(number, ranks))
        )
        if key.counts
    )  # fmt: skip
    assert seen == {(clip, view): 1 for clip in range(clips) for view in range(3)}


# -- going on ------------------------------------------------------------


@given(clips=counts, tail=st.sampled_from(list(TAILS)), data=st.data())
@settings(max_examples=60)
def test_a_run_goes_on_where_it_stopped(clips: int, tail: Tail, data: st.DataObject):
    whole = BatchSampler(Order(clips, 4), grid, 3, tail=tail)
    chunks = list(whole)
    if not chunks:
        return
    at = data.draw(st.integers(0, len(chunks) - 1))
    chunk = chunks[at]
    again = BatchSampler(Order(clips, 4), grid, 3, tail=tail)
    again.resume(whole.state(chunk.step + 1, chunk.after))
    assert list(again) == [one for one in chunks if one.step > chunk.step]
    assert len(again) == len(whole) - chunk.step - 1


def test_a_run_goes_on_with_other_ranks():
    alone = BatchSampler(Order(100, 4), grid, 2)
    first = next(iter(alone))
    rest = [key for key in everything(alone) if key.position >= first.after]
    resumed = []
    for number in range(4):
        sampler = BatchSampler(Order(100, 4), grid, 2, rank=Rank(number, 4))
        sampler.resume(alone.state(first.step + 1, first.after))
        resumed += [key for key in everything(sampler) if key.counts]
    assert sorted(resumed) == sorted(rest)


def order_with(**changes: object) -> Order:
    return Order(**{"clips": 10, "seed": 1, **changes})  # type: ignore[arg-type]


OTHERS: dict[str, tuple[Order, Tail, str]] = {
    "another seed": (order_with(seed=2), "on", "seed: 1 then, 2 now"),
    "more clips": (order_with(clips=11), "on", "clips: 10 then, 11 now"),
    "weights": (order_with(weights=np.ones(10)), "on", "weights: None then, "),
    "skipped clips": (order_with(skip=[3]), "on", "clips: 10 then, 9 now; skip: None then, "),
    "a test's order": (order_with(shuffled=False), "on", "shuffled: True then, False now"),
    "another tail": (order_with(), "drop", "tail: on then, drop now"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_stream_is_not_gone_on_with(case: str):
    order, tail, message = OTHERS[case]
    state = BatchSampler(order_with(), grid).state(3, 7)
    with pytest.raises(ValueError, match=message):
        BatchSampler(order, grid, tail=tail).resume(state)


def test_other_weights_and_other_skipped_clips_are_noticed():
    one = Order(4, 1, np.array([1.0, 2, 3, 4]), skip=[0])
    other_weights = Order(4, 1, np.array([1.0, 2, 3, 5]), skip=[0])
    other_skip = Order(4, 1, np.array([1.0, 2, 3, 4]), skip=[1])
    facts = [order.describe() for order in (one, other_weights, other_skip)]
    assert all(left != right for left, right in pairwise([*facts, facts[0]]))


# -- what is refused ------------------------------------------------------------

unchecked: Any = BatchSampler
BAD: dict[str, tuple[Callable[[], object], str]] = {
    "no clip": (lambda: Order(0), "there is no clip to draw: 0 in all, 0 skipped"),
    "all skipped": (lambda: Order(2, skip=[0, 1]), "2 in all, 2 skipped"),
    "no view": (lambda: Order(2, views=0), "views is at least 1, got 0"),
    "too few weights": (lambda: Order(3, weights=np.ones(2)), "3 wanted"),
    "a negative weight": (lambda: Order(2, weights=np.array([1.0, -1])), "at least 0"),
    "no number": (lambda: Order(2, weights=np.array([1.0, np.nan])), "at least 0"),
    "no weight at all": (lambda: Order(2, weights=np.zeros(2)), "not all of them 0"),
    "a negative seed": (lambda: Order(2, seed=-1).at(0), "a seed is a whole number from 0"),
    "an unknown tail": (lambda: unchecked(Order(2), grid, tail="cut"), "allowed: on, short"),
    "no epoch": (lambda: BatchSampler(Order(2), grid, epochs=0), "epochs is at least 1"),
    "no chunk": (lambda: BatchSampler(Order(2), grid, chunk=0), "allowed: 1 to 64"),
    "a large chunk": (lambda: BatchSampler(Order(2), grid, chunk=65), "allowed: 1 to 64"),
    "no such rank": (lambda: Rank(2, 2), "rank 2 of 2: ranks count from 0"),
    "an empty batch": (lambda: len(BatchSampler(Order(2), constant(0, SHAPE))),
                       "at least 1 clip, step 0 has 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(case: str):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        make()
