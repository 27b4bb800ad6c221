"""The JPEG codec, with simplejpeg and with OpenCV alone: the same pictures, the same refusals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from data import jpeg as module
from data.jpeg import JpegError, decode, encode, encode_planes, is_plain, size_of
from tests.command import ROOT

REAL: Any = vars(module)["simplejpeg"]
CODECS = ("simplejpeg", "OpenCV")
SUBSAMPLINGS = ("4:2:0", "4:4:4")
SIZES = [(1, 1), (2, 3), (17, 9), (97, 65), (340, 256)]
SWATCHES = [(40, 200, 40), (200, 40, 40), (40, 40, 200), (0, 0, 0), (255, 255, 255)]


@pytest.fixture(params=CODECS)
def codec(request, monkeypatch) -> str:
    use(monkeypatch, request.param)
    return request.param


def use(monkeypatch, name: str) -> None:
    """As if simplejpeg were not installed, or as it is."""
    assert REAL is not None, "the tests need simplejpeg: make setup"
    monkeypatch.setattr(module, "simplejpeg", None if name == "OpenCV" else REAL)


def landscape(size: tuple[int, int]) -> np.ndarray:
    """Colours that change smoothly, so that nothing but the coding of chroma is lost."""
    across, down = (np.arange(length) / max(96, length) for length in size)
    red, green = np.broadcast_arrays(across[None], down[:, None])
    blue = 0.5 + 0.5 * np.sin(4 * across)[None] * np.cos(3 * down)[:, None]
    return np.round(np.stack([red, green, blue], 2) * 220 + 15).astype(np.uint8)


def furthest(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.square(one.astype(float) - other).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


# -- pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("writer", CODECS)
@pytest.mark.parametrize("reader", CODECS)
def test_what_one_writes_the_other_reads(writer, reader, subsampling, monkeypatch):
    meant = landscape((97, 65))
    use(monkeypatch, writer)
    written = encode(meant, 95, subsampling)
    use(monkeypatch, reader)
    shown = decode(written)
    assert shown.dtype == np.uint8
    assert psnr(shown, meant) > 38


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("colour", SWATCHES)
def test_colours_are_rgb(codec, subsampling, colour):
    """Red and blue exchanged, or limited range, would show."""
    meant = np.full((16, 16, 3), colour, np.uint8)
    assert furthest(decode(encode(meant, 98, subsampling)), meant) <= 3


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back(codec, size, subsampling):
    meant = landscape(size)
    written = encode(meant, 98, subsampling)
    assert size_of(written) == size
    assert is_plain(written)
    assert psnr(decode(written), meant) > 30


def planes_of(rgb: np.ndarray, subsampling: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    luma, red, blue = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb))
    if subsampling == "4:4:4":
        return luma, blue, red
    height, width = luma.shape
    half = (width + 1) // 2, (height + 1) // 2
    area = cv2.INTER_AREA
    return luma, cv2.resize(blue, half, interpolation=area), cv2.resize(red, half, interpolation=area)  # fmt: skip # noqa: E501


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("size", [(1, 1), (17, 9), (97, 65), (96, 65), (97, 64), (96, 64)])
def test_planes_make_the_picture_they_are_of(codec, size, subsampling):
    """Odd sizes at 4:2:0 too: half of 97 is 49."""
    meant = landscape(size)
    written = encode_planes(planes_of(meant, subsampling), 98)
    assert size_of(written) == size
    assert psnr(decode(written), meant) > 30


@pytest.mark.parametrize("size", [(1, 1), (57, 32), (56, 33), (57, 33), (56, 32)])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_what_lies_behind_the_planes_is_not_looked_at(codec, size, subsampling):
    """libjpeg-turbo reads 4:2:0 up to even sizes, which here is somebody else's memory."""
    meant = planes_of(np.full((size[1], size[0], 3), (40, 200, 40), np.uint8), subsampling)

    def written(foreign: int) -> bytes:
        luma, blue, red = (in_memory_full_of(foreign, plane) for plane in meant)
        return encode_planes((luma, blue, red), 90)

    assert written(0) == written(255)
    assert furthest(decode(written(255)), np.full((size[1], size[0], 3), (40, 200, 40))) <= 4


def in_memory_full_of(foreign: int, plane: np.ndarray) -> np.ndarray:
    memory = np.full(plane.size + 2 * plane.shape[1] + 64, foreign, np.uint8)
    memory[: plane.size] = plane.ravel()
    return memory[: plane.size].reshape(plane.shape)


@pytest.mark.parametrize("codec_name", CODECS)
def test_quality_and_subsampling_are_what_was_asked_for(codec_name, monkeypatch):
    use(monkeypatch, codec_name)
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    small, fine, full = (len(encode(noise, *how)) for how in
                         ((50, "4:2:0"), (95, "4:2:0"), (95, "4:4:4")))  # fmt: skip
    assert small < fine < full
    assert sampling_factors(encode(noise, 90, "4:2:0")) == [0x22, 0x11, 0x11]
    assert sampling_factors(encode(noise, 90, "4:4:4")) == [0x11, 0x11, 0x11]


