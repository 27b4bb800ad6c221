"""The guards of conftest.py, shown to bite."""

from __future__ import annotations

import logging
import random
import socket
from pathlib import Path

import numpy as np
import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent
CASES = {
    "a warning of ours": (
        "import logging\ndef test(): logging.getLogger('data.media').warning('odd file')\n",
        "WARNING data.media: odd file",
    ),
    "an error of a tool": (
        "import logging\ndef test(): logging.getLogger('tools.demo').error('broken')\n",
        "ERROR tools.demo: broken",
    ),
    "a warning of Python": ("import warnings\ndef test(): warnings.warn('old')\n", "old"),
    "the network": (
        "import socket\ndef test(): socket.socket().connect_ex(('127.0.0.1', 9))\n",
        "a test wanted to reach",
    ),
    "a name on the network": (
        "import socket\ndef test(): socket.create_connection(('localhost', 9))\n",
        "a test wanted to look up localhost",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_fails_the_test(pytester: pytest.Pytester, monkeypatch, case: str):
    text, message = CASES[case]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nfilterwarnings = ['error']\n")
    pytester.makepyfile(text)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert message in result.stdout.str()


def test_logs_of_others_are_their_own_business():
    logging.getLogger("some.library").error("not ours")


def test_an_expected_complaint_can_be_taken_out(complaints: list[str]):
    logging.getLogger("data.x").warning("expected")
    assert complaints == ["WARNING data.x: expected"]
    complaints.clear()


@pytest.mark.parametrize("turn", [1, 2])
def test_random_state_starts_the_same_every_time(turn: int):
    assert random.random() == 0.8444218515250481
    assert float(np.random.random()) == 0.5488135039273248


def test_no_connection_leaves_a_test():
    with (
        socket.socket() as wire,
        pytest.raises(AssertionError, match="tests make what they need"),
    ):
        wire.connect(("192.0.2.1", 80))
