"""Splits independent rows over a few threads of our own; compiled code lets go of the interpreter, so they run at once."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

WORTH_A_THREAD = 20_000  # elements; below that the hand-over costs as much as the work (about 20 us)

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


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
    pending = [_submit(parts - 1, work, start, stop, *args) for start, stop in itertools.pairwise(bounds[1:])]
    try:
        work(0, bounds[1], *args)
    finally:
        for wait in pending:  # no thread may write to the arrays after we have returned
            wait()


def _submit(size: int, work: Callable[..., None], *args: Any) -> Callable[[], None]:
    """Starts `work(*args)` in the pool; the function returned waits for its end and raises its error."""
    try:
        return _threads(size).submit(work, *args).result
    except RuntimeError:  # the interpreter is shutting down and takes no new tasks
        return lambda: work(*args)


def _threads(size: int) -> ThreadPoolExecutor:
    """The pool, of at least `size` threads. A smaller one that it replaces ends by itself when its work is done."""
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < size:
            if _pool is not None:
                _pool.shutdown(wait=False)
            _pool = ThreadPoolExecutor(size, thread_name_prefix="neurosim-kernel")
            _pool_size = size
        return _pool


def _forget() -> None:
    """In a forked child: the parent's threads do not exist here, and its lock may be held for ever."""
    global _pool, _pool_size, _lock
    _lock = threading.Lock()
    _pool, _pool_size = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
