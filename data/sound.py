"""Sound as samples on the picture's clock: any range, any rate, the same samples every time.

The clock counts samples. It follows the file's time stamps again only where they part from the
count by more than `RESYNC`: less is jitter of the container, more is a gap (heard as silence)
or an overlap (heard once). After a seek the count starts from the time stamp, which is exact to
half a tick of the container: to the sample in MP4, MOV and TS, to half a millisecond in MKV.
Ranges read one after the other continue the count, so they join without a seam in any file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from math import gcd
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Discard

from data.packets import Damage, decode, read_packets

UNKNOWN = "unknown"
RESYNC = Fraction(15, 1000)
RESET = 1  # second: a clock set back by more than this has started anew
PREROLL = Fraction(1, 4)  # decoded and thrown away after a seek, until the codec has settled
MARGIN = Fraction(1, 20)  # read on either side of a range, for the resampler's filter
AHEAD = Fraction(5)  # up to here decoding on is cheaper than a seek
WITHOUT_SEEKING = {"ogg"}  # its stamps after a seek are wrong near the end
FULL_SCALE = {"u1": 128.0, "i2": 32768.0, "i4": 2147483648.0}


@dataclass(frozen=True)
class SoundInfo:
    """What the container says of one sound track."""

    codec: str
    rate: int
    channels: int
    layout: str
    language: str | None
    start: Fraction | None  # of its first sample, on the picture's clock


@dataclass(frozen=True)
class Block:
    """Samples (float32, samples x channels) at a whole sample position on the clock."""

    position: int
    rate: int
    samples: np.ndarray

    @property
    def start(self) -> Fraction:
        return Fraction(self.position, self.rate)

    @property
    def stop(self) -> Fraction:
        return Fraction(self.position + len(self.samples), self.rate)

    def ends_after(self, time: Fraction) -> bool:
        """Whether it is heard beyond this time; in whole numbers, since this is asked often."""
        end = self.position + len(self.samples)
        return end * time.denominator > time.numerator * self.rate

    def joins(self, later: Block) -> bool:
        same = self.rate == later.rate and self.samples.shape[1] == later.samples.shape[1]
        return same and self.position + len(self.samples) == later.position


def sound_info(stream: Any, zero: Fraction) -> SoundInfo:
    context = stream.codec_context
    known = stream.start_time is not None and stream.time_base is not None
    return SoundInfo(
        codec=context.name if context else UNKNOWN,
        rate=context.sample_rate if context else 0,
        channels=context.layout.nb_channels if context else 0,
        layout=context.layout.name if context else UNKNOWN,
        language=stream.language,
        start=stream.start_time * stream.time_base - zero if known else None,
    )


class Sound:
    """One sound track. `open_file` gives a new container, which this object closes."""

    def __init__(self, open_file: Callable[[], Any], track: int, zero: Fraction | None) -> None:
        self._open_file = open_file
        self._track = track
        self._container: Any = None
        self.damage = Damage()
        packets = self._rewind()
        base, start = self._stream.time_base, self._stream.start_time
        self._earliest = (start or 0) * base
        self.zero = zero if zero is not None else self._earliest
        self.info = sound_info(self._stream, self.zero)
        self._held: list[Block] = []
        self._held_from = self._earliest - self.zero - AHEAD
        self._blocks = self._decode(packets, from_start=True)
        if not self.info.rate:
            self._listen()

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        """A track that begins late is known by its first samples only."""
        first = next(self._blocks, None)
        if first is None:
            return
        self._held.append(first)
        channels = first.samples.shape[1]
        layout = LAYOUTS.get(channels, f"{channels} channels")
        self.info = replace(
            self.info, rate=first.rate, channels=channels, layout=layout, start=first.start
        )

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def read(self, start: Fraction, stop: Fraction, rate: int, channels: int) -> np.ndarray:
        """float32, samples x channels; silence where the file has no sound."""
        if self._container is None:
            raise ValueError("this sound is closed; open it again to read from it")
        if rate < 1 or channels not in LAYOUTS:
            allowed = f"a rate of at least 1 Hz and 1 to {max(LAYOUTS)} channels"
            raise ValueError(f"sound is read at {allowed}, got {rate} Hz, {channels} channels")
        first, last = round(start * rate), round(stop * rate)
        out = np.zeros((max(0, last - first), channels), np.float32)
        if not len(out):
            return out
        for run in _runs(self._collect(start - MARGIN, stop + MARGIN)):
            where, samples = resample(run, rate, channels)
            begin, end = max(where, first), min(where + len(samples), last)
            if begin < end:
                out[begin - first : end - first] = samples[begin - where : end - where]
        return out

    def _collect(self, start: Fraction, stop: Fraction) -> list[Block]:
        """The blocks that touch the range, decoded on or, if it must be, after a seek."""
        reached = self._held[-1].stop if self._held else self._held_from + AHEAD
        if start < self._held_from or start > reached + AHEAD:
            self._held = []
            packets, from_start = self._packets_before(start + self.zero - PREROLL)
            self._blocks = self._decode(packets, from_start)
        self._held = [block for block in self._held if block.ends_after(start)]
        while not self._held or not self._held[-1].ends_after(stop):
            block = next(self._blocks, None)
            if block is None:
                break
            if block.ends_after(start):
                self._held.append(block)
        self._held_from = start
        return [block for block in self._held if block.start < stop]

    def _packets_before(self, target: Fraction) -> tuple[Iterator[av.Packet], bool]:
        """Packets from one at or before `target` on, and whether they are the very first.

        Seeks are taken at their outcome.
        """
        back = Fraction(0)
        if self._container.format.name in WITHOUT_SEEKING:
            return self._rewind(), True
        while target - back > self._earliest:
            packets = self._seek(target - back)
            first = next(packets, None)
            on_time = first is not None and first.pts is not None
            if first is not None and on_time and first.pts * self._stream.time_base <= target:
                return chain([first], packets), False
            back = max(4 * back, PREROLL)
        return self._rewind(), True

    def _seek(self, target: Fraction) -> Iterator[av.Packet]:
        # The seek goes by the pictures, whose index every container has; the pictures are then
        # left out of the reading.
        self._discard_others(Discard.default)
        try:
            self._container.seek(round(target * av.time_base))
        except (FFmpegError, OverflowError):
            return iter(())
        self._discard_others(Discard.all)
        return read_packets(self._container, self._stream, self.damage)

    def _rewind(self) -> Iterator[av.Packet]:
        self.close()
        self._container = self._open_file()
        self._stream = self._container.streams.audio[self._track]
        self._discard_others(Discard.all)
        return read_packets(self._container, self._stream, self.damage)

    def _discard_others(self, how: Discard) -> None:
        for stream in self._container.streams:
            if stream.index != self._stream.index:
                stream.discard = how

    def _decode(self, packets: Iterator[av.Packet], from_start: bool) -> Iterator[Block]:
        expected: int | None = None
        rate, shift = 0, 0
        for frame in decode(packets, self.damage):
            if frame.sample_rate != rate:
                if expected is not None:
                    expected = round(Fraction(expected, rate) * frame.sample_rate)
                    shift = round(Fraction(shift, rate) * frame.sample_rate)
                rate = frame.sample_rate
                # position = (pts * time base - zero) * rate, in whole numbers
                tick, zero = self._stream.time_base * rate, self.zero * rate
                scale = math.lcm(tick.denominator, zero.denominator)
                step, origin = int(tick * scale), int(zero * scale)
            position = expected
            if frame.pts is not None:
                given = _nearest(frame.pts * step - origin, scale) + shift
                position, shift = _follow(expected, given, shift, rate)
            if position is None and not from_start:
                continue  # somewhere in the file, and nobody says where
            block = _settle(Block(position or 0, rate, _float_samples(frame)), expected)
            expected = max(block.position + len(block.samples), expected or block.position)
            if len(block.samples):
                yield block


def _follow(expected: int | None, given: int, shift: int, rate: int) -> tuple[int, int]:
    """Where a frame goes that should follow at `expected` and claims `given`."""
    if expected is None or (given - expected) * RESYNC.denominator > RESYNC.numerator * rate:
        return given, shift
    if expected - given > RESET * rate:
        return expected, shift + expected - given
    if (expected - given) * RESYNC.denominator > RESYNC.numerator * rate:
        return given, shift
    return expected, shift


def _nearest(numerator: int, denominator: int) -> int:
    """The whole number nearest to a fraction, halves to the even one, as round() has it."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))


