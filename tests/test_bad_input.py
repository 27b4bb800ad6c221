"""Every bad input by name: a clear message at once, or what is whole in it and a note."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from data.faults import MediaError
from data.media import open_sound, open_video, probe
from data.packets import Clock, Damage
from tests import barcode, surgery
from tests.synth import (
    BFRAMES,
    HEVC,
    MPEG4,
    PLAIN,
    VP9,
    Variant,
    without_keyframes,
    without_pictures,
    write,
    x264,
)
from tools.encode import PictureTrack

FAST_START = {"movflags": "+faststart"}
SILENT = Variant(sound=None)
KEY = "00112233445566778899aabbccddeeff"
ENCRYPTION = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": KEY, "encryption_kid": KEY}
ONE_GOP = PictureTrack(options=x264("keyint=infinite:scenecut=0:bframes=0"))
UNEVEN = Variant(
    track=replace(PLAIN, time_base=Fraction(1, 15000)),
    stamp=lambda at: 500 * at + at // 29,
    count=30,
    sound=None,
    container={"use_editlist": "0"},
)

Maker = Callable[[Path], object]


def data(content: bytes) -> Maker:
    return lambda path: path.write_bytes(content)


def video(variant: Variant, damage: Callable[[Path], object] = lambda path: None) -> Maker:
    return lambda path: damage(write(variant, path))


REFUSED: dict[str, tuple[str, Maker, str]] = {
    "no such file": ("x.mp4", lambda path: None, "does not exist; check the spelling"),
    "a broken link": ("x.mp4", lambda path: path.symlink_to("nowhere"), "is a link to a file"),
    "an empty file": ("x.mp4", data(b""), r"is empty \(0 bytes\); copy or download it again"),
    "a folder": ("x.mp4", lambda path: path.mkdir(), "is a folder; name a file in it"),
    "a pipe": ("x.mp4", os.mkfifo, "is a pipe; save it to a file first"),
    "text": ("x.mp4", data(b"Dear diary,\n" * 99), "is text, not video"),
    "text in another alphabet": ("x.mp4", data("Ежедневник\n".encode() * 99), "is text, not video"),
    "a web page": ("x.mp4", data(b"<!DOCTYPE html><title>404</title>"), "is text, not video"),
    "a playlist": (
        "x.mp4",
        data(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n"),
        "is text, not video",
    ),
    "a list of files": ("x.mp4", data(b"ffconcat version 1.0\nfile a.mp4\n"), "is text"),
    "subtitles": (
        "x.mp4",
        data(b"1\n00:00:01,000 --> 00:00:02,000\nHi\n"),
        "is not a video: it holds neither pictures nor sound",
    ),
    "noise": ("x.mp4", data(bytes(range(256)) * 40), r"is not a video file \(Invalid data"),
    "zero bytes": ("x.mp4", data(bytes(9999)), r"is not a video file \(Invalid data"),
    "a recording cut off before its index": (
        "x.mp4",
        video(Variant(), lambda path: surgery.cut_short(path, 0.5)),
        r"has no index \(no readable 'moov' box\): its recording or copying was cut off",
    ),
    "zero frames": (
        "x.mkv",
        video(Variant("mkv", count=3, edit=without_pictures)),
        "has a video track without a single frame",
    ),
    "no keyframe": (
        "x.ts",
        video(Variant("ts", ONE_GOP, sound=None, edit=without_keyframes)),
        "has no keyframe among its 44 h264 packets to start decoding from; its beginning is miss",
    ),
    "encrypted": ("x.mp4", video(replace(SILENT, container=ENCRYPTION)), "is encrypted; Reelgrid"),
    "an unknown codec": (
        "x.mp4",
        video(replace(SILENT, track=MPEG4), surgery.rename_codec),
        "is coded in a way FFmpeg does not know; convert it first",
    ),
    "a scrambled broadcast": (
        "x.ts",
        video(Variant("ts", PLAIN, sound=None), surgery.scramble_transport),
        r"is encrypted \(a scrambled transport stream\); use an open copy",
    ),
    "nothing but damage": (
        "x.mp4",
        video(replace(SILENT, track=MPEG4), surgery.scramble_all),
        "has 45 mpeg4 packets of which not one decodes; it is damaged",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(case: str, tmp_path: Path, open_files):
    name, make, message = REFUSED[case]
    path = tmp_path / name
    make(path)
    before = open_files()
    for use in (probe, open_video):
        with pytest.raises(MediaError, match=message) as caught:
            use(path)
        assert repr(str(path)) in str(caught.value)
    assert open_files() == before


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/tty"])
def test_a_device_is_refused_without_being_opened(device: str):
    with pytest.raises(MediaError, match="is a device; name a video file"):
        probe(device)


def test_a_name_with_a_zero_byte_is_no_file_name():
    with pytest.raises(MediaError, match="is not a file name"):
        probe("a\0b.mp4")


def test_a_file_that_may_not_be_read_says_so(open_folder: Path):
    path = write(SILENT, open_folder / "private.mp4")
    path.chmod(0)
    message = _as_an_ordinary_user(lambda: probe(path))
    assert message == (
        f"{str(path)!r} may not be read (permission denied); ask for read permission"
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _as_an_ordinary_user(use: Callable[[], object]) -> str:
    """The MediaError that `use` raises in a process that is not root."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            use()
            answer = "nothing was refused"
        except MediaError as error:
            answer = str(error)
        except BaseException as error:
            answer = repr(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def test_a_sound_track_that_is_not_there_is_named(tmp_path: Path):
    path = write(SILENT, tmp_path / "x.mp4")
    with open_video(path) as silent, pytest.raises(MediaError, match="has no sound; track 0 was"):
        silent.audio(0, 1)
    with pytest.raises(MediaError, match="has 0 sound tracks; track 0 was asked for"):
        open_sound(path)
    loud = write(Variant(), tmp_path / "y.mp4")
    with open_video(loud) as one, pytest.raises(MediaError, match=r"1 sound track\(s\), counted"):
        one.audio(0, 1, track=1)


def test_a_sound_in_an_unknown_codec_is_named(tmp_path: Path):
    path = surgery.rename_sound_codec(write(Variant(), tmp_path / "x.mp4"))
    message = "a sound track 0 that is coded in a way FFmpeg does not know"
    with open_video(path) as opened:
        assert len(list(opened.frames())) == 45
        with pytest.raises(MediaError, match=message):
            opened.audio(0, 1)
    with pytest.raises(MediaError, match=message):
        open_sound(path)
    alone = surgery.rename_sound_codec(write(Variant("m4a", count=0), tmp_path / "x.m4a"))
    with pytest.raises(MediaError, match=r"holds only sound \(unknown\)"):
        probe(alone)


def test_an_error_travels_between_processes_whole():
    error = MediaError("a b.mp4", "is odd", "leave it")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.reason) == (str(error), "a b.mp4", "is odd")


