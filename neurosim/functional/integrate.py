"""Steps of integration within a frame: how many, and the two ways to take one."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from .._errors import ParameterError

Values = tuple[Tensor, ...]
Solver = Callable[[Callable[[Values], Values], Values, float], Values]
MOST_STEPS = 100_000


def steps_in(h: float, longest: float) -> int:
    """The smallest number of equal steps, none longer than `longest`, that a frame of length h (same unit) is cut into.

    Raises: ParameterError for more than 100,000.
    """
    steps = max(1, math.ceil(h / longest * (1 - 1e-6)))  # 1e-6: lengths that are equal but for float32 are equal
    if steps > MOST_STEPS:
        raise ParameterError("steps_in", "longest", f"cuts a frame of {h:g} into {steps} steps, more than {MOST_STEPS}",
                             longest)
    return steps


def rk4(slope: Callable[[Values], Values], y: Values, step: float) -> Values:
    """One step of the classical Runge-Kutta method, order 4.

    Args:
        slope: from the values to their derivatives.
        y: tensors. step: in the time unit of the derivatives.
    Reference: Hairer, Norsett & Wanner, Solving ODEs I (1993), sec. II.1.
    """
    def moved(by: Values, length: float) -> Values:
        return tuple(a + length * b for a, b in zip(y, by, strict=True))

    k1 = slope(y)
    k2 = slope(moved(k1, step / 2))
    k3 = slope(moved(k2, step / 2))
    k4 = slope(moved(k3, step))
    return tuple(a + step / 6 * (p + 2 * (q + r) + s) for a, p, q, r, s in zip(y, k1, k2, k3, k4, strict=True))


def euler(slope: Callable[[Values], Values], y: Values, step: float) -> Values:
    """One step of the explicit Euler method, order 1; arguments as for `rk4`."""
    return tuple(a + step * b for a, b in zip(y, slope(y), strict=True))


SOLVERS: dict[str, Solver] = {"rk4": rk4, "euler": euler}
