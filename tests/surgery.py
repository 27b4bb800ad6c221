"""Damage and alter finished media files, byte by byte: what no encoder will do on request."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}


def boxes(
    data: bytes | bytearray, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Every MP4 box, depth first: its type, where its body starts and where it ends."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        yield kind, start + 8, start + size
        if kind in CONTAINERS:
            yield from boxes(data, start + 8, start + size)
        start += size


def find(data: bytes | bytearray, kind: bytes) -> tuple[int, int]:
    """Body start and end of the first box of this kind."""
    return next((start, end) for name, start, end in boxes(data) if name == kind)


def rewrite(path: Path, change) -> Path:
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data) or data)
    return path


def skip_by_edit_list(path: Path, media_units: int, movie_units: int) -> Path:
    """Make the first track's edit list begin `media_units` later."""

    def change(data: bytearray) -> None:
        body, _ = find(data, b"elst")
        entry = body + 8 + 12 * (struct.unpack_from(">I", data, body + 4)[0] - 1)
        duration, media_time = struct.unpack_from(">Ii", data, entry)
        struct.pack_into(">Ii", data, entry, duration - movie_units, media_time + media_units)

    return rewrite(path, change)


def promise_endless(path: Path) -> Path:
    """Let the last sample last 2^31 - 1 units: 143,165 s at a time base of 1/15000."""

    def change(data: bytearray) -> None:
        _, end = find(data, b"stts")
        struct.pack_into(">I", data, end - 4, 0x7FFFF000)
        struct.pack_into(">I", data, find(data, b"mdhd")[0] + 16, 0x7FFFFFFF)

    return rewrite(path, change)


def promise_endless_matroska(path: Path) -> Path:
    """Let the Duration element (0x4489, an 8-byte float of milliseconds) say 143,165 s."""

    def change(data: bytearray) -> None:
        at = data.index(b"\x44\x89\x88") + 3
        struct.pack_into(">d", data, at, 143165576.0)

    return rewrite(path, change)


def set_matrix(path: Path, matrix: list[int]) -> Path:
    """Write a display matrix (nine 16.16 / 2.30 fixed-point numbers) into the first track."""

    def change(data: bytearray) -> None:
        body, _ = find(data, b"tkhd")
        struct.pack_into(">9i", data, body + 40, *matrix)

    return rewrite(path, change)


def cut_short(path: Path, keep: float) -> Path:
    return rewrite(path, lambda data: data[: int(len(data) * keep)])


def scramble(path: Path, start: float, stop: float, seed: int = 3) -> Path:
    """Overwrite the bytes between two fractions of the file with noise."""

    def change(data: bytearray) -> None:
        first, last = int(len(data) * start), int(len(data) * stop)
        data[first:last] = np.random.default_rng(seed).bytes(last - first)

    return rewrite(path, change)


def scramble_all(path: Path) -> Path:
    """Noise in place of everything that is coded."""

    def change(data: bytearray) -> None:
        first, last = find(data, b"mdat")
        data[first:last] = np.random.default_rng(3).bytes(last - first)

    return rewrite(path, change)


def scramble_transport(path: Path) -> Path:
    """Encrypt, as it were, every payload of a transport stream but its tables, and mark it so."""

    def change(data: bytearray) -> None:
        noise = np.random.default_rng(3)
        for start in range(0, len(data), 188):
            if int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF in (0x100, 0x101):
                data[start + 3] |= 0x80
                data[start + 24 : start + 188] = noise.bytes(164)

    return rewrite(path, change)


def rename_codec(path: Path) -> Path:
    """Let an MP4 name a codec that nobody knows."""
    return rewrite(path, lambda data: data.replace(b"mp4v", b"zzzz").replace(b"esds", b"zzzz"))


def rename_sound_codec(path: Path) -> Path:
    return rewrite(path, lambda data: data.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))


def join(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