def sampling_factors(written: bytes) -> list[int]:
    at = written.index(b"\xff\xc0")
    return [written[at + 11 + 3 * channel] for channel in range(3)]


# -- into a picture that is there ------------------------------------------------------------------


def test_it_decodes_into_the_picture_given(codec):
    meant, clip = landscape((48, 32)), np.zeros((3, 32, 48, 3), np.uint8)
    written = encode(meant, 95, "4:4:4")
    decode(written, clip[1])
    assert (clip[1] == decode(written)).all()
    assert not clip[[0, 2]].any()


@pytest.mark.parametrize("shape", [(32, 47, 3), (31, 48, 3), (64, 96, 3), (48, 32, 3), (16, 96, 3)])
def test_one_of_another_size_is_refused(codec, shape):
    written = encode(landscape((48, 32)), 90, "4:2:0")
    with pytest.raises(JpegError, match=f"is 48x32, not {shape[1]}x{shape[0]}"):
        decode(written, np.zeros(shape, np.uint8))


# -- damage ----------------------------------------------------------------------------------------


def test_a_cut_is_noticed_wherever_it_is(codec):
    whole = encode(landscape((97, 65)), 90, "4:2:0")
    decode(whole)
    for length in [*range(0, len(whole) - 1, 13), len(whole) - 2, len(whole) - 1]:
        with pytest.raises(JpegError, match="is not a"):
            decode(whole[:length])


GARBAGE = {
    "nothing": b"",
    "text": b"Dear diary, " * 50,
    "zeros": bytes(1000),
    "a PNG": bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1]),
    "a beginning and an end": b"\xff\xd8\xff\xd9",
    "noise after a beginning": b"\xff\xd8\xff" + bytes(range(256)) * 3 + b"\xff\xd9",
    "a segment without an end": b"\xff\xd8\xff\xe0\xff\xff" + bytes(20),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_is_refused(codec, case):
    for use_it in (decode, size_of, is_plain):
        with pytest.raises(JpegError, match=r"is not a (whole )?JPEG picture"):
            use_it(GARBAGE[case])


# -- what readers show differently -----------------------------------------------------------------


def with_segment(written: bytes, marker: int, body: bytes) -> bytes:
    length = (len(body) + 2).to_bytes(2, "big")
    return written[:2] + bytes((0xFF, marker)) + length + body + written[2:]


def exif(orientation: int, order: str) -> bytes:
    """An Exif segment of two entries, the second of which says how the camera was held."""
    mark, way = (b"II", "little") if order == "little" else (b"MM", "big")

    def number(value: int, width: int) -> bytes:
        return value.to_bytes(width, way)  # type: ignore[arg-type]

    def entry(tag: int, value: int) -> bytes:
        return number(tag, 2) + number(3, 2) + number(1, 4) + number(value, 2) + bytes(2)

    directory = number(2, 2) + entry(0x0100, 7) + entry(0x0112, orientation) + number(0, 4)
    return b"Exif\0\0" + mark + number(42, 2) + number(8, 4) + directory


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("orientation", range(9))
def test_exif_that_turns_is_noticed(orientation, order):
    written = with_segment(encode(landscape((16, 8)), 90, "4:2:0"), 0xE1, exif(orientation, order))
    assert is_plain(written) == (orientation in (0, 1))
    assert size_of(written) == (16, 8)
    decode(written)


@pytest.mark.parametrize("codec_name", CODECS)
def test_exif_turns_nothing_when_decoding(codec_name, monkeypatch):
    """Both show what is stored; who wants it upright asks is_plain first."""
    use(monkeypatch, codec_name)
    plain = encode(landscape((16, 8)), 90, "4:4:4")
    assert (decode(with_segment(plain, 0xE1, exif(6, "big"))) == decode(plain)).all()


@pytest.mark.parametrize(
    "body", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"http://ns.adobe"]
)
def test_exif_that_says_nothing_is_plain(body):
    assert is_plain(with_segment(encode(landscape((16, 8)), 90, "4:2:0"), 0xE1, body))


def test_grey_is_plain_and_cmyk_is_not(codec):
    grey = bytes(cv2.imencode(".jpg", landscape((16, 8))[:, :, 0])[1])
    assert is_plain(grey)
    assert decode(grey).shape == (8, 16, 3)
    at = grey.index(b"\xff\xc0")
    four = grey[: at + 9] + b"\x04" + grey[at + 10 :]  # as the header of a CMYK picture says it
    assert not is_plain(four)


def test_it_imports_without_simplejpeg():
    """Really, in a process where it cannot be had."""
    script = (
        "import sys; sys.modules['simplejpeg'] = None\n"
        "import numpy as np; from data.jpeg import decode, encode, simplejpeg\n"
        "assert simplejpeg is None\n"
        "print(decode(encode(np.full((8, 16, 3), 90, np.uint8), 90, '4:2:0')).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(8, 16, 3)"
