"""Test media, made with PyAV: one table of named variants, each with the truth about itself.

`make(name, folder)` writes a file and returns a `Made`: which barcode every shown picture
carries, when it is shown (seconds after the first shown picture), and where the sound's first
sample lies on that clock.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder talks to the terminal otherwise

from tests import barcode, surgery
from tools.encode import Edit, PictureTrack, SoundTrack, move, repeat_video, write_video

MILLISECOND = Fraction(1, 1000)
TICK_90K = Fraction(1, 90000)
SECONDS_OF_NOISE = 8
TEN_HOURS = Fraction(36000)
BEFORE_WRAP = Fraction(95443)  # 0.7 s before 2^33 / 90000


def x264(params: str) -> Mapping[str, str]:
    return {"preset": "veryfast", "crf": "18", "x264-params": params}


def x265(params: str) -> Mapping[str, str]:
    return {"preset": "ultrafast", "crf": "18", "x265-params": f"log-level=none:pools=1:{params}"}


PLAIN = PictureTrack(options=x264("keyint=15:bframes=0:scenecut=0"))
BFRAMES = PictureTrack(options=x264("keyint=15:bframes=3:scenecut=0:b-adapt=0"))
OPEN = "open-gop=1:keyint=12:min-keyint=12:scenecut=0:b-adapt=0"
DEEP = OPEN.replace("12", "16") + ":bframes=7:ref=4"  # two full pyramids a GOP


@dataclass(frozen=True)
class Variant:
    """One row of the table: how the file is made, and what must be read from it."""

    suffix: str = "mp4"
    track: PictureTrack = PLAIN
    size: tuple[int, int] = (96, 64)
    first: int = 0  # barcode of the first coded picture
    count: int = 45
    stamp: Callable[[int], int] | None = None  # index -> pts, in track.time_base
    picture_delay: Fraction = Fraction(0)
    sound: SoundTrack | None = field(default_factory=SoundTrack)
    container: Mapping[str, str] = field(default_factory=dict)
    edit: Callable[[], Edit] | None = None
    finish: Callable[[Path], Path] | None = None
    parts: tuple[Variant, ...] = ()  # pieces appended byte by byte (TS only)
    skipped: int = 0  # coded pictures that an edit list hides
    shown_size: tuple[int, int] | None = None
    tick: Fraction = Fraction(0)  # how coarsely the container keeps time
    interlaced: bool = False
    sound_gap: tuple[Fraction, Fraction] | None = None

    def pts(self, index: int) -> int:
        base = self.track.time_base or 1 / self.track.rate
        return self.stamp(index) if self.stamp else round(index / (self.track.rate * base))

    def time(self, index: int) -> Fraction:
        return self.pts(index) * (self.track.time_base or 1 / self.track.rate)

    def indices(self) -> list[int]:
        own = list(range(self.first + self.skipped, self.first + self.count))
        return own + [index for part in self.parts for index in part.indices()]


@dataclass(frozen=True)
class Made:
    """A written variant and what is true of it, on the clock whose zero is the first picture."""

    path: Path
    variant: Variant
    indices: list[int]
    times: list[Fraction]
    sound_start: Fraction  # when the noise's first sample is heard

    @property
    def size(self) -> tuple[int, int]:
        return self.variant.shown_size or self.variant.size


def make(name: str, folder: Path, stem: str | None = None) -> Made:
    """Write the variant `name` into `folder`, called `stem` or as the variant."""
    variant = VARIANTS[name]
    path = write(variant, folder / f"{stem or name}.{variant.suffix}")
    for number, part in enumerate(variant.parts):
        piece = write(part, folder / f"{name}.part{number}.{variant.suffix}")
        surgery.join(path, path, piece)
        piece.unlink()
    if variant.finish:
        variant.finish(path)
    indices = variant.indices()
    times = [variant.time(index) - variant.time(indices[0]) for index in indices]
    # An edit list moves the picture alone, so that its zero stays where the sound's is.
    start = (variant.sound.start if variant.sound else 0) - variant.picture_delay
    return Made(path, variant, indices, times, Fraction(start))


def write(variant: Variant, path: Path) -> Path:
    """One file of this variant, before its parts are joined and before any surgery."""
    pictures = (variant.track, _frames(variant)) if variant.count else None
    sound = None
    if variant.sound:
        seconds = variant.time(max(variant.count, 45)) + variant.picture_delay
        noise = barcode.noise(max(SECONDS_OF_NOISE, math.ceil(seconds)))
        samples = noise[: round(seconds * barcode.SOUND_RATE)]
        sound = (variant.sound, samples)
    edit = variant.edit() if variant.edit else None
    return write_video(path, pictures, sound, options=variant.container, edit=edit)


def _frames(variant: Variant) -> Iterator[av.VideoFrame]:
    base = variant.track.time_base or 1 / variant.track.rate
    delay = round(variant.picture_delay / base)
    for index in range(variant.first, variant.first + variant.count):
        turns = -variant.track.rotation // 90  # laid down so that showing it turns it upright
        frame = barcode.barcode_frame(index, variant.size, variant.track.pixel_format, turns)
        frame.pts = delay + variant.pts(index)
        yield frame


def later(seconds: Fraction) -> Callable[[], Edit]:
    """Move every packet to a later time."""

    def edit(packet: av.Packet) -> bool:
        move(packet, seconds)
        return True

    return lambda: edit


def without_sound(start: Fraction, stop: Fraction) -> Callable[[], Edit]:
    """Drop the sound's packets between two times."""

    def edit(packet: av.Packet) -> bool:
        return (
            packet.stream.type != "audio"
            or not start <= (packet.pts or 0) * packet.time_base < stop
        )

    return lambda: edit


