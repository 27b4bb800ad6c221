"""Pictures of sound: the right rows, the right columns, the right grey, and black for silence."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.audio import Scale, Spectrogram, edges, picture

RATE = 16000
SCALES = get_args(Scale)
MEL = Spectrogram()
WHITE = 255


def sine(
    frequency: float, seconds: float = 0.5, amplitude: float = 1.0, rate: int = RATE
) -> np.ndarray:
    at = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * at)).astype(np.float32)


def levels(
    samples: np.ndarray, look: Spectrogram = MEL, size: int = 112, rate: int = RATE, around: int = 0
) -> np.ndarray:
    """Rows from the bottom up x columns, of a picture that is as it should be."""
    shown = picture(samples, rate, look, size, around)
    assert shown.shape == (size, size, 3)
    assert shown.dtype == np.uint8
    assert (shown == shown[..., :1]).all()
    return shown[::-1, :, 0].astype(int)


def row_of(frequency: float, look: Spectrogram, size: int) -> int:
    """By the definitions of the scales, without the module's own."""
    place = {
        "linear": lambda f: f / look.cutoff,
        "log": lambda f: np.log2(f / 50) / np.log2(look.cutoff / 50),
        "mel": lambda f: np.log10(1 + f / 700) / np.log10(1 + look.cutoff / 700),
    }[look.scale](frequency)
    return int(np.floor(place * size))


# -- frequencies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_edges_are_where_the_scale_says(scale: Scale):
    look = Spectrogram(4000, scale=scale)
    bounds = edges(look, 40)
    assert len(bounds) == 41
    assert bounds[0] == pytest.approx(50 if scale == "log" else 0)
    assert bounds[-1] == pytest.approx(4000)
    assert [row_of(f, look, 40) for f in (bounds[:-1] + bounds[1:]) / 2] == list(range(40))


