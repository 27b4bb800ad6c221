"""What every test stands on: media made once, no network, no leftover random state, no noise."""

from __future__ import annotations

import logging
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import synth

OURS = ("data", "train", "network", "tools", "train_")


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], synth.Made]:
    """`media("bframes")`: that variant of tests/synth.py, written once a session."""
    folder = tmp_path_factory.mktemp("media")
    made: dict[str, synth.Made] = {}

    def get(name: str) -> synth.Made:
        if name not in made:
            made[name] = synth.make(name, folder)
        return made[name]

    return get


@pytest.fixture(autouse=True)
def _isolated_random_state() -> Iterator[None]:
    """Every test starts from the same state and hands back what it found."""
    before, numpy_before = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(0)
    torch = sys.modules.get("torch")  # most tests do without it
    torch_before = torch and torch.get_rng_state()
    if torch:
        torch.manual_seed(0)
    yield
    random.setstate(before)
    np.random.set_state(numpy_before)
    if torch:
        torch.set_rng_state(torch_before)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """On tensors as small as a test's, torch's threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(OURS):
            self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def complaints() -> Iterator[list[str]]:
    """Our warnings and errors of this test. What it expects it takes out: `complaints.clear()`."""
    handler = _Complaints()
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)
    assert not handler.lines, "logged during the test:\n" + "\n".join(handler.lines)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(way: str) -> Callable[[socket.socket, object], object]:
        original = getattr(socket.socket, way)

        def connect(self: socket.socket, address: object) -> object:
            if self.family == socket.AF_UNIX:  # processes of this machine among themselves
                return original(self, address)
            raise AssertionError(f"a test wanted to reach {address}; tests make what they need")

        return connect

    def refuse_name(host: object, *_: object) -> None:
        raise AssertionError(f"a test wanted to look up {host}; tests make what they need")

    for way in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, way, refuse(way))
    monkeypatch.setattr(socket, "getaddrinfo", refuse_name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """GPU tests are skipped without a GPU, unless the run says that it must have one."""
    if not any(item.get_closest_marker("gpu") for item in items):
        return
    import torch

    if torch.cuda.is_available() or os.environ.get("FAIL_WITHOUT_CUDA"):
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture
def open_files() -> Callable[..., int]:
    """How many file descriptors this process holds, in all or of files below a folder."""

    def count(below: Path | str = "") -> int:
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return sum(
            os.readlink(link).startswith(str(below)) for link in links if os.path.lexists(link)
        )

    return count
