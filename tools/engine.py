"""Many independent jobs on this machine's cores, in processes that may die.

    for done in run_jobs(function, tasks, jobs=2): ...

Each worker is a process of its own that takes one task at a time. A decoder that crashes on a
damaged file takes down its worker and that one task; a new worker takes the next. `function` and
the tasks are pickled, so they belong to a module. Workers end when their parent does, however
it ends.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

Report = Callable[[Any], None]
Work = Callable[[Any, Report], Any]
NEWS, RESULT, ERROR = range(3)
STDERR = 2  # a worker's own output may not mix with the parent's results


@dataclass(frozen=True)
class News:
    """What a task that goes on has reported."""

    task: int
    value: Any


@dataclass(frozen=True)
class Done:
    """A task that is over: its result, or why there is none."""

    task: int
    result: Any = None
    error: str | None = None

    @property
    def reason(self) -> str:
        """The error in one line: the last one of a traceback says what happened."""
        return (self.error or "").strip().rpartition("\n")[2]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(function: Work, tasks: Sequence[Any], jobs: int) -> Generator[News | Done, None, None]:
    """Run `function(task, report)` for every task, at most `jobs` at a time, in any order."""
    waiting = list(enumerate(tasks))[::-1]
    crew = [_Worker(function) for _ in range(min(jobs, len(waiting)))]
    try:
        for worker in crew:
            worker.give(waiting.pop())
        while any(worker.task is not None for worker in crew):
            yield from _listen(crew, waiting, function)
    finally:
        for worker in crew:
            worker.stop()


def _listen(crew: list[_Worker], waiting: list, function: Work) -> Iterator[News | Done]:
    """What the workers have to say now; those that are through get their next task."""
    busy = {id(worker.pipe): worker for worker in crew if worker.task is not None}
    for pipe in wait([worker.pipe for worker in busy.values()]):
        worker = busy[id(pipe)]
        assert worker.task is not None
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            yield Done(worker.task, error=worker.why_it_died())
            crew.remove(worker)
            if waiting:
                crew.append(_Worker(function))
                crew[-1].give(waiting.pop())
            continue
        if kind == NEWS:
            yield News(worker.task, value)
            continue
        yield Done(worker.task, result=value) if kind == RESULT else Done(worker.task, error=value)
        worker.task = None
        if waiting:
            worker.give(waiting.pop())


class _Worker:
    """A process, the pipe to it, and the task it has."""

    def __init__(self, function: Work) -> None:
        self.pipe, theirs = Pipe()
        self.task: int | None = None
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tools.engine", str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=STDERR, pass_fds=[theirs.fileno()],
                env=environment,
            )  # fmt: skip
        self.pipe.send(function)

    def give(self, task: tuple[int, Any]) -> None:
        self.task = task[0]
        self.pipe.send(task[1])

    def why_it_died(self) -> str:
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (perhaps for lack of memory)" if -code == signal.SIGKILL else ""
            return f"the process that worked on it was ended by {name}{hint}"
        return f"the process that worked on it ended with code {code}"

    def stop(self) -> None:
        self.pipe.close()  # the worker ends at once when its pipe does
        self._process.wait()


def _work(pipe: Connection) -> None:
    """A worker's life: one task after the other until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    import cv2

    cv2.setNumThreads(1)  # the cores are shared out among the workers
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, tasks), daemon=True).start()
    function = tasks.get()
    while True:
        task = tasks.get()
        try:
            answer = RESULT, function(task, lambda value: pipe.send((NEWS, value)))
        except Exception:
            answer = ERROR, traceback.format_exc()
        try:
            pipe.send(answer)
        except OSError:  # nobody listens any more
            os._exit(0)


def _receive(pipe: Connection, tasks: queue.SimpleQueue) -> None:
    try:
        while True:
            tasks.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    _work(Connection(int(sys.argv[1])))
