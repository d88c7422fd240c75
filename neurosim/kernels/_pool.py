"""Splits independent rows over a few threads of our own; compiled code lets go of the interpreter, so they run at once."""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

import torch

WORTH_A_THREAD = 20_000  # elements; below that the hand-over costs as much as the work (about 20 us)


def each_row(work: Callable[..., None], rows: int, elements: int, *args: Any) -> None:
    """Calls `work(start, stop, *args)` on consecutive parts that together make up `range(rows)`, and waits for all.

    The result does not depend on the number of threads if every row is computed on its own: sums over rows are taken
    afterwards, from one value per row.

    Args:
        work: a compiled function that writes only to rows start to stop of its arguments, and does not call `each_row`.
        rows: number of rows.
        elements: how many numbers are worked on in all; little work stays in the calling thread.
        args: handed on to `work`.
    """
    parts = min(torch.get_num_threads(), rows, 1 + elements // WORTH_A_THREAD)
    if parts <= 1:
        work(0, rows, *args)
        return
    bounds = [rows * part // parts for part in range(parts + 1)]
    tasks = [_Task(work, (start, stop, *args)) for start, stop in itertools.pairwise(bounds)]
    _pool.start(tasks[1:])
    tasks[0].run()
    for task in tasks:  # all of them, whatever went wrong: no thread may write to the arrays after we have returned
        task.done.wait()
    for task in tasks:
        if task.error is not None:
            raise task.error


class _Task:
    """A call that one thread makes and another waits for."""

    def __init__(self, work: Callable[..., None], args: tuple[Any, ...]):
        self.work, self.args = work, args
        self.done = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Makes the call; the error, if any, is kept for the one who waits."""
        try:
            self.work(*self.args)
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()


class _Pool:
    """Threads that take tasks from one queue, started as they are needed.

    They are daemons: while a task runs somebody waits for it, so that at the end of the program all are idle, and
    threads of others that still compute then find them at work.
    """

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._size = 0

    def start(self, tasks: list[_Task]) -> None:
        """Puts tasks into the queue, with at least as many threads as tasks to take them."""
        with self._lock:
            while self._size < len(tasks):
                threading.Thread(target=self._serve, name=f"neurosim-kernel-{self._size}", daemon=True).start()
                self._size += 1
        for task in tasks:
            self._tasks.put(task)

    def _serve(self) -> None:
        while True:
            self._tasks.get().run()


_pool = _Pool()


def _forget() -> None:
    """In a forked child: the parent's threads do not exist here, and its locks may be held for ever."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
