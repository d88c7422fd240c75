"""What `_lanes.py` names, for numba: a type for a register full of floats and the operations on it, as LLVM instructions.

This file imports numba; nothing imports it before a kernel is compiled.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel.models import PrimitiveModel
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

from ._jit import VECTOR  # where registers are shorter LLVM uses several of them


class Vector(types.Type):
    """One or several registers full of float32 or float64; `registers` may be numba's type of a literal number."""

    def __init__(self, scalar: Any, registers: Any = 1):
        self.scalar = scalar
        self.lanes = VECTOR * 8 // scalar.bitwidth * getattr(registers, "literal_value", registers)
        super().__init__(f"Vector({scalar} x {self.lanes})")

    def llvm(self, scalar: ir.Type | None = None) -> ir.VectorType:
        """The LLVM type, or the one of as many `scalar`."""
        return ir.VectorType(scalar or (ir.FloatType() if self.scalar.bitwidth == 32 else ir.DoubleType()), self.lanes)


@register_model(Vector)
class VectorModel(PrimitiveModel):
    """Numba keeps a `Vector` as the LLVM vector itself."""

    def __init__(self, manager: Any, kind: Vector):
        super().__init__(manager, kind, kind.llvm())


def _operator(function: Callable[..., Any], instruction: str, count: int) -> None:
    """Lets numba translate `function` on vectors to one LLVM instruction."""

    @infer_global(function)
    class Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == count and isinstance(args[0], Vector) and all(arg == args[0] for arg in args):
                return signature(args[0], *args)
            return None

    @lower_builtin(function, *[Vector] * count)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)


