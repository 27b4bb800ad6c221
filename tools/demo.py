"""The demo: make a few videos with sound, probe them, turn them into frame databases, and draw
sheets of both.

    python -m tools.demo --out demo

The videos are as unlike as those people own: four codecs, five containers, constant and
variable rates, a phone held upright, pixels that are not square, and a recording whose clock
starts at ten hours.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import tyro

from data.catalog import JPG, Catalog
from data.media import open_video
from data.mediainfo import VideoInfo
from data.store import FrameStore
from tools.convert import convert, one_line
from tools.encode import PictureTrack, SoundTrack, move, write_video
from tools.scenes import SCENES, SOUND_RATE
from tools.sheet import Row, draw_sheet, pictures_that_fit
from tools.show import row as store_row
from tools.terminal import columns, rate_text, start_logging, time_text

log = logging.getLogger(__name__)

SECONDS = 6
LEVELS = (160, 96)
CLIPS = 20  # of each video, to measure by
TEN_HOURS = 36000
HEADINGS = ("file", "size", "codec", "fps", "frames", "length", "sound", "clock from")
AAC = SoundTrack()
OPUS = SoundTrack(codec="libopus", sample_format="flt", options={"b": "96k"})
MP2 = SoundTrack(codec="mp2", sample_format="s16", options={"b": "192k"})
X265 = {"preset": "ultrafast", "crf": "24", "x265-params": "log-level=none"}
VP9 = {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
MPEG2 = {"b": "4M", "bf": "2", "flags": "+ildct+ilme"}


@dataclass(frozen=True)
class Recording:
    """One demo video, `size` as shown. `turned` lays it on its side, as a phone stores it."""

    file: str
    scene: str
    size: tuple[int, int]
    track: PictureTrack
    sound: SoundTrack | None = AAC
    uneven: bool = False
    turned: bool = False
    clock_start: int = 0


RECORDINGS = (
    Recording("bouncing ball.mp4", "ball", (640, 360),
              PictureTrack(options={"preset": "veryfast", "crf": "23"})),
    Recording("clock.mkv", "clock", (480, 270),
              PictureTrack("libx265", rate=Fraction(30000, 1001), options=X265)),
    Recording("starfield.webm", "stars", (426, 240),
              PictureTrack("libvpx-vp9", rate=Fraction(24), options=VP9), OPUS),
    Recording("held upright.mov", "bars", (270, 480),
              PictureTrack(rate=Fraction(30), time_base=Fraction(1, 600), rotation=-90,
                           options={"preset": "veryfast"}), uneven=True, turned=True),
    Recording("broadcast.ts", "card", (512, 288),
              PictureTrack("mpeg2video", rate=Fraction(25), pixel_aspect=Fraction(16, 11),
                           options=MPEG2), MP2, clock_start=TEN_HOURS),
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Make a few videos with sound, probe them, turn them into frame databases."""

    out: Path = Path("demo")
    """Folder for the videos, the dataset and the sheets; made if it is not there."""


def main(options: Options) -> int:
    folder = options.out / "videos"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.error("the folder %s cannot be made (%s); name another: --out", folder, error.strerror)
        return 1
    rows: list[Row] = []
    table: list[tuple[str, ...]] = [HEADINGS]
    for recording in RECORDINGS:
        log.info("making %s", folder / recording.file)
        path = make(recording, folder)
        info, row = look(path)
        rows.append(row)
        table.append(table_row(info))
    sheet = options.out / "sheet.png"
    draw_sheet(f"{len(rows)} videos, read by Reelgrid", rows).save(sheet)
    print(columns(table))
    print(f"\nThe sheet of their frames: {sheet}")
    print(f"Look closer at one: .venv/bin/python -m tools.probe '{folder / RECORDINGS[-1].file}'\n")
    return build_dataset(folder, options.out)


