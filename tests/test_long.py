"""Long files: the same memory for minutes and for an hour, and every picture found again."""

from __future__ import annotations

import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from data.media import open_video, probe
from tests import barcode, synth
from tests.command import ROOT

USES = {
    "probing": "probe(path)",
    "probing all": "probe(path, decode_all=True)",
    "pictures": "sum(frame.rgb(short_side=32).size for frame in open_video(path).frames())",
    "sound": "video = open_video(path)\n"
    "for at in range(0, seconds, 10): video.audio(at, at + 10, 16000)",
}
MEGABYTE = 1 << 20


def peak_memory(use: str, path: Path, seconds: int) -> int:
    """Peak bytes of a process that does just this, counted from after its imports."""
    script = (
        "import sys\n"
        "from data.media import open_video, probe\n"
        "path, seconds = sys.argv[1], int(sys.argv[2])\n"
        "open('/proc/self/clear_refs', 'w').write('5')\n"
        f"{use}\n"
        "status = dict(line.split(':') for line in open('/proc/self/status'))\n"
        "print(int(status['VmHWM'].split()[0]) * 1024)\n"
    )
    command = [sys.executable, "-c", script, str(path), str(seconds)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.parametrize("minutes", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_length(minutes: int, tmp_path: Path):
    short = synth.endless(tmp_path / "short.mkv", 1)
    long = synth.endless(tmp_path / "long.mkv", minutes)
    for name, use in USES.items():
        less = peak_memory(use, short, 60)
        more = peak_memory(use, long, minutes * 60)
        # Probing keeps a time for each picture, and a few arrays as long while it adds up:
        # 5 MB an hour. All else is let go; the allocator's own pieces differ by a few MB.
        allowed = 6 * MEGABYTE + minutes * 60 * 30 * 48
        assert more - less < allowed, f"{name}: {(more - less) / MEGABYTE:.1f} MB more"


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_any_moment_of_a_long_file_is_found(suffix: str, tmp_path: Path):
    path = synth.endless(tmp_path / f"long.{suffix}", 3)
    info = probe(path)
    assert info.found
    assert info.found.frames == 3 * 60 * 30
    assert info.rate == 30
    with open_video(path) as video:
        for at in random.Random(4).sample(range(3 * 60 * 30), 12):
            frame = video.frame_at(Fraction(2 * at + 1, 60))  # in the middle of its time
            assert barcode.read(frame.rgb()) == at % 300
