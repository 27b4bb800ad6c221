"""Which file it is: any change of its size or of a block that is read gives another name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.fingerprint import BLOCK, BLOCKS, content_hash, sampled_hash, stamp

SIZES = [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, BLOCKS * BLOCK, 20 * BLOCK + 7]


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def of(data: bytes, path: Path) -> str:
    path.write_bytes(data)
    return sampled_hash(path)


@pytest.mark.parametrize("size", SIZES)
def test_the_same_bytes_have_the_same_name_wherever_they_lie(size: int, tmp_path: Path):
    first, second = of(content(size), tmp_path / "a"), of(content(size), tmp_path / "b")
    assert first == second
    assert len(first) == 32


@pytest.mark.parametrize("size", SIZES)
def test_one_byte_more_is_another_file(size: int, tmp_path: Path):
    assert of(content(size), tmp_path / "a") != of(content(size) + b"\0", tmp_path / "b")


def test_all_sizes_differ(tmp_path: Path):
    assert len({of(bytes(size), tmp_path / "a") for size in SIZES}) == len(SIZES)


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("share", [0, 0.0001, 0.999999, 1])
def test_a_change_at_either_end_is_noticed(size: int, share: float, tmp_path: Path):
    changed = bytearray(content(size))
    changed[int((size - 1) * share)] ^= 1
    assert of(bytes(changed), tmp_path / "b") != of(content(size), tmp_path / "a")


@pytest.mark.parametrize("size", [size for size in SIZES if 0 < size <= BLOCKS * BLOCK])
def test_of_a_small_file_every_byte_counts(size: int, tmp_path: Path):
    whole = of(content(size), tmp_path / "a")
    for at in range(0, size, max(1, size // 40)):
        changed = bytearray(content(size))
        changed[at] ^= 1
        assert of(bytes(changed), tmp_path / "b") != whole, at


@pytest.mark.parametrize("number", range(BLOCKS))
def test_of_a_large_one_eight_blocks_do(number: int, tmp_path: Path):
    size = 100 * BLOCK
    changed = bytearray(content(size))
    changed[(size - BLOCK) * number // (BLOCKS - 1) + 5] ^= 1
    assert of(bytes(changed), tmp_path / "b") != of(content(size), tmp_path / "a")


def test_a_stamp_changes_with_size_and_time(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = stamp(path)
    assert stamp(path) == first
    os.utime(path, ns=(0, 5))
    assert stamp(path) == "3 5" != first


def test_a_content_hash_knows_every_byte(tmp_path: Path):
    path = tmp_path / "file"
    data = bytearray(3_000_000)
    path.write_bytes(data)
    first = content_hash(path)
    data[1_000_001] = 1  # between the blocks of the sampled one
    path.write_bytes(data)
    assert content_hash(path) != first
    assert len(first) == 32
