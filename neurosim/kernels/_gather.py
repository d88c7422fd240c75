"""Sums over numbers at listed offsets from a place, 32 bytes of neighbouring places at once: what a convolution consists of.

All work on flat arrays, in compiled code, without bounds checks.
"""

from __future__ import annotations

from typing import Any

from ._simd import Intrinsic

BYTES = 32  # of a vector: a register of AVX
GROUP = 8  # vectors that are summed side by side, so that one sum does not wait for the other


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
