"""The writer: what goes in is what a reader finds, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from data.media import open_video, probe
from tests import barcode
from tools.encode import PictureTrack, SoundTrack, repeat_video, write_video


def frames(count: int) -> Iterator[av.VideoFrame]:
    for index in range(count):
        yield barcode.barcode_frame(index, (96, 64), "yuv420p")


def test_frames_without_times_are_numbered_at_the_rate(tmp_path: Path):
    path = write_video(tmp_path / "x.mp4", (PictureTrack(rate=Fraction(24000, 1001)), frames(10)))
    with open_video(path) as video:
        times = [frame.time for frame in video.frames()]
    assert times == [Fraction(1001 * at, 24000) for at in range(10)]


def test_pictures_and_sound_are_laid_side_by_side_while_they_are_made(tmp_path: Path):
    """No more than a few frames are asked for ahead of the sound."""
    asked = []

    def watched() -> Iterator[av.VideoFrame]:
        for frame in frames(300):
            asked.append(frame)
            yield frame

    pulled = []

    def edit(packet: av.Packet) -> bool:
        if packet.stream.type == "audio":
            pulled.append(len(asked) - float((packet.pts or 0) * packet.time_base) * 30)
        return True

    track = PictureTrack(options={"preset": "ultrafast", "tune": "zerolatency"})
    write_video(tmp_path / "x.mkv", (track, watched()), (SoundTrack(), barcode.noise(8)), edit=edit)
    assert max(pulled[:-200]) < 40


def test_a_repeated_video_is_the_same_pictures_again_and_again(tmp_path: Path):
    piece = write_video(
        tmp_path / "a.mp4",
        (PictureTrack(options={"g": "10"}), frames(30)),
        (SoundTrack(), barcode.noise(8)[:48000]),
    )
    path = repeat_video(piece, tmp_path / "b.mkv", seconds=1, times=4)
    info = probe(path)
    assert info.found
    assert (info.found.frames, info.rate) == (120, 30)
    with open_video(path) as video:
        assert [barcode.read(frame.rgb()) for frame in video.frames()] == list(range(30)) * 4


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_keeps_its_channels(tmp_path: Path, channels: int):
    samples = np.repeat(barcode.noise(8)[:48000], channels, axis=1)
    path = write_video(tmp_path / "x.mp4", (PictureTrack(), frames(30)), (SoundTrack(), samples))
    assert probe(path).sounds[0].channels == channels
