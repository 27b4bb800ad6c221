"""OpenCV's threads, and processes that are forked."""

from __future__ import annotations

import os
from functools import cache

import cv2


@cache
def survive_forks() -> None:
    """Have no threads of OpenCV at the moment of a fork: they would not go along, and a child that
    relies on them waits for ever (2 of 6 did). A child goes on without: workers are many, and each
    keeps to one core."""
    kept = 0

    def before() -> None:
        nonlocal kept
        kept = cv2.getNumThreads()
        cv2.setNumThreads(1)  # which ends them; 0 would leave them waiting

    os.register_at_fork(before=before, after_in_parent=lambda: cv2.setNumThreads(kept))
