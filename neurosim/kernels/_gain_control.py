"""Compiled loops of gain_control.py: frames of bipolar cells with gain control, forward and adjoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import compiled
from ._math import exp, log
from ._panel import make_panel
from .deriche import smooth_frame, smooth_frame_adjoint, smooth_frame_gradient

SATURATION = 500000.0  # Hz; the feedback's synaptic conductance stays below it


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


@compiled
def adjoint_synapse(v: Any, grad: Any, side: Any, to_v: Any, p: Any, sums: Any) -> None:
    """Adds to `to_v` the gradient of V through q(side V), side 1 or -1; `grad` is that of Q.

    `sums` gets the gradients of feedback, exponent and threshold at 3 to 5."""
    zero, one, limit, feedback, exponent, threshold = p[0], p[1], p[2], p[6], p[7], p[8]
    s_feedback = s_exponent = s_threshold = zero
    for i in range(v.shape[0]):
        u = side * v[i] - threshold
        silent = u <= zero
        u = one if silent else u
        length = log(u)
        power = zero if silent else exp(exponent * length)
        rest = one / (one + feedback * power / limit)
        by_power = grad[i] * rest * rest
        by_u = by_power * feedback * exponent * power / u
        s_feedback += by_power * power
        s_exponent += by_power * feedback * power * length
        s_threshold -= by_u
        to_v[i] += side * by_u
    sums[3] += s_feedback
    sums[4] += s_exponent
    sums[5] += s_threshold


@compiled
def adjoint_membrane(current: Any, v: Any, g: Any, x: Any, gv: Any, gg: Any, go: Any, p: Any, sums: Any) -> None:
    """The adjoint of V of one frame: gv goes from the gradient of V after the frame to that before it, gg gets what reaches g,
    go the gradient of the current; `sums` gets those of gain and leak at 0 and 1, of e_inh and weight at 6 and 7."""
    one, gain, leak, e_inh, weight, h = p[1], p[3], p[4], p[9], p[10], p[12]
    s_gain = s_leak = s_inh = s_weight = p[0]
    for i in range(v.shape[0]):
        total = leak + g[i]
        aim = (gain * current[i] + e_inh * g[i] + weight * x[i]) / total
        fade = exp(-h * total)
        to_sum = gv[i] * (one - fade) / total
        to_total = -h * fade * gv[i] * (v[i] - aim) - to_sum * aim
        s_gain += to_sum * current[i]
        s_leak += to_total
        s_inh += to_sum * g[i]
        s_weight += to_sum * x[i]
        gv[i] *= fade
        gg[i] += e_inh * to_sum + to_total
        go[i] = to_sum
    sums[0] += s_gain
    sums[1] += s_leak
    sums[6] += s_inh
    sums[7] += s_weight


@compiled
def adjoint_frame(current: Any, v: Any, g: Any, x: Any, blurred: Any, from_blur: Any, gv: Any, gg: Any, gx: Any, go: Any,
                  p: Any, symmetric: bool, sums: Any) -> None:
    """The adjoint of one frame. gv, gg and gx go from the gradients of V, g and x after the frame to those before it.

    `from_blur` is the gradient of Q, `go` gets that of the current, `sums` (9 float64) those of gain to slow_decay; `blurred`
    is overwritten. In several loops: LLVM does not vectorise one that writes to so many arrays."""
    zero, one, gain, decay, weight, slow = p[0], p[1], p[3], p[5], p[10], p[11]
    s_decay = s_slow = zero
    for i in range(v.shape[0]):
        s_decay += gg[i] * (g[i] - blurred[i])
        gg[i] *= decay
        blurred[i] = zero
    to_v = blurred
    adjoint_synapse(v, from_blur, one, to_v, p, sums)
    if symmetric:
        adjoint_synapse(v, from_blur, -one, to_v, p, sums)
    adjoint_membrane(current, v, g, x, gv, gg, go, p, sums)
    for i in range(v.shape[0]):
        gv[i] += to_v[i] + (one - slow) * gx[i]
    for i in range(v.shape[0]):
        s_slow += gx[i] * (x[i] - v[i])
        gx[i] = slow * gx[i] + weight * go[i]
        go[i] *= gain
    sums[2] += s_decay
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
            adjoint_frame(o[first:last], v_before, g_before, xs[k], blurred, from_blur, gv[row], gg[row], gx[row],
                          go[first:last], p, symmetric, sums[row])
