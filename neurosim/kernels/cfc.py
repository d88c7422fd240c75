"""Closed-form continuous-time cells over whole sequences."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from . import _cfc_rows as compiled_rows
from ._cfc_rows import LINES
from ._jit import VECTOR
from ._op import make_op
from ._pool import each_row

PARTS = 16  # partial sums of the gradients; their number must not depend on the number of threads
MODES = ("default", "no_gate", "pure")
ACTIVATIONS = ("lecun_tanh", "silu", "relu", "tanh", "gelu")
PURE = MODES.index("pure")


class Sizes(NamedTuple):
    """Shapes of a cell's weights."""

    layers: tuple[tuple[int, int], ...]  # (outputs, inputs) of the layers of the backbone
    heads: tuple[int, int]  # all heads below each other
    extra: int  # numbers after these: w_tau and A in mode pure

    @classmethod
    def of(cls, inputs: int, units: int, width: int, depth: int, mode: int) -> Sizes:
        """From the numbers of inputs, units and layers of `width`."""
        columns = [inputs + units, *[width] * depth]
        return cls(tuple((width, columns[layer]) for layer in range(depth)),
                   (units if mode == PURE else 4 * units, columns[-1]), 2 * units if mode == PURE else 0)

    @property
    def total(self) -> int:
        """Number of all weights."""
        return sum(outputs * (inputs + 1) for outputs, inputs in (*self.layers, self.heads)) + self.extra

    def split(self, weights: Any) -> list[Any]:
        """Weight and bias of each layer, then of the heads, then what is left."""
        parts, start = [], 0
        for outputs, inputs in (*self.layers, self.heads):
            parts.append(weights[start:start + outputs * inputs].reshape(outputs, inputs))
            start += outputs * inputs
            parts.append(weights[start:start + outputs])
            start += outputs
        return [*parts, weights[start:]]


def activate(z: Tensor, activation: int) -> Tensor:
    """The backbone's nonlinearity, by its number in `ACTIVATIONS`."""
    name = ACTIVATIONS[activation]
    return 1.7159 * torch.tanh(0.666 * z) if name == "lecun_tanh" else getattr(torch.nn.functional, name)(z)


def reference(x: Tensor, timespans: Tensor, h: Tensor, weights: Tensor, width: int, depth: int, mode: int,
              activation: int, keep: bool) -> tuple[Tensor, Tensor]:
    """States of a cell after every step; see `functional.cfc.cfc_scan` for the equations.

    Args:
        x: (batch, time, inputs).
        timespans: (batch, time).
        h: (batch, units), state before the first step.
        weights: weights and biases of the backbone, layer by layer; weights, then biases of the heads f1, f2, a and b
            (mode pure: f1 alone); in mode pure w_tau and A; all in one vector.
        width, depth: of the backbone.
        mode, activation: numbers in `MODES` and `ACTIVATIONS`.
        keep: whether to keep what the compiled backward pass needs; without it that runs the forward pass once more.
    Returns: (batch, time, units), and what was kept: no gradient passes through it.
    """
    *linears, rest = Sizes.of(x.shape[2], h.shape[1], width, depth, mode).split(weights)
    hs = []
    for frame, timespan in zip(x.unbind(1), timespans.unbind(1), strict=True):
        z = torch.cat([frame, h], 1)
        for weight, bias in zip(linears[:-2:2], linears[1:-2:2], strict=True):
            z = activate(torch.nn.functional.linear(z, weight, bias), activation)
        heads = torch.nn.functional.linear(z, linears[-2], linears[-1])
        dt = timespan[:, None]
        if mode == PURE:
            w_tau, a = rest.chunk(2)
            h = a - a * heads * torch.exp(-dt * (w_tau.abs() + heads.abs()))
        else:
            f1, f2, time_a, time_b = heads.chunk(4, 1)
            s = torch.sigmoid(time_a * dt + time_b)
            h = torch.tanh(f1) * (1 - s if MODES[mode] == "default" else 1) + torch.tanh(f2) * s
        hs.append(h)
    kept = weights.new_zeros(tape_shape(x, h, width, depth, mode, keep))
    return (torch.stack(hs, 1) if hs else h.new_zeros(h.shape[0], 0, h.shape[1])), kept


