"""Smooth steps in place of the jump of a spike: as functions of a tensor, and their slopes in compiled code.

A step is named by a number, so that an operator can take it. All have slope 1 at threshold before they are multiplied by
their height.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ._jit import compiled
from ._math import exp

SUPER_SPIKE, ARC_TAN, TRIANGLE, LOGISTIC = range(4)


def smooth_step(x: Tensor, kind: int, width: float, height: float) -> Tensor:
    """A bounded function of the distance to threshold whose slope stands for that of the spike.

    Args:
        x: potential less threshold.
        kind: SUPER_SPIKE, ARC_TAN, TRIANGLE or LOGISTIC.
        width: in units of x. height: slope at threshold.
    """
    z = x / width
    if kind == SUPER_SPIKE:
        y = z / (1 + z.abs())
    elif kind == ARC_TAN:
        y = torch.atan(z)
    elif kind == TRIANGLE:
        z = z.clamp(-1, 1)
        y = z - z * z.abs() / 2
    else:
        y = 2 * torch.tanh(z / 2)
    return height * width * y


def spike_of(x: Tensor, smooth: Tensor) -> Tensor:
    """1 where x is at least 0, else 0; NaN where x is not finite. Its gradient is that of `smooth`."""
    spike = (x >= 0).to(x.dtype) + (x - x).detach()
    return spike + (smooth - smooth.detach()) if smooth.requires_grad else spike


@compiled
def slopes(x: Any, out: Any, kind: int, p: Any) -> None:
    """Writes the slope of `smooth_step` at every x to `out`; p: 0, 1, 1 / width, height."""
    zero, one, rate, height = p[0], p[1], p[2], p[3]
    if kind == SUPER_SPIKE:
        for i in range(x.shape[0]):
            z = one + abs(x[i] * rate)
            out[i] = height / (z * z)
    elif kind == ARC_TAN:
        for i in range(x.shape[0]):
            z = x[i] * rate
            out[i] = height / (one + z * z)
    elif kind == TRIANGLE:
        for i in range(x.shape[0]):
            z = one - abs(x[i] * rate)
            out[i] = zero if z <= zero else height * z
    else:
        for i in range(x.shape[0]):
            e = exp(-abs(x[i] * rate))
            out[i] = (height * (one + one) * (one + one)) * e / ((one + e) * (one + e))