_operator(operator.add, "fadd", 2)
_operator(operator.sub, "fsub", 2)
_operator(operator.mul, "fmul", 2)
_operator(operator.truediv, "fdiv", 2)
_operator(operator.neg, "fneg", 1)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, target: ir.Type) -> Any:
    """Address of `array[index]`, to be read as `target`."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), target.as_pointer())


def _load(context: Any, builder: Any, kind: Any, array: Any, index: Any, target: ir.Type) -> Any:
    value = builder.load(_pointer(context, builder, kind, array, index, target))
    value.align = kind.dtype.bitwidth // 8
    return value


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    one = builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, _int(0))
    return builder.shuffle_vector(one, one, _mask([0] * lanes))


def _int(value: int) -> ir.Constant:
    return ir.Constant(ir.IntType(32), value)


def _mask(lanes: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)


@intrinsic
def lanes(typingctx: Any, array: Any) -> Any:
    count = Vector(array.dtype).lanes
    return types.intp(array), lambda context, builder, sig, args: ir.Constant(ir.IntType(64), count)


def _kind(registers: Any) -> Any:
    """Type of this argument: numba finds what it has compiled by the types, so that every number needs its own."""
    return registers if isinstance(registers, types.Literal) else types.intp


@intrinsic(prefer_literal=True)
def vload(typingctx: Any, array: Any, index: Any, registers: Any = 1) -> Any:
    vector = Vector(array.dtype, registers)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(context, builder, sig.args[0], args[0], args[1], vector.llvm())

    return vector(array, types.intp, _kind(registers)), emit


@intrinsic
def vstore(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, sig.args[0], args[0], args[1], value.llvm())
        builder.store(args[2], pointer, align=sig.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), emit


@intrinsic
def vprefetch(typingctx: Any, array: Any, index: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        pointer = _pointer(context, builder, sig.args[0], args[0], args[1], ir.IntType(8))
        kind = ir.FunctionType(ir.VoidType(), [byte, *[ir.IntType(32)] * 3])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, _int(0), _int(3), _int(1)])  # to be read, kept, data
        return context.get_dummy_value()

    return types.void(array, types.intp), emit


@intrinsic(prefer_literal=True)
def vtranspose(typingctx: Any, target: Any, out: Any, out_step: Any, source: Any, start: Any, step: Any,
               registers: Any = 1) -> Any:
    kind = Vector(target.dtype, registers).llvm()
    count, align = kind.count, target.dtype.bitwidth // 8

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def pointer(which: int, row: int) -> Any:
            index = builder.add(args[which + 1], builder.mul(args[which + 2], ir.Constant(args[which + 2].type, row)))
            return _pointer(context, builder, sig.args[which], args[which], index, kind)

        rows = [builder.load(pointer(3, row), align=align) for row in range(count)]
        size = count // 2
        while size:  # blocks of half the lanes, a quarter, ..., one change places
            picks = [lane if not lane & size else count + lane - size for lane in range(count)]
            for row in (row for row in range(count) if not row & size):
                one, other = rows[row], rows[row + size]
                rows[row] = builder.shuffle_vector(one, other, _mask(picks))
                rows[row + size] = builder.shuffle_vector(one, other, _mask([pick + size for pick in picks]))
            size //= 2
        for row in range(count):
            builder.store(rows[row], pointer(0, row), align=align)
        return context.get_dummy_value()

    return types.void(target, types.intp, types.intp, source, types.intp, types.intp, _kind(registers)), emit


@intrinsic(prefer_literal=True)
def vsplat(typingctx: Any, array: Any, index: Any, registers: Any = 1) -> Any:
    vector = Vector(array.dtype, registers)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = _load(context, builder, sig.args[0], args[0], args[1], vector.llvm().element)
        return _splat(builder, value, vector.lanes)

    return vector(array, types.intp, _kind(registers)), emit


def _places(context: Any, builder: Any, kind: Any, indices: Any, index: Any, lanes: int) -> list[Any]:
    """`indices[index:index + lanes]` as 64-bit numbers."""
    numbers = (_load(context, builder, kind, indices, builder.add(index, ir.Constant(index.type, lane)), ir.IntType(32))
               for lane in range(lanes))
    return [builder.zext(number, ir.IntType(64)) for number in numbers]


@intrinsic
def vgather(typingctx: Any, array: Any, base: Any, indices: Any, index: Any, same: Any) -> Any:
    vector = Vector(array.dtype)
    element = vector.llvm().element

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def values(count: int) -> list[Any]:
            places = _places(context, builder, sig.args[2], args[2], args[3], count)
            return [_load(context, builder, sig.args[0], args[0], builder.add(args[1], place), element)
                    for place in places]

        with builder.if_else(args[4]) as (one, many):
            with one:
                from_one = _splat(builder, values(1)[0], vector.lanes)
                end_one = builder.block
            with many:
                from_many = ir.Constant(vector.llvm(), ir.Undefined)
                for lane, value in enumerate(values(vector.lanes)):
                    from_many = builder.insert_element(from_many, value, _int(lane))
                end_many = builder.block
        result = builder.phi(vector.llvm())
        result.add_incoming(from_one, end_one)
        result.add_incoming(from_many, end_many)
        return result

    return vector(array, types.intp, indices, types.intp, types.boolean), emit


def _halved(builder: Any, value: Any) -> Any:
    """The sum of the two halves of a vector."""
    count = value.type.count // 2
    low = builder.shuffle_vector(value, value, _mask(list(range(count))))
    high = builder.shuffle_vector(value, value, _mask(list(range(count, 2 * count))))
    return builder.fadd(low, high)


def _total(builder: Any, value: Any) -> Any:
    """The sum of all lanes."""
    while value.type.count > 1:
        value = _halved(builder, value)
    return builder.extract_element(value, _int(0))


@intrinsic
def vsum(typingctx: Any, value: Any) -> Any:
    return value.scalar(value), lambda context, builder, sig, args: _total(builder, args[0])


def _folded(builder: Any, one: Any, other: Any, group: int) -> Any:
    """Halves of each `group` lanes of a vector, and of another one after it, added up."""
    count = one.type.count * (1 if other is None else 2)
    low = [start + lane for start in range(0, count, group) for lane in range(group // 2)]
    other = one if other is None else other
    return builder.fadd(builder.shuffle_vector(one, other, _mask(low)),
                        builder.shuffle_vector(one, other, _mask([lane + group // 2 for lane in low])))


@intrinsic
def vadd_sums(typingctx: Any, array: Any, index: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        # Two vectors become one that holds the sums of their halves, twice: then each of the four has a quarter.
        columns, count = list(args[2:]), args[2].type.count
        while len(columns) > 1:
            columns = [_folded(builder, x, y, count * len(columns) // 4)
                       for x, y in zip(columns[::2], columns[1::2], strict=True)]
        while columns[0].type.count > 4:
            columns = [_folded(builder, columns[0], None, columns[0].type.count // 4)]
        pointer = _pointer(context, builder, sig.args[0], args[0], args[1], columns[0].type)
        align = sig.args[0].dtype.bitwidth // 8
        before = builder.load(pointer)
        before.align = align
        builder.store(builder.fadd(before, columns[0]), pointer, align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, a, b, c, d), emit


# Polynomials for 2**r, |r| <= 1/2: minimax (relative error 9e-8) for float32, Taylor's (below rounding) for float64.
POWER_OF_TWO = {32: (1.0, 0.6931469776, 0.2402224208, 0.0555073375, 0.009671512862, 0.001326472709),
                64: tuple(math.log(2) ** k / math.factorial(k) for k in range(14))}


def _number(kind: ir.VectorType, x: float) -> ir.Constant:
    """`x` in every lane."""
    single = isinstance(kind.element, ir.FloatType)
    return ir.Constant(kind, [float(np.float32(x)) if single else x] * kind.count)


def _power2(builder: Any, x: Any, bits: int) -> Any:
    """2**x; x is held in the range of normal numbers."""
    mantissa, top, bias = (23, 126.0, 127) if bits == 32 else (52, 1022.0, 1023)
    kind = x.type
    whole = ir.VectorType(ir.IntType(bits), kind.count)
    # Comparisons with NaN are false, so that a NaN passes through both.
    x = builder.select(builder.fcmp_ordered(">", x, _number(kind, top)), _number(kind, top), x)
    x = builder.select(builder.fcmp_ordered("<", x, _number(kind, -top)), _number(kind, -top), x)
    shift = _number(kind, 1.5 * 2.0 ** mantissa)  # adding it leaves the nearest whole number in the low bits
    shifted = builder.fadd(x, shift)
    rest = builder.fsub(x, builder.fsub(shifted, shift))
    *lower, power = (_number(kind, c) for c in POWER_OF_TWO[bits])
    for coefficient in reversed(lower):
        power = builder.fadd(builder.fmul(power, rest), coefficient)
    exponent = builder.shl(builder.bitcast(shifted, whole), ir.Constant(whole, [mantissa] * kind.count))
    exponent = builder.add(exponent, ir.Constant(whole, [bias << mantissa] * kind.count))
    return builder.fmul(power, builder.bitcast(exponent, kind))


@intrinsic
def vpower2(typingctx: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _power2(builder, args[0], value.scalar.bitwidth)

    return value(value), emit


@intrinsic
def vlogistic2(typingctx: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one = _number(value.llvm(), 1.0)
        return builder.fdiv(one, builder.fadd(one, _power2(builder, args[0], value.scalar.bitwidth)))

    return value(value), emit


@intrinsic
def vmax(typingctx: Any, one: Any, other: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[1], args[0]), args[1], args[0])

    return one(one, other), emit


@intrinsic
def vsign(typingctx: Any, value: Any) -> Any:
    kind = value.llvm()

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = _number(kind, 0.0)
        below = builder.select(builder.fcmp_ordered("<", args[0], zero), _number(kind, -1.0), zero)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), _number(kind, 1.0), below)

    return value(value), emit


@intrinsic(prefer_literal=True)
def vconstant(typingctx: Any, array: Any, value: Any, registers: Any = 1) -> Any:
    vector = Vector(array.dtype, registers)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, context.cast(builder, args[1], types.float64, array.dtype), vector.lanes)

    return vector(array, types.float64, _kind(registers)), emit

