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
    shifted = held * PER_LN2_4 + ROUND4
    whole = shifted - ROUND4
    r = (held - whole * LN2_HIGH4) - whole * LN2_LOW4
    p = f4(1 / 5040)
    p = p * r + f4(1 / 720)
    p = p * r + f4(1 / 120)
    p = p * r + f4(1 / 24)
    p = p * r + f4(1 / 6)
    p = p * r + f4(0.5)
    p = p * r + f4(1.0)
    p = p * r + f4(1.0)
    # The power of two in two factors: the result may be subnormal or infinite.
    n = f4(shifted).view(i4) - ROUND4_BITS
    half = n >> ONE_I4
    return p * i4((half + BIAS4) << SHIFT4).view(f4) * i4((n - half + BIAS4) << SHIFT4).view(f4)


@compiled(fastmath=EXACT)
def _exp8(x: Any) -> Any:
    held = f8(-746.0) if x < f8(-746.0) else (f8(710.0) if x > f8(710.0) else x)
    shifted = held * PER_LN2_8 + ROUND8
    whole = shifted - ROUND8
    r = (held - whole * LN2_HIGH8) - whole * LN2_LOW8
    p = f8(1 / 6227020800)
    p = p * r + f8(1 / 479001600)
    p = p * r + f8(1 / 39916800)
    p = p * r + f8(1 / 3628800)
    p = p * r + f8(1 / 362880)
    p = p * r + f8(1 / 40320)
    p = p * r + f8(1 / 5040)
    p = p * r + f8(1 / 720)
    p = p * r + f8(1 / 120)
    p = p * r + f8(1 / 24)
    p = p * r + f8(1 / 6)
    p = p * r + f8(0.5)
    p = p * r + f8(1.0)
    p = p * r + f8(1.0)
    n = f8(shifted).view(i8) - ROUND8_BITS
    half = n >> ONE_I8
    return p * i8((half + BIAS8) << SHIFT8).view(f8) * i8((n - half + BIAS8) << SHIFT8).view(f8)


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
    """e^x to about 1 ulp, of the dtype of x (float32 or float64); Cody and Waite's reduction, then the series."""
    raise NotImplementedError


def _log(x: Any) -> Any:
    """Natural logarithm to about 1 ulp, of the dtype of x (float32 or float64); the algorithm of FreeBSD's msun."""
    raise NotImplementedError


exp = ByType(_exp, _exp4, _exp8)
log = ByType(_log, _log4, _log8)
