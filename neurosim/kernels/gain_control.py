"""Contrast gain control of bipolar cells: conductance-based membranes with a blurred feedback, fused over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._jit import compiled
from ._math import exp, log
from ._op import make_op
from ._panel import make_panel
from ._pool import each_row
from .deriche import make_taps, smooth_frame, smooth_frame_adjoint, smooth_frame_gradient
from .deriche import reference as smooth

SATURATION = 500000.0  # Hz; the feedback's synaptic conductance stays below it


def synapse(v: Tensor, feedback: Tensor, exponent: Tensor, threshold: Tensor) -> Tensor:
    """q(v) = z / (1 + z / 5e5), z = feedback max(v - threshold, 0)**exponent, in Hz."""
    above = v - threshold
    silent = above <= 0
    z = torch.where(silent, 0.0, feedback * torch.where(silent, 1.0, above) ** exponent)
    return z / (1 + z / SATURATION)


def reference(o: Tensor, v: Tensor, g: Tensor, x: Tensor, blur: Tensor, gain: Tensor, leak: Tensor, decay: Tensor,
              feedback: Tensor, exponent: Tensor, threshold: Tensor, e_inh: Tensor, weight: Tensor, slow_decay: Tensor,
              symmetric: bool, h: float) -> tuple[Tensor, Tensor, Tensor]:
    """Membrane potential V and feedback conductance g of every frame, and the state x after the last.

    G = leak + g[k-1],  E = (gain O[k] + e_inh g[k-1] + weight x[k-1]) / G,
    V[k] = E + (V[k-1] - E) exp(-h G),
    g[k] = decay g[k-1] + (1 - decay) blur(Q(V[k-1])),  Q(v) = q(v) + q(-v) if symmetric else q(v), see `synapse`,
    x[k] = slow_decay x[k-1] + (1 - slow_decay) V[k-1].

    Args:
        o: (rows, time, y, x), output of the OPL.
        v, g, x: (rows, y, x), V, g and x of the frame before the first.
        blur: (5,) float64, coefficients of the smoothing, see deriche.py.
        gain, leak, decay, feedback, exponent, threshold, e_inh, weight, slow_decay: 0-d; gain, leak and feedback in Hz.
        symmetric: whether both signs of V drive the feedback.
        h: length of a frame in s.
    Returns: V and g like o, x of the last frame.
    Reference: Wohrer & Kornprobst 2009, equations 9 to 12, exact for g and O held over a frame.
    """
    vs, gs = [], []
    for current in o.unbind(1):
        total = leak + g
        aim = (gain * current + e_inh * g + weight * x) / total
        q = synapse(v, feedback, exponent, threshold)
        if symmetric:
            q = q + synapse(-v, feedback, exponent, threshold)
        g = decay * g + (1 - decay) * smooth(q, blur)
        x = slow_decay * x + (1 - slow_decay) * v
        v = aim + (v - aim) * torch.exp(-h * total)
        vs.append(v)
        gs.append(g)
    if not vs:
        return o.clone(), o.clone(), x.clone()
    return torch.stack(vs, 1), torch.stack(gs, 1), x.clone()


def shapes(o: Tensor, v: Tensor, g: Tensor, x: Tensor, blur: Tensor, gain: Tensor, leak: Tensor, decay: Tensor,
           feedback: Tensor, exponent: Tensor, threshold: Tensor, e_inh: Tensor, weight: Tensor, slow_decay: Tensor,
           symmetric: bool, h: float) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return o.new_empty(o.shape), o.new_empty(o.shape), x.new_empty(x.shape)


def constants(dtype: np.dtype, *values: Any) -> Any:
    """The numbers that the compiled functions need: 0, 1, saturation, then `reference`'s from gain to h."""
    return np.array([0.0, 1.0, SATURATION, *values], dtype)


@compiled
def conductance(v: Any, q: Any, p: Any, symmetric: bool) -> None:
    """Writes Q(v) to q."""
    zero, one, limit, feedback, exponent, threshold = p[0], p[1], p[2], p[6], p[7], p[8]
    square = exponent == one + one
    for i in range(v.shape[0]):
        up, down = v[i] - threshold, -v[i] - threshold
        if square:
            up = zero if up <= zero else feedback * (up * up)
            down = zero if down <= zero or not symmetric else feedback * (down * down)
        else:
            up = zero if up <= zero else feedback * exp(exponent * log(up))
            down = zero if down <= zero or not symmetric else feedback * exp(exponent * log(down))
        q[i] = up / (one + up / limit) + down / (one + down / limit)


