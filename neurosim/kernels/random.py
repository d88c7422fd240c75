"""Counter-based random numbers: Philox4x32-10, the same integers compiled and in plain torch.

A number is a function of (key, stream, index, row, cell) and of nothing else: not of the chunk that a frame came in,
of the number of threads, or of the device. Block b of four 32-bit words serves four cells that are 64 apart, so that compiled
loops write consecutive numbers.

Reference: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". Normals: Box & Muller
1958, with the quadrant taken from two bits of the angle's word.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._jit import compiled
from ._math import log
from ._op import make_op
from ._pool import each_row

ROUND_A, ROUND_B = 0xD2511F53, 0xCD9E8D57
WEYL_A, WEYL_B = 0x9E3779B9, 0xBB67AE85
WORD = 0xFFFFFFFF
NOISE, REFRACTORY, START, DROPOUT = range(4)  # streams, at most 4
RUN = 64  # cells that take the same word of consecutive blocks
GROUP = 4 * RUN  # cells of that many blocks

# Taylor coefficients of sin and cos; on [-pi/4, pi/4] what is left out is below 3e-17.
SIN = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in range(8))
COS = tuple((-1.0) ** n / math.factorial(2 * n) for n in range(9))


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """One block of Philox4x32-10 for each element; words are int64 tensors (or integers) in [0, 2**32)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = c0 * ROUND_A, c2 * ROUND_B  # int64 wraps, but its bits are those of the full product
        c0, c1, c2, c3 = (b >> 32 & WORD) ^ c1 ^ k0, b & WORD, (a >> 32 & WORD) ^ c3 ^ k1, a & WORD
        k0, k1 = k0 + WEYL_A & WORD, k1 + WEYL_B & WORD
    return c0, c1, c2, c3


def words(key: Tensor, stream: int, index: Tensor, rows: int, cells: int) -> Tensor:
    """The random word of every cell, (rows, cells) int64 in [0, 2**32), and that of its partner in a pair.

    Args:
        key: int64 0-d, the seed.
        stream: which use the numbers are for (NOISE, REFRACTORY, START, DROPOUT).
        index: int64, not negative: number of the frame or of the spike, 0-d, (rows, cells), or with more axes before these.
        rows, cells: size of the result.
    Returns: (2, ..., rows, cells), the words of the even and of the odd member of the pair that a cell belongs to.
    """
    cell = torch.arange(cells, device=key.device).expand(rows, cells)
    row = torch.arange(rows, device=key.device)[:, None].expand(rows, cells)
    block = (cell >> 8) * RUN + cell % RUN
    drawn = philox((block, row, index & WORD, stream | index >> 32 << 2), (key & WORD, key >> 32 & WORD))
    late = cell % GROUP >= 2 * RUN
    return torch.stack([torch.where(late, drawn[2], drawn[0]), torch.where(late, drawn[3], drawn[1])])


def first_of_pair(cells: int, device: torch.device) -> Tensor:
    """Whether each cell is the first of the two that share a pair of words, (cells,) bool."""
    return torch.arange(cells, device=device) % (2 * RUN) < RUN


def uniform(key: Tensor, stream: int, index: Tensor, rows: int, cells: int, dtype: torch.dtype) -> Tensor:
    """Uniform numbers in [0, 1), (rows, cells); multiples of 2**-24, so that float32 holds them too."""
    even, odd = words(key, stream, index, rows, cells)
    word = torch.where(first_of_pair(cells, key.device), even, odd)
    return (word >> 8).to(dtype) * 2.0**-24


def normal(key: Tensor, stream: int, index: Tensor, rows: int, cells: int, dtype: torch.dtype) -> Tensor:
    """Standard normal numbers, (rows, cells), at most 6.8 in size."""
    even, odd = words(key, stream, index, rows, cells)
    radius = torch.sqrt(-2 * torch.log((even.to(dtype) + 0.5) * 2.0**-32))
    angle = ((odd & 0x3FFFFFFF).to(dtype) * 2.0**-30 - 0.5) * (math.pi / 2)
    c, s = torch.cos(angle), torch.sin(angle)
    first = first_of_pair(cells, key.device)
    sign = torch.where(torch.where(first, odd >> 30, odd >> 31) % 2 == 0, 1.0, -1.0).to(dtype)
    return sign * radius * torch.where(first, c - s, c + s) * math.sqrt(0.5)


