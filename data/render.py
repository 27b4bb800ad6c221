"""Run a plan on the frames of a clip, on the CPU with OpenCV: each frame warped once, touched once.

Its twin for a batch on a device is train/device_augment.py; data/plan.py says what both do.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np

from data.plan import (
    KEEP,
    Box,
    HueShift,
    Noise,
    Placement,
    Plan,
    hue_steps,
    hue_table,
    kernel,
    place,
)

GROUP = 32  # frames that are bent as one picture: 96 colours, of OpenCV's 128
REGISTER = 64  # pixels: what the widest processors take at once
AT_ONCE = 1 << 18  # bytes that are recoloured at once: they stay in a core's own cache


def render(frames: np.ndarray, plan: Plan, out: np.ndarray) -> None:
    """Frames (uint8 THWC) to squares: `out`, uint8 T x side x side x 3, each frame contiguous."""
    side = out.shape[2]
    placement = place(plan, (frames.shape[2], frames.shape[1]), side)
    if placement.matrix is None:
        _stretch(frames, placement, out)
    else:
        _look_up(frames, placement, out)
    blurring = kernel(plan.blur, side)
    if blurring is not None:
        for frame in out:
            cv2.filter2D(frame, -1, blurring, dst=frame, borderType=cv2.BORDER_REFLECT_101)
    for row in _rows(out):
        _recolour(row, plan)
    if plan.noise is not None:
        _add_noise(out, plan.noise)
    for erased in plan.erased:
        left, top, right, bottom = pixels(erased.box, side)
        out[:, top:bottom, left:right] = erased.colour


def black_out(frames: np.ndarray, boxes: tuple[Box, ...]) -> None:
    """Paint boxes of the picture black: what was burned into it is not to be learned."""
    height, width = frames.shape[1:3]
    for box in boxes:
        left, top, right, bottom = pixels(box, width, height)
        frames[:, top:bottom, left:right] = 0


def pixels(box: Box, width: int, height: int | None = None) -> tuple[int, int, int, int]:
    """A fractional box in whole pixels, at least one each way."""
    height = width if height is None else height
    left, right = (round(edge * width) for edge in box[::2])
    top, bottom = (round(edge * height) for edge in box[1::2])
    left, top = min(left, width - 1), min(top, height - 1)
    return left, top, max(left + 1, right), max(top + 1, bottom)


def _region(frame: np.ndarray, placement: Placement) -> np.ndarray:
    """The part that is looked at, averaged where it is shrunk by more than a little."""
    left, top, right, bottom = placement.region
    part = frame[top:bottom, left:right]
    across, down = placement.shrink
    if across == down == 1:
        return part
    small = max(1, (right - left) // across), max(1, (bottom - top) // down)
    return cv2.resize(part, small, interpolation=cv2.INTER_AREA)


def _stretch(frames: np.ndarray, placement: Placement, out: np.ndarray) -> None:
    side = out.shape[2]
    for frame, square in zip(frames, out, strict=True):
        part = _region(frame, placement)
        if part.shape[:2] == (side, side):
            np.copyto(square, part)
        else:
            cv2.resize(part, (side, side), dst=square, interpolation=cv2.INTER_LINEAR)
        if placement.flip:
            cv2.flip(square, 1, dst=square)


def _look_up(frames: np.ndarray, placement: Placement, out: np.ndarray) -> None:
    """One table of places serves all frames; what lies beyond the picture is black.

    The frames of a group go through it as one picture of many colours: each place is then found
    once and all frames' pixels there lie side by side, half the cost of frame after frame.
    """
    assert placement.matrix is not None
    side = out.shape[2]
    maps = _places(placement.matrix, side)
    for start in range(0, len(frames), GROUP):
        group = np.stack([_region(frame, placement) for frame in frames[start : start + GROUP]])
        count, height, width, _ = group.shape
        pixels_first = cv2.transpose(group.reshape(count, height * width, 3))
        bent = cv2.remap(pixels_first.reshape(height, width, 3 * count), *maps, cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_CONSTANT)  # fmt: skip
        frames_first = cv2.transpose(bent.reshape(side * side, count, 3))
        out[start : start + GROUP] = frames_first.reshape(count, side, side, 3)


def _places(matrix: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel of the square where it comes from, to a thirty-second of a pixel."""
    steps = np.arange(side, dtype=np.float32)
    rows = matrix.astype(np.float32)
    x, y, depth = (row[0] * steps + (row[1] * steps + row[2])[:, None] for row in rows)
    if rows[2, 0] or rows[2, 1]:
        x, y = x / depth, y / depth
    whole, fraction = cv2.convertMaps(x, y, cv2.CV_16SC2)
    return whole, fraction


def _rows(out: np.ndarray) -> Iterator[np.ndarray]:
    """All pixels, a few frames at a time as one row: a call costs as much as many small frames."""
    count = max(1, AT_ONCE // out[0].size) if out.flags.c_contiguous else 1
    for start in range(0, len(out), count):
        yield out[start : start + count].reshape(1, -1, 3)


def _recolour(row: np.ndarray, plan: Plan) -> None:
    if plan.before != KEEP:
        cv2.transform(row, np.array(plan.before, np.float32), dst=row)
    if plan.hue is not None:
        _shift_hue(row, plan.hue)
    if plan.after != KEEP:
        cv2.transform(row, np.array(plan.after, np.float32), dst=row)


def _shift_hue(row: np.ndarray, shift: HueShift) -> None:
    """Through 8-bit HSV: a table for the hue, a sum for the saturation.

    OpenCV cuts what comes back from HSV to whole numbers, but rounds it in the last pixels of a
    row that fill no register: none is left over, so that a pixel's place in it changes nothing.
    """
    turn, change = hue_steps(shift)
    hsv = cv2.cvtColor(row, cv2.COLOR_RGB2HSV)
    if turn:
        hue = cv2.extractChannel(hsv, 0)
        cv2.insertChannel(cv2.LUT(hue, hue_table(turn), dst=hue), hsv, 0)
    move = cv2.add if change > 0 else cv2.subtract
    move(hsv, _coloured(row.shape, (0, abs(change), 0)), dst=hsv)
    count = row.shape[1]
    if left_over := count % REGISTER:
        hsv = cv2.copyMakeBorder(hsv, 0, 0, 0, REGISTER - left_over, cv2.BORDER_REPLICATE)
        np.copyto(row, cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[:, :count])
    else:
        cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=row)


@lru_cache(8)
def _coloured(shape: tuple[int, ...], colour: tuple[int, ...]) -> np.ndarray:
    """A picture of one colour: two pictures are added quicker than a picture and a colour."""
    return np.broadcast_to(np.array(colour, np.uint8), shape).copy()


def _add_noise(out: np.ndarray, noise: Noise) -> None:
    """What is added and what is taken away, apart: 8-bit sums that stop at black and white."""
    fields: tuple[np.ndarray, ...] = ()
    for number, frame in enumerate(out):
        if not fields or noise.per_frame:
            values = noise.field(number, frame.size).reshape(frame.shape)
            fields = tuple(np.maximum(side, 0).astype(np.uint8) for side in (values, -values))
        cv2.add(frame, fields[0], dst=frame)
        cv2.subtract(frame, fields[1], dst=frame)
