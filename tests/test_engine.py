"""Jobs on processes that may die: all results, news on the way, no worker left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from itertools import islice

import pytest

from tools.engine import Done, News, run_jobs


def square(number: int, report) -> int:
    return number * number


def crash(number: int, report) -> int:
    if number % 3 == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number % 3 == 1:
        raise ValueError(f"no {number} please")
    return number


def talk(number: int, report) -> int:
    for step in range(3):
        report(step)
    print("what a library prints", flush=True)
    return number


def sleep(number: int, report) -> int:
    report(os.getpid())
    time.sleep(60)
    return number


def over(events: Iterable[News | Done]) -> list[Done]:
    return [event for event in events if isinstance(event, Done)]


@pytest.mark.parametrize("jobs", [1, 3, 50])
def test_every_task_gives_its_result(jobs):
    results = {done.task: done.result for done in over(run_jobs(square, range(20), jobs))}
    assert results == {number: number * number for number in range(20)}


def test_nothing_to_do_is_done_at_once():
    assert list(run_jobs(square, [], 4)) == []


def test_a_crash_and_an_exception_cost_their_task_only():
    done = {event.task: event for event in over(run_jobs(crash, range(9), 2))}
    assert len(done) == 9
    for number, event in done.items():
        wanted = ["ended by SIGSEGV", f"ValueError: no {number} please", ""][number % 3]
        assert wanted in (event.error or "")
        assert bool(event.error) == bool(wanted)
        assert event.result == (number if number % 3 == 2 else None)


def test_news_come_before_the_result(capfd):
    events = list(run_jobs(talk, [7], 1))
    assert events == [News(0, 0), News(0, 1), News(0, 2), Done(0, 7)]
    assert capfd.readouterr().out == ""  # results of the parent go to stdout, nothing else


def test_workers_end_with_the_one_who_asked():
    events = run_jobs(sleep, range(2), 2)
    workers = [event.value for event in islice(events, 2) if isinstance(event, News)]
    events.close()
    assert len(set(workers)) == 2
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
