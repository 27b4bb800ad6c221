"""The reader's contract, held for every variant in the table of tests/synth.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from data.faults import MediaError
from data.frame import Frame
from data.media import Video, open_sound, open_video, probe
from tests import barcode, synth
from tools.encode import PictureTrack, SoundTrack

WITH_PICTURES = [name for name, variant in synth.VARIANTS.items() if variant.count]
WITH_SOUND = [name for name in WITH_PICTURES if synth.VARIANTS[name].sound]
Media = Callable[[str], synth.Made]
HALF_MILLISECOND = Fraction(1, 2000)


def index(frame: Frame) -> int | None:
    return barcode.read(frame.rgb())


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_every_picture_comes_once_in_order_at_its_time_in_its_size(media: Media, name: str):
    made = media(name)
    with open_video(made.path) as video:
        assert video.info.size == made.size
        frames = list(video.frames())
        assert [index(frame) for frame in frames] == made.indices
        for frame, time in zip(frames, made.times, strict=True):
            assert abs(frame.time - time) <= made.variant.tick
            assert frame.rgb().shape == (made.size[1], made.size[0], 3)
            assert frame.interlaced == made.variant.interlaced
        assert not video.damage, str(video.damage)
    assert frames[0].time == 0
    assert all(frame.time == (frame.pts - frames[0].pts) * video.info.time_base for frame in frames)


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_seeking_gives_the_same_pictures_as_reading_through(media: Media, name: str):
    made = media(name)
    with open_video(made.path) as video:
        times = [frame.time for frame in video.frames()]
        for at in random.Random(name).sample(range(len(times)), min(8, len(times))):
            first = next(video.frames(start=times[at]))
            assert (index(first), first.time) == (made.indices[at], times[at])
            assert index(video.frame_at(times[at])) == made.indices[at]
            assert index(video.frame_at(times[at] + Fraction(1, 1000))) == made.indices[at]


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_a_passage_holds_exactly_its_half_open_range(media: Media, name: str):
    made = media(name)
    third = len(made.indices) // 3
    with open_video(made.path) as video:
        times = [frame.time for frame in video.frames()]
        first, last = times[third], times[2 * third]
        passage = [index(frame) for frame in video.frames(first, last)]
        assert passage == made.indices[third : 2 * third]


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_keyframes_are_those_the_packets_name_and_show_what_they_should(media: Media, name: str):
    made = media(name)
    packets, decoded = probe(made.path).found, probe(made.path, decode_all=True).found
    assert packets
    assert decoded
    with open_video(made.path) as video:
        shown = {frame.time: index(frame) for frame in video.frames()}
        keys = {frame.time: index(frame) for frame in video.frames(keyframes=True)}
        assert keys.items() <= shown.items()
        assert sorted(keys) == list(decoded.keyframes)
        # An AVI gives no times for its pictures: there only decoding tells.
        assert packets.keyframes == (() if name == "mpeg4_avi_bframes" else decoded.keyframes)
        later = [frame.time for frame in video.frames(start=made.times[-1] / 2, keyframes=True)]
        assert later == [time for time in keys if time >= made.times[-1] / 2]


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_probing_counts_what_is_there(media: Media, name: str):
    made = media(name)
    info, decoded = probe(made.path), probe(made.path, decode_all=True)
    assert info.found
    assert decoded.found
    assert info.found.frames == decoded.found.frames == len(made.indices)
    track = made.variant.track
    if not made.variant.stamp:
        assert info.rate == decoded.rate == track.rate
    if len(made.indices) > 1:
        assert info.found.variable_rate == (made.variant.stamp is not None)
    if made.variant.sound:
        assert [sound.rate for sound in info.sounds] == [48000]
    assert info.coded_size == made.variant.size
    assert info.pixel_format == track.pixel_format
    assert info.interlaced == made.variant.interlaced


@pytest.mark.parametrize("name", WITH_SOUND)
def test_the_sound_lies_where_the_picture_says(media: Media, name: str):
    made = media(name)
    tolerance = max(HALF_MILLISECOND / 10, made.variant.tick / 2)
    with open_video(made.path) as video:
        for start, stop in ((Fraction(0), Fraction(1)), (Fraction(1, 4), Fraction(3, 4))):
            for rate in (48000, 16000):
                heard = video.audio(start, stop, rate)[:, 0]
                own = start - made.sound_start, stop - made.sound_start
                expected = barcode.noise_at(*own, rate, synth.SECONDS_OF_NOISE)
                assert len(heard) == len(expected)
                assert abs(barcode.lag(heard, expected, rate)) <= tolerance


# -- single facts -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", synth.NAMES)
def test_any_file_name_works(tmp_path, monkeypatch, name: str):
    made = synth.make("bframes", tmp_path, stem=name)
    monkeypatch.chdir(tmp_path)
    assert made.path.name == f"{name}.mp4"
    info = probe(made.path.name)  # relative, so that a leading dash leads
    assert info.found
    assert info.found.frames == 45
    with open_video(made.path) as video:
        assert len(video.audio(0, 1)) == 48000


def test_a_cover_picture_is_not_the_video(tmp_path, media: Media):
    path = synth.with_cover(media("bframes").path, tmp_path / "cover.mkv")
    assert b"cover.jpg" in path.read_bytes()
    info = probe(path)
    assert info.codec == "h264"
    assert info.found
    assert info.found.frames == 45


def test_sound_alone_is_read_as_sound_and_refused_as_video(media: Media):
    path = media("only_sound").path
    with pytest.raises(MediaError, match=r"is not a video: it holds only sound \(aac\)"):
        open_video(path)
    sound = open_sound(path)
    heard = sound.read(Fraction(0), Fraction(1), 48000, 1)[:, 0]
    sound.close()
    expected = barcode.noise_at(Fraction(0), Fraction(1), 48000, synth.SECONDS_OF_NOISE)
    assert abs(barcode.lag(heard, expected, 48000)) < 1e-4


def test_a_newer_passage_ends_the_older_one_loudly(media: Media):
    with open_video(media("bframes").path) as video:
        older = video.frames()
        next(older)
        next(video.frames())
        with pytest.raises(RuntimeError, match="this passage ended when another was begun"):
            next(older)


def test_a_closed_video_gives_no_more_pictures(media: Media):
    video = open_video(media("bframes").path)
    frames = video.frames()
    kept = next(frames)
    video.close()
    with pytest.raises(RuntimeError, match="the video was closed"):
        next(frames)
    assert index(kept) == 0  # a picture already handed out stays whole


def test_a_closed_video_says_so_whatever_is_asked(media: Media, open_files):
    before = open_files()
    video = open_video(media("bframes").path)
    video.close()
    video.close()
    for use in (
        lambda: next(video.frames()),
        lambda: video.frame_at(0),
        lambda: video.audio(0, 1),
        video.measure,
    ):
        with pytest.raises(ValueError, match="is closed; open it again to read from it"):
            use()
    assert open_files() == before


@pytest.mark.parametrize("name", ["bframes", "ts", "mkv_sound_first"])
def test_a_time_far_beyond_the_end_is_no_trouble(media: Media, name: str):
    with open_video(media(name).path) as video:
        assert list(video.frames(start=1e15)) == []
        assert index(video.frame_at(1e15)) == media(name).indices[-1]
        assert not video.audio(1e15, 1e15 + 1, 8000).any()


def test_a_track_that_shows_up_late_is_found(tmp_path):
    """A program stream whose picture begins after six megabytes of sound."""
    loud = SoundTrack("mp2", sample_format="s16", options={"b": "384k"})
    variant = replace(synth.VARIANTS["mpeg2_program"], picture_delay=Fraction(130), sound=loud)
    path = synth.write(variant, tmp_path / "late.mpg")
    info = probe(path)
    assert info.found
    assert info.found.frames == 45
    assert len(info.sounds) == 1


def test_closing_gives_back_every_file(media: Media, open_files):
    before = open_files()
    for name in ("bframes", "mkv_sound_first", "ts_wrap"):
        with open_video(media(name).path) as video:
            video.audio(0, 1)
            next(video.frames(start=1))
        probe(media(name).path)
    with pytest.raises(MediaError):
        open_video(media("only_sound").path)
    assert open_files() == before


def test_a_float_means_the_fraction_it_was_written_for(media: Media):
    with open_video(media("bframes").path) as video:
        assert next(video.frames(start=0.1)).time == Fraction(1, 10)
        assert next(video.frames(start=1 / 3)).time == Fraction(1, 3)
        assert [frame.time for frame in video.frames(stop=0.1)] == [0, Fraction(1, 30),
                                                                   Fraction(1, 15)]  # fmt: skip


def test_the_last_picture_stays_and_nothing_comes_before_the_first(media: Media):
    made = media("bframes")
    with open_video(made.path) as video:
        assert index(video.frame_at(1000)) == 44
        with pytest.raises(ValueError, match="shows nothing before 0, asked for -1"):
            video.frame_at(-1)
        assert list(video.frames(start=1000)) == []
        assert [index(frame) for frame in video.frames(start=-5, stop=0.05)] == [0, 1]


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -float("inf")])
def test_a_time_that_is_none_is_refused(media: Media, time: float):
    with open_video(media("bframes").path) as video:
        for use in (
            video.frame_at,
            lambda at: list(video.frames(at)),
            lambda at: video.audio(0, at),
        ):
            with pytest.raises(ValueError, match="a time is a finite number of seconds, got"):
                use(time)


def test_sizes_rates_and_channels_that_are_none_are_refused(media: Media):
    with open_video(media("bframes").path) as video:
        frame = next(video.frames())
        with pytest.raises(ValueError, match="at least 1x1, asked for 0x5"):
            frame.rgb(size=(0, 5))
        with pytest.raises(ValueError, match="at least 1, got 0"):
            frame.rgb(short_side=0)
        for rate, channels in ((-1, 1), (0, 1), (48000, 0), (48000, 9)):
            with pytest.raises(ValueError, match="a rate of at least 1 Hz and 1 to 8 channels"):
                video.audio(0, 1, rate, channels)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(media: Media, threads: int):
    with open_video(media("open_gop_deep").path, threads) as video:
        assert [index(frame) for frame in video.frames()] == media("open_gop_deep").indices


def test_a_changed_size_is_counted_and_pictures_keep_the_first(media: Media):
    with open_video(media("resolution_change").path) as video:
        shapes = {frame.rgb().shape for frame in video.frames()}
        assert shapes == {(64, 96, 3)}
        assert video.damage.size_changes == 1


def test_smaller_pictures_are_made_on_the_way(media: Media):
    with open_video(media("rotated_90").path) as video:
        frame = next(video.frames())
        assert frame.rgb(short_side=32).shape == (48, 32, 3)
        assert frame.rgb(short_side=900).shape == (96, 64, 3)
        assert frame.rgb(size=(30, 200)).shape == (200, 30, 3)
        assert barcode.read(frame.rgb(short_side=32)) == 0


def test_two_videos_are_read_side_by_side(media: Media):
    made = media("bframes")
    with Video(made.path) as one, Video(made.path) as other:
        for first, second in zip(one.frames(), other.frames(start=1), strict=False):
            assert second.time - first.time == 1


def test_a_stream_without_any_times_is_read_at_its_rate(tmp_path):
    """Raw H.264: nothing to seek by, so everything is read from the beginning."""
    variant = synth.Variant("h264", replace(synth.BFRAMES, rate=Fraction(25)), sound=None)
    path = synth.write(variant, tmp_path / "raw.h264")
    with open_video(path) as video:
        times = {frame.time: index(frame) for frame in video.frames()}
        assert times == {Fraction(at, 25): at for at in range(45)}
        keys = {frame.time: index(frame) for frame in video.frames(keyframes=True)}
        assert keys == {Fraction(at, 25): at for at in (0, 15, 30)}
        assert index(video.frame_at(1)) == 25
        assert index(next(video.frames(start=1.2))) == 30
    decoded = probe(path, decode_all=True).found
    assert decoded
    assert decoded.keyframes == tuple(keys)
    packets = probe(path).found
    assert packets
    assert packets.keyframes == ()  # only decoding would tell


def test_where_an_intra_refresh_begins_is_no_keyframe(tmp_path):
    track = PictureTrack(options=synth.x264("intra-refresh=1:keyint=15:bframes=2"))
    path = synth.write(synth.Variant(track=track, sound=None), tmp_path / "x.mp4")
    with open_video(path) as video:
        assert [(frame.time, index(frame)) for frame in video.frames(keyframes=True)] == [(0, 0)]
        assert [index(frame) for frame in video.frames(start=1)] == list(range(30, 45))
        assert [index(frame) for frame in video.frames()] == list(range(45))


def test_a_damaged_end_leaves_nothing_behind(tmp_path):
    """A decoder that met it gives other pixels after a flush; so it is not used again."""
    path = synth.write(replace(synth.TS, size=(320, 240), count=90), tmp_path / "x.ts")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with open_video(path, threads=1) as video:
        pictures = {frame.time: frame.rgb() for frame in video.frames()}
    for moment in list(pictures)[:-6:7]:
        with open_video(path, threads=1) as video:
            video.frame_at(100)
            assert (video.frame_at(moment).rgb() == pictures[moment]).all()


def test_a_track_that_its_header_hides_is_no_trouble(tmp_path):
    """A Flash video whose header speaks of pictures only, and whose sound begins midway."""
    late = synth.Variant("flv", synth.BFRAMES, sound=SoundTrack(start=Fraction(1)))
    path = synth.write(late, tmp_path / "x.flv")
    data = bytearray(path.read_bytes())
    data[4] = 1  # pictures, no sound
    path.write_bytes(data)
    info = probe(path, decode_all=True)
    assert info.found
    assert info.found.frames == 45
