"""Many stores, many threads, many processes: few open files, no waiting for ever, no mix-up."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from data.connections import CAPACITY, FILES_EACH, pool
from data.schema import StoreError
from data.store import FrameStore
from tests.command import ROOT
from tests.frames import Content, whose, write_database, write_store

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("shared") / "v", Content(count=40, levels=(16,)))


@pytest.fixture(autouse=True)
def _leave_nothing_open() -> Iterator[None]:
    yield
    close_all()


def close_all() -> None:
    """As when the stores of others made these give way."""
    for key in list(pool()._opened):
        pool().close(key)


def read_all(store: FrameStore) -> list[int | None]:
    return whose(store.frames(range(39, -1, -1)))


ALL = list(range(39, -1, -1))


# -- pickles and processes -------------------------------------------------------------------------


def test_a_store_pickles_as_its_path(folder: Path, open_files):
    store = FrameStore(folder)
    store.frames([0])
    data = pickle.dumps(store)
    assert len(data) < 300 + len(str(folder))
    store.close()
    before = open_files()
    copy = pickle.loads(data)
    assert open_files() == before, "it opens its files when it is used"
    assert read_all(copy) == ALL
    copy.close()


def test_a_pickle_of_a_file_that_went_says_so_when_used(tmp_path: Path):
    store = FrameStore(write_store(tmp_path / "v"))
    data = pickle.dumps(store)
    store.close()
    shutil.rmtree(tmp_path / "v")
    copy = pickle.loads(data)
    with pytest.raises(StoreError, match="cannot be reached"):
        copy.read([0])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same(method: str, folder: Path):
    store = FrameStore(folder)
    assert read_all(store) == ALL  # opened before they begin
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as workers:
        assert list(workers.map(read_all, [store] * 4)) == [ALL] * 4
    assert read_all(store) == ALL
    store.close()


def test_a_forked_child_opens_files_of_its_own(folder: Path):
    """Places in a file that are shared would move under the other's feet."""
    store = FrameStore(folder)
    store.read([0])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as worker:
        assert worker.submit(in_the_child, store).result() == (0, 1)
    assert len(pool()) == 1
    store.close()


def in_the_child(store: FrameStore) -> tuple[int, int]:
    before = len(pool())
    store.read([0])
    return before, len(pool())


def test_errors_come_home(tmp_path: Path):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as worker:
        future = worker.submit(FrameStore, tmp_path / "none")
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        future.result()
    assert caught.value.path.endswith("none")
    assert caught.value.advice == "check the path"


FORKS = """
import faulthandler, os, sys, threading, time
from data.store import FrameStore
folder, stopping = sys.argv[1], False
def read():
    while not stopping:
        with FrameStore(folder) as store:  # opened and closed too: both are inside SQLite
            for _ in range(5):
                store.read(range(40))
threads = [threading.Thread(target=read) for _ in range(4)]
[thread.start() for thread in threads]
failed = 0
for _ in range(250):
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(10, exit=True)
        with FrameStore(folder) as store:
            os._exit(len(store.read([3, 1])) != 2)
    failed += os.waitpid(child, 0)[1] != 0
    if failed:
        break
stopping = True
[thread.join() for thread in threads]
sys.exit(failed)
"""