def _settle(block: Block, expected: int | None) -> Block:
    """Without what overlaps the sound that came before it."""
    if expected is None or block.position >= expected:
        return block
    again = min(expected - block.position, len(block.samples))
    return Block(block.position + again, block.rate, block.samples[again:])


def _float_samples(frame: Any) -> np.ndarray:
    array = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    scale = FULL_SCALE.get(array.dtype.str[1:])
    if scale is None:
        return array.T.astype(np.float32)
    middle = 128 if array.dtype == np.uint8 else 0
    return ((array.T.astype(np.float64) - middle) / scale).astype(np.float32)


def _runs(blocks: list[Block]) -> list[Block]:
    """Blocks that follow one another without a gap, put together."""
    groups: list[list[Block]] = []
    for block in blocks:
        if groups and groups[-1][-1].joins(block):
            groups[-1].append(block)
        else:
            groups.append([block])
    return [
        Block(group[0].position, group[0].rate, np.concatenate([block.samples for block in group]))
        for group in groups
    ]


NEVER_LOUDER = {"rematrix_maxval": "1"}  # two full-scale channels mix to full scale, not beyond
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def resample(run: Block, rate: int, channels: int) -> tuple[int, np.ndarray]:
    """The run at another rate and width, and the position of its first sample there.

    The run is first extended to a sample that both rates share, so that the same source sample
    gives the same output sample whatever range it was asked in.
    """
    samples = run.samples
    if samples.shape[1] not in LAYOUTS:  # an array of microphones: no layout says how to mix it
        mixed = samples.mean(axis=1, keepdims=True)
        return resample(Block(run.position, run.rate, mixed), rate, channels)
    if samples.shape[1] == 1 and channels > 1:
        where, mono = resample(run, rate, 1)
        return where, np.repeat(mono, channels, axis=1)
    if run.rate == rate and samples.shape[1] == channels:
        return run.position, samples
    grid = run.rate // gcd(run.rate, rate)
    lead = run.position % grid
    padded = np.ascontiguousarray(np.pad(samples, ((lead, 0), (0, 0))).T)
    frame = av.AudioFrame.from_ndarray(padded, format="fltp", layout=LAYOUTS[samples.shape[1]])
    frame.sample_rate = run.rate
    converter = av.AudioResampler("fltp", LAYOUTS[channels], rate, options=NEVER_LOUDER)
    pieces = [*converter.resample(frame), *converter.resample(None)]
    nothing = np.zeros((channels, 0), np.float32)  # a few samples may come to none at a low rate
    out = np.concatenate([nothing, *(piece.to_ndarray() for piece in pieces)], axis=1).T
    return (run.position - lead) * rate // run.rate, out
