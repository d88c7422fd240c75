"""Sums over numbers at listed offsets from a place, a vector of neighbouring places at once: what a convolution consists of.

All work on flat arrays, in compiled code, without bounds checks.
"""

from __future__ import annotations

from typing import Any

from ._jit import VECTOR as BYTES
from ._simd import Intrinsic

GROUP = 8  # vectors that are summed side by side, so that one sum does not wait for the other
STACK = 4  # frames that share the numbers that are loaded
ACROSS = BYTES // 16  # vectors of each of them: as many sums as there are registers, and a few left
LAGS = 4  # weights whose gradients share the numbers that are loaded


def _vector(kind: Any, context: Any) -> Any:
    from llvmlite import ir

    return ir.VectorType(context.get_value_type(kind.dtype), BYTES * 8 // kind.dtype.bitwidth)


def _at(context: Any, builder: Any, kind: Any, data: Any, offset: Any) -> Any:
    """Pointer to the vector at `offset` of the flat memory at `data`."""
    return builder.bitcast(builder.gep(data, [offset]), _vector(kind, context).as_pointer())


def _data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


def _multiply_add(builder: Any, place: Any, one: Any, two: Any) -> None:
    """place += one * two; `place` is memory that becomes a register."""
    product = builder.fmul(one, two, flags=("contract",))
    builder.store(builder.fadd(builder.load(place), product, flags=("contract",)), place)


def _spread(builder: Any, value: Any, vector: Any) -> Any:
    from llvmlite import ir

    index = ir.VectorType(ir.IntType(32), vector.count)
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, empty, ir.Constant(index, None))


