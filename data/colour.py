"""From a decoder's frame to RGB: the stream's matrix and range honoured, HDR brought to SDR.

A stream that does not name its matrix is read as BT.601, one that does not name its range as
limited, which is what FFmpeg does. The pixels are scaled in the source's planes, before the
conversion, since there are fewer of them and the chroma needs no upsampling for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter

from data.display import Size, Turn

MATRICES = {
    0: "rgb", 1: "bt709", 2: "unspecified", 4: "fcc", 5: "bt470bg", 6: "smpte170m",
    7: "smpte240m", 8: "ycgco", 9: "bt2020nc", 10: "bt2020c", 14: "ictcp",
}  # fmt: skip
RANGES = {0: "unspecified", 1: "limited", 2: "full"}
PRIMARIES = {
    1: "bt709", 2: "unspecified", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    8: "film", 9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 2: "unspecified", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m",
    8: "linear", 9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e",
    13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428",
    18: "arib-std-b67",
}  # fmt: skip
PQ, HLG = 16, 18
BT2020 = 9
EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
SWSCALE_MATRICES = {0, 1, 2, 4, 5, 6, 7, 9}  # the others have no plain matrix: read as BT.601
UNSPECIFIED = 2

REFERENCE_WHITE = 203.0  # nits, BT.2408: what a sheet of paper has in an HDR picture
HIGHLIGHT = 1000.0  # nits that come out as full white
KNEE = 0.5  # of reference white: up to here nothing changes

BT2020_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349],
     [-0.018151, -0.100579, 1.118730]], np.float32,
)  # fmt: skip


@dataclass(frozen=True)
class Colour:
    """How the stream says its numbers are meant."""

    matrix: str
    range: str
    transfer: str
    primaries: str

    @property
    def hdr(self) -> str | None:
        return {"smpte2084": "PQ", "arib-std-b67": "HLG"}.get(self.transfer)


def colour_of(frame: VideoFrame) -> Colour:
    return Colour(
        matrix=MATRICES.get(frame.colorspace, f"code {frame.colorspace}"),
        range=RANGES.get(frame.color_range, "unspecified"),
        transfer=TRANSFERS.get(frame.color_trc, f"code {frame.color_trc}"),
        primaries=PRIMARIES.get(frame.color_primaries, f"code {frame.color_primaries}"),
    )


class RgbConverter:
    """Frames of one video to RGB arrays. Keeps the scaler's tables; not for two threads."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def convert(self, frame: VideoFrame, size: Size, turn: Turn) -> np.ndarray:
        """uint8 HWC of `size` (as shown, after the turn), owned by the caller."""
        coded = turn.size(size)
        if frame.color_trc in (PQ, HLG):
            deep = self._scale(frame, coded, "gbrp16le", np.uint16)
            picture = tone_map(deep, frame.color_trc, wide=frame.color_primaries == BT2020)
        else:
            picture = self._scale(frame, coded, "gbrp", np.uint8)
        return lay(picture, turn)

    def _scale(self, frame: VideoFrame, size: Size, planar: str, dtype: type) -> np.ndarray:
        """HWC RGB. The way through separate planes is exact and five times quicker than the
        exact one to packed pixels, for which swscale has no fast code."""
        smaller = size[0] * size[1] < frame.width * frame.height
        if frame.colorspace not in SWSCALE_MATRICES:
            frame.colorspace = UNSPECIFIED
        scaled = self._scaler.reformat(
            frame,
            *size,
            format=planar,
            interpolation=(Interpolation.AREA if smaller else Interpolation.BICUBIC) | EXACT,
            threads=1,
        )
        green, blue, red = (plane_of(plane, dtype) for plane in scaled.planes)
        return cv2.merge((red, green, blue))


def plane_of(plane: VideoPlane, dtype: type) -> np.ndarray:
    rows: np.ndarray = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
    return rows[:, : plane.width]


ROTATIONS = {
    Turn(True, True, False): cv2.ROTATE_90_CLOCKWISE,
    Turn(False, True, True): cv2.ROTATE_180,
    Turn(True, False, True): cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def lay(picture: np.ndarray, turn: Turn) -> np.ndarray:
    """Turn and mirror an HWC picture as it is meant to be seen."""
    if not turn:
        return picture
    if turn in ROTATIONS:
        return cv2.rotate(picture, ROTATIONS[turn])
    laid = cv2.transpose(picture) if turn.transposed else picture
    if turn.flipped_x:
        laid = cv2.flip(laid, 1)
    return cv2.flip(laid, 0) if turn.flipped_y else laid


def tone_map(picture: np.ndarray, transfer: int, wide: bool) -> np.ndarray:
    """HDR signal (uint16 HWC, PQ or HLG) to SDR RGB (uint8 HWC, BT.709, gamma 2.4).

    Light up to half of reference white keeps its place; what is brighter is rolled off, so
    that 1,000 nits are full white. The roll-off follows the brightest channel, which keeps hue.
    """
    light = _linear_light(transfer)[picture]
    if transfer == HLG:
        luma = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (HIGHLIGHT / REFERENCE_WHITE) * np.power(luma, 0.2)[..., None]
    brightest = light.max(axis=2)
    light *= (_roll_off(brightest) / np.maximum(brightest, 1e-6))[..., None]
    if wide:
        light = cv2.transform(light, BT2020_TO_BT709)
    signal = (np.clip(light, 0, 1) * 65535 + 0.5).astype(np.uint16)
    return _display_signal()[signal]


def _roll_off(light: np.ndarray) -> np.ndarray:
    top = (HIGHLIGHT / REFERENCE_WHITE - KNEE) / (1 - KNEE)
    over = np.maximum(light - KNEE, 0) / (1 - KNEE)
    rolled = KNEE + (1 - KNEE) * over * (1 + over / top**2) / (1 + over)
    return np.where(light > KNEE, np.minimum(rolled, 1), light)


@cache
def _linear_light(transfer: int) -> np.ndarray:
    """All 65,536 signal values as light: PQ in units of reference white, HLG of the scene."""
    signal = np.arange(65536, dtype=np.float64) / 65535
    if transfer == PQ:
        root = signal ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
            1 / 0.1593017578125
        )
        return (light * 10000 / REFERENCE_WHITE).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return light.astype(np.float32)


@cache
def _display_signal() -> np.ndarray:
    """All 65,536 levels of light as the 8-bit signal of a BT.1886 screen."""
    return np.round(255 * (np.arange(65536) / 65535) ** (1 / 2.4)).astype(np.uint8)
