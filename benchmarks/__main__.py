"""All benchmarks, one after the other: `make bench`."""

from __future__ import annotations

import sys

from benchmarks import clips, convert, networks, reader, store
from tools.terminal import start_logging

if __name__ == "__main__":
    start_logging()
    sys.exit(max(benchmark.main() for benchmark in (reader, store, clips, convert, networks)))
