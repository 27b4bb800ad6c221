"""Every draw follows from seed, position and slot: by definition, to the bit, for ever."""

from __future__ import annotations

import time
from collections import Counter
from itertools import combinations
from zlib import crc32

import numpy as np
import pytest

from data.draws import LANES, Domain, Draws, Slot, normal_field, raw, to_unit

WORDS = 4  # a block of the generator
MASK = (1 << 64) - 1


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x64 with ten rounds, as it was published: the reference in whole numbers."""
    for _ in range(10):
        high0, low0 = divmod(counter[0] * 0xD2E7470EE14C6C93, 1 << 64)
        high2, low2 = divmod(counter[2] * 0xCA5A826395121157, 1 << 64)
        counter = [high2 ^ counter[1] ^ key[0], low2, high0 ^ counter[3] ^ key[1], low0]
        key = [(key[0] + 0x9E3779B97F4A7C15) & MASK, (key[1] + 0xBB67AE8584CAA73B) & MASK]
    return counter


def defined(seed: int, position: int, domain: int, which: int, count: int) -> list[int]:
    """What `raw` is defined to give: the blocks of counters 1, 2, 3, ..."""
    blocks = range(1, 2 + count // WORDS)
    words = [word for block in blocks for word in philox([block, 0, which, domain],
                                                         [seed, position])]  # fmt: skip
    return words[:count]


# -- the stream's bits ---------------------------------------------------------------------------


PUBLISHED = {  # the vectors that come with the generator's definition
    "zeros": ([0] * 4, [0] * 2,
              [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]),
    "ones": ([MASK] * 4, [MASK] * 2,
             [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0]),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_reference_is_philox(name: str):
    counter, key, words = PUBLISHED[name]
    assert philox(counter, key) == words


STREAMS = [  # seed, position, domain, which
    (0, 0, Domain.CLIP, 0),
    (42, 1, Domain.CLIP, 0),
    (43, 0, Domain.CLIP, 3),
    (42, 0, Domain.ORDER, 17),
    (42, 0, Domain.WEIGHTS, 17),
    (2**63, 2**63, Domain.FIELD, 1 << 32 | 7),
    (2**64 - 1, 2**64 - 1, Domain.FIELD, 2**64 - 1),
    (7, 10**12, Domain.CLIP, 5),
]


@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_a_stream_is_philox_of_its_key(stream: tuple[int, int, Domain, int]):
    got = raw(*stream, count=11)
    assert got.dtype == np.uint64
    assert got.tolist() == defined(*stream, 11)


def test_written_out():
    assert raw(0, 0, Domain.CLIP, 0, 2).tolist() == [0x02F4BA6408E4D89B, 0x03DD62B0B9CA8C5B2]
    assert raw(42, 1, Domain.CLIP, 0, 1).tolist() == [0x719965F2DEBB5C86]
    assert raw(7, 10**12, Domain.WEIGHTS, 5, 1).tolist() == [0x7BA9586EAB62EAD8]
    draws = Draws(42, 1_000_000)
    assert draws.uniform(Slot.START) == 0.3641722646914668
    assert draws.uniform(Slot.FLIP) == 0.5688901471927345
    assert draws.uniform(Slot.ERASE_BOX) == 0.28059435656246456
    assert draws.uniform(Slot.FLIP, -5, 15, lane=7) == -0.5764317998724744
    assert draws.integer(Slot.HUE_SATURATION, 33, 1) == 28
    assert draws.choice(Slot.MOTION_BLUR, (3, 5, 7), 1) == 7
    assert draws.normal(Slot.PERSPECTIVE, 3) == pytest.approx(-0.19770117392197573, rel=1e-12)
    assert draws.many(Slot.SEGMENTS, 2) == [0.45253593867019837, 0.8160669920412869]
    part = Draws(42, 1_000_000, part=2)
    assert part.uniform(Slot.FLIP) == 0.8274045495706073
    assert part.many(Slot.SEGMENTS, 2) == [0.44767658905562613, 0.41556891228794657]
    assert normal_field(42, 7, 0, 8, 7.65).tolist() == [4, -5, -5, 3, -16, 3, -1, 10]
    assert crc32(normal_field(42, 7, 0, 200_000, 7.65).astype("<i2").tobytes()) == 1716928681


@pytest.mark.parametrize("slot", Slot, ids=lambda slot: slot.name)
def test_a_slot_has_its_place_in_the_stream(slot: Slot):
    """So nothing moves when a slot is added at the end, nor when one draws more than before."""
    draws = Draws(9, 123, part=1)
    stream = to_unit(raw(9, 123, Domain.CLIP, 1, LANES * len(Slot)))
    for lane in range(LANES):
        assert draws.uniform(slot, lane=lane) == stream[LANES * int(slot) + lane]


SLOTS = [
    "START", "INTERVAL", "SEGMENTS", "ANY", "CROP_SCALE", "CROP_RATIO", "CROP_PLACE", "FLIP",
    "GAUSSIAN_BLUR", "ADD", "NOISE", "ENHANCE", "MOTION_BLUR", "HUE_SATURATION", "CONTRAST",
    "WARP", "PERSPECTIVE", "ROTATION", "JITTER", "GRAYSCALE", "ERASE", "ERASE_BOX",
]  # fmt: skip


def test_slots_and_domains_keep_their_numbers():
    """Whoever needs a new one adds it at the end, here too."""
    assert [slot.name for slot in Slot] == SLOTS
    assert [int(slot) for slot in Slot] == list(range(len(SLOTS)))
    assert LANES == 8
    assert {domain.name: int(domain) for domain in Domain} == {
        "CLIP": 0, "ORDER": 1, "WEIGHTS": 2, "FIELD": 3,
    }  # fmt: skip


# -- from bits to decisions ----------------------------------------------------------------------


def test_a_unit_is_below_one():
    ends = np.array([0, MASK, 1 << 63, (1 << 11) - 1, 1 << 11], np.uint64)
    assert to_unit(ends).tolist() == [0.0, 1 - 2.0**-53, 0.5, 0.0, 2.0**-53]


class Fixed(Draws):
    """Draws whose every number is this one."""

    def __init__(self, unit: float) -> None:
        super().__init__(0, 0)
        self._numbers = [unit] * len(self._numbers)


LEAST, MOST = 0.0, 1 - 2.0**-53


@pytest.mark.parametrize("count", [1, 2, 3, 7, 33, 1000, 10**9, 2**53])
def test_whole_numbers_reach_both_ends_and_no_further(count: int):
    assert Fixed(LEAST).integer(Slot.START, count) == 0
    assert Fixed(MOST).integer(Slot.START, count) == count - 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-5, 15), (1, 1.5), (0, 360), (3, 3), (-1, 1)])
def test_uniform_holds_its_low_end_and_not_its_high_one(low: float, high: float):
    assert Fixed(LEAST).uniform(Slot.START, low, high) == low
    assert Fixed(0.5).uniform(Slot.START, low, high) == (low + high) / 2
    assert Fixed(MOST).uniform(Slot.START, low, high) < high or low == high


def test_normal_is_finite_at_both_ends():
    assert Fixed(LEAST).normal(Slot.START) < -8
    assert 8 < Fixed(MOST).normal(Slot.START) < 9
    assert Fixed(0.5).normal(Slot.START) == 0


COUNT = 4000
MANY = [Draws(5, position) for position in range(COUNT)]


@pytest.mark.parametrize("slot", [Slot.START, Slot.FLIP, Slot.ERASE_BOX], ids=str)
@pytest.mark.parametrize("lane", [0, LANES - 1])
def test_even_over_positions(slot: Slot, lane: int):
    values = np.array([draws.uniform(slot, 2, 6, lane) for draws in MANY])
    assert 2 <= values.min() < 2.01
    assert 5.99 < values.max() < 6
    counts = np.histogram(values, 10, (2, 6))[0]
    assert abs(counts - COUNT / 10).max() < 5 * np.sqrt(COUNT / 10)


def test_whole_numbers_are_all_drawn_evenly():
    counts = Counter(draws.integer(Slot.START, 7) for draws in MANY)
    assert sorted(counts) == list(range(7))
    assert max(counts.values()) - min(counts.values()) < 8 * np.sqrt(COUNT / 7)
    assert {draws.choice(Slot.ADD, "abc", lane=3) for draws in MANY} == set("abc")


def test_normal_has_mean_0_and_deviation_1():
    values = np.array([draws.normal(Slot.PERSPECTIVE, 2) for draws in MANY])
    assert abs(values.mean()) < 4 / np.sqrt(COUNT)
    assert abs(values.std() - 1) < 4 / np.sqrt(2 * COUNT)
    assert (np.abs(values) < 1).mean() == pytest.approx(0.683, abs=0.03)


def test_slots_lanes_and_positions_have_nothing_in_common():
    columns = [(slot, lane) for slot in (Slot.ANY, Slot.ADD, Slot.WARP) for lane in (0, 1)]
    table = np.array([[draws.uniform(slot, lane=lane) for slot, lane in columns]
                      for draws in MANY])  # fmt: skip
    for one, other in combinations(table.T, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.07
    assert abs(np.corrcoef(table[1:, 0], table[:-1, 0])[0, 1]) < 0.07  # neighbours in the stream


# -- streams that must differ --------------------------------------------------------------------


def test_every_key_has_its_own_stream():
    keys = [(seed, position, domain, which) for seed in (0, 1, 2**63) for position in (0, 1, 2**63)
            for domain in Domain for which in (0, 1, 2**32)]  # fmt: skip
    firsts = {int(raw(*key, count=1)[0]) for key in keys}
    assert len(firsts) == len(keys)


def test_numbers_for_frames_are_apart_from_the_lanes():
    draws = Draws(3, 4, part=1)
    lanes = set(to_unit(raw(3, 4, Domain.CLIP, 1, 4 * LANES * len(Slot))).tolist())
    sets = [set(draws.many(slot, 200)) for slot in (Slot.START, Slot.SEGMENTS)]
    sets += [set(Draws(3, 4, part).many(Slot.START, 200)) for part in (0, 2)]
    for one, other in combinations([lanes, *sets], 2):
        assert not one & other


def test_more_numbers_begin_like_fewer():
    draws = Draws(3, 4)
    assert draws.many(Slot.SEGMENTS, 0) == []
    assert draws.many(Slot.SEGMENTS, 100)[:7] == draws.many(Slot.SEGMENTS, 7)
    assert min(draws.many(Slot.SEGMENTS, 100)) >= 0
    assert max(draws.many(Slot.SEGMENTS, 100)) < 1


def test_the_same_place_gives_the_same_draws_in_any_order():
    for position in (5, 0, 2**40, 5):
        one, other = Draws(8, position), Draws(8, position)
        forwards = [one.uniform(slot) for slot in Slot]
        backwards = [other.uniform(slot) for slot in reversed(Slot)]
        assert forwards == backwards[::-1]


def test_a_far_place_costs_no_more_than_the_first():
    def seconds(position: int) -> float:
        start = time.process_time()
        for more in range(100):
            Draws(1, position + more)
        return time.process_time() - start

    near = min(seconds(0) for _ in range(5))
    far = min(seconds(10**12) for _ in range(5))
    assert far < 5 * near


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [-1, 2**64, -(2**63)])
def test_a_seed_out_of_range_is_named(seed: int):
    with pytest.raises(ValueError, match=rf"a seed is .* 0 to 2\*\*64 - 1, got {seed}$"):
        Draws(seed, 0)


@pytest.mark.parametrize("lane", [-1, LANES])
def test_a_lane_of_another_slot_is_refused(lane: int):
    with pytest.raises(IndexError, match=f"lanes 0 to 7, asked for {lane}"):
        Draws(0, 0).uniform(Slot.FLIP, lane=lane)


# -- fields of noise -----------------------------------------------------------------------------


SCALES = [0, 1, 7.65, 4 * 7.65]


@pytest.mark.parametrize("scale", SCALES)
def test_a_field_is_normal_and_whole(scale: float):
    count = 300_000
    field = normal_field(1, 2, 3, count, scale)
    assert field.dtype == np.int16
    assert len(field) == count
    spread = np.sqrt(scale**2 + 1 / 12) if scale else 0  # rounding adds a twelfth
    assert abs(field.mean()) <= 4 * spread / np.sqrt(count)
    assert abs(field.std() - spread) <= 4 * spread / np.sqrt(2 * count)
    inside = (np.abs(field) <= 1.5 * scale).mean()
    if scale > 5:
        assert inside == pytest.approx(0.866, abs=0.015)
        assert np.abs(field).max() > 4 * scale
    assert abs(np.corrcoef(field[1:], field[:-1])[0, 1]) < 0.01 if scale else not field.any()


def test_fields_differ_by_everything_they_are_for():
    keys = [(1, 2, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3), (1, 2, 1 << 32 | 3)]
    fields = [normal_field(*key, 5000, 7.65) for key in keys]
    for one, other in combinations(fields, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.06


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 1023])
def test_a_field_of_any_length_begins_alike(count: int):
    long = normal_field(1, 2, 3, 2048, 5)
    assert normal_field(1, 2, 3, count, 5).tolist() == long[:count].tolist()