def build_dataset(videos: Path, out: Path) -> int:
    """Convert the videos, read clips from the result, draw a sheet of it."""
    dataset, sheet = out / "dataset", out / "dataset.png"
    log.info("converting the videos to %s", dataset)
    summary = convert(videos, dataset, levels=LEVELS, overwrite=True)
    print(one_line(summary))
    if summary.failures:
        return 1
    names = [entry.name for entry in Catalog(dataset)]
    rows = [store_row(name, dataset / JPG / name) for name in names]
    draw_sheet(f"{len(rows)} frame databases", rows).save(sheet)
    for side in (None, *LEVELS):
        print(clip_speed(dataset, names, side))
    print(f"\nThe sheet of the databases: {sheet}")
    print(f"Audit them: .venv/bin/python -m tools.check {dataset}")
    return 0


def clip_speed(dataset: Path, names: Sequence[str], short_side: int | None) -> str:
    """Read random clips of 16 frames on one core, and say how fast."""
    random = np.random.default_rng(1)
    stores = [FrameStore(dataset / JPG / name) for name in names]
    starts = [(store, int(random.integers(len(store) - 31))) for store in stores * CLIPS]
    began = time.perf_counter()
    for store, start in starts:
        store.frames(range(start, start + 32, 2), short_side)
    speed = len(starts) / (time.perf_counter() - began)
    what = "full size" if short_side is None else f"level {short_side}"
    return f"random clips of 16 frames, {what:>9}: {speed:5.0f} a second on one core"


def make(recording: Recording, folder: Path) -> Path:
    """Encode one recording; the same pictures and sound at every call."""
    sound = None
    if recording.sound:
        sound = (recording.sound, SCENES[recording.scene].sound(SECONDS))

    def shift(packet: av.Packet) -> bool:
        move(packet, recording.clock_start)
        return True

    pictures = (recording.track, _frames(recording))
    return write_video(folder / recording.file, pictures, sound, edit=shift)


def _frames(recording: Recording) -> Iterator[av.VideoFrame]:
    track, draw = recording.track, SCENES[recording.scene].picture
    base = track.time_base or 1 / track.rate
    step = round(1 / (track.rate * base))
    pts = 0
    while pts * base < SECONDS:
        picture = draw(float(pts * base), *recording.size)
        if recording.turned:
            picture = np.ascontiguousarray(np.rot90(picture))
        height, width = picture.shape[:2]
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
            round(width / track.pixel_aspect), height, track.pixel_format
        )
        frame.pts = pts
        yield frame
        # A phone in poor light holds some pictures twice as long.
        pts += step * 2 if recording.uneven and pts // step % 5 == 0 else step


def look(path: Path) -> tuple[VideoInfo, Row]:
    """Read a video back: its facts, a few evenly spaced pictures, and its sound."""
    with open_video(path) as video:
        info = video.measure()
        length = info.found.seconds if info.found else Fraction(0)
        count = pictures_that_fit(info.size)
        moments = [length * (2 * at + 1) / (2 * count) for at in range(count)]
        frames = [video.frame_at(moment) for moment in moments]
        sound = video.audio(0, length, rate=SOUND_RATE)[:, 0] if info.sounds else None
        row = Row(
            title=path.name,
            lines=[
                f"{info.codec}, {rate_text(info.rate)} fps",
                "{}x{}".format(*info.size) + _coded_as(info),
                *(note for note in info.notes),
            ],
            pictures=[frame.rgb(short_side=264) for frame in frames],
            captions=[time_text(frame.time) for frame in frames],
            sound=sound,
        )
    return info, row


def _coded_as(info: VideoInfo) -> str:
    return "" if info.size == info.coded_size else ", coded {}x{}".format(*info.coded_size)


def table_row(info: VideoInfo) -> tuple[str, ...]:
    found, sounds = info.found, info.sounds
    return (
        Path(info.path).name,
        "{}x{}".format(*info.size),
        info.codec,
        rate_text(info.rate),
        str(found.frames) if found else "?",
        time_text(found.seconds) if found else "?",
        f"{sounds[0].codec} {sounds[0].rate} Hz" if sounds else "none",
        time_text(info.zero * info.time_base),
    )


if __name__ == "__main__":
    start_logging()
    sys.exit(main(tyro.cli(Options, prog="python -m tools.demo")))
