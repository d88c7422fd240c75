"""Rows over threads: all of them, once, whatever goes wrong."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from neurosim.kernels._pool import each_row


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [0, 1, 2, 7])
def test_every_row_once(count: int, rows: int) -> None:
    torch.set_num_threads(count)
    seen = np.zeros(rows, int)

    def work(start: int, stop: int, seen: np.ndarray) -> None:
        seen[start:stop] += 1

    each_row(work, rows, 10**9, seen)
    assert (seen == 1).all()


def test_small_work_stays_in_the_caller_and_large_work_does_not() -> None:
    torch.set_num_threads(2)
    names: list[str] = []
    meet = threading.Barrier(2)

    def work(start: int, stop: int) -> None:
        if stop - start < 4:
            meet.wait(10)  # passes only if both parts are at work
        names.append(threading.current_thread().name)

    each_row(work, 4, 100)
    assert names == [threading.current_thread().name]
    each_row(work, 4, 10**6)
    assert len(set(names)) == 2


def test_an_error_in_any_part_reaches_the_caller() -> None:
    torch.set_num_threads(2)

    def work(start: int, stop: int) -> None:
        if stop == 2:
            raise ZeroDivisionError("in the second part")

    with pytest.raises(ZeroDivisionError, match="in the second part"):
        each_row(work, 2, 10**6)


def test_two_callers_at_once_with_different_sizes() -> None:
    totals: list[int] = []

    def call(count: int) -> None:
        torch.set_num_threads(count)
        for _ in range(50):
            seen = np.zeros(12, int)
            each_row(lambda start, stop, seen: seen.__setitem__(slice(start, stop), 1), 12, 10**6, seen)
            totals.append(int(seen.sum()))

    callers = [threading.Thread(target=call, args=(count,)) for count in (2, 5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert totals == [12] * 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_makes_threads_of_its_own() -> None:
    torch.set_num_threads(2)
    seen = np.zeros(4, int)
    each_row(lambda start, stop: seen.__setitem__(slice(start, stop), 1), 4, 10**6)
    child = os.fork()
    if not child:
        each_row(lambda start, stop: seen.__setitem__(slice(start, stop), 2), 4, 10**6)
        os._exit(0 if (seen == 2).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