@pytest.mark.parametrize("size", [80, 224])
@pytest.mark.parametrize("scale", SCALES)
def test_a_sine_is_brightest_in_its_own_row(scale: Scale, size: int):
    """In so few decibels that no neighbour is as white. Of less than 5 / window Hz a sine is not
    told from its mirror image below zero."""
    look = Spectrogram(decibels=3, scale=scale)
    bounds = edges(look, size)
    for row in range(0, size, size // 56):
        frequency = (bounds[row] + bounds[row + 1]) / 2
        if 80 < frequency < 7960:
            column = levels(sine(frequency, 0.3), look, size)[:, size // 2]
            assert np.flatnonzero(column == column.max()).tolist() == [row]


@given(st.floats(80, 7900), st.sampled_from(SCALES), st.integers(16, 128))
@settings(max_examples=60, deadline=None)
def test_any_sine_is_brightest_where_it_belongs(frequency, scale, size):
    """But for an eighth of a row at its edges: it can be nearer to a point of the next one."""
    look = Spectrogram(decibels=3, scale=scale)
    column = levels(sine(frequency, 0.3), look, size)[:, size // 2]
    bounds = edges(look, size)
    row = int(column.argmax())
    near = np.diff(bounds)[row_of(frequency, look, size)] / 8
    assert bounds[row] - near <= frequency < bounds[row + 1] + near
    assert column.max() >= WHITE * (1 - 0.25 / 3)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("frequency", [300, 1000, 5000])
def test_a_full_sine_lights_nothing_beyond_four_bins(frequency: int, scale: Scale):
    """The window's side lobes stay below the 80 dB that are shown."""
    look = Spectrogram(scale=scale)
    column = levels(sine(frequency), look, 224)[:, 112]
    bounds = edges(look, 224)
    far = 5 * RATE / 1024
    lit = (bounds[1:] > frequency - far) & (bounds[:-1] < frequency + far)
    assert column[~lit].max() == 0
    assert (column > 0).sum() >= 2


BEYOND = {
    "just above": (Spectrogram(4000), 4100, RATE),
    "of a log scale": (Spectrogram(1000, scale="log"), 1100, RATE),
    "of a linear scale": (Spectrogram(1000, scale="linear"), 1100, RATE),
    "far above": (Spectrogram(8000), 20_000, 48000),
}


@pytest.mark.parametrize("case", BEYOND)
def test_nothing_is_seen_of_what_is_beyond_the_cutoff(case: str):
    look, frequency, rate = BEYOND[case]
    assert levels(sine(frequency, rate=rate), look, rate=rate)[:, 20:-20].max() == 0


@pytest.mark.parametrize("scale", SCALES)
def test_a_lower_rate_leaves_the_upper_rows_black_and_the_others_where_they_are(scale: Scale):
    look = Spectrogram(scale=scale)
    rng = np.random.default_rng(1)
    shown = levels(rng.uniform(-1, 1, 8000).astype(np.float32), look, 112, rate=8000)
    half = row_of(3999, look, 112)
    assert shown[half + 1 :].max() == 0
    assert shown[1 : half + 1].min(axis=0).min() > 0
    tone = levels(sine(1010, rate=8000), look, 112, rate=8000)[:, 56]
    assert tone.argmax() == row_of(1010, look, 112)


def test_a_very_low_rate_has_rows_too():
    look = Spectrogram(4, decibels=3, scale="linear")
    shown = levels(sine(2.0, 100, rate=8), look, 21, rate=8)
    assert (shown.argmax(axis=0) == 10).all()


def test_a_rate_below_the_whole_scale_is_black():
    noise = np.random.default_rng(1).uniform(-1, 1, 500).astype(np.float32)
    assert levels(noise, Spectrogram(scale="log"), rate=90).max() == 0


@pytest.mark.parametrize("rate", [11025, 22050, 44100, 48000])
def test_the_same_sound_looks_the_same_at_any_rate(rate: int):
    def chord(rate: int) -> np.ndarray:
        return sine(440, 1, 0.3, rate) + sine(1234.5, 1, 0.03, rate) + sine(3210, 1, 0.003, rate)

    look = Spectrogram(5000)
    one = levels(chord(RATE), look)[:, 8:-8]
    other = levels(chord(rate), look, rate=rate)[:, 8:-8]
    difference = np.abs(one - other)
    assert difference.mean() < 0.5
    assert difference[one > 80].max() <= 6  # a fading tone is darker by greys every Hz
    assert (one > 80).any(axis=1).sum() >= 3


# -- moments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [50, 112, 224])  # 50: the last block of columns is not a full one
def test_a_burst_lights_the_columns_of_its_time(size: int):
    for begin, end in [(0.0, 0.1), (0.35, 0.6), (0.9, 1.0)]:
        sound = sine(1000, 10)
        place = np.arange(len(sound)) / len(sound)
        sound[(place < begin) | (place >= end)] = 0
        line = levels(sound, MEL, size)[row_of(1000, MEL, size)]
        first, last = begin * size, end * size
        edge = 1 + size * 0.016 / 10  # a column, and a quarter of a window
        columns = np.arange(size) + 0.5
        inside = (columns > first + edge) & (columns < last - edge)
        outside = (columns < first - 2 * edge - 1) | (columns > last + 2 * edge + 1)
        assert line[inside].min() >= WHITE - 3
        assert line[outside].max() == 0


@pytest.mark.parametrize("seconds", [5, 10, 20])
def test_no_click_falls_between_two_columns(seconds: int):
    """One sample at full scale, anywhere: where two windows meet it is paler, by 8 dB at most."""
    brightness = []
    for place in range(40_000, 40_000 + 1600, 25):
        sound = np.zeros(seconds * RATE, np.float32)
        sound[place] = 1
        shown = levels(sound, MEL, 224)
        assert abs(int(shown.max(axis=0).argmax()) - place * 224 // len(sound)) <= 1
        brightness.append(shown.max())
    assert min(brightness) > 60
    assert max(brightness) - min(brightness) <= 8 / 80 * WHITE


def test_backwards_it_is_the_mirror_image():
    """So every column is made from the middle of its time."""
    rng = np.random.default_rng(4)
    sound = (0.1 * rng.standard_normal(4 * RATE)).astype(np.float32)
    one, other = levels(sound, size=64), levels(sound[::-1].copy(), size=64)[:, ::-1]
    assert np.abs(one - other).mean() < 1


def test_a_column_is_as_bright_as_its_sound_on_average():
    """Half a column of a tone has half its power: 3 dB less."""
    sound = sine(1000, 16)
    sound[10 * RATE :] = 0
    line = levels(sound, MEL, 4)[row_of(1000, MEL, 4)]
    half = 255 - 10 * np.log10(2) / 80 * WHITE
    assert np.abs(line - [255, 255, half, 0]).max() <= 2


def test_columns_do_not_depend_on_where_the_picture_begins():
    """Eight columns later, the same sound is eight columns to the left, to the grey."""
    rng = np.random.default_rng(3)
    sound = (0.1 * rng.standard_normal(2 * RATE)).astype(np.float32)
    size, hop, around = 64, 200, 512
    length = size * hop
    one = levels(sound[: length + 2 * around], MEL, size, around=around)
    other = levels(sound[8 * hop :][: length + 2 * around], MEL, size, around=around)
    assert (one[:, 8:] == other[:, :-8]).all()
    assert one.std() > 5


def test_sound_around_makes_the_outer_columns_like_the_others():
    """Without it there is a trace of an end; it stays in the columns that a window reaches."""
    around, tone = 512, sine(997, 1)
    assert MEL.reach * RATE == around
    whole = levels(tone, MEL, 112, around=around)
    assert np.abs(whole - whole[:, 56:57]).max() <= 1
    errors = []
    for some in (0, 128, 384, 512):
        given_ = tone[around - some : len(tone) - around + some]
        error = np.abs(levels(given_, MEL, 112, around=some) - whole)
        assert error[:, 5:-5].max() == 0
        errors.append(error.sum())
    assert errors[0] > errors[1] > errors[2] >= errors[3] == 0


@pytest.mark.parametrize("seconds", [0.03, 0.2, 1.28, 10, 65])
@pytest.mark.parametrize("size", [16, 112])
def test_how_loud_it_is_does_not_depend_on_the_length(seconds: float, size: int):
    """From shorter than a window to hundreds of windows a column."""
    shown = levels(sine(1000, seconds + 0.064, 0.1), MEL, size, around=512)
    meant = WHITE * (1 - 20 / 80)
    assert np.abs(shown[row_of(1000, MEL, size)] - meant).max() <= 1
    alone = levels(sine(1000, seconds, 0.1), MEL, size)
    assert np.abs(alone[row_of(1000, MEL, size)] - meant).max() <= 3 / 80 * WHITE + 6


# -- greys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("decibels", [40.0, 80.0, 120.0])
@pytest.mark.parametrize("scale", SCALES)
def test_20_db_are_the_same_number_of_greys_everywhere(scale: Scale, decibels: float):
    look = Spectrogram(decibels=decibels, scale=scale)
    row = row_of(1000, look, 112)
    for steps in range(-1, 6):
        shown = levels(sine(1000, amplitude=10.0**-steps), look)[row, 30:-30]
        meant = np.clip(WHITE * (1 - 20 * steps / decibels), 0, WHITE)
        assert np.abs(shown - meant).max() <= 1 + 0.2 / decibels * WHITE


def test_a_loud_moment_does_not_darken_the_rest():
    quiet = sine(1000, 2, 0.01)
    shouted = quiet.copy()
    shouted[: RATE // 2] += sine(1000, 0.5)
    row = row_of(1000, MEL, 112)
    one, other = (levels(sound)[row, 56:100] for sound in (quiet, shouted))
    assert (one == other).all()


def test_an_error_of_the_last_bit_of_16_is_black():
    rng = np.random.default_rng(2)
    dither = (rng.integers(-1, 2, 2 * RATE) / 32768).astype(np.float32)
    assert levels(dither).max() == 0


# -- little, none, and wrong ----------------------------------------------------------------------

SILENT = {
    "none": (np.zeros(0, np.float32), 0),
    "none, in a column": (np.zeros((0, 1), np.float32), 0),
    "silence": (np.zeros(RATE, np.float32), 0),
    "one silent sample": (np.zeros(1, np.float32), 0),
    "nothing but what is around": (np.ones(1024, np.float32), 512),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("case", SILENT)
def test_silence_is_black(case: str, scale: Scale):
    samples, around = SILENT[case]
    assert levels(samples, Spectrogram(scale=scale), around=around).max() == 0


@given(
    st.integers(1, 3000),
    st.integers(1, 40),
    st.sampled_from([1, 7, 100, 8000, 11025, 16000]),
    st.sampled_from(SCALES),
    st.integers(0, 1500),
)
@example(1, 224, 16000, "mel", 0)
@example(2, 80, 16000, "log", 0)
@example(1025, 80, 16000, "log", 512)
@settings(max_examples=60, deadline=None)
def test_every_length_at_every_rate_gives_a_picture(length, size, rate, scale, around):
    """Warnings are errors in these tests: no logarithm of nothing, no cast of what is no number."""
    samples = np.random.default_rng(length).uniform(0.1, 1, length).astype(np.float32)
    look = Spectrogram(scale=scale)
    one, other = (levels(samples, look, size, rate, min(around, length // 2)) for _ in range(2))
    assert (one == other).all()


def test_a_click_of_one_sample_is_seen():
    assert levels(np.ones(1, np.float32)).max() > 0


def test_what_was_given_is_left_alone_and_what_comes_out_can_be_written():
    samples = sine(440)
    before = samples.copy()
    shown = picture(samples, RATE, MEL, 32)
    shown[:] = 7
    assert (samples == before).all()
    again = picture(samples, RATE, MEL, 32)
    assert (again != 7).any()
    assert (again == picture(samples, RATE, MEL, 32, around=0)).all()
    assert shown.flags.c_contiguous


def test_sound_comes_as_the_store_gives_it():
    """samples x 1, and read-only."""
    samples = sine(440)
    samples.flags.writeable = False
    assert (levels(samples[:, None]) == levels(samples)).all()


def test_long_sound_takes_little_more_memory_than_it_has():
    sound = sine(1000, 300)
    tracemalloc.start()
    picture(sound, RATE, MEL, 16)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * sound.nbytes


HEARD = {
    "as long as the clip": (None, (Fraction(3), Fraction(5))),
    "longer": (Fraction(10), (Fraction(-5), Fraction(5))),
    "shorter": (Fraction(1, 3), (Fraction(14, 3), Fraction(5))),
}


@pytest.mark.parametrize("case", HEARD)
def test_which_sound_belongs_to_a_clip(case: str):
    seconds, meant = HEARD[case]
    assert Spectrogram(seconds=seconds).heard(Fraction(3), Fraction(5)) == meant


def test_a_longer_window_tells_closer_tones_apart():
    two = sine(1000) / 2 + sine(1035) / 2
    rows = [row_of(f, Spectrogram(scale="linear", cutoff=2000), 224) for f in (1000, 1017, 1035)]
    for window, parted in ((Fraction(8, 125), False), (Fraction(1, 4), True)):
        look = Spectrogram(2000, scale="linear", window=window)
        one, between, other = levels(two, look, 224)[rows].mean(axis=1)
        assert (between < min(one, other) - 20) == parted


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "scale": ({"scale": "bark"}, "scale is 'bark'; allowed are linear, log, mel"),
    "no cutoff": ({"cutoff": 0}, "cutoff is 0 Hz; allowed is more than 0 on a mel scale"),
    "endless": ({"cutoff": float("inf")}, "cutoff is inf Hz"),
    "low log": ({"cutoff": 50, "scale": "log"}, "cutoff is 50 Hz; allowed is more than 50 on a l"),
    "0 dB": ({"decibels": 0}, "decibels is 0; allowed is more than 0, up to 200"),
    "1000 dB": ({"decibels": 1000}, "decibels is 1000; allowed is more than 0, up to 200"),
    "window": ({"window": Fraction(0)}, r"window is Fraction\(0, 1\); allowed is a fraction"),
    "no window": ({"window": None}, "window is None; allowed is a fraction"),
    "float": ({"seconds": 0.5}, "seconds is 0.5; allowed is a fraction of a second above 0"),
    "-1 second": ({"seconds": Fraction(-1)}, r"seconds is Fraction\(-1, 1\); allowed"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_are_refused(case: str):
    wrong, message = SETTINGS[case]
    with pytest.raises(ValueError, match=message):
        Spectrogram(**wrong)


SOUND = np.zeros(100, np.float32)
CALLS: dict[str, tuple[tuple[Any, ...], str]] = {
    "stereo": ((np.zeros((9, 2), np.float32), RATE, MEL, 8), r"one channel, got \(9, 2\); mix its"),
    "infinite": ((np.full(9, np.inf), RATE, MEL, 8), "infinite or no numbers; read it again"),
    "no number": ((np.full(9, np.nan), RATE, MEL, 8), "infinite or no numbers"),
    "integers": ((np.zeros(9, np.int16), RATE, MEL, 8), "floating point from -1 to 1, got int16"),
    "no size": ((SOUND, RATE, MEL, 0), "size is 0 and rate 16000; allowed is at least 1"),
    "no rate": ((SOUND, 0, MEL, 8), "size is 8 and rate 0; allowed is at least 1"),
    "all around": ((SOUND, RATE, MEL, 8, 51), "around is 51; allowed is 0 to half of the 100 samp"),
    "less than none": ((SOUND, RATE, MEL, 8, -1), "around is -1; allowed is 0 to half"),
}


@pytest.mark.parametrize("case", CALLS)
def test_sound_that_is_refused(case: str):
    given_, message = CALLS[case]
    with pytest.raises((ValueError, TypeError), match=message):
        picture(*given_)
