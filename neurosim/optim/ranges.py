"""Declared ranges while fitting: every step is projected into them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .._param import Param

NEARER = 0.1  # of the way to an open end that is left, a step past it leaves so much

Ranged = tuple[Tensor, Param]


def ranged(parameters: Sequence[Tensor]) -> list[Ranged]:
    """The parameters that have a declaration with a range, with it."""
    found = []
    for value in parameters:
        spec = getattr(value, "spec", None)
        if isinstance(spec, Param) and (spec.above, spec.at_least, spec.at_most) != (None, None, None):
            found.append((value, spec))
    return found


@torch.no_grad()
def project(values: Sequence[Ranged], good: Sequence[Tensor]) -> None:
    """Puts each value back into its range, in place: to a closed end, or a tenth of the way short of an open one.

    The first is the projection of projected-gradient methods, the second the rule of interior-point methods that a step goes
    only a fraction of the way to the boundary.

    Args:
        values: what a step has made of the parameters.
        good: the same before the step, within their ranges.
    Reference: Bertsekas, IEEE Trans Autom Control 21:174 (1976); Nocedal & Wright, Numerical Optimization (2006), eq. 19.9.
    """
    for (value, spec), before in zip(values, good, strict=True):
        if spec.above is not None:
            outside = value <= spec.above
            if bool(outside.any()):
                value.copy_(torch.where(outside, spec.above + NEARER * (before - spec.above), value))
        if spec.at_least is not None or spec.at_most is not None:
            value.clamp_(spec.at_least, spec.at_most)