# -- what is damaged, odd or tiny, and read all the same ----------------------------------------


def indices(path: Path) -> list[int | None]:
    with open_video(path) as opened:
        return [barcode.read(frame.rgb()) for frame in opened.frames()]


CUT = {
    "mp4": (replace(SILENT, container=FAST_START), 0.6),
    "mkv": (Variant("mkv", BFRAMES), 0.6),
    "ts": (Variant("ts", PLAIN), 0.6),
    "avi": (Variant("avi", PictureTrack("mpeg4", options={"q": "3", "bf": "0"}), sound=None), 0.9),
}


@pytest.mark.parametrize("suffix", CUT)
def test_a_file_cut_short_gives_all_pictures_before_the_cut(suffix: str, tmp_path: Path):
    variant, keep = CUT[suffix]
    path = write(variant, tmp_path / f"x.{suffix}")
    surgery.cut_short(path, keep)
    shown = indices(path)
    whole = [at for at in shown if at is not None]
    assert whole[:-4] == list(range(len(whole) - 4))
    assert whole == sorted(whole)  # at the cut, one may be missing that others lean on
    assert 15 <= len(whole) < 45
    assert len(shown) - len(whole) <= 2  # or half there
    info = probe(path, decode_all=True)
    assert info.found
    assert info.found.frames == len(shown)


DAMAGED = {
    "mp4": replace(SILENT, container=FAST_START, track=BFRAMES),
    "mkv": Variant("mkv", BFRAMES, sound=None),
    "ts": Variant("ts", BFRAMES, sound=None),
    "webm": Variant("webm", VP9, sound=None),
    "mov": Variant("mov", HEVC, sound=None, container=FAST_START),
}


@pytest.mark.parametrize("suffix", DAMAGED)
def test_damage_in_the_middle_costs_only_what_depends_on_it(suffix: str, tmp_path: Path):
    path = write(DAMAGED[suffix], tmp_path / f"x.{suffix}")
    surgery.scramble(path, 0.45, 0.5)
    shown = indices(path)
    assert shown[:12] == list(range(12))  # before the damage
    assert shown[-12:] == list(range(33, 45))  # after the next keyframe
    info = probe(path, decode_all=True)
    assert any(word in " ".join(info.notes) for word in ("damaged", "missing", "no picture"))
    assert info.rate == 30  # the rhythm of what is there, not the mean over the hole
    with open_video(path) as opened:  # and seeking past it finds the same
        later = next(opened.frames(start=Fraction(40, 30) - Fraction(1, 1000)))
        assert barcode.read(later.rgb()) == 40


