"""What is known of a video: what its header claims, what its packets hold, where they differ."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np

from data.colour import Colour
from data.display import Size, Turn
from data.packets import Damage
from data.sound import SoundInfo

SET_BACK = Fraction(1, 4)
EVEN_SHARE = 0.9  # of the distances must be alike before a longer one counts as a hole
VP8_SHOWN = 0x10  # bit of a VP8 packet's first byte: alternate references are never shown


@dataclass(frozen=True)
class Found:
    """What a pass over the whole file found, instead of what its header claims."""

    frames: int  # pictures to be shown, or those that decoded if all were decoded
    packets: int  # packets that should each give a picture
    hidden: int  # further ones whose picture is never shown
    keyframes: tuple[Fraction, ...]  # their times; none where only decoding would tell
    seconds: Fraction  # from the first picture to the end of the last
    longest_gop: int  # pictures from one keyframe to the next
    deltas: tuple[Fraction, Fraction, Fraction] | None  # least, median, greatest distance
    variable_rate: bool | None  # None: the file does not give every picture a time
    holes: tuple[tuple[Fraction, Fraction], ...]  # (time, length) where an even rhythm stops


@dataclass(frozen=True)
class VideoInfo:
    """One video's facts. `size` is as shown: upright, pixels square."""

    path: str
    container: str
    codec: str
    profile: str | None
    pixel_format: str
    coded_size: Size
    size: Size
    pixel_aspect: Fraction
    turn: Turn
    rate: Fraction | None  # pictures a second: exact where constant, else the mean
    time_base: Fraction
    zero: int  # pts of the first shown picture
    frames_claimed: int | None
    seconds_claimed: Fraction | None
    interlaced: bool
    colour: Colour
    sounds: tuple[SoundInfo, ...]
    found: Found | None = None
    notes: tuple[str, ...] = ()


@dataclass
class Decoded:
    """The pts of all pictures that decoded, and of the keyframes among them."""

    pts: array = field(default_factory=lambda: array("q"))
    keys: array = field(default_factory=lambda: array("q"))

    def add(self, pts: int, key: bool) -> None:
        self.pts.append(pts)
        if key:
            self.keys.append(pts)