def shapes(x: Tensor, timespans: Tensor, h: Tensor, weights: Tensor, width: int, depth: int, mode: int,
           activation: int, keep: bool) -> tuple[Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return (x.new_empty(x.shape[0], x.shape[1], h.shape[1]),
            x.new_empty(tape_shape(x, h, width, depth, mode, keep)))


def tape_shape(x: Any, h: Any, width: int, depth: int, mode: int, keep: bool) -> tuple[int, int, int]:
    """Shape of what the compiled code keeps of every frame."""
    heads = padded(h.shape[1], x) * (1 if mode == PURE else 4)
    return x.shape[0], x.shape[1] if keep else 0, 2 * depth * padded(width, x) + heads


def padded(count: int, like: Any) -> int:
    """`count` filled up to whole vectors."""
    lanes = VECTOR // like.dtype.itemsize
    return count + -count % lanes


def pad_matrix(weight: np.ndarray, groups: int) -> np.ndarray:
    """`weight` with the rows of each of its groups filled up to whole vectors."""
    rows = weight.shape[0] // groups
    whole = np.zeros((groups, padded(rows, weight), *weight.shape[1:]), weight.dtype)
    whole[:, :rows] = weight.reshape(groups, rows, *weight.shape[1:])
    return whole.reshape(-1, *weight.shape[1:])


def split_padded(weights: np.ndarray, sizes: Sizes, groups: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Weights and biases in turn, outputs filled up to whole vectors, inputs that come from a layer as well; the rest."""
    *linears, extra = sizes.split(weights)
    whole = []
    for number, part in enumerate(linears):
        part = pad_matrix(part, groups if number >= len(linears) - 2 else 1)
        whole.append(pad_matrix(part.T, 1).T if part.ndim == 2 and number > 0 else part)
    return whole, pad_matrix(extra, 2) if sizes.extra else np.zeros(2 * whole[-1].size // groups, weights.dtype)


def check(x: Any, timespans: Any, h: Any, weights: Any, sizes: Sizes) -> None:
    """Raises InputError unless the arrays fit each other: compiled code reads memory unchecked."""
    wanted = ((timespans, x.shape[:2]), (h, (x.shape[0], h.shape[1])), (weights, (sizes.total,)))
    if any(array.shape != shape for array, shape in wanted):
        raise InputError(f"cfc: arrays do not fit each other; needed {[shape for _, shape in wanted]} "
                         f"(got {[array.shape for array, _ in wanted]})")
    if len({array.dtype for array in (x, timespans, h, weights)}) > 1:
        raise InputError(f"cfc: all values must have the dtype of x, {x.dtype}")


def forward(x: Any, timespans: Any, h: Any, weights: Any, width: int, depth: int, mode: int, activation: int,
            keep: bool) -> tuple[Any, Any]:
    """`reference` in compiled code."""
    sizes = Sizes.of(x.shape[2], h.shape[1], width, depth, mode)
    check(x, timespans, h, weights, sizes)
    linears, pure = split_padded(weights, sizes, 1 if mode == PURE else 4)
    matrices = np.concatenate([part.T.ravel() for part in linears])
    out = np.empty((*x.shape[:2], h.shape[1]), x.dtype)
    batch, frames, length = tape_shape(x, h, width, depth, mode, True)
    frames = frames if keep else 1
    tape = np.empty((batch, frames, length), x.dtype)
    each_row(compiled_rows.forward_rows, -(-batch // LINES), batch * x.shape[1] * len(matrices) // 8, x, timespans, h,
             matrices, pure, padded(width, x), depth, mode, activation, frames, tape.reshape(-1), out)
    return out, tape if keep else tape[:, :0]


def backward(needs: tuple[bool, ...], grads: Any, outputs: Any, x: Any, timespans: Any, h: Any, weights: Any,
             width: int, depth: int, mode: int, activation: int, keep: bool) -> tuple[Any, ...]:
    """Gradients of all floating arguments; those of the weights as one product of matrices over all frames."""
    out, tape = outputs
    if not keep:
        _, tape = forward(x, timespans, h, weights, width, depth, mode, activation, True)
    (batch, time, inputs), units, groups = x.shape, h.shape[1], 1 if mode == PURE else 4
    sizes = Sizes.of(inputs, units, width, depth, mode)
    linears, pure = split_padded(weights, sizes, groups)
    # From the last to the first; what comes from outside is filled up here, too.
    matrices = np.concatenate([pad_matrix(weight.T, 1).T.ravel() for weight in linears[-2::-2]])
    wide, heads = padded(width, x), len(linears[-1])
    parts = min(PARTS, -(-batch // LINES))
    grad_x, grad_timespans, grad_h = np.empty_like(x), np.empty_like(timespans), np.empty_like(h)
    sums, pure_sums = np.empty((batch, time, wide * depth + heads), x.dtype), np.zeros((parts, len(pure)), x.dtype)
    each_row(compiled_rows.backward_rows, parts, 2 * batch * time * len(matrices) // 8, parts, timespans, matrices, pure,
             wide, depth, mode, activation, tape.reshape(-1), grads[0], grad_x, grad_timespans, grad_h,
             sums.reshape(-1), pure_sums)
    before = np.concatenate([h[:, None], out[:, :-1]], 1) if time else out
    fed = [np.concatenate([x, before], 2), *(tape[:, :, (2 * layer + 1) * wide:(2 * layer + 1) * wide + width]
                                             for layer in range(depth))]
    found = []
    for layer in range(depth + 1):
        split, count = ((groups, heads // groups), units) if layer == depth else ((1, wide), width)
        whole = sums[:, :, layer * wide:layer * wide + split[0] * split[1]].reshape(batch * time, *split)
        of_sums = whole[:, :, :count].reshape(batch * time, split[0] * count)
        product = torch.from_numpy(of_sums).T @ torch.from_numpy(fed[layer].reshape(batch * time, fed[layer].shape[2]))
        found += [product.numpy().ravel(), of_sums.sum(0)]
    if mode == PURE:
        found.append(pure_sums.sum(0).reshape(2, -1)[:, :units].ravel())
    return grad_x, grad_timespans, grad_h, np.concatenate(found)


cfc = make_op("cfc", reference, shapes, forward, backward, kept=1)
