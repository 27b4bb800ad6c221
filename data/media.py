"""The one reader of video and audio files: probe, pictures with exact times, seeking, sound.

    with open_video("match.mp4") as video:
        print(video.info.size, video.info.rate)
        for frame in video.frames(start=60, stop=70):
            picture = frame.rgb(short_side=256)      # uint8 HWC, RGB, upright, square pixels
        samples = video.audio(60, 70, rate=16000)    # float32, samples x 1

Times are `Fraction` seconds after the first shown picture, whatever the container says.
Arguments may be int, float or Fraction.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Discard

from data.colour import colour_of
from data.faults import MediaError, check_file, nothing_to_see, unknown_sound
from data.frame import Frame, Look, look_of
from data.mediainfo import Decoded, Tally, VideoInfo, notes_on, settle_rate
from data.memory import keep_large_blocks
from data.opening import open_container, open_pictures
from data.packets import Clock, Damage, decode, read_packets
from data.seconds import Time, as_time
from data.sound import UNKNOWN, Sound, sound_info

# A packet of these that is called a keyframe may only be where an intra refresh begins. Their
# decoders know better, and are asked to leave out the rest themselves.
KNOWING_KEYS = {"h264", "hevc"}
Reader = Iterator[Frame]


class Video:
    """An open video. Reads one passage at a time: a new one ends the one before it."""

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self.path = os.fsdecode(path)
        check_file(self.path)
        keep_large_blocks()
        self.info: VideoInfo
        self.damage = Damage()  # of the passage last read
        self._threads = threads
        self._sounds: dict[int, Sound] = {}
        self._container: Any = None
        self._look: Look | None = None
        self._fresh: Reader | None = None  # frames from the first on, if none was read yet
        self._linear = False  # where seeking cannot be trusted, all is read from the beginning
        self._reading: object = None  # the passage that may go on
        self._closed = False
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reading = None
        for sound in self._sounds.values():
            sound.close()
        self._sounds.clear()
        if self._container is not None:
            self._container.close()
        self._closed = True

    def frames(
        self, start: Time | None = None, stop: Time | None = None, *, keyframes: bool = False
    ) -> Reader:
        """Pictures in shown order with `start <= time < stop`; only keyframes if asked."""
        self._check_open()
        end = None if stop is None else as_time(stop)
        return self._limited(as_time(start or 0), end, keyframes)

    def _limited(self, begin: Fraction, end: Fraction | None, keyframes: bool) -> Reader:
        self._check_open()
        self._reading = passage = object()
        # Whole ticks: comparing fractions would cost more than all else that Python does here.
        first, last = self._tick_from(begin), None if end is None else self._tick_from(end)
        for frame in self._passage(begin, keyframes):
            if frame.pts < first:
                continue
            if last is not None and frame.pts >= last:
                return
            yield frame
            if self._reading is not passage:
                raise self._ended()

    def frame_at(self, time: Time) -> Frame:
        """The picture on screen at this time; the last one stays there."""
        moment = as_time(time)
        if moment < 0:
            raise ValueError(f"{self.path!r} shows nothing before 0, asked for {time}")
        self._check_open()
        self._reading = None
        shown: Frame | None = None
        for frame in self._passage(moment, keyframes=False):
            if shown is not None and frame.time > moment:
                break
            shown = frame
        assert shown is not None  # a passage holds at least the picture it was found by
        return shown

    def audio(
        self, start: Time, stop: Time, rate: int | None = None, channels: int = 1, track: int = 0
    ) -> np.ndarray:
        """float32, samples x channels, -1 to 1; silence where the file has none.

        Ranges that touch give samples that join: sample n is at n / rate seconds.
        """
        self._check_open()
        if track not in self._sounds:
            count = len(self.info.sounds)
            if not 0 <= track < count:
                tracks = "no sound" if not count else f"{count} sound track(s), counted from 0"
                raise MediaError(self.path, f"has {tracks}; track {track} was asked for",
                                 "probe it to see its tracks")  # fmt: skip
            if self.info.sounds[track].codec == UNKNOWN:
                raise unknown_sound(self.path, track)
            zero = self._zero * self._time_base
            self._sounds[track] = Sound(lambda: open_container(self.path), track, zero)
        sound = self._sounds[track]
        rate = sound.info.rate if rate is None else rate
        if not sound.info.rate:
            raise MediaError(self.path, f"has a sound track {track} without any sound",
                             "choose another track")  # fmt: skip
        return sound.read(as_time(start), as_time(stop), rate, channels)

    def sound_damage(self, track: int = 0) -> Damage:
        """What was wrong with the sound that was read so far."""
        sound = self._sounds.get(track)
        return sound.damage if sound else Damage()

    def all_frames(self) -> Reader:
        """Every picture from the first to the last; then `info` has `found`, and says what is lost.

        Costs a few microseconds a picture more than `frames`.
        """
        self._check_open()
        frames = self._fresh or self._anew()
        self._fresh, self._reading = None, object()
        passage = self._reading
        self._tally.done = False
        decoded = Decoded()
        for frame in frames:
            decoded.add(frame.pts, frame.key)
            yield frame
            if self._reading is not passage:
                raise self._ended()
        self._finish(decoded)

    def measure(self, decode_all: bool = False) -> VideoInfo:
        """The facts with `found`: a pass over all packets, or over all pictures."""
        self._check_open()
        if decode_all:
            for _ in self.all_frames():
                pass
            return self.info
        if self._fresh is None:
            self._anew()
        self._fresh = self._reading = None
        self._tally.done = False
        return self._finish(None)

    def _finish(self, decoded: Decoded | None) -> VideoInfo:
        """Count what packets are left, and put together what was found."""
        for _ in self._packets:
            pass
        self.damage.clock_resets = max(self.damage.clock_resets, self._tally.resets)
        found = self._tally.found(self._zero, self._time_base, decoded)
        if self._linear and decoded is None:
            found = replace(found, keyframes=())
        stream = self._stream
        rate = settle_rate(stream.average_rate, stream.guessed_rate, found, self._time_base)
        info = replace(self.info, found=found, rate=rate)
        self.info = replace(info, notes=notes_on(info, self.damage))
        return self.info

    def _ended(self) -> RuntimeError:
        return RuntimeError(
            f"{self.path!r}: this passage ended when another was begun or the video was "
            "closed; open the video twice to read two passages side by side"
        )

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"{self.path!r} is closed; open it again to read from it")

    # -- inside ----------------------------------------------------------------------------

    def _begin(self, keyframes: bool = False) -> None:
        """Open the file anew and decode its first picture, which sets zero and the look."""
        self.damage = Damage()
        self._tally = Tally()
        self._open()
        self._packets = self._tally.watch(self._read_packets(keyframes))
        pictures = decode(self._packets, self.damage)
        first = next(pictures, None)
        if first is None or self._tally.encrypted:
            raise nothing_to_see(self.path, self._stream, self._tally)
        self._tally.done = True
        self._linear = self._linear or self._cannot_seek(first)
        clock = self._clock()
        pts = clock.place(first)
        if self._look is None:
            self._zero, self._time_base = pts, self._stream.time_base
            self._look = look_of(first, self._stream)
            self.info = self._describe(first, self._look)
        self._fresh = chain([self._frame(first, pts)], self._following(pictures, clock))

    def _open(self) -> None:
        """A new container and a new decoder."""
        if self._container is not None:
            self._container.close()
        self._container, self._stream = open_pictures(self.path)
        if self._stream.codec_context is None:
            raise nothing_to_see(self.path, self._stream, Tally())
        self._stream.codec_context.thread_count = self._threads
        self._stream.thread_type = "AUTO"
        for stream in self._container.streams:
            if stream.index != self._stream.index:
                stream.discard = Discard.all
        self._worn = False

    def _passage(self, begin: Fraction, keyframes: bool) -> Reader:
        """Frames from a keyframe at or before `begin`, or from the beginning of the file."""
        fresh, self._fresh = self._fresh, None
        if begin <= 0 and fresh is not None and not keyframes:
            return fresh
        self._linear = self._linear or self.damage.clock_resets > 0
        if self._linear:
            return (frame for frame in self._anew() if frame.key or not keyframes)
        if self._worn or str(self.damage):
            self._open()
        self.damage = Damage()
        target = self._zero + int(begin / self._time_base)
        second = max(1, int(1 / self._time_base))
        back = 0
        while target - back > self._zero:
            frames = self._seek(target - back, target, keyframes)
            if frames is not None:
                return frames
            back = max(4 * back, second)
        return self._anew(keyframes)

    def _anew(self, keyframes: bool = False) -> Reader:
        """Frames from the beginning of the file, opened again."""
        self._begin(keyframes)
        fresh, self._fresh = self._fresh, None
        assert fresh is not None
        return fresh

    def _cannot_seek(self, first: av.VideoFrame) -> bool:
        """Whether the file has no times to seek by, or only the decoding's where those differ."""
        untimed = first.pts is None and first.dts is None
        return untimed or (self._by_dts() and bool(self._stream.codec_context.has_b_frames))

    def _by_dts(self) -> bool:
        return self._container.format.name == "avi"

    def _seek(self, where: int, target: int, keyframes: bool) -> Reader | None:
        """Frames from a keyframe shown at or before `target`; None if the seek led past it.

        Containers seek by decoding time or by guesswork, so what comes out is looked at.
        """
        try:
            self._container.seek(where, stream=self._stream)
        except (FFmpegError, OverflowError):
            return None
        packets = self._read_packets(keyframes)
        key = next((packet for packet in packets if packet.is_keyframe), None)
        if key is None or not _is_by(key, target):
            return None
        pictures = decode(chain([key], packets), self.damage)
        first = next(pictures, None)
        if first is None or not _is_by(first, target):
            return None
        return self._following(chain([first], pictures), self._clock())

    def _read_packets(self, keyframes: bool) -> Iterator[av.Packet]:
        context = self._stream.codec_context
        knowing = context.name in KNOWING_KEYS
        context.skip_frame = "NONKEY" if keyframes and knowing else "DEFAULT"
        for packet in read_packets(self._container, self._stream, self.damage):
            if not packet.size:
                # A decoder that met a damaged end keeps something of it through a flush, and
                # gives other pixels after the next seek; so the next passage gets a new one.
                self._worn = True
            if packet.is_keyframe or knowing or not (packet.size and keyframes):
                yield packet

    def _following(self, pictures: Iterator[av.VideoFrame], clock: Clock) -> Reader:
        size = None
        while (picture := next(pictures, None)) is not None:
            if size not in (None, (picture.width, picture.height)):
                self.damage.size_changes += 1
            size = picture.width, picture.height
            frame = self._frame(picture, clock.place(picture))
            del picture  # see data/packets.py: decode
            yield frame

    def _frame(self, picture: av.VideoFrame, pts: int) -> Frame:
        assert self._look is not None
        return Frame(picture, pts, pts - self._zero, self._look)

    def _tick_from(self, time: Fraction) -> int:
        """The first pts at or after a time."""
        return self._zero + math.ceil(time / self._time_base)

    def _clock(self) -> Clock:
        stream = self._stream
        rate = stream.guessed_rate or stream.average_rate
        return Clock(stream.time_base, rate, self.damage, self._by_dts())

    def _describe(self, first: av.VideoFrame, look: Look) -> VideoInfo:
        stream = self._stream
        zero = self._zero * self._time_base
        info = VideoInfo(
            path=self.path,
            container=self._container.format.name,
            codec=stream.codec_context.name,
            profile=stream.profile,
            pixel_format=first.format.name,
            coded_size=(first.width, first.height),
            size=look.size,
            pixel_aspect=look.pixel_aspect,
            turn=look.turn,
            rate=settle_rate(stream.average_rate, stream.guessed_rate, None, self._time_base),
            time_base=self._time_base,
            zero=self._zero,
            frames_claimed=stream.frames or None,
            seconds_claimed=_claimed_length(self._container, stream),
            interlaced=bool(first.interlaced_frame),
            colour=colour_of(first),
            sounds=tuple(sound_info(sound, zero) for sound in self._container.streams.audio),
        )
        return replace(info, notes=notes_on(info, None))


