"""Operations on 16 neighbouring numbers at once, for recursions that LLVM does not vectorise by itself.

A recursion over pixels runs 16 lines side by side. Written as an inner loop of 16 steps, LLVM unrolls it before it looks for
vectors, and then has to keep the order of loads and stores. These functions, to be called in compiled code, say it outright.
All work on flat arrays at given offsets, without bounds checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._jit import Compiled

LANES = 16


class Intrinsic(Compiled):
    """A function that compiled code calls and that writes LLVM's instructions itself."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__(function, frozenset())

    def build(self) -> Any:
        from numba.extending import intrinsic

        return intrinsic(self.function)

    def __call__(self, *args: Any) -> Any:
        raise NotImplementedError(f"{self.__name__} can be called from compiled code only")


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> tuple[Any, Any]:
    """Pointer to the vector at `offset`, and the vector's type."""
    from llvmlite import ir

    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(context.get_value_type(array_type.dtype), LANES)
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer()), vector


def _load(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    pointer, _ = _pointer(context, builder, array_type, array, offset)
    return builder.load(pointer, align=array_type.dtype.bitwidth // 8)


def _store(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, value: Any) -> None:
    pointer, _ = _pointer(context, builder, array_type, array, offset)
    builder.store(value, pointer, align=array_type.dtype.bitwidth // 8)


def _shuffle(builder: Any, one: Any, two: Any, picks: list[int]) -> Any:
    from llvmlite import ir

    return builder.shuffle_vector(one, two, ir.Constant(ir.VectorType(ir.IntType(32), LANES), picks))


def _spread(builder: Any, value: Any) -> Any:
    """A vector with `value` in every lane."""
    from llvmlite import ir

    empty = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    return _shuffle(builder, builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0)), empty, [0] * LANES)


@Intrinsic
def combine(typing: Any, w: Any, out: Any, *terms: Any) -> Any:
    """combine(w, out, c0, i0, c1, i1, ...): w[out] = c0 * w[i0] + c1 * w[i1] + ..., on 16 lanes from each offset."""
    from numba.core import cgutils, types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = cgutils.unpack_tuple(builder, args[2])
        total = None
        for factor, kind, offset in zip(values[::2], terms[::2], values[1::2], strict=True):
            c = _spread(builder, context.cast(builder, factor, kind, w.dtype))
            term = builder.fmul(c, _load(context, builder, w, args[0], offset), flags=("contract",))
            total = term if total is None else builder.fadd(total, term, flags=("contract",))
        _store(context, builder, w, args[0], args[1], total)
        return context.get_dummy_value()

    return types.void(w, types.intp, types.StarArgTuple(terms)), emit


@Intrinsic
def accumulate(typing: Any, w: Any, out: Any, one: Any, two: Any) -> Any:
    """accumulate(w, out, i, j): w[out] += w[i] * w[j], on 16 lanes."""
    from numba.core import types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        old, a, b = (_load(context, builder, w, args[0], offset) for offset in args[1:])
        new = builder.fadd(old, builder.fmul(a, b, flags=("contract",)), flags=("contract",))
        _store(context, builder, w, args[0], args[1], new)
        return context.get_dummy_value()

    return types.void(w, types.intp, types.intp, types.intp), emit


@Intrinsic
def copy(typing: Any, target: Any, out: Any, source: Any, start: Any) -> Any:
    """copy(target, out, source, start): target[out] = source[start], on 16 lanes."""
    from numba.core import types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _store(context, builder, target, args[0], args[1], _load(context, builder, source, args[2], args[3]))
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), emit


@Intrinsic
def zero(typing: Any, w: Any, out: Any) -> Any:
    """zero(w, out): w[out] = 0, on 16 lanes."""
    from numba.core import types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, vector = _pointer(context, builder, w, *args)
        builder.store(vector(None), pointer, align=w.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(w, types.intp), emit


@Intrinsic
def transpose(typing: Any, target: Any, out: Any, out_step: Any, source: Any, start: Any, step: Any) -> Any:
    """transpose(target, out, out_step, source, start, step): target[out + j * out_step + i] = source[start + i * step + j].

    i and j run over 16 lanes. Blocks of 8, 4, 2 and 1 lanes are exchanged in turn, in registers.
    """
    from llvmlite import ir
    from numba.core import types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def address(base: Any, stride: Any, row: int) -> Any:
            return builder.add(base, builder.mul(stride, ir.Constant(stride.type, row)))

        rows = [_load(context, builder, source, args[3], address(args[4], args[5], row)) for row in range(LANES)]
        size = LANES // 2
        while size:
            for row in (row for row in range(LANES) if not row & size):
                one, two = rows[row], rows[row + size]
                rows[row] = _shuffle(builder, one, two, [i if not i & size else LANES + i - size for i in range(LANES)])
                rows[row + size] = _shuffle(builder, one, two,
                                            [i + size if not i & size else LANES + i for i in range(LANES)])
            size //= 2
        for row in range(LANES):
            _store(context, builder, target, args[0], address(args[1], args[2], row), rows[row])
        return context.get_dummy_value()

    return types.void(target, types.intp, types.intp, source, types.intp, types.intp), emit
