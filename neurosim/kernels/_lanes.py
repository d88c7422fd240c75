"""Vectors as variables of compiled kernels, for loops that LLVM does not vectorise by itself (gathers, short loops).

A vector is 512 bits (16 float32 or 8 float64) where the machine has such registers, else 256, or as many of these as asked
for. Vectors exist in compiled functions only; `+ - * /` and unary minus work on two of the same kind. Indices count elements
of contiguous arrays and are not checked. Kernels that use these are compiled with `EXACT`: the order of operations is as
written.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from ._jit import Compiled, compiled

EXACT = frozenset({"contract", "nsz"})  # multiply-add in one; vlogistic2 needs that no sum is reordered
LOG2E = 1 / math.log(2)  # e**x = 2**(LOG2E x), for vpower2 and vlogistic2


class Primitive(Compiled):
    """An operation of `_vector.py`, which is imported, and numba with it, when a kernel that uses it is compiled."""

    def __init__(self, name: str, doc: str):
        self.__name__ = name
        self.__doc__ = doc
        self._native: Any = None

    def callees(self) -> dict[str, Compiled]:
        """None: it is made of LLVM instructions."""
        return {}

    def sources(self) -> set[Path]:
        """The file that defines it."""
        return {Path(__file__), Path(__file__).with_name("_vector.py")}

    def build(self) -> Any:
        """Numba's intrinsic."""
        return getattr(importlib.import_module(f"{__package__}._vector"), self.__name__)


lanes = Primitive("lanes", "lanes(array): number of elements of the array's dtype in a vector.")
vload = Primitive("vload", "vload(array, index, registers=1): consecutive elements; the last is a literal number.")
vstore = Primitive("vstore", "vstore(array, index, vector): writes consecutive elements.")
vprefetch = Primitive("vprefetch", "vprefetch(array, index): asks for the cache line of an element, which need not exist.")
vsplat = Primitive("vsplat", "vsplat(array, index, registers=1): one element in every lane.")
vgather = Primitive("vgather", "vgather(array, base, indices, index, same): array[base + i] for consecutive i of the "
                    "int32 array `indices`; `same` tells that they are all equal.")
vsum = Primitive("vsum", "vsum(vector): sum of its lanes, a number.")
vadd_sums = Primitive("vadd_sums", "vadd_sums(array, index, a, b, c, d): adds the sums of four vectors to numbers.")
vtranspose = Primitive("vtranspose", "vtranspose(target, out, out_step, source, start, step, registers=1): as many vectors as "
                       "a vector has lanes; target[out + j * out_step + i] = source[start + i * step + j].")
vconstant = Primitive("vconstant", "vconstant(array, number, registers=1): the number in every lane, in the array's dtype.")
vmax = Primitive("vmax", "vmax(a, b): the larger one; a where it is NaN.")
vsign = Primitive("vsign", "vsign(a): -1, 0 or 1.")
vpower2 = Primitive("vpower2", "vpower2(a): 2**a as a normal number, to a few units in the last place; NaN stays NaN.")
vlogistic2 = Primitive("vlogistic2", "vlogistic2(a): 1 / (1 + 2**a) to a few units in the last place; NaN stays NaN.")


@compiled(allocates=False)
def clear(array: Any) -> None:
    """Sets all elements to 0; `array[:] = 0` takes numba ten times as long to compile."""
    for i in range(len(array)):
        array[i] = 0


@compiled
def vectors(count: int, like: Any) -> Any:
    """An array of `count` elements of the dtype of `like` that begins where a cache line does.

    A vector that crosses two lines takes twice the time, more when it is read soon after it was written.
    """
    found = np.empty(count + 64, like.dtype)
    skip = -(found.ctypes.data // like.itemsize) % (64 // like.itemsize)
    return found[skip:skip + count]
