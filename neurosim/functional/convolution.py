"""Convolutions of videos: causal in time, with replicated borders in space."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..kernels.convolution import convolution, is_for_kernel, reference


def replicate(x: Tensor, ky: int, kx: int) -> Tensor:
    """Frames with borders repeated, so that a kernel of (ky, kx) keeps their size; an even kernel looks further ahead.

    Args:
        x: (batch, channel, time, y, x).
        ky, kx: size of the kernel.
    Returns: (batch, channel, time, y + ky - 1, x + kx - 1).
    """
    if ky == 1 and kx == 1:
        return x
    frames = x.flatten(0, 1)
    padded = F.pad(frames, (kx // 2, kx - kx // 2 - 1, ky // 2, ky - ky // 2 - 1), mode="replicate")
    return padded.unflatten(0, x.shape[:2])


def causal_conv(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[o, t, y, x] = bias[o] + sum over c, lag, a, b of w[o, c, lag, a, b] x[c, t - lag, y - a, x - b], where all are there.

    Args:
        x: (batch, in, time, y, x).
        w: impulse response (out, in, lag, y, x), lag 0 the present frame.
        bias: (out,) or None.
    Returns: (batch, out, time - lags + 1, y - ky + 1, x - kx + 1).
    """
    if bias is None:
        bias = w.new_zeros(w.shape[0])
    if x.shape[3] == x.shape[4] == 1 and w.shape[3] == w.shape[4] == 1:  # neighbours in memory are then those in time
        return _convolved(x.movedim(2, 4), w.movedim(2, 4), bias).movedim(4, 2)
    return _convolved(x, w, bias)


def _convolved(x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    return convolution(x, w, bias) if is_for_kernel(x, w) else reference(x, w, bias)


def causal_readout(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    """`causal_conv` with a kernel as large as the frame, as one product over channels and pixels.

    Args:
        x: (batch, in, time, y, x).
        w: impulse response (out, in, lag, y, x).
        bias: (out,) or None.
    Returns: (batch, out, time - lags + 1, 1, 1).
    """
    pixels = x.movedim(2, -1).flatten(1, 3)
    weights = w.flip((2, 3, 4)).movedim(2, -1).flatten(1, 3)
    return F.conv1d(pixels, weights, bias)[..., None, None]