@dataclass
class Tally:
    """Counts packets as they pass by, until `done` is set."""

    pts: array = field(default_factory=lambda: array("q"))
    key_numbers: array = field(default_factory=lambda: array("q"))  # which packets are keyframes
    key_pts: array = field(default_factory=lambda: array("q"))
    packets: int = 0
    hidden: int = 0  # packets whose picture is never shown, by an edit list or by nature
    last_duration: int = 0
    resets: int = 0  # how often the file's clock starts anew
    shift: int = 0  # what is added to its stamps since
    encrypted: bool = False
    done: bool = False
    _last: int | None = None
    _set_back: int = 0
    _top: int = 0

    def watch(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
        for packet in packets:
            if packet.size and not self.done:
                self._add(packet)
            yield packet

    def _add(self, packet: av.Packet) -> None:
        if not self.packets:
            self.encrypted = packet.has_sidedata("encryption_info")
        stamp = packet.pts if packet.pts is not None else packet.dts
        self._watch_clock(packet, stamp)
        if packet.is_keyframe and not packet.is_discard:
            self.key_numbers.append(self.packets)
            if stamp is not None:
                self.key_pts.append(stamp + self.shift)
        self.packets += 1
        if packet.is_discard or _never_shown(packet):
            self.hidden += 1
        elif packet.pts is not None:
            self.pts.append(packet.pts + self.shift)
            self.last_duration = packet.duration or self.last_duration

    def _watch_clock(self, packet: av.Packet, stamp: int | None) -> None:
        """Notice a clock that is set back, and go on from the last picture.

        Packets come in the order of decoding, whose time only ever goes back where pieces meet.
        """
        order = packet.dts if packet.dts is not None else stamp
        if order is None or stamp is None:
            return
        if self._last is None:
            self._set_back = round(SET_BACK / packet.time_base)  # once: fractions are slow
        elif self._last - order > self._set_back:
            self.resets += 1
            self.shift = self._top + (self.last_duration or 1) - stamp
        self._last = order
        self._top = max(self._top, stamp + self.shift)

    def found(self, zero: int, time_base: Fraction, decoded: Decoded | None = None) -> Found:
        """The sums, with what decoding all pictures gave if that was done."""
        due = self.packets - self.hidden
        shown = due if decoded is None else len(decoded.pts)
        stamps = np.sort(np.frombuffer(self.pts if decoded is None else decoded.pts, np.int64))
        keys = self.key_pts if decoded is None else decoded.keys
        complete = len(stamps) == shown
        deltas = np.diff(stamps) if complete and shown > 1 else None
        numbers = [*self.key_numbers, self.packets]
        last = int(stamps[-1]) - zero if len(stamps) else 0
        step = int(np.median(deltas)) if deltas is not None else self.last_duration
        return Found(
            frames=shown,
            packets=due,
            hidden=self.hidden,
            keyframes=tuple((pts - zero) * time_base for pts in sorted(keys)),
            seconds=(last + step) * time_base,
            longest_gop=int(np.diff(numbers).max()) if self.key_numbers else 0,
            deltas=None if deltas is None else _spread(deltas, time_base),
            variable_rate=None if deltas is None else bool(np.ptp(deltas) > 1),
            holes=() if deltas is None else _holes(deltas, stamps - zero, time_base),
        )


def _never_shown(packet: av.Packet) -> bool:
    return packet.stream.codec_context.name == "vp8" and not memoryview(packet)[0] & VP8_SHOWN


def _spread(deltas: np.ndarray, time_base: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    least, middle, most = int(deltas.min()), int(np.median(deltas)), int(deltas.max())
    return least * time_base, middle * time_base, most * time_base


def _holes(
    deltas: np.ndarray, stamps: np.ndarray, time_base: Fraction
) -> tuple[tuple[Fraction, Fraction], ...]:
    """Long waits in a stream that is otherwise even: pictures are missing there."""
    step = int(np.median(deltas))
    even = np.abs(deltas - step) <= 1
    if even.mean() < EVEN_SHARE:
        return ()
    long = np.flatnonzero(deltas > 1.5 * step + 1)
    return tuple((int(stamps[at]) * time_base, int(deltas[at]) * time_base) for at in long)


def settle_rate(
    claimed: Fraction | None, guessed: Fraction | None, found: Found | None, tick: Fraction
) -> Fraction | None:
    """The rate to believe: a claim that the pictures' times bear out, else what they say."""
    if found is None or found.frames < 2:
        return guessed or claimed
    if found.deltas is None or not found.variable_rate or found.holes:
        for rate in (guessed, claimed):
            if rate and _bears_out(rate, found, tick):
                return rate
    mean = Fraction(found.frames) / found.seconds if found.seconds > 0 else None
    if claimed and mean and abs(claimed - mean) < mean / 100:
        return claimed
    return mean


def _bears_out(rate: Fraction, found: Found, tick: Fraction) -> bool:
    """Whether so many pictures at this rate last as long as they do, to a few ticks.

    Where pictures are missing, their usual distance is looked at instead.
    """
    if found.holes and found.deltas:
        return abs(1 / rate - found.deltas[1]) <= tick
    return abs(found.frames / rate - found.seconds) <= max(4 * tick, 1 / rate / 100)


def notes_on(info: VideoInfo, damage: Damage | None) -> tuple[str, ...]:
    """What a person should be told: where the file is odd, and what is done about it."""
    notes = []
    if info.colour.hdr:
        notes.append(f"HDR ({info.colour.hdr}), tone-mapped to SDR: 1,000 nits become white")
    if info.interlaced:
        notes.append("interlaced: both fields stay in one picture")
    if info.turn:
        mirrored = " and mirrored" if info.turn.mirrored else ""
        notes.append(f"turned {info.turn.degrees} degrees clockwise{mirrored}, as the file asks")
    if info.pixel_aspect != 1:
        notes.append(f"pixels {info.pixel_aspect} as wide as high, made square")
    found = info.found
    if found and found.hidden:
        notes.append(f"hides {found.hidden} of its frames, as its edit list asks")
    promised = info.frames_claimed
    if found and promised is not None and promised != found.frames + found.hidden:
        notes.append(f"claims {promised} frames, holds {found.frames + found.hidden}")
    if found and info.seconds_claimed and _far(info.seconds_claimed, found.seconds):
        claimed, real = float(info.seconds_claimed), float(found.seconds)
        notes.append(f"claims {claimed:.2f} s, its pictures last {real:.2f} s")
    notes += losses_in(found) if found else []
    if found and found.variable_rate and not found.holes:
        notes.append("variable rate")
    if damage is not None and str(damage):
        notes.append(f"{'damaged' if damage else 'noticed'}: {damage}")
    return tuple(notes)


def losses_in(found: Found) -> list[str]:
    """Where pictures are missing that should be there."""
    losses = []
    if found.packets > found.frames:
        losses.append(f"{found.packets - found.frames} of {found.packets} packets gave no picture")
    if found.holes:
        where = ", ".join(
            f"{float(long):.2f} s at {float(at):.2f} s" for at, long in found.holes[:3]
        )
        more = f" and {len(found.holes) - 3} more" if len(found.holes) > 3 else ""
        losses.append(f"pictures are missing: {where}{more}")
    return losses


def ends_early(info: VideoInfo) -> bool:
    """Whether the pictures end long before the file says that it ends."""
    found, claimed = info.found, info.seconds_claimed
    return bool(found and claimed and claimed > found.seconds and _far(claimed, found.seconds))


def _far(claimed: Fraction, found: Fraction) -> bool:
    return abs(claimed - found) > max(Fraction(1, 2), found / 20)
