"""Where frames come from: a video or a folder of numbered pictures, seen alike by the converter."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import cv2
import numpy as np

from data.display import Size
from data.faults import MediaError
from data.frame import Frame
from data.jfif import JfifEncoder
from data.jpeg import encode
from data.media import open_video
from data.mediainfo import ends_early, losses_in
from data.pictures import Picture, Series, read_picture, series_in
from tools.settings import PICTURE_RATE, SOUND_RATE, Settings
from tools.sources import Source

SOUND_AT_ONCE = 10 * SOUND_RATE
Encode = Callable[["Shown"], list[bytes]]


@dataclass(frozen=True)
class Shown:
    """A frame of the store to be: its time, and what is seen."""

    pts: int
    what: Any


class Feed(ABC):
    """A source that is being read. `count` and what follows are true once all frames are read."""

    is_pictures: ClassVar[bool]
    size: Size
    count = 0
    offset = Fraction(0)  # of the first frame, on the source's clock
    kept_bytes = ""  # how pictures are coded that were taken as they were; else empty

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""

    @abstractmethod
    def frames(self) -> Iterator[Shown]:
        """All frames in shown order."""

    @abstractmethod
    def encoder(self, full: Size, sizes: Sequence[Size], settings: Settings) -> Encode:
        """What makes a frame's JPEGs, one a size; may be called by several threads."""

    def sound(self) -> Iterator[np.ndarray]:
        """int16 mono, a second at a time, as long as the pictures."""
        return iter(())

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What goes into Meta."""

    @abstractmethod
    def share_done(self, shown: Shown) -> float:
        """How much of the source lies before this frame, going by what the source claims."""

    @property
    @abstractmethod
    def seconds(self) -> Fraction:
        """Until the last picture goes."""

    @property
    @abstractmethod
    def damage(self) -> str:
        """What was lost; empty if nothing was."""

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """What a person should be told."""


def open_feed(source: Source, settings: Settings, threads: int) -> Feed:
    if source.pictures:
        return PictureFeed(source, settings)
    return VideoFeed(source, settings, threads)


class VideoFeed(Feed):
    """The frames of a video, or of a passage of it."""

    is_pictures = False

    def __init__(self, source: Source, settings: Settings, threads: int) -> None:
        self._source, self._fps = source, settings.fps
        self._video = open_video(source.path, threads)
        self._info = self._video.info
        self.size = self._info.size
        self._base = 1 / settings.fps if settings.fps else self._info.time_base
        self._pts = array("q")
        self._sound_notes: list[str] = []
        self._damage = ""
        self._sound_damage = ""
        self._heard = False

    def close(self) -> None:
        self._video.close()

    def frames(self) -> Iterator[Shown]:
        start, stop = self._source.start, self._source.stop
        whole = start is None and stop is None
        frames = self._video.all_frames() if whole else self._video.frames(start, stop)
        shown = self._at_own_times(frames) if self._fps is None else self._at_ticks(frames)
        for one in shown:
            self._pts.append(one.pts)
            self.count += 1
            yield one
        self._note_losses()

    def _note_losses(self) -> None:
        """What was lost: counted by the decoder, or seen from what is not there."""
        video = self._video
        losses = [str(video.damage)] if video.damage else []
        found = video.info.found
        if found is not None:
            self._info = video.info
            losses += losses_in(found)
            if ends_early(self._info) and not self._is_heard_after(found.seconds):
                claimed, real = float(self._info.seconds_claimed or 0), float(found.seconds)
                losses.append(f"claims {claimed:.2f} s, ends after {real:.2f} s")
        self._damage = "; ".join(losses)

    def _is_heard_after(self, end: Fraction) -> bool:
        """Whether there is sound where the pictures have ended: then the file has not."""
        try:
            return bool(self._info.sounds and self._video.audio(end, end + 5, SOUND_RATE).any())
        except MediaError:
            return False

    def _at_own_times(self, frames: Iterator[Frame]) -> Iterator[Shown]:
        zero: int | None = None
        for frame in frames:
            if zero is None:
                zero, self.offset = frame.pts, frame.time
            yield Shown(frame.pts - zero, frame)

    def _at_ticks(self, frames: Iterator[Frame]) -> Iterator[Shown]:
        """At every tick of the asked rate, the picture that is on screen."""
        assert self._fps is not None
        start, stop = self._source.start or Fraction(0), self._source.stop
        before = self._video.frame_at(start) if start else None
        if before is not None:
            frames = self._video.frames(start, stop)  # the one above ended it
        self.offset = start
        yield from pictures_at_ticks(self._with_first(before, frames), start, stop, self._fps,
                                     1 / (self._info.rate or self._fps))  # fmt: skip

    @staticmethod
    def _with_first(first: Frame | None, frames: Iterator[Frame]) -> Iterator[Frame]:
        if first is not None:
            yield first
        yield from (frame for frame in frames if first is None or frame.time > first.time)

    def encoder(self, full: Size, sizes: Sequence[Size], settings: Settings) -> Encode:
        """Encoders keep tables and are not for two threads, so each thread makes its own."""
        own = threading.local()
        turn = self._info.turn

        def work(shown: Shown) -> list[bytes]:
            frame: Frame = shown.what
            if not hasattr(own, "encoder"):
                quality, subsampling = settings.quality, settings.subsampling
                own.encoder = JfifEncoder(full, sizes, turn, quality, subsampling)
                own.pts = None
            if own.pts != frame.pts:  # a picture may be on screen for several ticks
                own.jpegs = own.encoder.encode(frame.picture)
                own.pts = frame.pts
            if self._fps is None:
                frame.release()
            jpegs: list[bytes] = own.jpegs
            return jpegs

        return work

    def share_done(self, shown: Shown) -> float:
        start, stop = self._source.start, self._source.stop
        length = self._info.seconds_claimed if start is None or stop is None else stop - start
        return min(1.0, float(shown.pts * self._base / length)) if length else 0.0

    def sound(self) -> Iterator[np.ndarray]:
        if not self._info.sounds:
            return
        total = round(self.seconds * SOUND_RATE)
        try:
            for first in range(0, total, SOUND_AT_ONCE):
                yield from self._seconds_of(first, min(first + SOUND_AT_ONCE, total))
            self._heard = True
            damage = self._video.sound_damage()
            self._sound_damage = f"sound: {damage}" if damage else ""
        except MediaError as error:
            self._sound_notes.append(f"its sound was left out: {error.reason}")

    def _seconds_of(self, first: int, last: int) -> Iterator[np.ndarray]:
        start, stop = (self.offset + Fraction(at, SOUND_RATE) for at in (first, last))
        samples = self._video.audio(start, stop, SOUND_RATE)[:, 0]
        whole = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
        for at in range(0, len(whole), SOUND_RATE):
            yield whole[at : at + SOUND_RATE]

    @property
    def seconds(self) -> Fraction:
        """Until the last picture goes: it stays as long as pictures usually do."""
        return self._pts[-1] * self._base + 1 / self._rate() if self._pts else Fraction(0)

    def _rate(self) -> Fraction:
        if self._fps is not None:
            return self._fps
        claimed = self._info.rate
        if self._info.found and claimed:
            return claimed  # the pictures' times were looked at
        span = self._pts[-1] * self._base
        if not span:
            return claimed or PICTURE_RATE
        steps = len(self._pts) - 1
        if claimed and abs(steps / claimed - span) <= max(4 * self._base, 1 / claimed / 100):
            return claimed
        return steps / span

    @property
    def damage(self) -> str:
        return "; ".join(part for part in (self._damage, self._sound_damage) if part)

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._info.notes, *self._sound_notes)

    def facts(self) -> dict[str, Any]:
        info = self._info
        return {
            "time_base": self._base,
            "rate": self._rate(),
            "container": info.container,
            "codec": info.codec,
            "source_size": "{}x{}".format(*info.size),
            "pixel_format": info.pixel_format,
            "pixel_aspect": info.pixel_aspect,
            "turn": f"{info.turn.degrees}{' mirrored' if info.turn.mirrored else ''}",
            "matrix": info.colour.matrix,
            "range": info.colour.range,
            "transfer": info.colour.transfer,
            "primaries": info.colour.primaries,
            **(
                {"sound_rate": SOUND_RATE, "sound_codec": info.sounds[0].codec}
                if self._heard
                else {}
            ),
        }


def pictures_at_ticks(
    frames: Iterator[Frame], start: Fraction, stop: Fraction | None, rate: Fraction, last: Fraction
) -> Iterator[Shown]:
    """Tick k is at start + k / rate and shows the picture that came last; before the first
    picture of all, that one. The last picture stays for `last` seconds."""
    tick = 0
    shown: Frame | None = None
    for frame in frames:
        if shown is not None:
            while start + tick / rate < frame.time:
                yield Shown(tick, shown)
                tick += 1
        shown = frame
    if shown is None:
        return
    end = (
        max(shown.time, start) + last if stop is None else min(stop, max(shown.time, start) + last)
    )
    while start + tick / rate < end:
        yield Shown(tick, shown)
        tick += 1


class PictureFeed(Feed):
    """The pictures of a folder, in the order of their numbers."""

    is_pictures = True

    def __init__(self, source: Source, settings: Settings) -> None:
        self._source = source
        self._series: Series = series_in(source.path, source.pictures)
        self._rate = settings.fps or PICTURE_RATE
        self._last = 0
        self._unread: list[str] = []
        self._resized = 0
        self.size = self._first_size()

    def close(self) -> None:
        """Nothing stays open: each picture is read at once."""

    def _first_size(self) -> Size:
        problem: MediaError | None = None
        for name in self._series.files:
            try:
                picture = read_picture(os.path.join(self._source.path, name)).rgb
                return picture.shape[1], picture.shape[0]
            except MediaError as error:
                problem = problem or error
        assert problem is not None
        raise MediaError(self._source.path, f"holds no picture that can be read: {problem}",
                         "copy it again")  # fmt: skip

    def frames(self) -> Iterator[Shown]:
        first = self._series.numbers[0]
        zero: int | None = None
        for name, number in zip(self._series.files, self._series.numbers, strict=True):
            try:
                picture = read_picture(os.path.join(self._source.path, name))
            except MediaError as error:
                self._unread.append(f"{name} {error.reason}")
                continue
            zero = number - first if zero is None else zero
            self.count += 1
            self._last = number - first - zero
            yield Shown(self._last, picture)

    def encoder(self, full: Size, sizes: Sequence[Size], settings: Settings) -> Encode:
        def work(shown: Shown) -> list[bytes]:
            return [self._encode(shown.what, size, settings) for size in sizes]

        return work

    def _encode(self, picture: Picture, size: Size, settings: Settings) -> bytes:
        own = picture.rgb.shape[1], picture.rgb.shape[0]
        if own == size and picture.jpeg is not None:
            self.kept_bytes = "as found"
            return picture.jpeg
        rgb = picture.rgb
        if own != size:
            self._resized += own != self.size
            smaller = own[0] * own[1] > size[0] * size[1]
            way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
            rgb = cv2.resize(rgb, size, interpolation=way)
        return encode(rgb, settings.quality, settings.subsampling)

    def share_done(self, shown: Shown) -> float:
        return self.count / len(self._series.files)

    @property
    def seconds(self) -> Fraction:
        return (self._last + 1) / self._rate

    @property
    def damage(self) -> str:
        return "; ".join(self._unread)

    @property
    def notes(self) -> tuple[str, ...]:
        notes = []
        if self._series.gaps:
            notes.append(f"numbers that are not there: {spans(self._series.gaps)}")
        if self._resized:
            notes.append(f"{self._resized} of other sizes than the first, brought to its size")
        return tuple(notes)

    def facts(self) -> dict[str, Any]:
        endings = {os.path.splitext(name)[1].lower() for name in self._series.files}
        return {
            "time_base": 1 / self._rate,
            "rate": self._rate,
            "container": "pictures",
            "codec": "png" if endings == {".png"} else "jpeg",
            "source_size": "{}x{}".format(*self.size),
        }


def spans(numbers: Sequence[int]) -> str:
    """7, 12-14, 20"""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)
