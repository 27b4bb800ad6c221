"""The predecessor's converter, PyPI's dataset2database 1.2, run for real in its own environment.

    python -m tests.predecessor        # makes tests/golden/dataset2database/ anew

It needs the package, an older NumPy (it calls np.fromstring) and ffmpeg, none of which we need.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import synth

GOLDEN = Path(__file__).resolve().parent / "golden" / "dataset2database"
FRAMES = 12
NEEDS = ("dataset2database==1.2", "numpy<2", "opencv-python-headless<4.12", "tqdm")
SCRIPT = "from dataset2database import convert; convert('videos', 'out', 1)"


def environment(folder: Path) -> Path:
    """A Python that has the package."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *NEEDS[1:]], check=True)
    subprocess.run([*pip, "--no-deps", NEEDS[0]], check=True)  # else it wants a screen's OpenCV
    return python


def convert_as_it_does(python: Path, folder: Path) -> Path:
    """One short video in one class. It only works with a relative path of one part."""
    (folder / "videos" / "run").mkdir(parents=True)
    variant = synth.Variant(count=FRAMES, sound=None)
    synth.write(variant, folder / "videos" / "run" / "barcode.mp4")
    subprocess.run([python, "-c", SCRIPT], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / "out" / "run" / "barcode"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = convert_as_it_does(environment(folder / "environment"), folder)
        GOLDEN.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / "frames.db", GOLDEN / "frames.db")


if __name__ == "__main__":
    main()
