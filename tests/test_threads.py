"""A process that is forked while OpenCV has threads must not wait for those it does not have."""

from __future__ import annotations

import subprocess
import sys

from tests.command import ROOT

SCRIPT = """
import os, time
import cv2, numpy as np
import data.render

picture = np.zeros((2000, 2000, 3), np.uint8)

def work():
    cv2.warpAffine(picture, np.eye(3)[:2], (2000, 2000))
    cv2.filter2D(picture, -1, np.ones((5, 5), np.float32))
    cv2.resize(picture, (1000, 1000))

cv2.setNumThreads(3)
for _ in range(8):
    work()
    child = os.fork()
    if not child:
        cv2.setNumThreads(1)
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(cv2.getNumThreads())
"""


def test_forked_children_do_not_hang():
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True,
                          timeout=60, check=True)  # fmt: skip
    assert done.stdout == "3\n", "the parent has its threads again"