def open_video(path: str | Path, threads: int = 0) -> Video:
    """Open a video for reading; `threads` decode it, 0 takes as many as there are cores."""
    return Video(path, threads)


def probe(path: str | Path, decode_all: bool = False) -> VideoInfo:
    """All facts about a video. `found` counts packets, or every picture if all are decoded."""
    with Video(path, threads=0 if decode_all else 1) as video:
        return video.measure(decode_all)


def open_sound(path: str | Path, track: int = 0) -> Sound:
    """The sound of a file that needs no pictures; its clock's zero is its first sample."""
    check_file(path)
    with open_container(path) as container:
        count = len(container.streams.audio)
        known = [stream.codec_context is not None for stream in container.streams.audio]
    if not 0 <= track < count:
        raise MediaError(path, f"has {count} sound tracks; track {track} was asked for",
                         "choose another file or track")  # fmt: skip
    if not known[track]:
        raise unknown_sound(path, track)
    return Sound(lambda: open_container(path), track, None)


def _is_by(thing: av.Packet | av.VideoFrame, target: int) -> bool:
    """Whether a packet or picture has a time, and one that is not after the target."""
    stamp = thing.pts if thing.pts is not None else thing.dts
    return stamp is not None and stamp <= target


def _claimed_length(container: Any, stream: Any) -> Fraction | None:
    if stream.duration is not None:
        return Fraction(stream.duration * stream.time_base)
    if container.duration is not None:
        return Fraction(container.duration, av.time_base)
    return None
