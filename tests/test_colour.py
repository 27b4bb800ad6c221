"""Colours: what was meant comes out, whatever matrix and range it was stored with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from data.media import open_video
from tests.barcode import yuv_frame
from tests.synth import x264
from tools.encode import PictureTrack, write_video

# name -> (Kr, Kb, the number in the stream)
MATRICES = {"bt601": (0.299, 0.114, 6), "bt709": (0.2126, 0.0722, 1), "bt2020": (0.2627, 0.0593, 9)}
PATCHES = [
    (40, 200, 40), (200, 40, 40), (40, 40, 200), (255, 255, 255), (0, 0, 0), (128, 128, 128),
    (230, 180, 150), (250, 220, 20), (20, 220, 240),
]  # fmt: skip
SIZE = (48, 32)
LIMITED, FULL = 1, 2
UNSPECIFIED = 2


def planes(rgb: np.ndarray, matrix: str, span: int, depth: int = 8) -> list[int]:
    """Y, Cb and Cr of a colour (0 to 1), by the definitions of the standards."""
    kr, kb, _ = MATRICES[matrix]
    red, green, blue = rgb
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    scale = 1 << (depth - 8)
    if span == FULL:
        top = 256 * scale - 1
        return [round(luma * top)] + [round(128 * scale + value * top) for value in chroma]
    return [
        round((16 + 219 * luma) * scale),
        *(round((128 + 224 * value) * scale) for value in chroma),
    ]


def patch_video(
    path: Path, colours, matrix: str, span: int, track: PictureTrack, tag: int | None = None
) -> Path:
    """One flat picture a colour."""
    depth = 10 if "10" in track.pixel_format else 8

    def frames():
        for colour in colours:
            values = planes(np.asarray(colour) / 255, matrix, span, depth)
            blank = av.VideoFrame(*SIZE, track.pixel_format)
            shapes = [(plane.height, plane.width) for plane in blank.planes]
            yield yuv_frame(
                [np.full(shape, value) for shape, value in zip(shapes, values, strict=True)],
                track.pixel_format,
            )

    code = MATRICES[matrix][2] if tag is None else tag
    tags = {"colorspace": code, "color_range": span}
    return write_video(path, (replace(track, context=tags), frames()))


FINE = PictureTrack(options=x264("qp=4:bframes=0:keyint=1"))
TEN_BIT = PictureTrack(
    "libx265",
    "yuv420p10le",
    options={"preset": "ultrafast", "x265-params": "log-level=none:qp=4:keyint=1"},
)


@pytest.mark.parametrize("depth", [FINE, TEN_BIT], ids=["8 bit", "10 bit"])
@pytest.mark.parametrize("span", [LIMITED, FULL], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_flat_patches_keep_their_colour(matrix: str, span: int, depth, tmp_path: Path):
    path = patch_video(tmp_path / "x.mp4", PATCHES, matrix, span, depth)
    with open_video(path) as video:
        assert video.info.colour.range == {LIMITED: "limited", FULL: "full"}[span]
        for frame, meant in zip(video.frames(), PATCHES, strict=True):
            for picture in (frame.rgb(), frame.rgb(short_side=16)):
                assert picture.dtype == np.uint8
                assert np.abs(picture.astype(int) - meant).max() <= 3, (matrix, span, meant)


def test_the_matrix_matters(tmp_path: Path):
    """A green that differs visibly by matrix: reading 709 as 601 would be seen."""
    path = patch_video(tmp_path / "x.mp4", [(40, 200, 40)], "bt709", LIMITED, FINE, tag=6)
    with open_video(path) as video:
        wrong = next(video.frames()).rgb()[5, 5].astype(int)
    assert np.abs(wrong - (40, 200, 40)).max() > 8


def test_what_is_not_named_is_read_as_ffmpeg_does(tmp_path: Path):
    path = patch_video(tmp_path / "x.mp4", PATCHES, "bt601", LIMITED, FINE, tag=UNSPECIFIED)
    with open_video(path) as video:
        assert video.info.colour.matrix == "unspecified"
        for frame, meant in zip(video.frames(), PATCHES, strict=True):
            assert np.abs(frame.rgb().astype(int) - meant).max() <= 3


@pytest.mark.parametrize("size", [(97, 65), (1, 1), (2, 2), (3, 5), (641, 359)])
@pytest.mark.parametrize("form", ["rgb24", "bgra", "gray", "yuv420p", "yuv444p", "gbrp"])
def test_every_pixel_of_an_odd_size_is_filled(form: str, size, tmp_path: Path):
    """Lossless, so that a missing last row or column shows."""
    picture = np.full((size[1], size[0], 3), 180, np.uint8)
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=form)
    path = write_video(tmp_path / "x.nut", (PictureTrack("rawvideo", form), [frame]))
    with open_video(path) as video:
        shown = next(video.frames()).rgb()
        assert shown.shape == picture.shape
        assert np.abs(shown.astype(int) - 180).max() <= 3


def test_a_picture_is_its_callers_own(tmp_path: Path):
    """Asked for twice it is there twice, though RGB needs no conversion."""
    frame = av.VideoFrame.from_ndarray(np.zeros((16, 64, 3), np.uint8), "rgb24")
    path = write_video(tmp_path / "x.nut", (PictureTrack("rawvideo", "rgb24"), [frame]))
    with open_video(path) as video:
        shown = next(video.frames())
        shown.rgb()[:] = 7
        assert not shown.rgb().any()


def test_writing_to_a_picture_does_not_spoil_the_ones_that_build_on_it(tmp_path: Path):
    """QuickTime's RLE decodes to RGB and changes only what moves."""

    def picture(at: int) -> av.VideoFrame:
        still = np.full((16, 64, 3), 90, np.uint8)
        still[at] = 200
        return av.VideoFrame.from_ndarray(still, "rgb24")

    track = PictureTrack("qtrle", "rgb24", options={"g": "100"})
    path = write_video(tmp_path / "x.mov", (track, (picture(at) for at in range(6))))
    with open_video(path) as video:
        for number, frame in enumerate(video.frames()):
            shown = frame.rgb()
            assert (shown[number] == 200).all()
            assert (np.delete(shown, number, axis=0) == 90).all()
            shown[:] = 7


