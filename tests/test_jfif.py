"""From a decoder's planes to a JPEG's, held against the exact way through RGB."""

from __future__ import annotations

from itertools import product
from typing import Any

import av
import numpy as np
import pytest

from data.colour import RgbConverter
from data.display import UPRIGHT, Size, Turn
from data.jfif import JfifEncoder
from data.jpeg import decode, encode
from tests.barcode import yuv_frame

LIMITED, FULL = 1, 2
# name -> (Kr, Kb, the number in the stream). The last ones are read as BT.601.
MATRICES = {
    "bt601": (0.299, 0.114, 6), "bt709": (0.2126, 0.0722, 1), "fcc": (0.30, 0.11, 4),
    "smpte240m": (0.212, 0.087, 7), "bt2020": (0.2627, 0.0593, 9),
    "unspecified": (0.299, 0.114, 2), "bt470bg": (0.299, 0.114, 5), "ycgco": (0.299, 0.114, 8),
}  # fmt: skip
FORMATS = (
    "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuv440p", "yuv420p10le",
    "yuv422p10le", "yuv444p12le", "nv12",
)  # fmt: skip
PATCHES = [
    (40, 200, 40), (200, 40, 40), (40, 40, 200), (255, 255, 255), (0, 0, 0), (128, 128, 128),
    (230, 180, 150), (250, 220, 20), (20, 220, 240),
]  # fmt: skip
TURNS = [Turn(*way) for way in product((False, True), repeat=3)]
SIZE = (48, 32)


def coded(rgb: Any, matrix: str, span: int, depth: int) -> list[Any]:
    """Y, Cb, Cr of RGB (0 to 255, any shape), by the definitions of the standards."""
    kr, kb, _ = MATRICES[matrix]
    red, green, blue = np.asarray(rgb, float).T / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    scale = 1 << (depth - 8)
    if span == FULL:
        top = 256 * scale - 1
        return [luma * top] + [128 * scale + value * top for value in chroma]
    return [(16 + 219 * luma) * scale, *((128 + 224 * value) * scale for value in chroma)]


def depth_of(form: str) -> int:
    return next((int(bits) for bits in ("10", "12") if f"p{bits}" in form), 8)


def tagged(frame: av.VideoFrame, matrix: str, span: int) -> av.VideoFrame:
    frame.colorspace, frame.color_range = MATRICES[matrix][2], span
    return frame


def patch(colour, matrix: str, span: int, form: str, size: Size = SIZE) -> av.VideoFrame:
    if form == "nv12":
        return tagged(
            patch(colour, matrix, span, "yuv420p", size).reformat(format=form), matrix, span
        )
    values = [np.round(value) for value in coded(colour, matrix, span, depth_of(form))]
    planes = [
        np.full((plane.height, plane.width), value)
        for plane, value in zip(av.VideoFrame(*size, form).planes, values, strict=True)
    ]
    return tagged(yuv_frame(planes, form), matrix, span)


def exact(frame: av.VideoFrame, size=SIZE, turn: Turn = UPRIGHT) -> np.ndarray:
    return RgbConverter().convert(frame, size, turn)


def jpeg(frame: av.VideoFrame, size=SIZE, turn: Turn = UPRIGHT, subsampling="4:4:4") -> np.ndarray:
    (written,) = JfifEncoder(size, [size], turn, 98, subsampling).encode(frame)
    return decode(written)


def furthest(one: np.ndarray, other) -> int:
    return int(np.abs(one.astype(int) - other).max())


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


# -- flat colours ----------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize("span", [LIMITED, FULL], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_flat_patches_keep_their_colour(matrix, span, subsampling):
    for colour in PATCHES:
        frame = patch(colour, matrix, span, "yuv420p")
        shown = jpeg(frame, subsampling=subsampling)
        assert furthest(shown, colour) <= 4, (colour, shown[5, 5])
        assert furthest(shown, exact(frame)) <= 3, (colour, shown[5, 5])