def without_pictures() -> Edit:
    return lambda packet: packet.stream.type != "video"


def without_keyframes() -> Edit:
    return lambda packet: packet.stream.type != "video" or not packet.is_keyframe


def with_cover(source: Path, path: Path) -> Path:
    """The same video as Matroska with a cover picture, larger than it, and no default track."""
    cover = barcode.barcode_frame(9, (512, 512), "yuvj420p")
    image = b"".join(bytes(packet) for packet in _encode_picture(cover))
    options = {"default_mode": "passthrough"}
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        tracks = [new.add_stream_from_template(stream) for stream in old.streams]
        for track in tracks:
            track.disposition = av.stream.Disposition(0)
        new.add_attachment("cover.jpg", "image/jpeg", image)
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = tracks[packet.stream_index]
                new.mux(packet)
    return path


def _encode_picture(frame: av.VideoFrame) -> list[av.Packet]:
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuvj420p"
    context.time_base = Fraction(1, 30)
    return [*context.encode(frame), *context.encode(None)]


def endless(path: Path, minutes: int) -> Path:
    """A long file made of one that lasts ten seconds."""
    piece = write(Variant(count=300, track=BFRAMES), path.with_suffix(".piece.mp4"))
    return repeat_video(piece, path, 10, minutes * 6)


def _coded(codec: str, options: Mapping[str, str], pixel_format: str = "yuv420p") -> PictureTrack:
    return PictureTrack(codec=codec, options=options, pixel_format=pixel_format)


def _uneven(index: int) -> int:
    """33, 17, 100, 33, ... ms: a phone in changing light, on a 1/90000 clock."""
    return sum((3000, 1500, 9000, 3003)[step % 4] for step in range(index))


VP9 = _coded("libvpx-vp9", {"cpu-used": "8", "crf": "20", "b": "0", "g": "15"})
VP8 = _coded("libvpx", {"cpu-used": "8", "crf": "10", "b": "1M", "g": "30"})
HEVC = _coded("libx265", x265("keyint=15:bframes=3"))
TS = Variant("ts", BFRAMES, tick=TICK_90K)
SILENT_TS = replace(TS, sound=None, edit=later(Fraction(1)))
OTHER_PARAMETERS = PictureTrack(options=x264("cabac=0:ref=1:keyint=10:bframes=0"))
OPUS = SoundTrack(codec="libopus", sample_format="flt")
MPEG4 = _coded("mpeg4", {"q": "3", "g": "12", "bf": "2"})
MPEG2 = _coded("mpeg2video", {"b": "3M", "g": "12", "bf": "2"})