def test_children_forked_while_threads_read_do_not_hang(folder: Path):
    """SQLite's own locks are copied as they are at that moment."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_workers_made_while_threads_read(folder: Path):
    """The fork's hooks give back what they took: the parent's threads read on."""
    store, stop = FrameStore(folder), threading.Event()

    def read() -> int:
        count = 0
        while not stop.is_set():
            assert len(store.read(range(40))) == 40
            count += 1
        return count

    command = [sys.executable, "-c", "pass"]
    with ThreadPoolExecutor(3) as threads:
        counts = [threads.submit(read) for _ in range(3)]
        for _ in range(5):
            subprocess.run(command, check=True, preexec_fn=os.getpid)  # with hooks, unlike plain
        stop.set()
        assert all(count.result(20) > 0 for count in counts)
    store.close()


# -- threads ---------------------------------------------------------------------------------------


def test_threads_share_a_store(folder: Path):
    with FrameStore(folder) as store, ThreadPoolExecutor(8) as threads:
        clips = [[at % 40, 39 - at % 40, 7] for at in range(200)]
        assert list(threads.map(lambda clip: whose(store.frames(clip)), clips)) == clips


def test_threads_open_and_close_the_same_file(folder: Path, open_files):
    before = open_files()

    def use(at: int) -> list[int | None]:
        with FrameStore(folder) as store:
            return whose(store.frames([at % 40, 0], short_side=16))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(300))) == [[at % 40, 0] for at in range(300)]
    assert open_files() == before


def test_threads_with_more_stores_than_may_be_open(tmp_path: Path):
    stores = [FrameStore(folder) for folder in copies(tmp_path, 2 * CAPACITY)]
    with ThreadPoolExecutor(8) as threads:
        read = threads.map(lambda at: whose(stores[at * 37 % len(stores)].frames([1])), range(600))
        assert list(read) == [[1]] * 600
    assert len(pool()) <= CAPACITY


# -- many stores -----------------------------------------------------------------------------------


def copies(folder: Path, count: int, by=shutil.copy) -> list[Path]:
    """That many videos; the same file under many names will do where `by` is os.link."""
    first = write_database(folder / "first.db", "v", Content(count=2))
    made = []
    for number in range(count):
        made.append(folder / f"v{number}")
        made[-1].mkdir()
        by(first, made[-1] / "frames.db")
    return made


def memory() -> int:
    """Bytes this process holds of its own. Mapped files are the kernel's to take away."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def read_through(folders: list[Path], open_files) -> list[tuple[int, int]]:
    """Read each and keep it, as a data set does; the open files and memory after every eighth."""
    stores, after = [], []
    for number, folder in enumerate(folders):
        store = FrameStore(folder)
        assert whose(store.frames([1, 0])) == [1, 0]
        stores.append(store)
        if number % (len(folders) // 8) == 0:
            after.append((open_files(), memory()))
    assert whose(stores[0].frames([1])) == [1]  # opened again
    return after


def test_open_files_level_off(tmp_path: Path, open_files):
    before = open_files()
    after = read_through(copies(tmp_path, 600), open_files)
    assert after[-1][0] == after[3][0] <= before + FILES_EACH * CAPACITY
    assert len(pool()) == CAPACITY


@pytest.mark.slow
def test_five_thousand_stores_cost_no_more_than_a_few(tmp_path: Path, open_files):
    before = open_files()
    after = read_through(copies(tmp_path, 5000, os.link), open_files)
    assert max(files for files, _ in after) <= before + FILES_EACH * CAPACITY
    grown = after[-1][1] - after[1][1]
    assert grown < 4375 * 8192 + 8 * MEGABYTE, f"{grown >> 20} MB"  # the stores' own few facts


# -- files that change -----------------------------------------------------------------------------


def replace(folder: Path, count: int) -> None:
    write_store(folder, Content(count=count))


def test_a_file_replaced_while_it_is_open_stays_what_it_was(tmp_path: Path):
    """The old file goes on being read, or nothing is: never one's facts and the other's frames."""
    folder = write_store(tmp_path / "v", Content(count=5))
    with FrameStore(folder) as store:
        old = store.read(range(5))
        replace(folder, 8)
        assert store.read(range(5)) == old
        close_all()
        with pytest.raises(StoreError, match="was replaced while it was open; open it again"):
            store.read([0])
    with FrameStore(folder) as store:
        assert len(store) == 8
        assert whose(store.frames([7])) == [7]


def test_a_new_store_sees_the_new_file_beside_the_old(tmp_path: Path):
    folder = write_store(tmp_path / "v", Content(count=5))
    with FrameStore(folder) as old:
        old.read([0])
        replace(folder, 8)
        with FrameStore(folder) as new:
            assert (len(old), len(new)) == (5, 8)
            assert whose(new.frames([7])) == [7]
            assert whose(old.frames([4])) == [4]


def test_a_removed_file_is_read_on_while_it_is_open(tmp_path: Path):
    folder = write_store(tmp_path / "v", Content(count=5))
    with FrameStore(folder) as store:
        shutil.rmtree(folder)
        assert whose(store.frames([4])) == [4]
        close_all()
        with pytest.raises(StoreError, match="cannot be reached"):
            store.read([0])


def test_the_pool_holds_what_was_used_last(tmp_path: Path):
    folders = copies(tmp_path, CAPACITY + 1)
    stores = [FrameStore(folder) for folder in folders[:CAPACITY]]
    stores[0].read([0])  # used again, so that the second one is the oldest
    FrameStore(folders[-1])
    held = {key[0] for key in pool()._opened}
    assert stores[0].path in held
    assert stores[1].path not in held
