"""Packets and decoded frames of one track, past damage, with times that always ascend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.error import FFmpegError

MAX_FAILED_READS = 100  # in a row: a file whose every read fails must not hold us for ever


@dataclass
class Damage:
    """What had to be passed over or mended while reading; all zero for a sound file.

    It counts as damage only where pictures or sound are lost: recordings that were joined from
    pieces have marked packets, mended times and changed sizes, and are whole all the same.
    """

    failed_reads: int = 0  # the container could not be followed
    marked_packets: int = 0  # the container says that something is missing before or in them
    failed_packets: int = 0  # the decoder refused the data
    corrupt_frames: int = 0  # decoded, but marked as incomplete
    mended_times: int = 0  # shown at a time that the file did not give, or gave twice
    clock_resets: int = 0  # places where the file's clock starts anew
    size_changes: int = 0

    def __bool__(self) -> bool:
        return any((self.failed_reads, self.failed_packets, self.corrupt_frames))

    def __str__(self) -> str:
        counts = (
            (self.failed_reads, "unreadable place", "unreadable places"),
            (self.marked_packets, "packet marked incomplete", "packets marked incomplete"),
            (self.failed_packets, "undecodable packet", "undecodable packets"),
            (self.corrupt_frames, "incomplete picture", "incomplete pictures"),
            (self.mended_times, "mended time stamp", "mended time stamps"),
            (self.clock_resets, "clock set back", "clocks set back"),
            (self.size_changes, "change of size", "changes of size"),
        )
        parts = [f"{count} {one if count == 1 else more}" for count, one, more in counts if count]
        return ", ".join(parts)


def read_packets(container: Any, stream: Any, damage: Damage) -> Iterator[av.Packet]:
    """The track's packets in file order; the last one is empty and flushes the decoder."""
    failed = 0
    while failed < MAX_FAILED_READS:
        try:
            for packet in container.demux(stream):
                failed = 0
                damage.marked_packets += packet.is_corrupt
                yield packet
            return
        except IndexError:
            # PyAV's demuxer trips over a packet of a track that began midway; it is not ours.
            continue
        except FFmpegError:
            damage.failed_reads += 1
            failed += 1
    flush = av.Packet()
    flush.stream = stream
    yield flush


def decode(packets: Iterable[av.Packet], damage: Damage) -> Iterator[Any]:
    """What decodes, in the order in which it is shown or heard.

    Nothing here holds a frame once it is given out: a picture that is kept while the next one is
    decoded costs a tenth of the decoding, since one more buffer takes its turn in the cache.
    """
    for packet in packets:
        try:
            frames = packet.decode()
        except EOFError:
            return
        except FFmpegError:
            damage.failed_packets += 1
            continue
        while frames:
            damage.corrupt_frames += frames[0].is_corrupt
            yield frames.pop(0)


class Clock:
    """Gives every frame its pts: the file's own where it has one, and always ascending.

    `by_dts` is for containers without any pts, where what stands in its place is made up.
    """

    NEAR = 4  # steps; a stamp farther back than this belongs to a clock that was set anew

    def __init__(
        self, time_base: Fraction, rate: Fraction | None, damage: Damage, by_dts: bool = False
    ) -> None:
        self._by_dts = by_dts
        self._step = max(1, round(1 / (rate * time_base))) if rate else 1
        self._damage = damage
        self._last: int | None = None
        self._shift = 0  # what is added to the file's stamps now
        self._former_shift = 0  # and what was, in case a single stamp was wild

    def place(self, frame: Any) -> int:
        given = frame.dts if self._by_dts or frame.pts is None else frame.pts
        last = self._last
        if last is None:
            stamp = given or 0
        elif given is None:
            stamp = last + self._step
        else:
            stamp = self._follow(given, last)
        if given is None or stamp != given + self._shift:
            self._damage.mended_times += 1
        self._last = stamp
        return stamp

    def _follow(self, given: int, last: int) -> int:
        """The given stamp where it ascends; one tick on where it was given before."""
        reach = self.NEAR * self._step
        if self._shift != self._former_shift and 0 < given + self._former_shift - last <= reach:
            self._shift = self._former_shift
        stamp = given + self._shift
        if stamp > last:
            return stamp
        if last - stamp <= reach:
            return last + 1
        self._former_shift = self._shift
        self._shift = last + self._step - given
        self._damage.clock_resets += 1
        return last + self._step
