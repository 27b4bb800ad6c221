"""Videos become databases: every picture, at its time, with its sound; and again, and otherwise."""

from __future__ import annotations

import json
import os
import sqlite3
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.catalog import Catalog
from data.display import fit_short_side
from data.media import open_video, probe
from data.store import FrameStore
from tests import barcode, synth
from tests.command import run
from tools.convert import Summary, UsageError, convert

SEEN = [name for name, variant in synth.VARIANTS.items() if variant.count]


@pytest.fixture(scope="session")
def dataset(media, tmp_path_factory) -> tuple[Path, Summary]:
    """All variants of tests/synth.py in one class, converted in one run with a level of 32."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "videos" / "all").mkdir(parents=True)
    for name in synth.VARIANTS:
        path = media(name).path
        suffix = ".mp4" if path.suffix == ".m4a" else path.suffix
        (folder / "videos" / "all" / f"{path.stem}{suffix}").symlink_to(path)
    summary = convert(folder / "videos", folder / "out", levels=(32,))
    return folder / "out", summary


def store_of(dataset, media, name: str) -> FrameStore:
    return FrameStore(dataset[0] / "jpg" / "all" / media(name).path.stem)


def indices_in(store: FrameStore, short_side: int | None = None) -> list[int | None]:
    return [barcode.read(picture) for picture in store.frames(range(len(store)), short_side)]


# -- what is in them -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEEN)
def test_every_picture_is_there_once_at_its_time(dataset, media, name):
    made = media(name)
    with store_of(dataset, media, name) as store:
        assert indices_in(store) == made.indices
        assert len(store.times) == len(made.times)
        for got, wanted in zip(store.times, made.times, strict=True):
            assert abs(got - wanted) <= made.variant.tick
        assert store.size == made.size  # smaller than 256: never enlarged
        assert store.levels[1:] == (fit_short_side(made.size, 32),)
        assert indices_in(store, short_side=30) == made.indices


@pytest.mark.parametrize("name", SEEN)
def test_the_predecessors_way_of_reading_finds_the_same(dataset, media, name):
    """Its file layout, its names, its query, its decoder."""
    made = media(name)
    folder = dataset[0] / "jpg" / "all" / made.path.stem
    count = int((folder / "n_frames").read_text())
    names = [f"{folder.name}/frame_{index + 1:05d}" for index in range(count)]
    connection = sqlite3.connect(folder / "frames.db")
    marks = ",".join("?" * count)
    rows = connection.execute(
        f"SELECT Objid, frames FROM Images WHERE ObjId IN ({marks})", names
    ).fetchall()
    connection.close()
    pictures = [np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
                for _, data in sorted(rows)]  # fmt: skip
    assert [barcode.read(picture) for picture in pictures] == made.indices


@pytest.mark.parametrize("name", ["constant", "late_sound", "late_video", "ts_wrap", "sound_gap"])
def test_the_sound_is_the_readers_to_a_level_of_16_bits(dataset, media, name):
    with store_of(dataset, media, name) as store, open_video(media(name).path) as video:
        length = store.times[-1]
        wanted = video.audio(0, length, 16000)
        got = store.audio(0, length)
        assert np.abs(got - wanted).max() <= 1 / 32768
        assert np.abs(wanted).max() > 0.01
        assert store.meta["sound_rate"] == "16000"


def test_facts_tell_where_it_comes_from(dataset, media):
    with store_of(dataset, media, "wide_pixels_rotated") as store:
        facts = store.meta
        assert facts["source_name"] == "all/wide_pixels_rotated.mp4"
        assert facts["source_bytes"] == str(media("wide_pixels_rotated").path.stat().st_size)
        assert (facts["codec"], facts["turn"], facts["pixel_aspect"]) == ("h264", "270", "4/3")
        assert (facts["quality"], facts["subsampling"]) == ("90", "4:2:0")
        assert (store.fps, store.time_base) == (30, Fraction(1, 15360))
        assert facts["damage"] == ""


def test_the_rate_is_the_nominal_one_or_the_average(dataset, media):
    assert store_of(dataset, media, "ntsc").fps == Fraction(30000, 1001)
    with store_of(dataset, media, "variable") as store:
        assert store.fps == probe(media("variable").path).rate
        assert abs((store.fps or 0) - (len(store) - 1) / store.times[-1]) < 1


def test_the_summary_counts_and_lists(dataset):
    out, summary = dataset
    assert (summary.found, summary.converted) == (len(synth.VARIANTS), len(SEEN))
    ((path, reason),) = summary.failures
    assert "only_sound" in path
    assert "only sound" in reason
    assert "only_sound" in (out / "failed.csv").read_text()
    assert summary.frames == sum(entry.frames for entry in Catalog(out))


# -- sizes, quality, rate --------------------------------------------------------------------------


def one(made, out: Path, **settings) -> FrameStore:
    """One video, converted in a dataset of its own."""
    summary = convert(made.path, out, **settings)
    assert summary.failures == []
    return FrameStore(out / "jpg" / "_" / made.path.stem)


@pytest.mark.parametrize(
    ("short_side", "size"),
    [(None, (96, 64)), (0, (96, 64)), (300, (96, 64)), (48, (72, 48)), (33, (50, 33))],
)
def test_the_short_side_comes_down_and_never_up(media, tmp_path, short_side, size):
    with one(media("constant"), tmp_path, short_side=short_side) as store:
        assert store.size == size
        assert indices_in(store) == media("constant").indices


def test_large_videos_come_down_to_256(tmp_path):
    variant = synth.Variant(size=(640, 360), count=3, sound=None)
    path = synth.write(variant, tmp_path / "large.mp4")
    convert(path, tmp_path / "out")
    assert FrameStore(tmp_path / "out" / "jpg" / "_" / "large").size == (455, 256)


def test_levels_that_are_added_are_those_that_would_have_been_made(media, tmp_path):
    made = media("bframes")
    one(made, tmp_path / "a", short_side=64, levels=(48, 32, 16)).close()
    one(made, tmp_path / "b", short_side=64).close()
    without = convert(made.path, tmp_path / "b", short_side=64, levels=(48, 16))
    assert "--add-levels" in without.failures[0][1]
    added = convert(made.path, tmp_path / "b", short_side=64, levels=(48, 16), add_levels=True)
    assert added.converted == 1
    stores = [FrameStore(tmp_path / folder / "jpg" / "_" / "bframes") for folder in "ab"]
    assert [store.levels for store in stores] == [
        ((96, 64), (72, 48), (48, 32), (24, 16)), ((96, 64), (72, 48), (24, 16)),
    ]  # fmt: skip
    for side in (16, 48, 64):
        first, second = (store.read(range(45), short_side=side) for store in stores)
        assert first == second


def test_so_are_those_that_are_scaled_from_the_stores_own_pictures(tmp_path):
    variant = synth.Variant(size=(192, 128), count=3, sound=None)
    path = synth.write(variant, tmp_path / "v.mp4")
    convert(path, tmp_path / "a", short_side=96, levels=(72, 48, 32))
    convert(path, tmp_path / "b", short_side=96)
    convert(path, tmp_path / "b", short_side=96, levels=(32,), add_levels=True)
    first, second = (FrameStore(tmp_path / folder / "jpg" / "_" / "v") for folder in "ab")
    assert first.read(range(3), short_side=32) == second.read(range(3), short_side=32)


def test_no_level_is_made_that_is_as_large_as_the_frames(media, tmp_path):
    with one(media("constant"), tmp_path, short_side=0, levels=(64, 32)) as store:
        assert store.levels == ((96, 64), (48, 32))
    assert convert(media("constant").path, tmp_path, short_side=0, levels=(64, 32)).skipped == 1


@pytest.mark.parametrize(
    ("fidelity", "at_least", "subsampling"),
    [("small", 30, "4:2:0"), ("default", 33, "4:2:0"), ("exact", 43, "4:4:4")],
)
def test_fidelity_has_its_price_and_its_worth(media, tmp_path, fidelity, at_least, subsampling):
    made = media("rotated_90")
    with one(made, tmp_path, fidelity=fidelity) as store, open_video(made.path) as video:
        exact = np.stack([frame.rgb() for frame in video.frames()])
        error = np.mean((store.frames(range(45)).astype(float) - exact) ** 2)
        assert 10 * np.log10(255**2 / error) >= at_least
        assert store.meta["subsampling"] == subsampling


def test_better_is_larger(media, tmp_path):
    sizes = [convert(media("constant").path, tmp_path / name, fidelity=name, audio=False).bytes
             for name in ("small", "default", "exact")]  # fmt: skip
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("name", ["constant", "variable", "edit_list"])
@pytest.mark.parametrize("rate", [10, 60, Fraction(30000, 1001)])
def test_at_another_rate_it_is_what_is_on_screen(media, tmp_path, name, rate):
    made = media(name)
    with one(made, tmp_path, fps=rate) as store, open_video(made.path) as video:
        assert (store.fps, store.time_base) == (rate, 1 / Fraction(rate))
        wanted = [barcode.read(video.frame_at(time).rgb()) for time in store.times]
        assert indices_in(store) == wanted
        assert store.times[0] == 0
        end = made.times[-1] + 1 / Fraction(30)
        assert abs(store.times[-1] + 1 / Fraction(rate) - end) <= 1 / Fraction(rate) + Fraction(
            1, 9
        )


def test_sound_can_be_left_out(media, tmp_path):
    with one(media("constant"), tmp_path, audio=False) as store:
        assert "sound_rate" not in store.meta


def test_two_threads_give_what_one_gives(media, tmp_path):
    stores = [one(media("bframes"), tmp_path / str(jobs), jobs=jobs) for jobs in (1, 3)]
    assert stores[0].read(range(45)) == stores[1].read(range(45))


# -- once more -------------------------------------------------------------------------------------


def test_what_is_finished_is_skipped(media, tmp_path):
    one(media("constant"), tmp_path).close()
    database = tmp_path / "jpg" / "_" / "constant" / "frames.db"
    before = database.stat().st_mtime_ns
    summary = convert(media("constant").path, tmp_path)
    assert (summary.skipped, summary.converted, summary.failed) == (1, 0, 0)
    assert database.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "settings",
    [{"quality": 80}, {"subsampling": "4:4:4"}, {"short_side": 32}, {"fps": 10}, {"audio": False}],
)
def test_other_settings_are_an_error_that_names_overwrite(media, tmp_path, settings):
    one(media("constant"), tmp_path).close()
    summary = convert(media("constant").path, tmp_path, **settings)
    ((_, reason),) = summary.failures
    (name,) = settings
    assert name in reason
    assert "--overwrite" in reason
    again = convert(media("constant").path, tmp_path, overwrite=True, **settings)
    assert (again.converted, again.failed) == (1, 0)
    assert not (tmp_path / "failed.csv").exists()


def test_another_source_of_the_same_name_is_an_error(media, tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(media("constant").path.read_bytes())
    convert(path, tmp_path / "out")
    path.write_bytes(media("bframes").path.read_bytes())
    ((_, reason),) = convert(path, tmp_path / "out").failures
    assert "is not what its database was made from" in reason
    assert "--overwrite" in reason
    assert convert(path, tmp_path / "out", overwrite=True).converted == 1


def test_a_source_that_was_completed_later_is_another(media, tmp_path):
    """The same size, a hole in the middle: seen by its time of change and its hash."""
    path = tmp_path / "video.ts"
    whole = media("ts").path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(4000) + whole[middle + 4000 :])
    assert len(convert(path, tmp_path / "out").damaged) == 1
    assert len(convert(path, tmp_path / "out").damaged) == 1, "said again of what is kept"
    path.write_bytes(whole)
    ((_, reason),) = convert(path, tmp_path / "out").failures
    assert "is not what its database was made from" in reason


def test_a_source_that_was_only_touched_is_the_same(media, tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(media("constant").path.read_bytes())
    convert(path, tmp_path / "out")
    os.utime(path, (1, 1))
    assert convert(path, tmp_path / "out").skipped == 1


def test_a_lost_count_is_written_again(media, tmp_path):
    one(media("constant"), tmp_path).close()
    count = tmp_path / "jpg" / "_" / "constant" / "n_frames"
    count.unlink()
    assert convert(media("constant").path, tmp_path).skipped == 1
    assert count.read_text() == "45"


def test_overwriting_leaves_no_level_of_the_past(media, tmp_path):
    one(media("constant"), tmp_path, levels=(48, 32)).close()
    convert(media("constant").path, tmp_path, levels=(16,), quality=50, overwrite=True)
    folder = tmp_path / "jpg" / "_" / "constant"
    assert sorted(path.name for path in folder.glob("*.db")) == ["frames-16.db", "frames.db"]


def test_a_damaged_database_is_named_and_overwritten(media, tmp_path):
    one(media("constant"), tmp_path).close()
    database = tmp_path / "jpg" / "_" / "constant" / "frames.db"
    database.write_bytes(database.read_bytes()[:20000])
    ((_, reason),) = convert(media("constant").path, tmp_path).failures
    assert "truncated" in reason
    assert convert(media("constant").path, tmp_path, overwrite=True).converted == 1
    assert len(FrameStore(database)) == 45


def test_the_same_conversion_gives_the_same_bytes(media, tmp_path):
    stores = [one(media("variable"), tmp_path / name, levels=(32,)) for name in "ab"]
    files = [Path(store.path).read_bytes() for store in stores]
    assert files[0] == files[1]


# -- the command -----------------------------------------------------------------------------------


def test_the_command_says_it_in_one_line_and_lists_what_failed(media, tmp_path):
    videos = tmp_path / "videos"
    (videos / "run").mkdir(parents=True)
    (videos / "run" / "whole.MP4").write_bytes(media("constant").path.read_bytes())
    (videos / "run" / "text.mp4").write_text("no video")
    (videos / "notes.txt").write_text("other")
    result = run("tools.convert", videos, tmp_path / "out")
    assert result.code == 1
    (line,) = result.out.splitlines()
    for part in (
        "2 videos: 1 converted (45 frames",
        "1 failed, listed in",
        "1 other files ignored",
    ):
        assert part in line
    header, failed = (tmp_path / "out" / "failed.csv").read_text().splitlines()
    assert header == "path,reason"
    assert failed.startswith(f"{videos / 'run' / 'text.mp4'},")
    assert "is text, not video" in failed
    assert (tmp_path / "out" / "jpg" / "run" / "whole" / "frames.db").exists()


def test_json_is_the_same_for_machines(media, tmp_path):
    result = run("tools.convert", media("constant").path, tmp_path, "--json")
    facts = json.loads(result.out)
    assert (facts["converted"], facts["frames"], facts["failures"]) == (1, 45, [])


def test_a_dry_run_says_what_and_writes_nothing(media, tmp_path):
    result = run("tools.convert", media("constant").path, tmp_path / "out", "--dry-run")
    assert result.code == 0
    assert f"_/constant  <-  {media('constant').path}" in result.out
    assert not (tmp_path / "out").exists()
    convert(media("constant").path, tmp_path / "out")
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*"))
    assert run("tools.convert", media("constant").path, tmp_path / "out", "--dry-run").code == 0
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")) == before


def test_shards_are_parts_of_one_list(media, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(7):
        (videos / f"{number}.mp4").symlink_to(media("one_frame").path)
    parts = [convert(videos, tmp_path / "out", shard=f"{number}/3") for number in (1, 2, 3)]
    assert [part.converted for part in parts] == [3, 2, 2]
    (tmp_path / "out" / "failed-2-of-3.csv").touch()  # of an earlier run
    assert convert(videos, tmp_path / "out").skipped == 7
    assert list((tmp_path / "out").glob("failed*")) == []
    assert [entry.name for entry in Catalog(tmp_path / "out")] == [f"_/{n}" for n in range(7)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quality": 90.5}, "--quality is a whole number, got 90.5"),
        ({"quality": "90"}, "--quality is a whole number"),
        ({"quality": 0}, "--quality is from 1 to 100, got 0"),
        ({"quality": 101}, "--quality is from 1 to 100"),
        ({"subsampling": "4:1:1"}, "--subsampling is 4:2:0 or 4:4:4"),
        ({"short_side": -1}, "--short-side is at least 0"),
        ({"levels": (256,)}, "less than --short-side (256)"),
        ({"levels": (32, 32)}, "--levels are all different"),
        ({"levels": "32,x"}, "--levels are numbers"),
        ({"levels": (0,)}, "--levels are smaller short sides"),
        ({"fps": "fast"}, "--fps is native or a number"),
        ({"fps": 0}, "--fps is native or a rate"),
        ({"fps": "1/0"}, "--fps is native or a number"),
        ({"jobs": 0}, "--jobs is at least 1"),
        ({"shard": "0/3"}, "--shard is I/N with I from 1 to N"),
        ({"shard": "4/3"}, "--shard is I/N"),
        ({"shard": "one"}, "--shard is I/N"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_once(media, tmp_path, settings, message):
    with pytest.raises(UsageError) as refusal:
        convert(media("constant").path, tmp_path / "out", **settings)
    assert message in str(refusal.value)
    assert not (tmp_path / "out").exists()
