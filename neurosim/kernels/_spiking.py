"""Compiled loops of spiking.py: blocks of integrate-and-fire cells, vectorised wherever no spike happens."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import compiled
from ._math import exp, log
from .random import GROUP, NOISE, REFRACTORY, RUN, fill_normals, one_normal

STRONGEST = 1e6  # Hz; a current above it comes out as NaN: its spikes could not be told apart
BLOCK = 2048  # cells whose state stays in the first-level cache; a multiple of GROUP

# In all functions p is an array of the dtype of the data: [leak, h, STRONGEST, 1, noise, refractory, jitter].


@compiled
def advance(current: Any, v: Any, wait: Any, v_end: Any, wait_end: Any, count: Any, p: Any) -> int:
    """One frame of all cells as if none spiked; returns how many do, for `fire` to correct."""
    g, h, strongest, one = p[0], p[1], p[2], p[3]
    crossings = 0
    for i in range(current.shape[0]):
        held = min(wait[i], h)
        aim = (current[i] if current[i] <= strongest else p.dtype.type(np.nan)) / g
        end = aim + (v[i] - aim) * exp(-g * (h - held))
        v_end[i] = end
        wait_end[i] = wait[i] - held
        count[i] = p.dtype.type(0) if end == end else p.dtype.type(np.nan)
        crossings += end >= one
    return crossings


@compiled
def reach(aim: Any, v: Any, left: Any, p: Any) -> Any:
    """Time until v crosses the threshold, at most `left`."""
    one = p[3]
    # log of 1 + y in float64: y may be small.
    wait = p.dtype.type(log(1.0 + np.float64((one - v) / (aim - one)))) / p[0]
    return min(wait, left) if aim > one else left


@compiled
def draw(p: Any, pair: Any, word: Any, key: int, spike: int, row: int, cell: int) -> Any:
    """Refractory time after a cell's spike of this number."""
    length = p[5]
    if p[6] != p.dtype.type(0):
        length += p[6] * one_normal(pair, word, key, REFRACTORY, spike, row, cell)
    return max(length, p.dtype.type(0))


@compiled
def cross(crossing: Any, current: Any, v: Any, wait: Any, now: Any, p: Any) -> None:
    """Writes the times of the first spikes of the cells listed in `crossing`, since the start of the frame, to `now`."""
    for j in range(crossing.shape[0]):
        i = crossing[j]
        held = min(wait[i], p[1])
        now[j] = held + reach(current[i] / p[0], v[i], p[1] - held, p)


@compiled
def settle(crossing: Any, current: Any, now: Any, wait: Any, v_end: Any, wait_end: Any, p: Any) -> None:
    """Where those cells are at the end of the frame if they do not spike again; `wait`: their refractory times."""
    for j in range(crossing.shape[0]):
        i = crossing[j]
        aim = current[i] / p[0]
        held = min(wait[j], p[1] - now[j])
        v_end[i] = aim - aim * exp(-p[0] * (p[1] - now[j] - held))
        wait_end[i] = wait[j] - held


@compiled
def burst(times: Any, size: int, start: float, aim: Any, now: Any, wait: Any, p: Any, pair: Any, word: Any, key: int,
          spike: int, row: int, cell: int) -> tuple[int, Any, Any]:
    """All further spikes of one cell in a frame after one at `now`; writes their times to `times` from `size` on.

    Returns the new size, and v and the refractory time left at the end of the frame."""
    g, step, one, zero = p[0], p[1], p[3], p.dtype.type(0)
    end = one
    while end >= one:
        held = min(wait, step - now)
        now += held + reach(aim, zero, step - now - held, p)
        times[size] = start + np.float64(now)
        size += 1
        wait = draw(p, pair, word, key, spike, row, cell)
        spike += 1
        held = min(wait, step - now)
        end = aim - aim * exp(-g * (step - now - held))
    return size, end, wait - held


