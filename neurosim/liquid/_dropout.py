"""CfC cells while they are trained with dropout: the backbone's layers one by one, in plain torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..functional.cfc import CfCParams, Linear
from ..kernels.cfc import ACTIVATIONS, activate


def with_dropout(p: CfCParams, mode: str, activation: str, drop: Callable[[Tensor, int, int], Tensor]
                 ) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The states of `functional.cfc.cfc_scan` with `drop(z, step, layer)` after every layer of its backbone.

    Args:
        drop: gives the activations z, (batch, width), of a layer at a step of the chunk with some of them at 0.
    """
    number = ACTIVATIONS.index(activation)

    def affine(linear: Linear, z: Tensor) -> Tensor:
        return torch.nn.functional.linear(z, linear.weight, linear.bias)

    def cell(x: Tensor, h: Tensor, timespans: Tensor) -> Tensor:
        hs = []
        for step, (frame, timespan) in enumerate(zip(x.unbind(1), timespans.unbind(1), strict=True)):
            z = torch.cat([frame, h], 1)
            for layer, linear in enumerate(p.backbone):
                z = drop(activate(affine(linear, z), number), step, layer)
            f1, *rest = (affine(head, z) for head in p.heads)
            dt = timespan[:, None]
            if p.w_tau is not None and p.a is not None:
                h = p.a - p.a * f1 * torch.exp(-dt * (p.w_tau.abs() + f1.abs()))
            else:
                f2, time_a, time_b = rest
                s = torch.sigmoid(time_a * dt + time_b)
                h = torch.tanh(f1) * (1 - s if mode == "default" else 1) + torch.tanh(f2) * s
            hs.append(h)
        return torch.stack(hs, 1) if hs else h.new_zeros(h.shape[0], 0, h.shape[1])

    return cell