# -- HDR ----------------------------------------------------------------------------------------

PQ, HLG = 16, 18


def pq(nits: float) -> float:
    """Signal of a brightness, SMPTE ST 2084."""
    root = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375


def hlg(scene: float) -> float:
    """Signal of a scene's light, BT.2100 HLG."""
    if scene <= 1 / 12:
        return (3 * scene) ** 0.5
    return 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073


def hdr_greys(path: Path, signals: list[float], transfer: int) -> list[int]:
    greys = [(255 * signal,) * 3 for signal in signals]
    params = f"{TEN_BIT.options['x265-params']}:transfer={transfer}:colorprim=9"
    track = replace(TEN_BIT, options={**TEN_BIT.options, "x265-params": params})
    path = patch_video(path, greys, "bt2020", LIMITED, track)
    with open_video(path) as video:
        name = {PQ: "PQ", HLG: "HLG"}[transfer]
        assert video.info.colour.hdr == name
        assert any(f"HDR ({name}), tone-mapped" in note for note in video.info.notes)
        pictures = [frame.rgb() for frame in video.frames()]
    for picture in pictures:
        assert np.ptp(picture.astype(int), axis=2).max() <= 2  # grey stays grey
    return [int(picture[8, 8, 1]) for picture in pictures]


def test_pq_is_brought_to_an_ordinary_screen(tmp_path: Path):
    nits = [0, 1, 10, 50, 100, 203, 400, 700, 1000, 4000]
    levels = hdr_greys(tmp_path / "x.mp4", [pq(value) for value in nits], PQ)
    expected = [255 * (value / 203) ** (1 / 2.4) for value in nits[:5]]  # untouched below the knee
    assert np.abs(np.array(levels[:5]) - expected).max() <= 3
    assert levels == sorted(levels)
    assert levels[4] < levels[5] < levels[6] < levels[7] < 255  # highlights keep their steps
    assert levels[8] >= 254
    assert levels[9] == 255
    assert 215 <= levels[5] <= 235  # a sheet of paper is bright, not burnt out


def test_hlg_is_brought_to_an_ordinary_screen(tmp_path: Path):
    scene = [0, 0.01, 0.05, 0.15, 0.265, 0.5, 1]
    levels = hdr_greys(tmp_path / "x.mp4", [hlg(value) for value in scene], HLG)
    light = [1000 / 203 * value**1.2 for value in scene]
    expected = [255 * value ** (1 / 2.4) for value in light if value < 0.5]
    assert np.abs(np.array(levels[: len(expected)]) - expected).max() <= 3
    assert levels == sorted(set(levels))
    assert levels[-1] >= 254