@pytest.mark.parametrize(
    ("suffix", "variant", "promise"),
    [
        ("mp4", UNEVEN, surgery.promise_endless),
        ("mkv", replace(UNEVEN, suffix="mkv", container={}), surgery.promise_endless_matroska),
    ],
)
def test_a_header_that_promises_143165_seconds_is_not_believed(suffix, variant, promise, tmp_path):
    path = promise(write(variant, tmp_path / f"x.{suffix}"))
    info = probe(path)
    assert info.seconds_claimed
    assert info.seconds_claimed > 143000
    assert info.found
    assert (info.found.frames, round(info.found.seconds, 2)) == (30, 1)
    assert any("claims 14316" in note and "last 1.00 s" in note for note in info.notes)
    assert indices(path) == list(range(30))


@pytest.mark.parametrize("codec", ["ffv1", "rawvideo"])
def test_one_pixel_is_a_picture(codec: str, tmp_path: Path):
    track = PictureTrack(codec, "yuv420p" if codec == "rawvideo" else "yuv444p")
    path = write(Variant("mkv", track, size=(1, 1), count=5, sound=None), tmp_path / "x.mkv")
    with open_video(path) as tiny:
        assert tiny.info.size == (1, 1)
        assert [frame.rgb().shape for frame in tiny.frames()] == [(1, 1, 3)] * 5


def test_an_absurd_pixel_aspect_is_not_obeyed(tmp_path: Path):
    track = replace(PLAIN, pixel_aspect=Fraction(12, 1))
    path = write(replace(SILENT, track=track, count=2), tmp_path / "x.mp4")
    assert "pasp" in str(path.read_bytes())  # the file does ask for it
    assert probe(path).size == (96, 64)


def test_a_clock_that_is_set_back_goes_on(tmp_path: Path):
    """Two recordings glued together, each with a clock of its own."""
    variant = Variant("ts", PLAIN, sound=None, count=30)
    parts = [
        write(variant, tmp_path / "a.ts"),
        write(replace(variant, first=30, stamp=lambda at: at - 60), tmp_path / "b.ts"),
    ]
    path = surgery.join(tmp_path / "x.ts", *parts)
    with open_video(path) as mended:
        frames = list(mended.frames())
        assert [barcode.read(frame.rgb()) for frame in frames] == list(range(60))
        assert [frame.time for frame in frames] == [Fraction(at, 30) for at in range(60)]
        assert mended.damage.clock_resets == 1
        assert not mended.damage
        # What was found is remembered: seeking now finds the second recording too.
        assert barcode.read(mended.frame_at(Fraction(3, 2)).rgb()) == 45
        keys = {frame.time: barcode.read(frame.rgb()) for frame in mended.frames(keyframes=True)}
    for decode_all in (False, True):
        info = probe(path, decode_all)
        assert "1 clock set back" in " ".join(info.notes)
        assert info.found
        assert (info.found.frames, info.found.seconds, info.rate) == (60, 2, 30)
        assert info.found.keyframes == tuple(keys)
    assert keys == {Fraction(at, 30): at for at in (0, 15, 30, 45)}


@pytest.mark.parametrize(
    ("given", "placed", "mended", "resets"),
    [
        ([0, 3, 6, 9], [0, 3, 6, 9], 0, 0),
        ([5, 8, 100, 103], [5, 8, 100, 103], 0, 0),  # a gap is kept
        ([0, 3, 3, 6, 9], [0, 3, 4, 6, 9], 1, 0),  # given twice
        ([0, 3, 6, 5, 9], [0, 3, 6, 7, 9], 1, 0),  # a little back
        ([200, 203, 0, 3, 6], [200, 203, 206, 209, 212], 0, 1),  # set back
        ([200, 203, 0, 3, 6, -50, -47], [200, 203, 206, 209, 212, 215, 218], 0, 2),  # twice
        ([30, 33, 0, 39, 42], [30, 33, 36, 39, 42], 0, 1),  # one wild stamp
        ([None, None, 6, 9], [0, 3, 6, 9], 2, 0),  # not given
        ([-9, -6, -3, 0], [-9, -6, -3, 0], 0, 0),
    ],
)
def test_times_always_ascend(given, placed, mended, resets):
    damage = Damage()
    clock = Clock(Fraction(1, 90), Fraction(30), damage)
    assert [clock.place(SimpleNamespace(pts=pts, dts=None)) for pts in given] == placed
    assert (damage.mended_times, damage.clock_resets) == (mended, resets)
