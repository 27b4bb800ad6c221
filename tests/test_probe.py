"""The probe command: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, run


def test_it_says_what_a_person_wants_to_know(media):
    result = run("tools.probe", media("wide_pixels_rotated").path)
    assert result.code == 0
    for fact in ("64x128 (coded 96x64)", "h264 High", "30 fps", "45 frames, 0:01.50", "aac, 48000",
                 "turned 270 degrees clockwise", "pixels 4/3 as wide as high"):  # fmt: skip
        assert fact in result.out


def test_json_has_every_fact_exactly(media):
    result = run("tools.probe", "--json", "--decode-all", media("ntsc").path)
    facts = json.loads(result.out)
    assert facts["rate"] == "30000/1001"
    assert facts["size"] == [96, 64]
    assert facts["found"]["frames"] == 45
    assert facts["found"]["keyframes"] == ["0", "1001/2000", "1001/1000"]
    assert facts["sounds"][0]["codec"] == "aac"


def test_bad_files_are_named_the_rest_is_done_and_the_exit_code_is_1(media, tmp_path: Path):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    result = run("tools.probe", "--json", empty, media("bframes").path, tmp_path / "none.mp4")
    assert result.code == 1
    first, second, third = (json.loads(line) for line in result.out.splitlines())
    assert first == {
        "path": str(empty),
        "error": "is empty (0 bytes)",
        "advice": "copy or download it again",
    }
    assert second["found"]["frames"] == 45
    assert third["error"] == "does not exist"
    assert "is empty (0 bytes); copy or download it again" in result.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "no file given; name at least one"),
        (("--colour", "x.mp4"), 2, "--colour"),
        (("/",), 1, "'/' is a folder; name a file in it"),
    ],
)
def test_a_wrong_call_says_what_is_right(arguments, code: int, message: str):
    result = run("tools.probe", *arguments)
    assert result.code == code
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_name_with_a_leading_dash_follows_two_dashes(tmp_path: Path, media):
    (tmp_path / "-v.mp4").write_bytes(media("bframes").path.read_bytes())
    result = run("tools.probe", "--", "-v.mp4", folder=tmp_path)
    assert (result.code, result.out.splitlines()[0]) == (0, "-v.mp4")


def test_a_reader_that_leaves_or_a_full_disk_is_no_traceback(media):
    command = f"'{sys.executable}' -m tools.probe '{media('bframes').path}'"
    for line, code in (
        (f"{command} {command.split()[-1]} | head -1", 0),
        (f"{command} > /dev/full", 1),
    ):
        done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        assert done.returncode == code
    assert "the output cannot be written: No space left on device" in done.stderr


def test_a_name_the_terminal_cannot_show_is_spelled_out(tmp_path: Path, media, monkeypatch):
    path = tmp_path / "a 🎬\n\x1b[31mb.mp4"
    path.write_bytes(media("bframes").path.read_bytes())
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    result = run("tools.probe", path)
    assert result.code == 0, result.err
    assert result.out.isascii()
    assert "\x1b" not in result.out
    assert json.loads(run("tools.probe", "--json", path).out)["path"] == str(path)
