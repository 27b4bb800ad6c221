"""Which file this is, without reading all of it: its size and a few blocks of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

BLOCK, BLOCKS = 1 << 16, 8


def fingerprint(path: str | Path) -> str:
    """A hash of the size and of eight blocks from the beginning to the end."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "big"))
        for number in range(BLOCKS):
            file.seek(max(0, size - BLOCK) * number // (BLOCKS - 1))
            digest.update(file.read(BLOCK))
            if size <= BLOCK:
                break
    return digest.hexdigest()[:32]