@compiled
def fill_words(out: Any, key: int, stream: int, index: int, row: int, first: int) -> None:
    """Writes the words of blocks first, first + 1, ... to `out` (4, blocks) uint32."""
    shift, word = np.uint64(32), np.uint64(WORD)
    by_a, by_b = np.uint64(ROUND_A), np.uint64(ROUND_B)
    low, high = np.uint64(key) & word, np.uint64(key) >> shift
    third = np.uint64(index) & word
    fourth = np.uint64(stream) | np.uint64(index) >> shift << np.uint64(2)
    for block in range(out.shape[1]):
        c0, c1, c2, c3 = np.uint64(first + block) & word, np.uint64(row), third, fourth
        k0, k1 = low, high
        for _ in range(10):
            a, b = c0 * by_a, c2 * by_b
            c0 = (b >> shift) ^ c1 ^ k0
            c1 = b & word
            c2 = (a >> shift) ^ c3 ^ k1
            c3 = a & word
            k0 = k0 + np.uint64(WEYL_A) & word
            k1 = k1 + np.uint64(WEYL_B) & word
        out[0, block] = np.uint32(c0)
        out[1, block] = np.uint32(c1)
        out[2, block] = np.uint32(c2)
        out[3, block] = np.uint32(c3)


@compiled
def pairs_to_normals(even: Any, odd: Any, one: Any, two: Any) -> None:
    """Box and Muller: a pair of words becomes a number of `one` and a number of `two`."""
    f = one.dtype.type
    for i in range(one.shape[0]):
        radius = np.sqrt(f(-2) * log((f(even[i]) + f(0.5)) * f(2.0**-32))) * f(math.sqrt(0.5))
        angle = (f(odd[i] & np.uint32(0x3FFFFFFF)) * f(2.0**-30) - f(0.5)) * f(math.pi / 2)
        q = angle * angle
        s, c = f(SIN[7]), f(COS[8])
        for n in range(6, -1, -1):
            s = s * q + f(SIN[n])
        for n in range(7, -1, -1):
            c = c * q + f(COS[n])
        s *= angle
        # 1 - 2 bit is a sign
        one[i] = (f(1) - f(2) * f((odd[i] >> np.uint32(30)) & np.uint32(1))) * radius * (c - s)
        two[i] = (f(1) - f(2) * f(odd[i] >> np.uint32(31))) * radius * (c + s)


@compiled
def fill_normals(out: Any, words: Any, key: int, stream: int, index: int, row: int, first: int) -> None:
    """Writes the normals of cells first, first + 1, ... of a row to `out`; `first` and the length are multiples of GROUP.

    words: (4, RUN) uint32, scratch memory.
    """
    for start in range(0, out.shape[0], GROUP):
        fill_words(words, key, stream, index, row, (first + start) // 4)
        for half in range(2):
            a = start + 2 * half * RUN
            pairs_to_normals(words[2 * half], words[2 * half + 1], out[a:a + RUN], out[a + RUN:a + 2 * RUN])


@compiled
def one_normal(pair: Any, words: Any, key: int, stream: int, index: int, row: int, cell: int) -> Any:
    """The normal of one cell.

    pair: (2, 1) of the dtype of the result, words: (4, 1) uint32, scratch memory.
    """
    fill_words(words, key, stream, index, row, cell // GROUP * RUN + cell % RUN)
    lane = cell % GROUP // RUN
    pairs_to_normals(words[lane // 2 * 2], words[lane // 2 * 2 + 1], pair[0], pair[1])
    return pair[lane % 2, 0]


def uniforms_reference(key: Tensor, frame: Tensor, stream: int, rows: int, frames: int, cells: int) -> Tensor:
    """`uniform` of frame, frame + 1, ..., (rows, frames, cells) float32."""
    index = frame + torch.arange(frames, device=key.device)[:, None, None]
    return uniform(key, stream, index, rows, cells, torch.float32).transpose(0, 1).contiguous()


def uniforms_shapes(key: Tensor, frame: Tensor, stream: int, rows: int, frames: int, cells: int) -> Tensor:
    """The output of `uniforms_reference`, empty."""
    return key.new_empty((rows, frames, cells), dtype=torch.float32)


@compiled
def fill_uniforms(start: int, stop: int, key: int, frame: int, stream: int, out: Any) -> None:
    """Rows `start` to `stop` of `out`, (rows, frames, cells)."""
    words, cells = np.empty((4, RUN), np.uint32), out.shape[2]
    for row in range(start, stop):
        for t in range(out.shape[1]):
            for first in range(0, cells, GROUP):
                fill_words(words, key, stream, frame + t, row, first // 4)
                for lane in range(min(4, (cells - first + RUN - 1) // RUN)):
                    at = first + lane * RUN
                    for i in range(min(RUN, cells - at)):
                        out[row, t, at + i] = np.float32(words[lane, i] >> np.uint32(8)) * np.float32(2.0**-24)


def uniforms_forward(key: Any, frame: Any, stream: int, rows: int, frames: int, cells: int) -> Any:
    """`uniforms_reference` in compiled code."""
    out = np.empty((rows, frames, cells), np.float32)
    each_row(fill_uniforms, rows, out.size, int(key), int(frame), stream, out)
    return out


def uniforms_backward(needs: tuple[bool, ...], *args: Any) -> tuple[Any, ...]:
    """Nothing depends on whole numbers smoothly."""
    return None, None


uniforms = make_op("uniforms", uniforms_reference, uniforms_shapes, uniforms_forward, uniforms_backward)
