"""Run a plan on the frames of a clip, on the CPU with OpenCV: each frame warped once, touched once.

Its twin for a batch on a device is train/device_augment.py; data/plan.py says what both do.
"""

from __future__ import annotations

from collections.abc import Iterator

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
from data.threads import survive_forks

BACKWARDS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP  # the matrix leads from the square
REGISTER = 64  # pixels: what the widest processors take at once
AT_ONCE = 1 << 18  # bytes that are recoloured at once: they stay in a core's own cache


survive_forks()


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
    """Every pixel from where the matrix says; what lies beyond the picture is black.

    OpenCV finds its way quicker through pixels of four bytes than of three: half the cost, though
    each frame is copied there and back.
    """
    matrix, side = placement.matrix, out.shape[2]
    assert matrix is not None
    size, straight = (side, side), not (matrix[2, 0] or matrix[2, 1])
    bent = np.empty((side, side, 4), np.uint8)
    for frame, square in zip(frames, out, strict=True):
        part = cv2.cvtColor(_region(frame, placement), cv2.COLOR_RGB2RGBA)
        if straight:
            cv2.warpAffine(part, matrix[:2], size, dst=bent, flags=BACKWARDS)
        else:
            cv2.warpPerspective(part, matrix, size, dst=bent, flags=BACKWARDS)
        cv2.cvtColor(bent, cv2.COLOR_RGBA2RGB, dst=square)


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
    cv2.add(hsv, np.array([0, change, 0, 0], np.float64), dst=hsv)
    count = row.shape[1]
    if left_over := count % REGISTER:
        hsv = cv2.copyMakeBorder(hsv, 0, 0, 0, REGISTER - left_over, cv2.BORDER_REPLICATE)
        np.copyto(row, cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[:, :count])
    else:
        cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=row)


def _add_noise(out: np.ndarray, noise: Noise) -> None:
    """What is added and what is taken away, apart: 8-bit sums that stop at black and white."""
    fields: tuple[np.ndarray, ...] = ()
    for number, frame in enumerate(out):
        if not fields or noise.per_frame:
            values = noise.field(number, frame.size).reshape(frame.shape)
            fields = tuple(np.maximum(side, 0).astype(np.uint8) for side in (values, -values))
        cv2.add(frame, fields[0], dst=frame)
        cv2.subtract(frame, fields[1], dst=frame)
