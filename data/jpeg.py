"""The one JPEG codec: bytes to one picture and back.

Works with simplejpeg (libjpeg-turbo's own bindings), and with OpenCV where that is absent. Both
write JFIF: BT.601, full range; what one writes the other reads, and both refuse damaged bytes.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from data.display import Size

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]  # Y, Cb, Cr; uint8, full range
SUBSAMPLINGS = {"4:2:0": "420", "4:4:4": "444"}
CV2_SUBSAMPLINGS = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}
END_OF_IMAGE = b"\xff\xd9"
FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}


class JpegError(ValueError):
    """Bytes that are not one whole JPEG picture."""


def encode(picture: np.ndarray, quality: int, subsampling: str) -> bytes:
    """An RGB picture (uint8 HWC) as a JPEG file's bytes."""
    if simplejpeg is not None:
        picture = np.ascontiguousarray(picture)
        return bytes(
            simplejpeg.encode_jpeg(
                picture, quality=quality, colorsubsampling=SUBSAMPLINGS[subsampling]
            )
        )
    return _cv2_encode(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality, subsampling)


def encode_planes(planes: Planes, quality: int) -> bytes:
    """Planes as they go into a JPEG; the chroma's size says how it is subsampled."""
    luma, *chroma = planes
    subsampling = "4:4:4" if chroma[0].shape == luma.shape else "4:2:0"
    if simplejpeg is not None:
        luma = _even(luma) if subsampling == "4:2:0" else luma
        return bytes(simplejpeg.encode_jpeg_yuv_planes(luma, *chroma, quality=quality))
    size = luma.shape[1], luma.shape[0]
    blue, red = (_enlarge(plane, size) for plane in chroma)
    bgr = cv2.cvtColor(cv2.merge((luma, red, blue)), cv2.COLOR_YCrCb2BGR)
    return _cv2_encode(bgr, quality, subsampling)


def _even(luma: np.ndarray) -> np.ndarray:
    """libjpeg-turbo reads on to an even width and height: let it find the edge there, repeated,
    and not the next row or whatever lies behind the last one."""
    height, width = luma.shape
    if height % 2 == width % 2 == 0:
        return luma
    whole = cv2.copyMakeBorder(luma, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return whole[:height, :width]


def _enlarge(plane: np.ndarray, size: Size) -> np.ndarray:
    return plane if plane.shape[::-1] == size else cv2.resize(plane, size)


def _cv2_encode(bgr: np.ndarray, quality: int, subsampling: str) -> bytes:
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality,
             cv2.IMWRITE_JPEG_SAMPLING_FACTOR, CV2_SUBSAMPLINGS[subsampling]]  # fmt: skip
    return bytes(cv2.imencode(".jpg", bgr, flags)[1])


def decode(data: bytes, out: np.ndarray | None = None) -> np.ndarray:
    """uint8 HWC RGB; into `out` if given, which must have the picture's size."""
    if simplejpeg is None:
        return _cv2_decode(data, out)
    try:
        picture: np.ndarray = simplejpeg.decode_jpeg(data, buffer=out)
    except ValueError as error:
        # A buffer that is too small and a damaged picture raise the same error.
        if out is not None:
            _check_fit(size_of(data), out)
        raise JpegError(f"is not a whole JPEG picture ({error})") from None
    if out is not None:
        _check_fit((picture.shape[1], picture.shape[0]), out)
    return picture


def _cv2_decode(data: bytes, out: np.ndarray | None) -> np.ndarray:
    size_of(data)
    if data.rstrip(b"\0")[-2:] != END_OF_IMAGE:  # OpenCV would fill in what is missing
        raise JpegError("is not a whole JPEG picture (it is cut short)")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if bgr is None:
        raise JpegError("is not a whole JPEG picture")
    if out is not None:
        _check_fit((bgr.shape[1], bgr.shape[0]), out)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=out)


def _check_fit(size: Size, out: np.ndarray) -> None:
    if out.shape != (size[1], size[0], 3):
        raise JpegError(f"is {size[0]}x{size[1]}, not {out.shape[1]}x{out.shape[0]}")


def size_of(data: bytes) -> Size:
    """Width and height as the header says them, without decoding."""
    return _frame_header(data)[:2]


def is_plain(data: bytes) -> bool:
    """Whether every JPEG reader shows these bytes alike: colour or grey, upright by itself."""
    return _frame_header(data)[2] in (1, 3) and not _has_orientation(data)


def _frame_header(data: bytes) -> tuple[int, int, int]:
    """Width, height and number of channels."""
    for marker, body in _segments(data):
        if marker in FRAME_HEADERS and len(body) >= 6:
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            return width, height, body[5]
    raise JpegError("is not a JPEG picture")


def _segments(data: bytes) -> Any:
    """Marker and body of every segment before the pixels."""
    if data[:2] != b"\xff\xd8":
        raise JpegError("is not a JPEG picture")
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + length]
        if marker == 0xDA:
            return
        at += 2 + length


def _has_orientation(data: bytes) -> bool:
    """Whether an Exif segment turns the picture; its first byte order mark says how to read it."""
    for marker, body in _segments(data):
        if marker == 0xE1 and body[:6] == b"Exif\0\0":
            order = "little" if body[6:8] == b"II" else "big"
            return _orientation(body[6:], order) not in (0, 1)
    return False


def _orientation(tiff: bytes, order: Any) -> int:
    def number(at: int, width: int) -> int:
        return int.from_bytes(tiff[at : at + width], order)

    directory = number(4, 4)
    for entry in range(min(number(directory, 2), 256)):
        at = directory + 2 + 12 * entry
        if number(at, 2) == 0x0112:
            return number(at + 8, 2)
    return 0
