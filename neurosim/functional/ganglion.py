"""The input current of ganglion cells: transient, rectification and pooling, over videos with a state."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels.ganglion import ganglion as kernel
from ..kernels.ganglion import rectify
from .opl import later
from .spatial import deriche
from .temporal import Number, decay, last_frame


class GanglionState(NamedTuple):
    """The average `slow` that the transient subtracts, and the last `transient`, (batch, channel, y, x) each."""

    slow: Tensor
    transient: Tensor


def ganglion_current(v: Tensor, state: GanglionState, h: float, *, transient_tau: Number, transient_weight: Number,
                     sign: Tensor, v_0: Number, i_0: Number, gain: Number, sigma_px: Number,
                     stage_delays: bool) -> tuple[Tensor, Tensor, GanglionState]:
    """T = V - transient_weight lowpass(V), rectified to a current N in Hz and pooled over space.

    z = gain (sign T - v_0),  N = i_0 + z / (1 + z / (5e5 - i_0)) for z > 0, else i_0^2 / (i_0 - z).

    Args:
        v: bipolar potential, (batch, channel, time, y, x).
        state: zeros at rest, or what an earlier chunk left.
        h: length of a frame in s.
        transient_tau: in s. transient_weight, v_0: without unit. i_0, gain: in Hz. sigma_px: width of the pool in pixels.
            sign: 1 for ON, -1 for OFF. All 0-d.
        stage_delays: whether N reads T of the preceding frame, as in the original program; it does not without a transient.
    Returns: T, the current, the next state.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), eq. 13 to 15. Departs from it: N saturates at 5e5 Hz as in
        the authors' program.
    """
    rows, pixels = math.prod(v.shape[:2]), math.prod(v.shape[3:])
    numbers = [torch.as_tensor(p, dtype=v.dtype, device=v.device) for p in (
        decay(transient_tau, h, v), transient_weight, sign, v_0, i_0, gain)]
    t, n, slow = kernel(v.reshape(rows, v.shape[2], pixels), state.slow.reshape(rows, pixels), *numbers)
    t, n = t.reshape(v.shape), n.reshape(v.shape)
    if stage_delays and bool(numbers[1].detach() != 0):
        n = rectify(later(t, state.transient), *numbers[2:])
    return t, deriche(n, sigma_px), GanglionState(slow.reshape(state.slow.shape),
                                                last_frame(t, state.transient, 2))
