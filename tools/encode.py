"""Write pictures and sound into a video file: the one place that encodes with PyAV.

Frames and samples go in as iterables, packets of all tracks are merged by time on the way
out, so a file of any length is written in constant memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


@dataclass(frozen=True)
class PictureTrack:
    """How the pictures are coded. `time_base` is the unit of the frames' pts."""

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    rate: Fraction = Fraction(30)
    time_base: Fraction | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    pixel_aspect: Fraction = Fraction(1)
    rotation: int = 0  # degrees, counter-clockwise, as a display matrix says it
    context: Mapping[str, Any] = field(default_factory=dict)  # further codec fields, by name


@dataclass(frozen=True)
class SoundTrack:
    """How the sound is coded. `start` is the time of its first sample."""

    codec: str = "aac"
    rate: int = 48000
    start: Fraction = Fraction(0)
    sample_format: str = "fltp"
    options: Mapping[str, str] = field(default_factory=lambda: {"b": "128k"})


Packets = Iterator[av.Packet]
Edit = Callable[[av.Packet], bool]


def write_video(
    path: str | Path,
    pictures: tuple[PictureTrack, Iterable[av.VideoFrame]] | None,
    sound: tuple[SoundTrack, np.ndarray] | None = None,
    *,
    container: str | None = None,
    options: Mapping[str, str] | None = None,
    edit: Edit | None = None,
) -> Path:
    """Encode `pictures` and `sound` (float32, samples x channels) into the file `path`.

    Frames without a pts are numbered at the track's rate. `edit` sees every packet before it
    is written, may change its times, and drops it by returning False.
    """
    path = Path(path)
    with av.open(f"file:{path}", "w", format=container, options=dict(options or {})) as out:
        tracks: list[Packets] = []
        if pictures is not None:
            tracks.append(_picture_packets(out, *pictures))
        if sound is not None:
            tracks.append(_sound_packets(out, *sound))
        for packet in heapq.merge(*tracks, key=_when):
            if edit is None or edit(packet):
                out.mux_one(packet)
    return path


def move(packet: av.Packet, seconds: Fraction | int) -> None:
    """Let the packet be shown later by so many seconds."""
    shift = round(seconds / packet.time_base)
    packet.pts = (packet.pts or 0) + shift
    packet.dts = (packet.dts or 0) + shift


def _when(packet: av.Packet) -> Fraction:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * packet.time_base


def _picture_packets(out: Any, track: PictureTrack, frames: Iterable[av.VideoFrame]) -> Packets:
    frames = iter(frames)
    first = next(frames)
    stream = out.add_stream(track.codec, rate=track.rate, options=dict(track.options))
    time_base = track.time_base or 1 / track.rate
    context = stream.codec_context
    context.width, context.height = first.width, first.height
    context.pix_fmt = track.pixel_format
    context.time_base = time_base
    stream.time_base = time_base
    context.sample_aspect_ratio = track.pixel_aspect
    for name, value in track.context.items():
        setattr(context, name, value)
    if track.rotation:
        stream.set_display_rotation(track.rotation)
    return _encode_pictures(stream, time_base, _chain(first, frames))


def _chain(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from rest


def _encode_pictures(stream: Any, time_base: Fraction, frames: Iterator[av.VideoFrame]) -> Packets:
    for index, frame in enumerate(frames):
        if frame.pts is None:
            frame.pts = round(index / (stream.codec_context.framerate * time_base))
        frame.time_base = time_base
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _sound_packets(out: Any, track: SoundTrack, samples: np.ndarray) -> Packets:
    stream = out.add_stream(track.codec, rate=track.rate, options=dict(track.options))
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    stream.codec_context.layout = layout
    stream.codec_context.format = track.sample_format
    return _encode_sound(stream, track, samples, layout)


def _encode_sound(stream: Any, track: SoundTrack, samples: np.ndarray, layout: str) -> Packets:
    block = stream.codec_context.frame_size or 1024
    start = round(track.start * track.rate)
    resampler = av.AudioResampler(format=track.sample_format, layout=layout, rate=track.rate)
    for position in range(0, len(samples), block):
        piece = np.ascontiguousarray(samples[position : position + block].T, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate = track.rate
        frame.time_base = Fraction(1, track.rate)
        frame.pts = start + position
        for ready in resampler.resample(frame):
            yield from stream.encode(ready)
    yield from stream.encode(None)


def repeat_video(source: Path, path: Path, seconds: int, times: int) -> Path:
    """A long video out of a short one: the packets of its first `seconds` over and over."""
    with av.open(f"file:{source}") as piece:
        packets = [packet for packet in piece.demux() if _starts_within(packet, seconds)]
        with av.open(f"file:{path}", "w") as out:
            tracks = [out.add_stream_from_template(stream) for stream in piece.streams]
            for turn in range(times):
                later = seconds * turn
                out.mux([_copy(packet, tracks[packet.stream_index], later) for packet in packets])
    return path


def _starts_within(packet: av.Packet, seconds: int) -> bool:
    return packet.pts is not None and 0 <= packet.pts * packet.time_base < seconds


def _copy(packet: av.Packet, track: Any, later: int) -> av.Packet:
    copy = av.Packet(bytes(packet))
    copy.stream, copy.time_base = track, packet.time_base
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.is_keyframe = packet.is_keyframe
    move(copy, later)
    return copy
