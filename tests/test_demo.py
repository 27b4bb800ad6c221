"""The demo, run whole: its videos, its table and its sheet."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.catalog import Catalog
from data.display import fit_short_side
from data.media import open_video, probe
from tests.command import Result, run
from tools.demo import LEVELS, RECORDINGS, SECONDS
from tools.sheet import Row, draw_sheet


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("demo") / "a new folder"
    return out, run("tools.demo", "--out", out)


def test_it_ends_well_and_says_where_everything_is(demo):
    out, result = demo
    assert result.code == 0, result.err
    assert str(out / "sheet.png") in result.out
    for recording in RECORDINGS:
        assert recording.file in result.out


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.scene)
def test_its_videos_are_what_they_should_be(demo, recording):
    out, _ = demo
    info = probe(out / "videos" / recording.file, decode_all=True)
    assert info.size == recording.size
    assert info.found
    assert abs(info.found.seconds - SECONDS) < 0.1
    assert info.found.variable_rate == recording.uneven
    if not recording.uneven:
        assert info.rate == recording.track.rate
    assert len(info.sounds) == 1


def test_a_round_clock_face_is_round_though_its_pixels_are_not_square(demo):
    """The test card's disc, stored squeezed, comes out as wide as high."""
    out, _ = demo
    with open_video(out / "videos" / "broadcast.ts") as video:
        dark = video.frame_at(1).rgb().max(axis=2) < 60
    width = dark.shape[1]
    disc = dark[:, width // 4 : -width // 4]
    across, down = disc.any(axis=0).sum(), disc.any(axis=1).sum()
    assert abs(across - down) <= 4


def test_its_sheet_shows_every_video(demo):
    out, _ = demo
    with Image.open(out / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape[0] > 200 * len(RECORDINGS)
    assert len(np.unique(pixels.reshape(-1, 3)[::97], axis=0)) > 300


def test_its_dataset_holds_every_video_with_levels_and_sound(demo):
    out, result = demo
    catalog = Catalog(out / "dataset")
    assert len(catalog) == len(RECORDINGS)
    for entry in catalog:
        with catalog.store(entry.name) as store:
            assert store.levels[1:] == tuple(fit_short_side(store.size, side) for side in LEVELS)
            assert abs(store.times[-1] - SECONDS) < Fraction(1, 10)
            assert abs(store.audio(0, SECONDS)).max() > 0.01
    assert (out / "dataset.png").exists()
    assert "5 videos: 5 converted" in result.out
    assert result.out.count("a second on one core") == 1 + len(LEVELS)


def test_a_row_without_sound_and_with_a_long_name_fits():
    picture = np.zeros((90, 160, 3), np.uint8)
    row = Row("a name that goes on and on " * 9, ["fact " * 60], [picture] * 3, ["0"] * 3)
    narrow, wide = draw_sheet("x", [row]), draw_sheet("x", [row, row])
    assert narrow.width == wide.width
    assert wide.height > narrow.height


def test_running_it_again_is_no_trouble(demo):
    out, _ = demo
    again = run("tools.demo", "--out", out)
    assert again.code == 0, again.err


def test_a_place_it_cannot_write_to_is_named(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.touch()
    result = run("tools.demo", "--out", blocked)
    assert result.code == 1
    assert "cannot be made" in result.err
    assert "Traceback" not in result.err
