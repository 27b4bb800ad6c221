"""What the benchmark of many videos times, in a process of its own: WORK DATASET.

Prints the number of videos, seconds on the wall and CPU seconds, after imports.
"""

from __future__ import annotations

import sys
import time

from data.catalog import Catalog


def make(dataset: str) -> int:
    catalog = Catalog(dataset, look=True)
    catalog.save()
    return len(catalog)


def open_one(dataset: str) -> int:
    """As a program does that has never seen the dataset: all names, one of them, one clip."""
    catalog = Catalog(dataset)
    names = [entry.name for entry in catalog]
    with catalog.store(names[time.time_ns() % len(names)]) as store:
        assert store.frames(range(len(store))).shape[0] == len(store)
    return len(names)


def main(work: str, dataset: str) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    count = {"make": make, "open": open_one}[work](dataset)
    print(count, time.perf_counter() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    main(*sys.argv[1:])
