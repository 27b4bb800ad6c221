"""The media of tests/synth.py are what their names say: looked at in their bytes, not believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests import barcode

H264_IDR, H264_SLICE, H264_PPS = 5, 1, 8
HEVC_CRA, HEVC_LEADING = 21, (6, 7, 8, 9)


def packets(path: Path) -> list[av.Packet]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [packet for packet in container.demux(stream) if packet.size]


def nals(path: Path, hevc: bool = False) -> list[list[int]]:
    """The NAL unit types of every packet, whether length-prefixed (MP4) or Annex B (TS)."""
    return [[kind for kind, _ in _split(bytes(packet), hevc)] for packet in packets(path)]


def _split(data: bytes, hevc: bool) -> list[tuple[int, bytes]]:
    if data.startswith((b"\0\0\1", b"\0\0\0\1")):
        units = [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]
    else:
        units, at = [], 0
        while at + 4 <= len(data):
            size = int.from_bytes(data[at : at + 4], "big")
            units.append(data[at + 4 : at + 4 + size])
            at += 4 + size
    return [((unit[0] >> 1) & 63 if hevc else unit[0] & 31, unit) for unit in units if unit]


def extradata_pps(path: Path) -> bytes:
    """The first picture parameter set of an avcC."""
    with av.open(str(path)) as container:
        data = bytes(container.streams.video[0].codec_context.extradata or b"")
    sps_size = int.from_bytes(data[6:8], "big")
    return data[8 + sps_size + 3 :]


def leading_pictures(path: Path) -> int:
    """Pictures that come after a keyframe in the file and before it on screen."""
    count, key = 0, 0
    for packet in packets(path):
        if packet.is_keyframe:
            key = packet.pts or 0
        count += (packet.pts or 0) < key
    return count


def pyramid_depth(path: Path) -> int:
    """How many later pictures are coded ahead of one that needs them: 1 without a pyramid."""
    stamps = [packet.pts or 0 for packet in packets(path)]
    return max(sum(other > stamp for other in stamps[:at]) for at, stamp in enumerate(stamps))


def sets_of_id_0(path: Path) -> set[bytes]:
    """The different picture parameter sets that all claim id 0 (a leading 1 bit)."""
    units = [unit for packet in packets(path) for unit in _split(bytes(packet), hevc=False)]
    return {unit for kind, unit in units if kind == H264_PPS and unit[1] & 0x80}


def keys(path: Path) -> int:
    return sum(packet.is_keyframe for packet in packets(path))


def size_of_packets(path: Path) -> set[tuple[int, int]]:
    with av.open(str(path)) as container:
        return {(frame.width, frame.height) for frame in container.decode(video=0)}


def raw_pts(path: Path) -> list[int]:
    """The 33-bit picture time stamps as they stand in a transport stream."""
    data, stamps = path.read_bytes(), []
    for start in range(0, len(data), 188):
        at = data.find(b"\0\0\1\xe0", start, start + 188)  # a video PES header
        if at >= 0 and data[start + 1] & 0x40 and data[at + 7] & 0x80:
            field = data[at + 9 : at + 14]
            high, middle = field[0] >> 1 & 7, field[1] << 7 | field[2] >> 1
            stamps.append(high << 30 | middle << 15 | field[3] << 7 | field[4] >> 1)
    return stamps


CLAIMS: dict[str, Callable[[Path], bool]] = {
    "bframes": lambda path: leading_pictures(path) == 0 and pyramid_depth(path) == 2,
    "constant": lambda path: pyramid_depth(path) == 0 and keys(path) == 3,
    "open_gop": lambda path: (
        leading_pictures(path) >= 6
        and keys(path) >= 3
        and sum(H264_IDR in kinds for kinds in nals(path)) == 1
    ),
    "open_gop_deep": lambda path: leading_pictures(path) >= 14 and pyramid_depth(path) >= 2,
    "hevc_open_gop": lambda path: (
        leading_pictures(path) >= 6 and any(HEVC_CRA in kinds for kinds in nals(path, hevc=True))
    ),
    "hevc_open_gop_deep": lambda path: (
        sum(bool(set(kinds) & set(HEVC_LEADING)) for kinds in nals(path, hevc=True)) >= 14
        and pyramid_depth(path) >= 2
    ),
    "long_gop": lambda path: keys(path) == 1,
    "slices": lambda path: all(
        sum(kind in (H264_IDR, H264_SLICE) for kind in kinds) == 4 for kinds in nals(path)
    ),
    # Two ue(v) zeros (the ids) fill the top bits of a PPS: the third is entropy_coding_mode_flag.
    "cavlc": lambda path: extradata_pps(path)[1] & 0x20 == 0,
    "bframes is cabac": lambda path: extradata_pps(path)[1] & 0x20 != 0,
    "clashing_parameters": lambda path: len(sets_of_id_0(path)) == 2,
    "resolution_change": lambda path: size_of_packets(path) == {(96, 64), (144, 96)},
    "ts_wrap": lambda path: max(raw_pts(path)) > (1 << 33) - 90000 and min(raw_pts(path)) < 90000,
    "ts_ten_hours": lambda path: min(raw_pts(path)) >= 36000 * 90000,
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_variant_is_what_it_is_called(media, claim: str):
    assert CLAIMS[claim](media(claim.split()[0]).path)


@pytest.mark.parametrize("name", ["open_gop", "open_gop_deep", "hevc_open_gop_deep", "bframes"])
def test_pictures_lean_on_one_another(media, name: str):
    """Without its reference pictures a frame does not read: the media cannot flatter a cutter."""
    path = media(name).path
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.flags |= av.codec.context.Flags.output_corrupt
        dropped = 0
        read = []
        for packet in container.demux(stream):
            if packet.size and not packet.is_keyframe and not packet.is_disposable and not dropped:
                dropped += 1
                continue
            read += [barcode.read(frame.to_ndarray(format="gray")) for frame in packet.decode()]
    assert dropped == 1
    assert sum(index is None for index in read) >= 1 or read != media(name).indices[: len(read)]


@pytest.mark.parametrize("size", [(96, 64), (97, 65), (24, 16), (641, 359)])
def test_a_barcode_reads_upright_and_no_other_way(size):
    for index in range(0, 65536, 997):
        picture = barcode.draw(index, *size)
        assert barcode.read(picture) == index
        assert barcode.read(np.stack([picture * 255] * 3, axis=2)) == index
        for wrong in (np.rot90(picture), np.rot90(picture, 2), picture[:, ::-1], picture.T):
            assert barcode.read(wrong) != index


def test_a_barcode_half_one_and_half_another_does_not_read():
    mixed = barcode.draw(100, 96, 64)
    mixed[32:] = barcode.draw(7000, 96, 64)[32:]
    assert barcode.read(mixed) is None


def test_the_lag_of_a_sound_is_found_to_a_fraction_of_a_sample():
    noise = barcode.noise(2)[:, 0]
    for shift in (0, 1, 777, -31):
        heard = np.roll(noise, shift)[5000:50000]
        assert abs(barcode.lag(heard, noise[5000:50000], 48000) * 48000 - shift) < 0.05
