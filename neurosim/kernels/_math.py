"""exp and log for compiled loops, without branches and calls, so that LLVM computes several at once.

Both work in float32 and float64 and pass on NaN and infinities. The order of operations matters here, so that these functions
are compiled with fewer liberties than the loops that call them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import ByType, compiled

EXACT = frozenset({"contract"})

f4, f8, i4, i8 = np.float32, np.float64, np.int32, np.int64

# Adding 1.5 * 2^23 (2^52) rounds to a whole number and leaves that number in the last bits.
ROUND4, ROUND8 = f4(12582912.0), f8(6755399441055744.0)
ROUND4_BITS, ROUND8_BITS = i4(0x4B400000), i8(0x4338000000000000)
# Twice the exponent's bias more: the last bits of either half of that number are then those of a power of two.
POWER4, POWER8 = f4(12582912.0 + 2 * 127), f8(6755399441055744.0 + 2 * 1023)
PER_LN2_4, PER_LN2_8 = f4(1.4426950408889634), f8(1.4426950408889634)
# Numba computes with int32 in int64; i4(...) says that the upper half is not needed.
# ln 2 in two parts; the product of the first with a whole number is exact.
LN2_HIGH4, LN2_LOW4 = f4(0.693359375), f4(-2.12194440e-4)
LN2_HIGH8, LN2_LOW8 = f8(6.93147180369123816490e-01), f8(1.90821492927058770002e-10)
SHIFT4, SHIFT8 = i4(23), i8(52)  # bits of the fraction
BIAS4, BIAS8 = i4(127), i8(1023)
ONE_I4, ONE_I8 = i4(1), i8(1)
ROOT_HALF4, ROOT_HALF8 = i4(0x3F3504F3), i8(0x3FE6A09E667F3BCD)  # bits of sqrt(1/2)
TINY4, TINY8 = f4(2.0**-126), f8(2.0**-1022)


@compiled(fastmath=EXACT)
def _exp4(x: Any) -> Any:
    held = f4(-104.0) if x < f4(-104.0) else (f4(89.0) if x > f4(89.0) else x)
    shifted = held * PER_LN2_4 + POWER4
    whole = shifted - POWER4
    r = (held - whole * LN2_HIGH4) - whole * LN2_LOW4
    p = f4(0.0013926184)
    p = p * r + f4(0.008363179)
    p = p * r + f4(0.041666556)
    p = p * r + f4(0.16666576)
    p = p * r + f4(0.5)
    p = p * r + f4(1.0)
    p = p * r + f4(1.0)
    # The power of two in two factors: the result may be subnormal or infinite.
    power = f4(shifted).view(i4)
    half = power >> ONE_I4
    return p * i4(half << SHIFT4).view(f4) * i4((power - half) << SHIFT4).view(f4)


@compiled(fastmath=EXACT)
def _exp8(x: Any) -> Any:
    held = f8(-746.0) if x < f8(-746.0) else (f8(710.0) if x > f8(710.0) else x)
    shifted = held * PER_LN2_8 + POWER8
    whole = shifted - POWER8
    r = (held - whole * LN2_HIGH8) - whole * LN2_LOW8
    p = f8(2.510038549551032e-08)
    p = p * r + f8(2.7620088445409746e-07)
    p = p * r + f8(2.7557268459997064e-06)
    p = p * r + f8(2.4801521295954376e-05)
    p = p * r + f8(0.00019841269863053618)
    p = p * r + f8(0.0013888888917213717)
    p = p * r + f8(0.008333333333330062)
    p = p * r + f8(0.04166666666662413)
    p = p * r + f8(0.16666666666666669)
    p = p * r + f8(0.5)
    p = p * r + f8(1.0)
    p = p * r + f8(1.0)
    # The power of two in two factors: the result may be subnormal or infinite.
    power = f8(shifted).view(i8)
    half = power >> ONE_I8
    return p * i8(half << SHIFT8).view(f8) * i8((power - half) << SHIFT8).view(f8)


@compiled(fastmath=EXACT)
def _log4(x: Any) -> Any:
    subnormal = x < TINY4
    bits = f4(x * f4(2.0**25) if subnormal else x).view(i4)
    exponent = (bits - ROOT_HALF4 + (BIAS4 << SHIFT4)) >> SHIFT4  # from 0 to 255
    f = i4(bits - ((exponent - BIAS4) << SHIFT4)).view(f4) - f4(1.0)
    k = i4(exponent + ROUND4_BITS).view(f4) - ROUND4 - (f4(152.0) if subnormal else f4(127.0))
    s = f / (f4(2.0) + f)
    z = s * s
    tail = z * (f4(0.66666662693) + z * (f4(0.40000972152) + z * (f4(0.28498786688) + z * f4(0.24279078841))))
    square = f4(0.5) * f * f
    result = k * LN2_HIGH4 + (k * LN2_LOW4 + (f - (square - s * (square + tail))))
    result = result if x > f4(0.0) else (f4(-np.inf) if x == f4(0.0) else f4(np.nan))
    return x if x == f4(np.inf) else result


@compiled(fastmath=EXACT)
def _log8(x: Any) -> Any:
    subnormal = x < TINY8
    bits = f8(x * f8(2.0**54) if subnormal else x).view(i8)
    exponent = (bits - ROOT_HALF8 + (BIAS8 << SHIFT8)) >> SHIFT8
    f = i8(bits - ((exponent - BIAS8) << SHIFT8)).view(f8) - f8(1.0)
    k = i8(exponent + ROUND8_BITS).view(f8) - ROUND8 - (f8(1077.0) if subnormal else f8(1023.0))
    s = f / (f8(2.0) + f)
    z = s * s
    tail = f8(1.479819860511658591e-01)
    tail = tail * z + f8(1.531383769920937332e-01)
    tail = tail * z + f8(1.818357216161805012e-01)
    tail = tail * z + f8(2.222219843214978396e-01)
    tail = tail * z + f8(2.857142874366239149e-01)
    tail = tail * z + f8(3.999999999940941908e-01)
    tail = tail * z + f8(6.666666666666735130e-01)
    square = f8(0.5) * f * f
    result = k * LN2_HIGH8 + (k * LN2_LOW8 + (f - (square - s * (square + tail * z))))
    result = result if x > f8(0.0) else (f8(-np.inf) if x == f8(0.0) else f8(np.nan))
    return x if x == f8(np.inf) else result


def _exp(x: Any) -> Any:
    """e^x to about 1 ulp, of the dtype of x (float32 or float64); Cody and Waite's reduction, then a polynomial.

    1 + r + r^2 times what interpolates the rest at Chebyshev's points of |r| < ln(2) / 2, relative error 1e-8 (2e-17).
    """
    raise NotImplementedError


def _log(x: Any) -> Any:
    """Natural logarithm to about 1 ulp, of the dtype of x (float32 or float64); the algorithm of FreeBSD's msun."""
    raise NotImplementedError


exp = ByType(_exp, _exp4, _exp8)
log = ByType(_log, _log4, _log8)
