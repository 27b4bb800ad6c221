"""Beside FFmpeg's command line, where there is one: same pictures, same turns, same sizes.

Users need no ffmpeg, and without one these tests are skipped; the tables elsewhere stand alone.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from data.media import open_video
from tests import surgery, synth

FFMPEG = shutil.which("ffmpeg")
pytestmark = pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg on this machine")

NAMES = [
    name
    for name, variant in synth.VARIANTS.items()
    if variant.count and variant.track.pixel_aspect == 1 and not variant.parts
]
ONE, TWO_30 = 1 << 16, 1 << 30
MIRRORS = {
    "left and right swapped": [-ONE, 0, 0, 0, ONE, 0, 96 * ONE, 0, TWO_30],
    "upside down": [ONE, 0, 0, 0, -ONE, 0, 0, 64 * ONE, TWO_30],
    "transposed": [0, ONE, 0, ONE, 0, 0, 0, 0, TWO_30],
    "transposed and turned": [0, -ONE, 0, -ONE, 0, 0, 0, 0, TWO_30],
    "a selfie held upright": [0, ONE, 0, -ONE, 0, 0, 64 * ONE, 0, TWO_30],
}


def by_command_line(path: Path, size: tuple[int, int]) -> np.ndarray:
    command = [str(FFMPEG), "-v", "error", "-i", f"file:{path}", "-map", "0:v:0",
               "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]  # fmt: skip
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_pictures_as_the_command_line(media, name: str):
    made = media(name)
    expected = by_command_line(made.path, made.size)
    with open_video(made.path) as video:
        shown = np.stack([frame.rgb() for frame in video.frames()])
    assert shown.shape == expected.shape
    # FFmpeg 5 and 8 differ in rounding, in dithering from 10 bits, and in MPEG-4's transform.
    assert np.abs(shown.astype(int) - expected).max() <= 4


@pytest.mark.parametrize("name", MIRRORS)
def test_the_same_mirror_images_as_the_command_line(name: str, tmp_path: Path):
    path = synth.write(synth.Variant(count=3, sound=None), tmp_path / "x.mp4")
    surgery.set_matrix(path, MIRRORS[name])
    with open_video(path) as video:
        shown = np.stack([frame.rgb() for frame in video.frames()])
        assert video.info.turn
    expected = by_command_line(path, (shown.shape[2], shown.shape[1]))
    assert np.abs(shown.astype(int) - expected).max() <= 3
