"""An environment beside ours for peers that are no requirement of ours.

It sees our packages, torch among them, and adds what is missing, without touching ours. What
cannot be had or run is named with the reason, and the benchmarks leave it out.
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

HOME = Path(__file__).resolve().parent.parent / ".venv" / "peers"
# what is imported -> what is installed
REQUIREMENTS = {"lmdb": "lmdb==3.0.0", "torchcodec": "torchcodec==0.17.0"}
TRY = {
    "lmdb": "import lmdb",
    "torchcodec": "from torchcodec.decoders import VideoDecoder",  # loads FFmpeg's libraries
}
VERSION = "from importlib.metadata import version as v; print(v({!r}))"


@dataclass(frozen=True)
class Peers:
    """The environment's Python, what works in it (with versions), and why the rest does not."""

    python: str
    versions: dict[str, str]
    left_out: dict[str, str]


def find_peers() -> Peers:
    python = str(HOME / ("Scripts" if os.name == "nt" else "bin") / "python")
    versions, left_out = {}, {}
    for name, requirement in REQUIREMENTS.items():
        problem = _problem(python, name) and _install(python, requirement)
        problem = problem or _problem(python, name)
        if problem:
            log.warning("%s is left out: %s", name, problem)
            left_out[name] = problem
        else:
            versions[name] = _run([python, "-c", VERSION.format(name)]).stdout.strip()
    return Peers(python, versions, left_out)


def _problem(python: str, name: str) -> str:
    """Why this cannot be imported; empty if it can."""
    if not Path(python).exists():
        return "no environment"
    return _last_line(_run([python, "-c", TRY[name]]))


def _install(python: str, requirement: str) -> str:
    """Add it to the environment, without what it requires: that comes from ours."""
    if not Path(python).exists():
        venv.create(HOME, with_pip=True)
        theirs = _run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
        ours = Path(theirs.stdout.strip()) / "ours.pth"
        ours.write_text(sysconfig.get_path("purelib") + "\n")
    log.info("installing %s for the benchmark", requirement)
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    return _last_line(_run([python, "-m", "pip", "install", *quiet, requirement]))


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
