"""Sub-steps of LTC by explicit Runge-Kutta methods, for `_ltc_batch`: a vector holds the same neuron of several sequences.

Each stage of the methods here follows from the one before it alone. With f the slope of the potentials,

    k_s = f(v + h c_s k_{s-1}),    v <- v + h sum over s of b_s k_s.

The backward pass makes the stages again from the potentials before the sub-step.
"""

from __future__ import annotations

from typing import Any

from ._jit import compiled
from ._lanes import EXACT, lanes, vload, vsplat, vstore
from ._ltc_synapses import add_drive, add_synapses
from ._rows import ZERO


@compiled(fastmath=EXACT, allocates=False)
def run_stages(tape: Any, now: int, h: Any, n0: Any, d0: Any, neurons: Any, packed: Any, starts: Any, wires: Any,
               method: Any, points: Any, k: Any, total: Any) -> None:
    """All stages of the sub-step from tape[now:]: the potentials where each looks at the slope, the slope there, and the
    conductances onto every neuron. `method`: c of every stage, then b.
    """
    width = lanes(tape)
    units, order = neurons.shape[1], len(method) // 2
    size = units * width
    for stage in range(order):
        at, step = stage * size, vsplat(method, stage) * vload(h, 0)
        for i in range(0, size, width):
            point = vload(tape, now + i)
            if stage > 0:
                point = point + step * vload(k, at - size + i)
            vstore(points, at + i, point)
        for j in range(units):
            i = j * width
            n, d = add_drive(starts[j], starts[j + 1], packed, wires, ZERO, points, at, vload(n0, i), vload(d0, i))
            vstore(k, at + i, (n - vload(points, at + i) * d) / vsplat(neurons, 2 * units + j))
            vstore(total, at + i, d)


@compiled(fastmath=EXACT, allocates=False)
def explicit_substep(tape: Any, now: int, then: int, h: Any, n0: Any, d0: Any, neurons: Any, packed: Any, starts: Any,
                     wires: Any, method: Any, points: Any, k: Any, total: Any) -> None:
    """A sub-step from the frame tape[now:] to the one at tape[then:]."""
    width = lanes(tape)
    size, order = neurons.shape[1] * width, len(method) // 2
    run_stages(tape, now, h, n0, d0, neurons, packed, starts, wires, method, points, k, total)
    for i in range(0, size, width):
        slope = vsplat(method, order) * vload(k, i)
        for stage in range(1, order):
            slope = slope + vsplat(method, order + stage) * vload(k, stage * size + i)
        vstore(tape, then + i, vload(tape, now + i) + vload(h, 0) * slope)


@compiled(fastmath=EXACT, allocates=False)
def explicit_back(tape: Any, now: int, h: Any, n0: Any, d0: Any, neurons: Any, packed: Any, packed_back: Any, starts: Any,
                  wires: Any, method: Any, points: Any, k: Any, total: Any, grad: Any, q: Any, e: Any, back: Any,
                  grad_before: Any, grad_n0: Any, grad_d0: Any, grad_cm: Any, grad_h: Any, sums: Any, wide: bool) -> None:
    """Turns the gradient `grad` of the potentials after a sub-step into that of tape[now:], those before; adds the others.

    back: room for the gradient of the point of a stage, grad_before: for the sum of these.
    """
    width = lanes(tape)
    units, order = neurons.shape[1], len(method) // 2
    size = units * width
    step, of_h = vload(h, 0), vload(grad_h, 0)
    run_stages(tape, now, h, n0, d0, neurons, packed, starts, wires, method, points, k, total)
    for i in range(0, size, width):
        vstore(grad_before, i, vload(grad, i))
    for stage in range(order - 1, -1, -1):
        at = stage * size
        for j in range(units):
            i = j * width
            slope, part = vload(k, at + i), vsplat(method, order + stage) * vload(grad, i)
            of_h = of_h + part * slope
            if stage + 1 < order:
                part = part + vsplat(method, stage + 1) * vload(back, i)
            of_n = part * step / vsplat(neurons, 2 * units + j)
            of_d = -of_n * vload(points, at + i)
            vstore(q, i, of_n)
            vstore(e, i, of_d)
            vstore(grad_n0, i, vload(grad_n0, i) + of_n)
            vstore(grad_d0, i, vload(grad_d0, i) + of_d)
            vstore(grad_cm, i, vload(grad_cm, i) - of_n * slope)
            vstore(back, i, -of_n * vload(total, at + i))
        for j in range(units):
            add_synapses(starts[j], starts[j + 1], packed_back, wires, ZERO, points, at, vload(q, j * width),
                         vload(e, j * width), back, sums, units, wide)
        for i in range(0, size, width):
            vstore(grad_before, i, vload(grad_before, i) + vload(back, i))
            if stage > 0:
                of_h = of_h + vsplat(method, stage) * vload(back, i) * vload(k, at - size + i)
    vstore(grad_h, 0, of_h)
    for i in range(0, size, width):
        vstore(grad, i, vload(grad_before, i))