VARIANTS: dict[str, Variant] = {
    "constant": Variant(),
    "variable": Variant(track=replace(BFRAMES, time_base=TICK_90K), stamp=_uneven),
    "variable_mkv": Variant(
        "mkv", replace(BFRAMES, time_base=TICK_90K), stamp=_uneven, tick=MILLISECOND
    ),
    "bframes": Variant(track=BFRAMES),
    "open_gop": Variant(track=PictureTrack(options=x264(f"{OPEN}:bframes=3"))),
    "open_gop_deep": Variant(track=PictureTrack(options=x264(f"{DEEP}:b-pyramid=normal"))),
    "all_keyframes": Variant(track=PictureTrack(options=x264("keyint=1:bframes=0"))),
    "all_keyframes_opus": Variant(
        track=PictureTrack(options=x264("keyint=1:bframes=0")), sound=OPUS
    ),
    "long_gop": Variant(
        track=PictureTrack(options=x264("keyint=infinite:scenecut=0:bframes=3")), count=120
    ),
    "ntsc": Variant(track=replace(BFRAMES, rate=Fraction(30000, 1001))),
    "ntsc_mkv": Variant("mkv", replace(BFRAMES, rate=Fraction(30000, 1001)), tick=MILLISECOND),
    "cavlc": Variant(track=PictureTrack(options=x264("cabac=0:keyint=15"))),
    "slices": Variant(track=PictureTrack(options=x264("slices=4:keyint=15"))),
    "interlaced": Variant(
        track=PictureTrack(options=x264("interlaced=1:tff=1:keyint=15")), interlaced=True
    ),
    "interlaced_mpeg2": Variant(
        "ts",
        replace(MPEG2, options={**MPEG2.options, "flags": "+ildct+ilme"}),
        tick=TICK_90K,
        interlaced=True,
    ),
    "rotated_90": Variant(track=replace(PLAIN, rotation=90), shown_size=(64, 96)),
    "rotated_180": Variant(track=replace(PLAIN, rotation=180)),
    "rotated_270": Variant(track=replace(PLAIN, rotation=270), shown_size=(64, 96)),
    "wide_pixels": Variant(track=replace(PLAIN, pixel_aspect=Fraction(4, 3)), shown_size=(128, 64)),
    "tall_pixels": Variant(
        track=replace(PLAIN, pixel_aspect=Fraction(15, 16)), shown_size=(90, 64)
    ),
    "wide_pixels_rotated": Variant(
        track=replace(PLAIN, pixel_aspect=Fraction(4, 3), rotation=90), shown_size=(64, 128)
    ),
    "odd_size_vp9": Variant("webm", VP9, size=(97, 65), sound=None, tick=MILLISECOND),
    "odd_size_444": Variant(track=replace(PLAIN, pixel_format="yuv444p"), size=(97, 65)),
    "ten_bit": Variant(track=replace(HEVC, pixel_format="yuv420p10le")),
    "ten_bit_h264": Variant(track=replace(BFRAMES, pixel_format="yuv420p10le")),
    "twelve_bit": Variant(track=replace(HEVC, pixel_format="yuv422p12le")),
    "hevc": Variant(track=HEVC),
    "hevc_open_gop": Variant(track=_coded("libx265", x265(f"{OPEN}:bframes=3"))),
    "hevc_open_gop_deep": Variant(
        track=_coded("libx265", x265(f"{DEEP}:b-pyramid=1:rc-lookahead=20"))
    ),
    "vp8": Variant(
        "webm",
        VP8,
        sound=OPUS,
        tick=MILLISECOND,
    ),
    "vp9": Variant("webm", VP9, sound=OPUS, tick=MILLISECOND),
    "ogg": Variant("ogv", VP8, sound=OPUS),
    "av1": Variant(
        "mkv",
        _coded("libsvtav1", {"preset": "8", "crf": "8", "g": "15", "svtav1-params": "lp=1"}),
        tick=MILLISECOND,
    ),
    "mpeg2": Variant("ts", MPEG2, tick=TICK_90K),
    "mpeg2_program": Variant(
        "mpg",
        MPEG2,
        sound=SoundTrack(codec="mp2", sample_format="s16"),
        tick=TICK_90K,
    ),
    "mpeg4_avi": Variant(
        "avi",
        _coded("mpeg4", {"q": "3", "g": "12", "bf": "0"}),
        sound=SoundTrack(codec="pcm_s16le", sample_format="s16"),
    ),
    "mpeg4_avi_bframes": Variant("avi", MPEG4, sound=None),
    "mpeg4": Variant(track=MPEG4),
    "late_video": Variant(track=BFRAMES, picture_delay=Fraction(1, 2)),
    "late_sound": Variant(
        track=BFRAMES,
        sound=SoundTrack(start=Fraction(2, 5)),
        container={"movie_timescale": "48000"},  # edit lists are kept in its units
    ),
    "edit_list": Variant(
        track=BFRAMES,
        skipped=7,
        finish=lambda path: surgery.skip_by_edit_list(path, 7 * 512, round(7 / 30 * 1000)),
    ),
    "ts": TS,
    "ts_ten_hours": replace(TS, edit=later(TEN_HOURS)),
    "ts_wrap": replace(TS, edit=later(BEFORE_WRAP)),
    "mkv_sound_first": Variant("mkv", BFRAMES, picture_delay=Fraction(3, 10), tick=MILLISECOND),
    "sound_gap": Variant(
        "mkv",
        BFRAMES,
        edit=without_sound(Fraction(1, 2), Fraction(9, 10)),
        tick=MILLISECOND,
        sound_gap=(Fraction(1, 2), Fraction(9, 10)),
    ),
    "resolution_change": replace(SILENT_TS, parts=(replace(SILENT_TS, size=(144, 96), first=45),)),
    "clashing_parameters": replace(
        SILENT_TS, parts=(replace(SILENT_TS, track=OTHER_PARAMETERS, first=45),)
    ),
    "one_frame": Variant(count=1),
    "no_sound": Variant(sound=None),
    "only_sound": Variant("m4a", count=0),
}

NAMES = (
    "two words", "it's", 'say "hi"', "[brackets] (round) {curly}", "emoji 🎬", "-dash",
    "50% off", "frame_%03d", "12:30", "a#b?c&d", "back\\slash", "ünïcödé 日本", "*star*",
)  # fmt: skip
