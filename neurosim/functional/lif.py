"""Leaky integrate-and-fire neurons with white noise, a refractory time and surrogate gradients."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .._errors import InputError
from ..kernels._op import derived
from ..kernels.lif import lif as lif_kernel
from .surrogates import SuperSpike, Surrogate

Number = Tensor | float


class LIFState(NamedTuple):
    """What the neurons remember: potential `v` and frames left to `wait`, the shape of a frame; number of the next
    `frame` and the seed `key` of all randomness, int64 0-d."""

    v: Tensor
    wait: Tensor
    frame: Tensor
    key: Tensor


def lif_start(frame: Tensor, v_reset: Number, seed: int) -> LIFState:
    """The state before the first frame: potentials at the reset.

    Args:
        frame: the input of one frame, for its shape, dtype and device.
        v_reset: 0-d.
        seed: a 64-bit integer.
    """
    v = torch.zeros_like(frame) + torch.as_tensor(v_reset, dtype=frame.dtype, device=frame.device).detach()
    number = torch.zeros((), dtype=torch.int64, device=frame.device)
    return LIFState(v, torch.zeros_like(frame), number, torch.full_like(number, seed))


def lif(x: Tensor, state: LIFState, h: float, axis: int, *, g_leak: Number, threshold: Number, v_reset: Number,
        noise_sigma: Number = 0.0, refractory: Number = 0.0, refractory_sigma: Number = 0.0,
        surrogate: Surrogate = SuperSpike()) -> tuple[Tensor, LIFState]:
    """Leaky integrate-and-fire: dv/dt = x - g_leak v + noise, a spike and v = v_reset when a frame ends at threshold or above.

    Exact between spikes for x held over a frame: v[k] = c v[k-1] + (1 - c) x[k] / g_leak + noise_sigma sqrt(1 - c^2) N(0, 1),
    c = exp(-g_leak h). The noise is white and noise_sigma the stationary deviation of the free potential, for every h. After
    a spike v stays at the reset for max(refractory + refractory_sigma N(0, 1), 0), drawn for each spike and rounded to
    frames. Crossings within a frame that end below threshold are not seen: with noise, the threshold acts as if it were
    0.58 noise_sigma sqrt(2 g_leak h) higher.

    The gradient of a spike is the slope of `surrogate` at its distance to threshold; none goes through the choice of the
    reset. noise_sigma = 0 gets no gradient.

    Args:
        x: input in units of the potential per second (Hz when the threshold is 1); any shape, `axis` is time.
        state: of `lif_start`, or what an earlier chunk left.
        h: length of a frame in s.
        axis: 2 for a video, 1 for a signal.
        g_leak: in Hz. threshold, v_reset, noise_sigma: of the potential. refractory, refractory_sigma: in s. All 0-d.
        surrogate: what the spikes have as their gradient.
    Returns: spikes, 0 or 1, like x (NaN once the potential was not finite), next state.
    Raises: InputError.
    Reference: Lapicque 1907; Gerstner et al., Neuronal Dynamics (2014), eq. 1.5, 8.6; threshold shift: Broadie, Glasserman &
        Kou, Math Finance 7:325 (1997). Departs from them: threshold on the grid of frames.
    """
    frame_shape = x.shape[:axis] + x.shape[axis + 1:]
    if state.v.shape != frame_shape:
        raise InputError(f"lif: the state is for frames of shape {tuple(state.v.shape)}, the input has frames of shape "
                         f"{tuple(frame_shape)}")

    def by_value(g: float, sigma: float, threshold: float, reset: float) -> list[float]:
        return [math.exp(-g * h), -math.expm1(-g * h) / g, sigma * math.sqrt(-math.expm1(-2 * g * h)), threshold, reset]

    def by_graph(*numbers: Number) -> Tensor:
        g, sigma, threshold, reset = (torch.as_tensor(n, dtype=torch.float64, device=x.device) for n in numbers)
        return torch.stack([torch.exp(-g * h), -torch.expm1(-g * h) / g, sigma * torch.sqrt(-torch.expm1(-2 * g * h)),
                            threshold, reset])

    p = derived((g_leak, noise_sigma, threshold, v_reset), by_value, by_graph).to(x)
    pause = derived((refractory, refractory_sigma), lambda mean, sigma: [mean / h, sigma / h],
                    lambda mean, sigma: torch.stack([torch.as_tensor(n, dtype=torch.float64, device=x.device) / h
                                                     for n in (mean, sigma)])).detach().to(x)
    rows, time, cells = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1:])
    v, wait = state.v.reshape(rows, cells), state.wait.detach().reshape(rows, cells)
    spikes, v, wait = lif_kernel(x.reshape(rows, time, cells), v, wait, state.frame, state.key, p, pause,
                                 surrogate.kind, surrogate.width, surrogate.height)
    after = LIFState(v.reshape(frame_shape), wait.reshape(frame_shape), state.frame + time, state.key)
    return spikes.reshape(x.shape), after
