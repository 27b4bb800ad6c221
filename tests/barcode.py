"""Pictures that say which frame they are, and a sound that says what time it is.

A picture is a grid of 6 x 4 bright and dark cells: 16 bits of index and a CRC-8 of them. The
grid spans the whole picture, so it survives coding, scaling and pixel aspect, while a turned,
mirrored, mixed or half-decoded picture fails its checksum and reads as None. The sound is
noise below 6 kHz: any piece of it is found again, to a fraction of a sample, by correlation.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import av
import numpy as np

COLUMNS, ROWS = 6, 4
DARK, BRIGHT = 0.2, 0.8
SOUND_RATE = 48000


def crc8(value: int) -> int:
    crc = 0xFF
    for byte in value.to_bytes(2, "big"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ (0x107 if crc & 0x80 else 0)
    return crc


def draw(index: int, width: int, height: int) -> np.ndarray:
    """The picture of frame `index`: float luma, 0 to 1, with a little texture of its own."""
    bits = index << 8 | crc8(index)
    cells = np.array([(bits >> shift) & 1 for shift in range(23, -1, -1)]).reshape(ROWS, COLUMNS)
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    luma = np.where(cells[np.ix_(rows, columns)] == 1, BRIGHT, DARK)
    texture = np.roll(_texture(width, height), index, axis=1)
    return luma + texture


@cache
def _texture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(7).uniform(-0.06, 0.06, (height, width))


def read(picture: np.ndarray) -> int | None:
    """The index in a picture (HW or HWC, any brightness scale), or None if it is not whole."""
    grey = picture.mean(axis=2) if picture.ndim == 3 else picture
    height, width = grey.shape
    if height < ROWS or width < COLUMNS:
        return None
    cells = np.array([[_middle(grey, row, column, height, width) for column in range(COLUMNS)]
                      for row in range(ROWS)])  # fmt: skip
    middle = (cells.max() + cells.min()) / 2
    bits = int("".join("1" if cell > middle else "0" for cell in cells.ravel()), 2)
    index, check = bits >> 8, bits & 0xFF
    return index if crc8(index) == check else None


def _middle(grey: np.ndarray, row: int, column: int, height: int, width: int) -> float:
    top, bottom = row * height / ROWS, (row + 1) * height / ROWS
    left, right = column * width / COLUMNS, (column + 1) * width / COLUMNS
    dy, dx = (bottom - top) / 4, (right - left) / 4
    box = grey[int(top + dy) : int(np.ceil(bottom - dy)), int(left + dx) : int(np.ceil(right - dx))]
    return float(box.mean())


def yuv_frame(planes: list[np.ndarray], pixel_format: str) -> av.VideoFrame:
    """A frame whose planes hold these integers, each value as the format stores it."""
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], pixel_format)
    for plane, values in zip(frame.planes, planes, strict=True):
        dtype = np.uint16 if plane.line_size >= 2 * plane.width else np.uint8
        if "10" not in pixel_format and "12" not in pixel_format:
            dtype = np.uint8
        rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
        rows[:, : values.shape[1]] = values
    return frame


def barcode_frame(
    index: int, size: tuple[int, int], pixel_format: str, turns: int = 0
) -> av.VideoFrame:
    """Frame `index`, `size` as coded, grey, limited range, turned by quarters (np.rot90)."""
    depth = 10 if "10" in pixel_format else 12 if "12" in pixel_format else 8
    scale = 1 << (depth - 8)
    upright = draw(index, *(size[::-1] if turns % 2 else size))
    luma = np.round((16 + 219 * np.rot90(upright, turns)) * scale).astype(int)
    blank = av.VideoFrame(*size, pixel_format)
    planes = [luma]
    for plane in blank.planes[1:]:
        planes.append(np.full((plane.height, plane.width), 128 * scale))
    return yuv_frame(planes, pixel_format)


@cache
def noise(seconds: int, rate: int = SOUND_RATE) -> np.ndarray:
    """Band-limited noise, float32, shape (samples, 1); always the same, never repeating."""
    count = seconds * rate
    spectrum = np.fft.rfft(np.random.default_rng(11).standard_normal(count))
    spectrum[np.fft.rfftfreq(count, 1 / rate) > 6000] = 0
    samples = np.fft.irfft(spectrum, count)
    return (0.2 * samples / samples.std()).astype(np.float32)[:, None]


def lag(heard: np.ndarray, expected: np.ndarray, rate: int) -> float:
    """How many seconds `heard` comes after `expected` (both mono, same rate)."""
    size = len(heard) + len(expected)
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(expected, size))
    likeness = np.fft.irfft(product, size)
    peak = int(likeness.argmax())
    before, at, after = (likeness[(peak + step) % size] for step in (-1, 0, 1))
    fine = (before - after) / (2 * (before - 2 * at + after))
    offset = peak - size if peak > size // 2 else peak
    return (offset + fine) / rate


def noise_at(start: Fraction, stop: Fraction, rate: int, seconds: int) -> np.ndarray:
    """What `noise(seconds)` sounds like from `start` to `stop`, at another rate (mono)."""
    grid = np.arange(round(start * rate), round(stop * rate)) / rate
    whole = noise(seconds)[:, 0]
    return np.interp(grid, np.arange(len(whole)) / SOUND_RATE, whole, left=0, right=0)
