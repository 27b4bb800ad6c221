"""JPEG bytes held in memory, up to a bound: what was read longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

Key = tuple[Hashable, int]  # the file (not only its name), the frame's number


class ByteCache:
    """At most `limit` bytes; 0 holds nothing."""

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"a cache holds 0 bytes or more, got {limit}")
        self.limit, self.size = limit, 0
        self._held: OrderedDict[Key, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Key) -> bytes | None:
        data = self._held.get(key)
        if data is not None:
            self._held.move_to_end(key)
        return data

    def put(self, key: Key, data: bytes) -> None:
        if len(data) > self.limit:
            return
        self.size += len(data) - len(self._held.pop(key, b""))
        self._held[key] = data
        while self.size > self.limit:
            self.size -= len(self._held.popitem(last=False)[1])