@compiled
def run_block(x: Any, v: Any, wait: Any, fired: Any, counts: Any, p: Any, h: float, frame: int, key: int, row: int,
              first: int) -> tuple[Any, Any, Any]:
    """All frames of one block of cells, of which `first` is the first in its row.

    Changes v, wait, fired and counts there. Returns frame in the chunk, cell and time in s of each spike."""
    last = min(first + BLOCK, x.shape[2])
    cells = last - first
    eta = np.empty((cells + GROUP - 1) // GROUP * GROUP, x.dtype)
    words, word, pair = np.empty((4, RUN), np.uint32), np.empty((4, 1), np.uint32), np.empty((2, 1), x.dtype)
    v_now, wait_now = v[row, first:last].copy(), wait[row, first:last].copy()
    v_end, wait_end = np.empty_like(v_now), np.empty_like(v_now)
    now, pause = np.empty_like(v_now), np.empty_like(v_now)
    crossing = np.empty(cells, np.int64)
    size = 0
    frames, which, times = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
    for k in range(x.shape[1]):
        current, count, so_far = x[row, k, first:last], counts[row, k, first:last], fired[row, first:last]
        if p[4] != p.dtype.type(0):
            fill_normals(eta, words, key, NOISE, frame + k, row, first)
            for i in range(cells):
                eta[i] = current[i] + p[4] * eta[i]
            current = eta[:cells]
        if advance(current, v_now, wait_now, v_end, wait_end, count, p) > 0:
            n, strongest = 0, p.dtype.type(0)
            for i in range(cells):
                crossing[n] = i
                n += v_end[i] >= p[3]
            cross(crossing[:n], current, v_now, wait_now, now, p)
            for j in range(n):
                pause[j] = draw(p, pair, word, key, so_far[crossing[j]], row, first + crossing[j])
                strongest = max(strongest, current[crossing[j]])
            settle(crossing[:n], current, now, pause, v_end, wait_end, p)
            room = size + n * (int(h * strongest) + 2)  # enough: an interval is longer than 1 / current
            if room > times.shape[0]:
                more = room + times.shape[0]
                frames = np.concatenate((frames[:size], np.empty(more, np.int64)))
                which = np.concatenate((which[:size], np.empty(more, np.int64)))
                times = np.concatenate((times[:size], np.empty(more, np.float64)))
            start = np.float64(frame + k) * h
            for j in range(n):
                i, before = crossing[j], size
                times[size] = start + np.float64(now[j])
                size += 1
                if v_end[i] >= p[3]:
                    size, v_end[i], wait_end[i] = burst(times, size, start, current[i] / p[0], now[j], pause[j], p, pair,
                                                        word, key, so_far[i] + 1, row, first + i)
                for m in range(before, size):
                    frames[m], which[m] = k, first + i
                count[i] += p.dtype.type(size - before)
                so_far[i] += size - before
        v_now, v_end = v_end, v_now
        wait_now, wait_end = wait_end, wait_now
    v[row, first:last], wait[row, first:last] = v_now, wait_now
    return frames[:size], which[:size], times[:size]


@compiled
def arrange(frames: Any, which: Any, times: Any, ends: Any, blocks: int, time: int) -> tuple[Any, Any, Any]:
    """Row, cell and time of the spikes of all blocks, one after the other up to `ends`, put in the order of frames."""
    units = ends.shape[0]
    places = np.zeros(time * units + 1, np.int64)
    unit = 0
    for e in range(frames.shape[0]):
        while e >= ends[unit]:
            unit += 1
        places[frames[e] * units + unit + 1] += 1
    for place in range(time * units):
        places[place + 1] += places[place]
    rows, cells, moments = np.empty_like(which), np.empty_like(which), np.empty_like(times)
    unit = 0
    for e in range(frames.shape[0]):
        while e >= ends[unit]:
            unit += 1
        place = places[frames[e] * units + unit]
        places[frames[e] * units + unit] += 1
        rows[place], cells[place], moments[place] = unit // blocks, which[e], times[e]
    return rows, cells, moments
