"""Environments beside ours for peers that are no requirement of ours.

One sees our packages, torch among them, and adds what is missing, without touching ours. A peer
that cannot live with our versions has one to itself. What cannot be had or run is named with the
reason, and the benchmarks leave it out.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv" / "peers"
VERSION = "from importlib.metadata import version as v; print(v({!r}))"


@dataclass(frozen=True)
class Peer:
    """What is installed, and the import that shows that it works."""

    requirements: tuple[str, ...]
    trial: str
    home: Path = HOME  # elsewhere: an environment that sees nothing of ours


# imgaug imports with no NumPy from 1.24 on, so all of it is pinned; its metadata also asks for
# matplotlib, Shapely and a screen's OpenCV, which it does without. The last two read our store.
IMGAUG = (
    "imgaug==0.4.0",
    "numpy==1.23.5",
    "scipy==1.11.4",
    "scikit-image==0.22.0",
    "opencv-python-headless==4.9.0.80",
    "imageio==2.33.1",
    "pillow==10.4.0",
    "six==1.17.0",
    "packaging==26.3",
    "lazy-loader==0.6",
    "simplejpeg==1.9.0",
    "zlib-ng==1.1.0",
)
PEERS = {
    "lmdb": Peer(("lmdb==3.0.0",), "import lmdb"),
    "torchcodec": Peer(  # its import loads FFmpeg's libraries
        ("torchcodec==0.17.0",), "from torchcodec.decoders import VideoDecoder"
    ),
    "albumentations": Peer(  # the last version under the MIT licence
        ("albumentations==2.0.8",), "import albumentations"
    ),
    "imgaug": Peer(IMGAUG, "import imgaug.augmenters", ROOT / ".venv" / "imgaug"),
}
# an import must not ask the network whether it is the newest
ENVIRONMENT = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}


@dataclass(frozen=True)
class Peers:
    """The shared environment's Python, what works (with versions), and why the rest does not."""

    python: str
    versions: dict[str, str]
    left_out: dict[str, str]


def find_peers(*names: str) -> Peers:
    """Install what is missing of these, or of all."""
    versions, left_out = {}, {}
    for name in names or PEERS:
        python = python_of(PEERS[name].home)
        problem = _problem(python, name) and _install(python, PEERS[name])
        problem = problem or _problem(python, name)
        if problem:
            log.warning("%s is left out: %s", name, problem)
            left_out[name] = problem
        else:
            versions[name] = _run([python, "-c", VERSION.format(name)]).stdout.strip()
    return Peers(python_of(HOME), versions, left_out)


def python_of(home: Path) -> str:
    """The Python of the environment there."""
    return str(home / ("Scripts" if os.name == "nt" else "bin") / "python")


def _problem(python: str, name: str) -> str:
    """Why this cannot be imported; empty if it can."""
    if not Path(python).exists():
        return "no environment"
    return _last_line(_run([python, "-c", PEERS[name].trial]))


def _install(python: str, peer: Peer) -> str:
    """Add it to its environment; in the shared one, what it requires and we have comes from us."""
    shared = peer.home == HOME
    if not Path(python).exists():
        venv.create(peer.home, with_pip=True)
        if shared:
            _see_ours(python)
    log.info("installing %s for the benchmark", peer.requirements[0])
    options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    options += ["--constraint", str(ROOT / "constraints.txt")] if shared else ["--no-deps"]
    return _last_line(_run([python, "-m", "pip", "install", *options, *peer.requirements]))


def _see_ours(python: str) -> None:
    """Let an environment find the packages of the one that this runs in, behind its own."""
    theirs = _run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    ours = Path(theirs.stdout.strip()) / "ours.pth"
    ours.write_text(sysconfig.get_path("purelib") + "\n")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a process that failed said last; empty if it did not fail."""
    if not done.returncode:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return next(iter(lines[::-1]), f"ended with code {done.returncode}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    print(find_peers())
    sys.exit(0)