@compiled
def membrane(current: Any, v: Any, g: Any, x: Any, blurred: Any, v_next: Any, p: Any) -> None:
    """One frame: writes V to v_next, replaces x, and replaces the blurred synaptic conductance by g."""
    one, gain, leak, decay, e_inh, weight, slow, h = p[1], p[3], p[4], p[5], p[9], p[10], p[11], p[12]
    for i in range(v.shape[0]):
        total = leak + g[i]
        aim = (gain * current[i] + e_inh * g[i] + weight * x[i]) / total
        x[i] = slow * x[i] + (one - slow) * v[i]
        v_next[i] = aim + (v[i] - aim) * exp(-h * total)
        blurred[i] = decay * g[i] + (one - decay) * blurred[i]


@compiled
def forward_rows(start: int, stop: int, o: Any, v: Any, g: Any, x: Any, taps: Any, p: Any, symmetric: bool, height: int,
                 width: int, vs: Any, gs: Any) -> None:
    """Rows `start` to `stop`. o, vs and gs are flat, v, g and x (rows, pixels). Changes x, vs and gs."""
    pixels = height * width
    time = o.shape[0] // (v.shape[0] * pixels)
    work = make_panel(max(height, width), o)
    for row in range(start, stop):
        v_before, g_before = v[row], g[row]
        for k in range(time):
            first = (row * time + k) * pixels
            last = first + pixels
            conductance(v_before, gs[first:last], p, symmetric)
            smooth_frame(gs, first, height, width, taps, work)
            membrane(o[first:last], v_before, g_before, x[row], gs[first:last], vs[first:last], p)
            v_before, g_before = vs[first:last], gs[first:last]


def forward(o: Any, v: Any, g: Any, x: Any, blur: Any, *rest: Any) -> tuple[Any, Any, Any]:
    """`reference` on numpy arrays."""
    *numbers, symmetric, h = rest
    rows, _, height, width = o.shape
    vs, gs, x = np.empty_like(o), np.empty_like(o), x.copy()
    if not o.size:
        return vs, gs, x
    p, taps = constants(o.dtype, *numbers, h), make_taps(blur, o.dtype)
    flat = [a.reshape(rows, -1) for a in (v, g, x)]
    each_row(forward_rows, rows, o.size, o.reshape(-1), *flat, taps, p, symmetric, height, width, vs.reshape(-1),
             gs.reshape(-1))
    return vs, gs, x


@compiled
def slope(u: Any, feedback: Any, exponent: Any, p: Any) -> Any:
    """d q / d u of the synapse at u = v - threshold, and the derivatives by feedback and by exponent."""
    zero, one = p[0], p[1]
    silent = u <= zero
    length = log(one if silent else u)
    power = zero if silent else exp(exponent * length)
    rest = one / (one + feedback * power / p[2])
    rest *= rest
    by_u = rest * feedback * exponent * power / (one if silent else u)
    return by_u, rest * power, rest * feedback * power * length


@compiled
def adjoint_membrane(current: Any, v: Any, g: Any, x: Any, blurred: Any, from_blur: Any, gv: Any, gg: Any, gx: Any,
                     go: Any, p: Any, symmetric: bool, sums: Any) -> None:
    """The adjoint of one frame. gv, gg and gx go from the gradients of V, g and x after the frame to those before it.

    `from_blur` is the gradient of Q, `go` gets that of the current, `sums` (9 float64) those of gain to slow_decay."""
    zero, one, gain, leak, decay, feedback, exponent = p[0], p[1], p[3], p[4], p[5], p[6], p[7]
    threshold, e_inh, weight, slow, h = p[8], p[9], p[10], p[11], p[12]
    s_gain = s_leak = s_decay = s_feedback = s_exponent = s_threshold = s_inh = s_weight = s_slow = zero
    for i in range(v.shape[0]):
        total = leak + g[i]
        aim = (gain * current[i] + e_inh * g[i] + weight * x[i]) / total
        fade = exp(-h * total)
        to_sum = gv[i] * (one - fade) / total
        to_total = -h * fade * gv[i] * (v[i] - aim) - to_sum * aim
        up, up_feedback, up_exponent = slope(v[i] - threshold, feedback, exponent, p)
        down, down_feedback, down_exponent = slope(-v[i] - threshold, feedback, exponent, p)
        if not symmetric:
            down = down_feedback = down_exponent = zero
        s_gain += to_sum * current[i]
        s_leak += to_total
        s_decay += gg[i] * (g[i] - blurred[i])
        s_feedback += from_blur[i] * (up_feedback + down_feedback)
        s_exponent += from_blur[i] * (up_exponent + down_exponent)
        s_threshold -= from_blur[i] * (up + down)
        s_inh += to_sum * g[i]
        s_weight += to_sum * x[i]
        s_slow += gx[i] * (x[i] - v[i])
        go[i] = gain * to_sum
        gv[i] = gv[i] * fade + from_blur[i] * (up - down) + (one - slow) * gx[i]
        gg[i] = decay * gg[i] + e_inh * to_sum + to_total
        gx[i] = slow * gx[i] + weight * to_sum
    sums[0] += s_gain
    sums[1] += s_leak
    sums[2] += s_decay
    sums[3] += s_feedback
    sums[4] += s_exponent
    sums[5] += s_threshold
    sums[6] += s_inh
    sums[7] += s_weight
    sums[8] += s_slow


