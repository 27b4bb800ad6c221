"""Sound: any range at any rate is a window on the same samples."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import gcd
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.media import open_sound, open_video
from data.sound import Block, resample
from tests import barcode, synth
from tools.encode import SoundTrack, write_video

EXACT = (
    "bframes",
    "all_keyframes",
    "all_keyframes_opus",
    "ogg",
    "ts",
    "ts_ten_hours",
    "late_video",
    "mpeg2_program",
    "mpeg4_avi",
)
COARSE = ("mkv_sound_first", "vp9", "ntsc_mkv")
RATES = (48000, 44100, 16000, 8000)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", EXACT)
def test_a_range_is_a_slice_of_the_whole(media, name: str, rate: int):
    with open_video(media(name).path) as video:
        whole = video.audio(-1, 3, rate)
        for start, stop in ((1.2, 1.4), (0.31, 0.9), (0, 0.05), (-0.3, 0.2), (0.31, 0.9)):
            piece = video.audio(start, stop, rate)
            first = round(Fraction(str(start)) * rate) + rate
            expected = whole[first : first + len(piece)]
            assert len(piece) == round(Fraction(str(stop)) * rate) - first + rate
            # A decoder that starts elsewhere may round differently in the last bits.
            assert np.abs(piece - expected).max() < 2e-3


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", EXACT + COARSE)
def test_ranges_read_one_after_the_other_join_without_a_seam(media, name: str, rate: int):
    with open_video(media(name).path) as video:
        whole = video.audio(0, Fraction(3, 2), rate)
    with open_video(media(name).path) as video:
        edges = [Fraction(at, 7) for at in range(0, 10)] + [Fraction(3, 2)]
        pieces = [video.audio(start, stop, rate) for start, stop in pairwise(edges)]
    joined = np.concatenate(pieces)
    assert joined.shape == whole.shape
    assert np.abs(joined - whole).max() < 1e-6


@pytest.mark.parametrize("name", COARSE)
def test_a_jump_in_a_coarse_container_is_right_to_its_tick(media, name: str):
    made = media(name)
    with open_video(made.path) as video:
        for start in (1.1, 0.2, 0.9, 0.4):
            begin = Fraction(str(start))
            heard = video.audio(begin, begin + Fraction(3, 10), 48000)[:, 0]
            own = begin - made.sound_start
            expected = barcode.noise_at(own, own + Fraction(3, 10), 48000, synth.SECONDS_OF_NOISE)
            assert abs(barcode.lag(heard, expected, 48000)) <= 0.0011


def test_a_gap_is_silence_of_its_own_length(media):
    made = media("sound_gap")
    start, stop = made.variant.sound_gap
    with open_video(made.path) as video:
        heard = np.abs(video.audio(0, Fraction(3, 2), 48000)[:, 0])
    loud = heard.reshape(-1, 480).max(axis=1) > 1e-3  # in steps of 10 ms
    silent = np.flatnonzero(~loud) / 100
    assert abs(silent[0] - float(start)) <= 0.03  # packets are dropped whole
    assert abs(silent[-1] - float(stop)) <= 0.03
    assert loud[int(stop * 100) + 3 :].all()
    with open_video(made.path) as video:  # and what follows is still in time
        heard = video.audio(1, Fraction(3, 2), 48000)[:, 0]
    expected = barcode.noise_at(Fraction(1), Fraction(3, 2), 48000, synth.SECONDS_OF_NOISE)
    assert abs(barcode.lag(heard, expected, 48000)) <= 0.0005


def test_a_single_lost_packet_is_a_gap_too(tmp_path: Path):
    lost = {10}
    count = iter(range(1000))

    def edit(packet: av.Packet) -> bool:
        return packet.stream.type != "audio" or next(count) not in lost

    variant = synth.Variant("mkv", synth.BFRAMES)
    path = tmp_path / "x.mkv"
    pictures = (variant.track, (barcode.barcode_frame(at, (96, 64), "yuv420p") for at in range(45)))
    samples = barcode.noise(synth.SECONDS_OF_NOISE)[:72000]
    write_video(path, pictures, (SoundTrack(), samples), edit=edit)
    with open_video(path) as video:
        heard = video.audio(0, Fraction(3, 2), 48000)[:, 0]
    expected = barcode.noise_at(Fraction(0), Fraction(3, 2), 48000, synth.SECONDS_OF_NOISE)
    assert abs(barcode.lag(heard[24000:], expected[24000:], 48000)) <= 0.0005


def test_before_and_after_there_is_silence(media):
    with open_video(media("late_sound").path) as video:
        assert not video.audio(0, Fraction(3, 10), 48000).any()
        assert video.audio(Fraction(1, 2), 1, 48000).any()
        assert not video.audio(50, 51, 48000).any()
        assert not video.audio(-9, -8, 48000).any()
        assert video.audio(1, 1, 48000).shape == (0, 1)
        assert video.audio(1, 0, 48000).shape == (0, 1)


@pytest.mark.parametrize("rate", [1, 10, 50, 99, 1_000_000])
def test_any_rate_gives_as_many_samples(media, rate: int):
    with open_video(media("bframes").path) as video:
        for start in (0, 0.1, 0.73):
            begin, end = Fraction(str(start)), Fraction(str(start)) + Fraction(1, 10)
            count = round(end * rate) - round(begin * rate)
            assert video.audio(begin, end, rate).shape == (count, 1)


def test_a_closed_sound_says_so(media):
    with open_sound(media("only_sound").path) as sound:
        sound.read(Fraction(0), Fraction(1), 16000, 1)
    with pytest.raises(ValueError, match="is closed; open it again"):
        sound.read(Fraction(0), Fraction(1), 16000, 1)


def test_channels_are_kept_mixed_or_doubled(tmp_path: Path):
    left = barcode.noise(synth.SECONDS_OF_NOISE)[:48000, 0]
    right = np.roll(left, 9000)
    path = tmp_path / "x.mkv"
    pcm = SoundTrack("pcm_f32le", sample_format="flt")
    write_video(path, None, (pcm, np.stack([left, right], axis=1)), container="matroska")
    pictures = synth.write(synth.Variant("mkv", sound=None), tmp_path / "p.mkv")
    both = _mux(pictures, path, tmp_path / "both.mkv")
    with open_video(both) as video:
        stereo = video.audio(0, 1, 48000, channels=2)
        mono = video.audio(0, 1, 48000, channels=1)
    assert np.abs(stereo[100:-100] - np.stack([left, right], axis=1)[100:-100]).max() < 1e-6
    assert np.abs(mono[100:-100, 0] - (left + right)[100:-100] / 2).max() < 1e-3
    with open_video(synth.write(synth.Variant(), tmp_path / "m.mp4")) as video:
        doubled = video.audio(0, 1, 16000, channels=2)
        assert (doubled[:, 0] == doubled[:, 1]).all()
        assert (doubled[:, :1] == video.audio(0, 1, 16000)).all()


def _mux(pictures: Path, sound: Path, path: Path) -> Path:
    with av.open(str(pictures)) as one, av.open(str(sound)) as two, av.open(str(path), "w") as out:
        streams = one.streams[0], two.streams[0]
        tracks = [out.add_stream_from_template(stream) for stream in streams]
        for source, track in ((one, tracks[0]), (two, tracks[1])):
            _copy(source, track, out)
    return path


def _copy(source, track, out) -> None:
    for packet in source.demux():
        if packet.dts is not None:
            packet.stream = track
            out.mux(packet)


def test_an_array_of_microphones_is_averaged():
    samples = np.random.default_rng(1).uniform(-1, 1, (4800, 16)).astype(np.float32)
    first, mono = resample(Block(0, 48000, samples), 48000, 1)
    assert (first, mono.shape) == (0, (4800, 1))
    assert np.abs(mono[:, 0] - samples.mean(axis=1)).max() < 1e-6


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f64le"])
def test_every_sample_format_has_the_same_loudness(codec: str, tmp_path: Path):
    samples = barcode.noise(synth.SECONDS_OF_NOISE)[:48000]
    form = {"u8": "u8", "s1": "s16", "f6": "dbl"}.get(codec[4:6], "s32")
    sound = write_video(
        tmp_path / "x.wav", None, (SoundTrack(codec, sample_format=form, options={}), samples)
    )
    pictures = synth.write(synth.Variant("mkv", sound=None), tmp_path / "p.mkv")
    with open_video(_mux(pictures, sound, tmp_path / "both.mkv")) as video:
        heard = video.audio(0, 1, 48000)
    coarse = 2 / 128 if codec == "pcm_u8" else 1e-4
    assert np.abs(heard - samples).max() <= coarse


@settings(deadline=None, max_examples=40)
@given(
    position=st.integers(-100_000, 100_000),
    source=st.sampled_from([48000, 44100, 32000, 22050, 16000, 11025]),
    rate=st.sampled_from([48000, 44100, 16000, 8000]),
)
def test_resampling_moves_nothing(position: int, source: int, rate: int):
    """A slow sine, wherever it starts, comes out as the same sine on the new grid."""
    time = (position + np.arange(source // 2)) / source
    run = Block(position, source, np.sin(2 * np.pi * 220 * time).astype(np.float32)[:, None])
    first, samples = resample(run, rate, 1)
    expected = np.sin(2 * np.pi * 220 * (first + np.arange(len(samples))) / rate)
    inner = slice(rate // 10, -rate // 10)
    assert np.abs(samples[inner, 0] - expected[inner]).max() < 2e-3
    assert 0 <= Fraction(position, source) - Fraction(first, rate) < Fraction(1, gcd(source, rate))


def test_a_sound_that_changes_its_rate_stays_in_time(tmp_path: Path):
    """Two pieces of MPEG audio, 48 and 44.1 kHz, one after the other in a transport stream."""
    noise = barcode.noise(synth.SECONDS_OF_NOISE)
    pictures = replace(synth.SILENT_TS, count=90)
    frames = (barcode.barcode_frame(at, (96, 64), "yuv420p") for at in range(45))
    later_frames = (barcode.barcode_frame(at, (96, 64), "yuv420p") for at in range(45, 90))
    first = (SoundTrack("mp2", sample_format="s16"), noise[:72000])
    grid = np.arange(round(1.5 * 44100)) / 44100 + 1.5
    low = np.interp(grid, np.arange(len(noise)) / 48000, noise[:, 0]).astype(np.float32)[:, None]
    second = (SoundTrack("mp2", rate=44100, sample_format="s16"), low)
    a = write_video(tmp_path / "a.ts", (pictures.track, frames), first,
                    edit=synth.later(Fraction(1))())  # fmt: skip
    b = write_video(tmp_path / "b.ts", (pictures.track, later_frames), second,
                    edit=synth.later(Fraction(5, 2))())  # fmt: skip
    path = tmp_path / "x.ts"
    path.write_bytes(a.read_bytes() + b.read_bytes())
    with open_video(path) as video:
        for start, stop in ((Fraction(1, 2), Fraction(1)), (Fraction(2), Fraction(5, 2))):
            heard = video.audio(start, stop, 48000)[:, 0]
            expected = barcode.noise_at(start, stop, 48000, synth.SECONDS_OF_NOISE)
            lag = barcode.lag(heard, expected, 48000)
            assert abs(lag) < 0.012  # MP2's own delay: 10 ms
            aligned = np.roll(heard, -round(lag * 48000))
            assert np.corrcoef(aligned[1000:-1000], expected[1000:-1000])[0, 1] > 0.9  # and pitch
