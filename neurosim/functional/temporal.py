"""Recursive filters over time: low-pass, cascades of it, high-pass. All carry a state from chunk to chunk."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._errors import ParameterError, StateError
from ..kernels._op import derived
from ..kernels.recursion import recursion

Number = Tensor | float
GONE = 1e-3  # frames; exp(-1000) is 0 in every dtype, and the division would spoil the gradient


def decay(tau: Number, h: float, like: Tensor) -> Tensor:
    """exp(-h / tau), what is left after one frame; 0 for tau = 0. The gradient reaches tau.

    Args:
        tau: 0-d, time constant in s.
        h: frame length in s.
        like: a tensor on the device where the result is needed.
    Returns: 0-d, float64.
    """
    def by_graph(tau: Number) -> Tensor:
        tau = torch.as_tensor(tau, dtype=torch.float64, device=like.device)
        gone = tau < GONE * h
        return torch.where(gone, torch.zeros_like(tau), torch.exp(-h / torch.where(gone, torch.ones_like(tau), tau)))

    return derived((tau,), lambda tau: 0.0 if tau < GONE * h else math.exp(-h / tau), by_graph).to(like.device)


def first_order(tau: Number, h: float, gain: Number, like: Tensor) -> tuple[Tensor, Tensor]:
    """c = exp(-h / tau) and b = gain (1 - c) of y[k] = c y[k-1] + b x[k]; 0-d, float64."""
    c = decay(tau, h, like)
    return c, torch.as_tensor(gain, dtype=torch.float64, device=like.device) * (1 - c)


def lowpass(x: Tensor, y: Tensor, tau: Number, h: float, axis: int, gain: Number = 1.0) -> tuple[Tensor, Tensor]:
    """Exponential low-pass: tau dy/dt = gain x - y, exact for x held over each frame.

    Args:
        x: any shape; `axis` is time.
        y: the state, shape of a frame (x without `axis`).
        tau: 0-d, time constant in s; 0 passes gain x on.
        h: frame length in s.
        axis: 2 for a video, 1 for a signal.
        gain: 0-d, of a constant input.
    Returns: output of the shape of x, next state.
    Raises: StateError when the state does not fit.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), eq. 2:
        y[k] = c y[k-1] + gain (1 - c) x[k], c = exp(-h / tau).
    """
    check_state("lowpass", y.shape, x, axis)
    c, b = first_order(tau, h, gain, x)
    rows, pixels = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1:])
    ys = recursion(x.reshape(rows, x.shape[axis], pixels), y.reshape(rows, pixels), c, b).reshape(x.shape)
    return ys, last_frame(ys, y, axis)


def cascade(x: Tensor, stages: Tensor, tau: Number, n: int, h: float, axis: int,
            gain: Number = 1.0) -> tuple[Tensor, Tensor]:
    """n + 1 low-pass stages of time constant tau / n in series (one of tau for n = 0).

    Args:
        x: any shape; `axis` is time.
        stages: the state, (n + 1, *frame).
        tau: 0-d, in s; the impulse response is highest at tau.
        n: order, at least 0.
        h: frame length in s.
        axis: 2 for a video, 1 for a signal.
        gain: 0-d, of a constant input.
    Returns: output of the shape of x, next state.
    Raises: ParameterError for a negative n, StateError when the state does not fit.
    Reference: Wohrer & Kornprobst (2009), eq. 3: b0 = (1 - c)^(n+1), a_i = (-c)^i binomial(n + 1, i).
    """
    if n < 0:
        raise ParameterError("cascade", "n", "must be at least 0", n)
    check_state("cascade", stages.shape[1:], x, axis)
    if len(stages) != n + 1:
        raise StateError(f"cascade: the state must have {n + 1} stages (got {len(stages)})")
    after = []
    for index, stage in enumerate(stages):
        x, last = lowpass(x, stage, tau / max(n, 1), h, axis, gain if index == 0 else 1.0)
        after.append(last)
    return x, torch.stack(after)


def highpass(x: Tensor, mean: Tensor, tau: Number, weight: Number, h: float, axis: int) -> tuple[Tensor, Tensor]:
    """The input less its weighted running mean, x - weight lowpass(x); a constant is passed on times 1 - weight.

    Args:
        x: any shape; `axis` is time.
        mean: the state, the low-pass of the past, shape of a frame.
        tau: 0-d, time constant of the mean in s.
        weight: 0-d.
        h: frame length in s.
        axis: 2 for a video, 1 for a signal.
    Returns: output of the shape of x, next state.
    Raises: StateError when the state does not fit.
    Reference: Wohrer & Kornprobst (2009), eq. 5.
    """
    check_state("highpass", mean.shape, x, axis)
    low, last = lowpass(x, mean, tau, h, axis)
    return x - weight * low, last


def check_state(where: str, state_shape: tuple[int, ...], x: Tensor, axis: int) -> None:
    """Raises `StateError` unless the state has the shape of a frame of x."""
    frame = x.shape[:axis] + x.shape[axis + 1:]
    if tuple(state_shape) != tuple(frame):
        raise StateError(f"{where}: the state must have the shape of a frame, {tuple(frame)} (got {tuple(state_shape)})")


def last_frame(ys: Tensor, before: Tensor, axis: int) -> Tensor:
    """The last frame as a state of its own: writing into the output must not change it. `before` if there is no frame."""
    return ys.select(axis, -1).clone() if ys.shape[axis] else before