@compiled
def backward_rows(start: int, stop: int, o: Any, v: Any, g: Any, x: Any, taps: Any, p: Any, symmetric: bool,
                  height: int, width: int, vs: Any, gs: Any, grad_vs: Any, grad_gs: Any, gv: Any, gg: Any, gx: Any,
                  go: Any, sums: Any, by_blur: Any, needs_blur: bool) -> None:
    """Rows `start` to `stop`: changes gv, gg, gx (from the gradients of the last frame's V, g, x to those of the
    first's), go, sums (rows, 9) and by_blur (rows, 5)."""
    one, slow = p[1], p[11]
    pixels = height * width
    time = o.shape[0] // (v.shape[0] * pixels)
    xs = np.empty((time, pixels), o.dtype)
    work = make_panel(max(height, width), o)
    q, blurred, from_blur, middle = np.empty_like(xs[0]), np.empty_like(xs[0]), np.empty_like(xs[0]), np.empty_like(xs[0])
    for row in range(start, stop):
        xs[0] = x[row]
        for k in range(1, time):
            before = v[row] if k == 1 else vs[(row * time + k - 2) * pixels:(row * time + k - 1) * pixels]
            for i in range(pixels):
                xs[k, i] = slow * xs[k - 1, i] + (one - slow) * before[i]
        for k in range(time - 1, -1, -1):
            first = (row * time + k) * pixels
            last = first + pixels
            v_before = v[row] if k == 0 else vs[first - pixels:first]
            g_before = g[row] if k == 0 else gs[first - pixels:first]
            for i in range(pixels):
                gv[row, i] += grad_vs[first + i]
                gg[row, i] += grad_gs[first + i]
                from_blur[i] = (one - p[5]) * gg[row, i]
            conductance(v_before, q, p, symmetric)
            blurred[:] = q
            smooth_frame(blurred, 0, height, width, taps, work)
            if needs_blur:
                smooth_frame_gradient(from_blur, 0, q, 0, middle, height, width, taps, work, by_blur[row])
            else:
                smooth_frame_adjoint(from_blur, 0, height, width, taps, work)
            adjoint_membrane(o[first:last], v_before, g_before, xs[k], blurred, from_blur, gv[row], gg[row], gx[row],
                             go[first:last], p, symmetric, sums[row])


def backward(needs: tuple[bool, ...], grads: tuple[Any, ...], outputs: tuple[Any, ...], o: Any, v: Any, g: Any, x: Any,
             blur: Any, *rest: Any) -> tuple[Any, ...]:
    """Gradients to the tensors of `reference`; x of every frame and what is blurred are computed again."""
    *numbers, symmetric, h = rest
    rows, _, height, width = o.shape
    gv, gg, gx, go = np.zeros_like(v), np.zeros_like(g), grads[2].copy(), np.empty_like(o)
    sums, by_blur = np.zeros((rows, 9)), np.zeros((rows, 5))
    if o.size:
        p, taps = constants(o.dtype, *numbers, h), make_taps(blur, o.dtype)
        before = [a.reshape(rows, -1) for a in (v, g, x)]
        after = [a.reshape(-1) for a in (*outputs[:2], *grads[:2])]
        found = [a.reshape(rows, -1) for a in (gv, gg, gx)]

        each_row(backward_rows, rows, o.size, o.reshape(-1), *before, taps, p, symmetric, height, width, *after, *found,
                 go.reshape(-1), sums, by_blur, needs[4])
    return go, gv, gg, gx, by_blur.sum(axis=0), *sums.sum(axis=0)


gain_control = make_op("gain_control", reference, shapes, forward, backward)