@pytest.mark.parametrize("span", [LIMITED, FULL], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("form", FORMATS)
def test_so_do_all_depths_and_subsamplings(form, matrix, span):
    """From more than 8 bits the scaler dithers, so single pixels are a little further off."""
    for colour in PATCHES:
        frame = patch(colour, matrix, span, form)
        for size in (SIZE, (24, 16), (33, 21)):
            shown = jpeg(frame, size, subsampling="4:2:0")
            assert furthest(shown, colour) <= (4 if depth_of(form) == 8 else 6), (colour, size)
            assert np.abs(shown.mean(axis=(0, 1)) - colour).max() <= 3, (colour, size)


@pytest.mark.parametrize("form", ["yuvj420p", "yuvj422p", "yuvj444p"])
@pytest.mark.parametrize("tag", [0, LIMITED, FULL])
def test_formats_that_are_full_range_by_name(form, tag):
    for colour in PATCHES:
        frame = patch(colour, "bt601", FULL, form)
        frame.color_range = tag
        assert furthest(jpeg(frame), colour) <= 3


def test_a_green_of_bt709_stays_that_green():
    """The example of docs/architecture.md: without the conversion it would be (51, 229, 45)."""
    frame = patch((40, 200, 40), "bt709", LIMITED, "yuv420p")
    assert furthest(jpeg(frame), (40, 200, 40)) <= 2
    assert furthest(jpeg(tagged(frame, "bt601", FULL)), (51, 229, 45)) > 2  # taken as they are


# -- pictures with something in them ---------------------------------------------------------------


def landscape(size) -> np.ndarray:
    """Soft shapes in strong colours, and a fine grain of grey."""
    across, down = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    waves = [np.sin(9 * across + 2), np.sin(7 * down), np.cos(5 * across * down + 1)]
    grain = np.random.default_rng(5).uniform(-12, 12, across.shape)
    return np.clip(np.stack([128 + 90 * wave + grain for wave in waves], 2), 0, 255)


def scene(size: Size, matrix: str, span: int, form: str) -> av.VideoFrame:
    """That picture as a decoder would give it, chroma averaged where it is subsampled."""
    values = [value.T for value in coded(landscape(size), matrix, span, depth_of(form))]
    planes = []
    for plane, value in zip(av.VideoFrame(*size, form).planes, values, strict=True):
        down, across = -(-size[1] // plane.height), -(-size[0] // plane.width)
        padded = np.pad(value, ((0, -size[1] % down), (0, -size[0] % across)), "edge")
        blocks = padded.reshape(plane.height, down, plane.width, across)
        planes.append(np.round(blocks.mean(axis=(1, 3))))
    return tagged(yuv_frame(planes, form), matrix, span)


@pytest.mark.parametrize("size", [(320, 180), (160, 90), (97, 65), (400, 225)])
@pytest.mark.parametrize("form", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_a_textured_picture_is_the_exact_one(matrix, form, size):
    """At 4:4:4 and quality 98 little is left but the rounding of the planes."""
    frame = scene((320, 180), matrix, LIMITED, form)
    meant = exact(frame, size)
    assert psnr(jpeg(frame, size), meant) > 40
    assert psnr(jpeg(frame, size, subsampling="4:2:0"), meant) > 36


@pytest.mark.parametrize("form", ["yuv420p", "yuv444p"])
@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_turned_frames_stand_upright(turn, form):
    """A square corner would not show it: the size as shown is what is asked for."""
    frame = scene((98, 66), "bt709", LIMITED, form)
    size = turn.size((49, 33))
    shown = jpeg(frame, size, turn, "4:2:0")
    assert shown.shape == (size[1], size[0], 3)
    assert psnr(shown, exact(frame, size, turn)) > 32
    for other in TURNS:
        if other != turn and other.transposed == turn.transposed:
            assert psnr(shown, exact(frame, size, other)) < 25


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (97, 65), (96, 65), (97, 64)])
def test_odd_sizes_are_filled_to_their_edges(size, subsampling):
    frame = patch((40, 200, 40), "bt709", LIMITED, "yuv420p", (97, 65))
    shown = jpeg(frame, size, subsampling=subsampling)
    assert shown.shape == (size[1], size[0], 3)
    assert furthest(shown, (40, 200, 40)) <= 4


# -- what has no planes that could be taken --------------------------------------------------------


def hdr(transfer: int) -> av.VideoFrame:
    frame = scene((64, 48), "bt2020", LIMITED, "yuv420p10le")
    frame.color_trc, frame.color_primaries = transfer, 9
    return frame


def of_rgb(form: str) -> av.VideoFrame:
    picture = np.round(landscape((64, 48))).astype(np.uint8)
    return av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=form)


ROUND_ABOUT = {
    "PQ": lambda: hdr(16),
    "HLG": lambda: hdr(18),
    "packed RGB": lambda: of_rgb("rgb24"),
    "planar RGB": lambda: of_rgb("gbrp"),
    "with transparency": lambda: of_rgb("bgra"),
    "grey": lambda: of_rgb("gray"),
    "deep grey": lambda: of_rgb("gray10le"),
    "a palette": lambda: of_rgb("rgb8"),
    "packed YUV": lambda: of_rgb("yuyv422"),
}


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize("source", ROUND_ABOUT)
def test_other_sources_go_through_rgb(source, subsampling):
    frame = ROUND_ABOUT[source]()
    (written,) = JfifEncoder((32, 24), [(32, 24)], UPRIGHT, 90, subsampling).encode(frame)
    assert written == encode(exact(ROUND_ABOUT[source](), (32, 24)), 90, subsampling)


def test_one_encoder_takes_frames_as_they_come():
    """A stream may change its format, matrix and range midway; nothing of the last one stays."""
    encoder = JfifEncoder(SIZE, [SIZE], UPRIGHT, 98, "4:4:4")
    for colour, form, matrix, span in zip(
        PATCHES, FORMATS, ["bt709", "bt601", "bt2020"] * 3, [LIMITED, FULL] * 5, strict=False
    ):
        (written,) = encoder.encode(patch(colour, matrix, span, form))
        shown = decode(written)
        assert furthest(shown, colour) <= 6, (form, matrix, span)


# -- several sizes of one frame --------------------------------------------------------------------


SEVERAL = [(320, 180), (284, 160), (171, 96), (57, 32)]


@pytest.mark.parametrize("form", ["yuv420p", "rgb24"])
def test_a_level_is_the_same_whichever_others_are_made(form):
    """So that a level added later is what it would have been at once."""

    def written(sizes):
        frame = scene((400, 226), "bt709", LIMITED, "yuv420p")
        if form == "rgb24":
            frame = frame.reformat(format=form)
        return JfifEncoder(SEVERAL[0], sizes, UPRIGHT, 90, "4:2:0").encode(frame)

    together = written(SEVERAL)
    assert [one for size in SEVERAL[::-1] for one in written([size])] == together[::-1]
    assert written([SEVERAL[2], SEVERAL[1]]) == [together[2], together[1]]


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("span", [LIMITED, FULL], ids=["limited", "full"])
def test_every_level_is_the_exact_picture(matrix, span):
    """Made from the scaled pictures or from the source: nothing is converted twice."""
    frame = scene((400, 226), matrix, span, "yuv420p")
    meant = [exact(frame, size) for size in SEVERAL]
    written = JfifEncoder(SEVERAL[0], SEVERAL, UPRIGHT, 98, "4:4:4").encode(frame)
    for one, other in zip(written, meant, strict=True):
        assert psnr(decode(one), other) > 38
