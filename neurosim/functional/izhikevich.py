"""Izhikevich's simple model of spiking neurons, and its twenty published parameter sets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .._errors import InputError
from ..kernels._op import derived
from ..kernels.izhikevich import izhikevich as izhikevich_kernel
from .integrate import steps_in
from .surrogates import SuperSpike, Surrogate

Number = Tensor | float


@dataclass(frozen=True)
class IzhikevichSet:
    """One published parameter set of dv/dt = 0.04 v^2 + linear v + offset - u + current, du/dt = a (b v - u), v in mV, t in ms.

    Args:
        a: rate of recovery in 1/ms.
        b: sensitivity of recovery.
        c: potential after a spike in mV.
        d: step of recovery at a spike.
        current: in mV/ms, what its figure injects (in the last two, before the pulse).
        linear, offset: of dv/dt, 5 and 140 in all but two.
    Reference: Izhikevich, IEEE Trans Neural Netw 15:1063 (2004), figure 1.

    >>> from neurosim.spiking import IZHIKEVICH_SETS, IzhikevichSet
    >>> IZHIKEVICH_SETS["tonic_bursting"]
    IzhikevichSet(a=0.02, b=0.2, c=-50.0, d=2.0, current=15.0, linear=5.0, offset=140.0)
    """

    a: float
    b: float
    c: float
    d: float
    current: float
    linear: float = 5.0
    offset: float = 140.0


# Izhikevich 2004, figure 1, panels A to T, as in its program figure1.m; "accommodation" there leaves out the -u of du/dt.
IZHIKEVICH_SETS = {
    "tonic_spiking": IzhikevichSet(0.02, 0.2, -65.0, 6.0, 14.0),
    "phasic_spiking": IzhikevichSet(0.02, 0.25, -65.0, 6.0, 0.5),
    "tonic_bursting": IzhikevichSet(0.02, 0.2, -50.0, 2.0, 15.0),
    "phasic_bursting": IzhikevichSet(0.02, 0.25, -55.0, 0.05, 0.6),
    "mixed_mode": IzhikevichSet(0.02, 0.2, -55.0, 4.0, 10.0),
    "spike_frequency_adaptation": IzhikevichSet(0.01, 0.2, -65.0, 8.0, 30.0),
    "class_1": IzhikevichSet(0.02, -0.1, -55.0, 6.0, 0.0, 4.1, 108.0),
    "class_2": IzhikevichSet(0.2, 0.26, -65.0, 0.0, 0.0),
    "spike_latency": IzhikevichSet(0.02, 0.2, -65.0, 6.0, 7.0),
    "subthreshold_oscillations": IzhikevichSet(0.05, 0.26, -60.0, 0.0, 0.0),
    "resonator": IzhikevichSet(0.1, 0.26, -60.0, -1.0, 0.0),
    "integrator": IzhikevichSet(0.02, -0.1, -55.0, 6.0, 0.0, 4.1, 108.0),
    "rebound_spike": IzhikevichSet(0.03, 0.25, -60.0, 4.0, 0.0),
    "rebound_burst": IzhikevichSet(0.03, 0.25, -52.0, 0.0, 0.0),
    "threshold_variability": IzhikevichSet(0.03, 0.25, -60.0, 4.0, 0.0),
    "bistability": IzhikevichSet(1.0, 1.5, -60.0, 0.0, -65.0),
    "depolarizing_after_potential": IzhikevichSet(1.0, 0.2, -60.0, -21.0, 0.0),
    "accommodation": IzhikevichSet(0.02, 1.0, -55.0, 4.0, 0.0),
    "inhibition_induced_spiking": IzhikevichSet(-0.02, -1.0, -60.0, 8.0, 80.0),
    "inhibition_induced_bursting": IzhikevichSet(-0.026, -1.0, -45.0, 0.0, 80.0),
}


class IzhikevichState(NamedTuple):
    """Potential `v` in mV and recovery `u` in mV/ms, the shape of a frame."""

    v: Tensor
    u: Tensor


def izhikevich_start(frame: Tensor, b: Number, c: Number) -> IzhikevichState:
    """The state before the first frame: v = c, u = b c."""
    zeros = torch.zeros_like(frame)
    c = torch.as_tensor(c, dtype=frame.dtype, device=frame.device).detach()
    b = torch.as_tensor(b, dtype=frame.dtype, device=frame.device).detach()
    return IzhikevichState(zeros + c, zeros + b * c)


def izhikevich(x: Tensor, state: IzhikevichState, h: float, axis: int, *, a: Number, b: Number, c: Number, d: Number,
               threshold: Number = 30.0, quadratic: Number = 0.04, linear: Number = 5.0, offset: Number = 140.0,
               longest_step: float = 0.001,
               surrogate: Surrogate = SuperSpike(10.0, 0.1)) -> tuple[Tensor, IzhikevichState]:
    """dv/dt = quadratic v^2 + linear v + offset - u + x, du/dt = a (b v - u) per ms; at v >= threshold a spike, v = c, u += d.

    Integration: forward Euler, order 1. A frame is cut into equal steps of at most `longest_step`; each takes two half-steps,
    then v is tested. With frames and steps of 1 ms this is the published program.

    Args:
        x: input in mV/ms, which is pA for 1 pF; any shape, `axis` is time.
        state: of `izhikevich_start`, or what an earlier chunk left.
        h: length of a frame in s.
        axis: 2 for a video, 1 for a signal.
        a: 1/ms. b: 1/ms. c, threshold: mV. d: mV/ms. quadratic: 1/(mV ms). linear: 1/ms. offset: mV/ms. All 0-d.
        longest_step: in s.
        surrogate: what a spike has as its gradient, over v - threshold in mV.
    Returns: spike counts like x (NaN once v was not finite), next state.
    Raises: InputError.
    Reference: Izhikevich, IEEE Trans Neural Netw 14:1569 (2003), eq. 1 to 3. Departs from it: v and u advance from the same
        old values; the program of the paper updates u after v.
    """
    frame_shape = x.shape[:axis] + x.shape[axis + 1:]
    if state.v.shape != frame_shape:
        raise InputError(f"izhikevich: the state is for frames of shape {tuple(state.v.shape)}, the input has frames of "
                         f"shape {tuple(frame_shape)}")
    p = derived((a, b, c, d, threshold, quadratic, linear, offset), lambda *numbers: list(numbers), lambda *numbers:
                torch.stack([torch.as_tensor(n, dtype=torch.float64, device=x.device) for n in numbers])).to(x)
    tests = steps_in(h, longest_step)
    rows, time, cells = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1:])
    counts, v, u = izhikevich_kernel(x.reshape(rows, time, cells), state.v.reshape(rows, cells), state.u.reshape(rows, cells),
                                     p, tests, 500 * h / tests, surrogate.kind, surrogate.width, surrogate.height)
    return counts.reshape(x.shape), IzhikevichState(v.reshape(frame_shape), u.reshape(frame_shape))
