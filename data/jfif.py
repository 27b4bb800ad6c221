"""From a decoder's frame to the planes of a JPEG, without a way through RGB.

The planes are scaled as they were coded; matrix and range are converted on the small ones. JPEG
means BT.601 at full range, so limited BT.709 has to change both. What is no plain YUV (RGB,
grey, palettes, HDR) goes through `data/colour.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from data.colour import HLG, PQ, SWSCALE_MATRICES, UNSPECIFIED, RgbConverter, lay, plane_of
from data.display import Size, Turn
from data.jpeg import Planes, encode, encode_planes

# The weights of red and blue in luma, by the stream's matrix code; others are read as BT.601.
BT601 = (0.299, 0.114)
WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
GBR = 0
PLAIN_YUV = ("yuv4", "yuvj4", "nv12", "nv16", "nv21", "nv24", "p010", "p016", "p210", "p216")
FULL = 2
FROM_SCALED = 1.5  # how much smaller a size is that is made from the scaled picture
FINER = 3.0  # thirds of a level: how finely the luma's correction is carried


class JfifEncoder:
    """Frames of one video to JPEGs of several sizes. Keeps tables; not for two threads.

    `full` is the size of the store's own pictures. A much smaller one is scaled from those rather
    than from the source: a third of the cost, and 53 dB or more from what the source would give
    (JPEG itself is 35 to 45). Which other sizes are asked for makes no difference to any.
    """

    def __init__(
        self, full: Size, sizes: Sequence[Size], turn: Turn, quality: int, subsampling: str
    ) -> None:
        self._full, self._sizes, self._turn = full, sizes, turn
        self._quality, self._subsampling = quality, subsampling
        self._halved = subsampling == "4:2:0"
        self._extra = Interpolation(0) if self._halved else Interpolation.ACCURATE_RND
        self._scalers = {size: VideoReformatter() for size in (full, *sizes)}
        self._rgb = RgbConverter()

    def encode(self, frame: VideoFrame) -> list[bytes]:
        """The JPEGs of one frame, in the order of the sizes."""
        if not _is_plain_yuv(frame):
            full = self._rgb.convert(frame, self._full, self._turn)
            pictures = (_shrink(full, size) for size in self._sizes)
            return [encode(one, self._quality, self._subsampling) for one in pictures]
        return [encode_planes(planes, self._quality) for planes in self.planes(frame)]

    def planes(self, frame: VideoFrame) -> Iterator[Planes]:
        """BT.601, full range, upright, in the order of the sizes."""
        # What the scaled frames say of their range is the scaler's guess; the source knows.
        is_full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        weights = WEIGHTS.get(frame.colorspace, BT601)
        if is_full:
            frame.color_range = FULL  # else the scaler makes limited range of a yuvj without a tag
        if frame.colorspace not in SWSCALE_MATRICES:
            frame.colorspace = UNSPECIFIED
        turn, full = self._turn, None
        for size in self._sizes:
            base = frame
            if min(self._full) >= FROM_SCALED * min(size):
                base = full = full or self._scale(frame, self._full)
            scaled = self._scale(base, size)
            full = scaled if size == self._full else full
            luma, blue, red = (lay(plane_of(plane, np.uint8), turn) for plane in scaled.planes)
            if self._halved:
                blue, red = halve(blue), halve(red)
            luma, blue, red = convert_planes((luma, blue, red), weights, is_full)
            yield _block(luma), _block(blue), _block(red)

    def _scale(self, frame: VideoFrame, size: Size) -> VideoFrame:
        """Chroma comes out as large as luma, each sample in its pixel's middle: streams place it
        elsewhere (most codecs at the left of two pixels) than JPEG does, and only swscale is told
        where. At an odd width its own 4:2:0 would not lie over the luma either."""
        width, height = self._turn.size(size)
        smaller = width * height < frame.width * frame.height
        way = Interpolation.AREA if smaller else Interpolation.BICUBIC
        return self._scalers[size].reformat(
            frame, width, height, format="yuv444p", interpolation=way | self._extra, threads=1
        )


def _shrink(picture: np.ndarray, size: Size) -> np.ndarray:
    if picture.shape[1::-1] == size:
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _is_plain_yuv(frame: VideoFrame) -> bool:
    plain = frame.format.name.startswith(PLAIN_YUV) and frame.colorspace != GBR
    return plain and frame.color_trc not in (PQ, HLG)


def halve(plane: np.ndarray) -> np.ndarray:
    """Means of 2x2 samples, the last row or column taken twice if there is an odd number."""
    height, width = plane.shape
    if height % 2 or width % 2:
        plane = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    size = (width + 1) // 2, (height + 1) // 2
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


def _block(plane: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(plane)


def convert_planes(planes: Planes, weights: tuple[float, float], full: bool) -> Planes:
    """Planes of any matrix and range as BT.601 at full range.

    The luma's share that comes from chroma is made at the chroma's size and enlarged, in thirds
    of a level; each sum is rounded once.
    """
    if full and weights == BT601:
        return planes
    luma, blue, red = planes
    scale, floor, (to_luma, to_blue, to_red) = _factors(weights, full)
    middle = 128.0
    if weights == BT601:
        plain = cv2.addWeighted(luma, scale, luma, 0, -floor * scale)
        return plain, _stretch(blue, to_blue[0]), _stretch(red, to_red[1])
    # a u + b v + c, with c such that grey (128, 128) stays grey
    new_blue = cv2.addWeighted(blue, to_blue[0], red, to_blue[1], middle * (1 - sum(to_blue)))
    new_red = cv2.addWeighted(blue, to_red[0], red, to_red[1], middle * (1 - sum(to_red)))
    tinted = cv2.addWeighted(
        blue, FINER * to_luma[0], red, FINER * to_luma[1], middle * (1 - FINER * sum(to_luma))
    )
    if tinted.shape != luma.shape:
        tinted = cv2.resize(tinted, luma.shape[::-1])
    offset = -floor * scale - middle / FINER
    return cv2.addWeighted(luma, scale, tinted, 1 / FINER, offset), new_blue, new_red


def _stretch(plane: np.ndarray, factor: float) -> np.ndarray:
    return cv2.addWeighted(plane, factor, plane, 0, 128 * (1 - factor))


@cache
def _factors(
    weights: tuple[float, float], full: bool
) -> tuple[float, float, tuple[tuple[float, float], ...]]:
    """The luma's scale and floor, and how blue and red chroma go into the new Y, Cb and Cr."""
    to_rgb = _rgb_from(weights)
    to_601 = np.linalg.inv(_rgb_from(BT601))
    change = to_601 @ to_rgb
    chroma_scale = 1.0 if full else 255 / 224
    rows = tuple((float(row[1] * chroma_scale), float(row[2] * chroma_scale)) for row in change)
    return (1.0, 0.0, rows) if full else (255 / 219, 16.0, rows)


def _rgb_from(weights: tuple[float, float]) -> np.ndarray:
    """The matrix from (Y, Cb, Cr), chroma from -1/2 to 1/2, to RGB."""
    red, blue = weights
    green = 1 - red - blue
    to_red, to_blue = 2 * (1 - red), 2 * (1 - blue)
    return np.array(
        [[1, 0, to_red], [1, -blue * to_blue / green, -red * to_red / green], [1, to_blue, 0]]
    )
