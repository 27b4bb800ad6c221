"""Looking into a store: the contact sheet, and its frames as files again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.jpeg import size_of
from data.store import FrameStore
from tests import barcode
from tests.command import run
from tools.convert import convert
from tools.show import Options, clip_rows, evenly, row


@pytest.fixture(scope="module")
def dataset(media, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    (folder / "videos" / "run").mkdir(parents=True)
    for name in ("constant", "variable", "rotated_90"):
        (folder / "videos" / "run" / f"{name}.mp4").symlink_to(media(name).path)
    convert(folder / "videos", folder / "out", levels=(32,))
    return folder / "out"


@pytest.mark.parametrize(
    ("count", "wanted", "places"),
    [(10, 1, [5]), (10, 2, [2, 7]), (3, 5, [0, 1, 2]), (1, 1, [0]), (100, 4, [12, 37, 62, 87])],
)
def test_places_are_spread_evenly(count, wanted, places):
    assert evenly(count, wanted) == places


def test_a_row_says_class_index_and_exact_time(dataset):
    shown = row("run/variable", dataset / "jpg" / "run" / "variable")
    with FrameStore(dataset / "jpg" / "run" / "variable") as store:
        indices = [barcode.read(picture) for picture in shown.pictures]
        seconds = [float(caption.split(":")[-1]) for caption in shown.captions]
        assert [caption.split()[0] for caption in shown.captions] == [f"#{at}" for at in indices]
        assert seconds == pytest.approx([float(store.times[at or 0]) for at in indices], abs=0.006)
    assert shown.title == "run/variable"
    assert shown.sound is not None
    assert shown.sound.max() > 0.01


def test_the_sheet_is_drawn(dataset, tmp_path):
    result = run("tools.show", dataset, "--out", tmp_path / "sheet.png", "--rows", 2)
    assert (result.code, result.out) == (0, f"{tmp_path / 'sheet.png'}: 2 of 3 videos\n")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[1] > 1000
    assert sheet.std() > 10


def test_clips_are_shown_as_a_network_sees_them(dataset, tmp_path):
    def sheet(*arguments: object) -> np.ndarray:
        out = tmp_path / "sheet.png"
        result = run("tools.show", *arguments, "--augment", "--rows", 4, "--out", out)
        assert result.code == 0, result.err
        assert "4 training clips of " in result.out
        return np.asarray(Image.open(out))

    one, same, other = (sheet(dataset, "--seed", seed) for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    alone = sheet(dataset / "jpg" / "run" / "constant", "--frames", 2, "--size", 32, "--seed", 3)
    assert alone.shape == one.shape


def test_the_row_of_a_clip_shows_its_frames_and_its_plan(dataset):
    options = Options(dataset, Path("x.png"), rows=3, augment=True)
    rows = clip_rows([(name, dataset / "jpg" / "run" / name) for name in ("constant", "variable")],
                     options)  # fmt: skip
    assert [row.title for row in rows] == ["constant", "variable", "constant"]
    assert all(row.pictures[0].shape == (224, 224, 3) for row in rows)
    assert all("box" in row.foot for row in rows)
    assert rows[0].foot != rows[2].foot


@pytest.mark.parametrize(("arguments", "message"), [
    (["--seed", 3], "--strength go with --augment"),
    (["--augment", "--strength", 9], "strength is 9; allowed: 0 to 4"),
    (["--augment", "--interval", 0], "interval is 0; allowed"),
    (["--augment", "--size", 0], "at least 1 frame of 1 pixel, got 16x0x0"),
    (["--augment", "--frames", 0], "at least 1 frame of 1 pixel, got 0x224x224"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_said(dataset, tmp_path, arguments, message):
    result = run("tools.show", dataset, "--out", tmp_path / "x.png", *arguments)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


def test_frames_come_back_byte_for_byte_and_can_be_converted_again(dataset, tmp_path):
    result = run("tools.export", dataset, "--out", tmp_path / "files")
    assert result.code == 0
    assert "3 videos, 135 pictures written" in result.out
    with FrameStore(dataset / "jpg" / "run" / "constant") as store:
        files = sorted((tmp_path / "files" / "run" / "constant").iterdir())
        assert [path.name for path in files[:2]] == ["frame_00001.jpg", "frame_00002.jpg"]
        assert [path.read_bytes() for path in files] == store.read(range(45))
        convert(tmp_path / "files", tmp_path / "again", fps=30)
        with FrameStore(tmp_path / "again" / "jpg" / "run" / "constant") as again:
            assert again.read(range(45)) == store.read(range(45))
            assert again.times == store.times


def test_a_level_can_be_written_of_one_video(dataset, tmp_path):
    folder = dataset / "jpg" / "run" / "rotated_90"
    run("tools.export", folder, "--out", tmp_path / "files", "--short-side", 20)
    files = sorted((tmp_path / "files" / "rotated_90").iterdir())
    assert len(files) == 45
    assert size_of(files[0].read_bytes()) == (32, 48)


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("show", ["nothing", "--out", "a.png"], "is no dataset"),
        ("show", ["STORE", "--out", "a.txt"], "--out is a picture"),
        ("show", ["STORE", "--out", "a.png", "--rows", "0"], "--rows is at least 1"),
        ("show", ["STORE", "--out", "no/folder/a.png"], "cannot be written"),
        ("export", ["nothing", "--out", "a"], "is no dataset"),
        ("export", ["STORE", "--out", "full"], "exists and is not an empty folder"),
        ("export", ["STORE", "--out", "a", "--short-side", "0"], "--short-side is at least 1"),
    ],
)
def test_what_cannot_be_done_is_said(dataset, tmp_path, command, arguments, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    given = [dataset if one == "STORE" else one for one in arguments]
    result = run(f"tools.{command}", *given, folder=tmp_path)
    assert result.code in (1, 2)
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_damaged_video_fails_the_export_by_name_and_the_rest_is_written(dataset, tmp_path):
    out = tmp_path / "out"
    for name in ("constant", "variable"):
        (out / "jpg" / "run" / name).mkdir(parents=True)
        (out / "jpg" / "run" / name / "frames.db").write_bytes(
            (dataset / "jpg" / "run" / name / "frames.db").read_bytes()
        )
    damaged = out / "jpg" / "run" / "constant" / "frames.db"
    damaged.write_bytes(damaged.read_bytes()[:30000])
    result = run("tools.export", out, "--out", tmp_path / "files")
    assert result.code == 1
    assert "is truncated" in result.err
    assert "1 videos, 45 pictures written" in result.out


def test_a_video_that_cannot_be_read_has_a_row_that_says_why(dataset, tmp_path):
    out = tmp_path / "out"
    for name in ("constant", "variable"):
        (out / "jpg" / "run" / name).mkdir(parents=True)
        data = (dataset / "jpg" / "run" / name / "frames.db").read_bytes()
        (out / "jpg" / "run" / name / "frames.db").write_bytes(data if name == "variable" else b"")
    result = run("tools.show", out, "--out", tmp_path / "sheet.png")
    assert result.code == 1
    assert "is empty (0 bytes)" in result.err
    assert (tmp_path / "sheet.png").exists()