def _weighted(vectors: int) -> Intrinsic:
    def function(typing: Any, out: Any, place: Any, x: Any, start: Any, offsets: Any, w: Any, first: Any, bias: Any) -> Any:
        from numba.core import cgutils, types

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            target, source, at, weights = (_data(context, builder, kind, args[i])
                                           for kind, i in ((out, 0), (x, 2), (offsets, 4), (w, 5)))
            kind, step = _vector(x, context), BYTES * 8 // x.dtype.bitwidth
            value = context.cast(builder, args[7], bias, x.dtype)
            sums = [cgutils.alloca_once_value(builder, _spread(builder, value, kind)) for _ in range(vectors)]
            count = context.make_array(offsets)(context, builder, args[4]).nitems
            with cgutils.for_range(builder, count) as loop:
                weight = builder.load(builder.gep(weights, [builder.add(args[6], loop.index)]))
                factor = _spread(builder, weight, kind)
                base = builder.add(args[3], builder.load(builder.gep(at, [loop.index])))
                for i, total in enumerate(sums):
                    pointer = _at(context, builder, x, source, builder.add(base, base.type(i * step)))
                    _multiply_add(builder, total, factor, builder.load(pointer, align=x.dtype.bitwidth // 8))
            for i, total in enumerate(sums):
                pointer = _at(context, builder, out, target, builder.add(args[1], args[1].type(i * step)))
                builder.store(builder.load(total), pointer, align=x.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.void(out, types.intp, x, types.intp, offsets, w, types.intp, bias), emit

    function.__name__ = f"weighted_{vectors}"
    function.__doc__ = (f"weighted_{vectors}(out, place, x, start, offsets, w, first, bias): out[place] = bias + sum over k of "
                        f"w[first + k] * x[start + offsets[k]], for {vectors} vectors of neighbours.")
    return Intrinsic(function)


weighted_8, weighted_1 = _weighted(GROUP), _weighted(1)


@Intrinsic
def stacked(typing: Any, out: Any, place: Any, jump: Any, x: Any, start: Any, step: Any, offsets: Any, lags: Any, w: Any,
            first: Any, bias: Any) -> Any:
    """stacked(out, place, jump, x, start, step, offsets, lags, w, first, bias): the same sums for 4 frames at once.

    out[place + f * jump] = bias + sum over s, k of w[first + s * lags + k] * x[start + offsets[s] + (k + f) * step], on ACROSS
    vectors of neighbours, in the order of `weighted` with the offsets offsets[s] + k * step. `lags` is at least 4. A frame of
    x is loaded once for the four sums that it is part of.
    """
    from numba.core import cgutils, types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, source, at, weights = (_data(context, builder, kind, args[i])
                                       for kind, i in ((out, 0), (x, 3), (offsets, 6), (w, 8)))
        place, jump, start, step, lags, first = (args[i] for i in (1, 2, 4, 5, 7, 9))
        kind, width, align = _vector(x, context), BYTES * 8 // x.dtype.bitwidth, x.dtype.bitwidth // 8
        value = _spread(builder, context.cast(builder, args[10], bias, x.dtype), kind)
        sums = [[cgutils.alloca_once_value(builder, value) for _ in range(ACROSS)] for _ in range(STACK)]
        count = context.make_array(offsets)(context, builder, args[6]).nitems

        def number(n: int) -> Any:
            return place.type(n)

        def frame(base: Any, row: Any, late: Any, which: range) -> None:
            """Frame `late` of x for the sums `which`: weight late - f for the sum f."""
            begin = builder.add(base, builder.mul(late, step))
            loaded = [builder.load(_at(context, builder, x, source, builder.add(begin, number(i * width))), align=align)
                      for i in range(ACROSS)]
            for f in which:
                weight = builder.load(builder.gep(weights, [builder.add(row, builder.sub(late, number(f)))]))
                factor = _spread(builder, weight, kind)
                for total, numbers in zip(sums[f], loaded):
                    _multiply_add(builder, total, factor, numbers)

        with cgutils.for_range(builder, count) as loop:
            base = builder.add(start, builder.load(builder.gep(at, [loop.index])))
            row = builder.add(first, builder.mul(loop.index, lags))
            for late in range(STACK - 1):  # the sums begin one after the other
                frame(base, row, number(late), range(late + 1))
            with cgutils.for_range(builder, builder.sub(lags, number(STACK - 1))) as inner:
                frame(base, row, builder.add(inner.index, number(STACK - 1)), range(STACK))
            for late in range(STACK - 1):  # and end one after the other
                frame(base, row, builder.add(lags, number(late)), range(late + 1, STACK))
        for f, across in enumerate(sums):
            begin = builder.add(place, builder.mul(jump, number(f)))
            for i, total in enumerate(across):
                pointer = _at(context, builder, out, target, builder.add(begin, number(i * width)))
                builder.store(builder.load(total), pointer, align=align)
        return context.get_dummy_value()

    return types.void(out, types.intp, types.intp, x, types.intp, types.intp, offsets, types.intp, w, types.intp, bias), emit


def _products_of(frames: int) -> Intrinsic:
    def function(typing: Any, sums: Any, place: Any, g: Any, begin: Any, jump: Any, vectors: Any, x: Any, start: Any,
                 step: Any) -> Any:
        from numba.core import cgutils, types

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            target, factors, source = (_data(context, builder, kind, args[i]) for kind, i in ((sums, 0), (g, 2), (x, 6)))
            width, align = BYTES * 8 // x.dtype.bitwidth, x.dtype.bitwidth // 8
            place, begin, jump, start, step = (args[i] for i in (1, 3, 4, 7, 8))

            def number(n: int) -> Any:
                return place.type(n)

            places = [_at(context, builder, sums, target, builder.add(place, number(i * width))) for i in range(2 * LAGS)]
            totals = [cgutils.alloca_once_value(builder, builder.load(one, align=align)) for one in places]
            with cgutils.for_range(builder, args[5]) as loop:
                moved = builder.mul(loop.index, number(width))
                begins = [builder.add(begin, builder.add(moved, builder.mul(jump, number(f)))) for f in range(frames)]
                mine = [builder.load(_at(context, builder, g, factors, one), align=align) for one in begins]
                for late in range(frames + LAGS - 1):
                    at = builder.add(start, builder.add(moved, builder.mul(step, number(late))))
                    loaded = builder.load(_at(context, builder, x, source, at), align=align)
                    for f in range(max(late - LAGS + 1, 0), min(late + 1, frames)):  # two sums in turn: neither waits
                        _multiply_add(builder, totals[2 * (late - f) + f % 2], mine[f], loaded)
            for one, total in zip(places, totals):
                builder.store(builder.load(total), one, align=align)
            return context.get_dummy_value()

        return types.void(sums, types.intp, g, types.intp, types.intp, types.intp, x, types.intp, types.intp), emit

    function.__name__ = f"products_of_{frames}"
    function.__doc__ = (f"products_of_{frames}(sums, place, g, begin, jump, vectors, x, start, step), for {frames} frames and "
                        f"{LAGS} lags k:\nsums[place + 2 k * lanes] (or the next vector, in turn) += sum over f, i of "
                        "g[begin + f * jump + i] * x[start + (f + k) * step + i],\ni over so many vectors.")
    return Intrinsic(function)


products_of_4, products_of_1 = _products_of(STACK), _products_of(1)


@Intrinsic
def products(typing: Any, sums: Any, place: Any, g: Any, begin: Any, vectors: Any, x: Any, start: Any, offsets: Any,
             first: Any) -> Any:
    """products(sums, place, g, begin, vectors, x, start, offsets, first), for k below 8, lanes side by side.

    sums[place + k * lanes] += sum over i of g[begin + i] * x[start + i + offsets[first + k]], i over so many vectors.
    """
    from numba.core import cgutils, types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, factors, source, at = (_data(context, builder, kind, args[i])
                                       for kind, i in ((sums, 0), (g, 2), (x, 5), (offsets, 7)))
        step, align = BYTES * 8 // x.dtype.bitwidth, x.dtype.bitwidth // 8
        places = [_at(context, builder, sums, target, builder.add(args[1], args[1].type(i * step))) for i in range(GROUP)]
        totals = [cgutils.alloca_once_value(builder, builder.load(place, align=align)) for place in places]
        bases = [builder.add(args[6], builder.load(builder.gep(at, [builder.add(args[8], args[8].type(i))])))
                 for i in range(GROUP)]
        with cgutils.for_range(builder, args[4]) as loop:
            moved = builder.mul(loop.index, loop.index.type(step))
            factor = builder.load(_at(context, builder, g, factors, builder.add(args[3], moved)), align=align)
            for base, total in zip(bases, totals):
                pointer = _at(context, builder, x, source, builder.add(base, moved))
                _multiply_add(builder, total, factor, builder.load(pointer, align=align))
        for place, total in zip(places, totals):
            builder.store(builder.load(total), place, align=align)
        return context.get_dummy_value()

    return types.void(sums, types.intp, g, types.intp, types.intp, x, types.intp, offsets, types.intp), emit
