"""Receptive fields: kernels as large as the frame, with one output value per channel."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from .._errors import InputError, ParameterError
from ..functional.convolution import causal_conv, causal_readout
from .conv import _Conv


class RF(_Conv):
    """Receptive field: a kernel over time and the whole frame that gives one value per output channel.

    Weights are set and read as for `Conv3d`: an impulse response, so that `weight[o, c, lag, 0, 0]` acts on the last
    pixel; `set_weight(w, flip=False)` takes an array that lies over the frame as one sees it (and runs forward in
    time). A kernel of one pixel weighs all pixels alike: it acts on the mean of the frame, of any size.

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size: (time, y, x); (time, 1, 1) for the mean of the frame. The kernel starts at zero.
        bias: whether a bias is added to each output channel.
        time_pad: as for `Conv3d`.
        rf_mode: "exact" refuses frames of another size than the kernel; "corner" lays the kernel on the top left corner,
            leaves out what lies beyond it, and takes 0 where the frame ends before it.
    Shape: video (batch, in, time, y, x) to (batch, out, time, 1, 1).
    Raises: ParameterError, InputError for a frame of another size than the kernel ("exact"), StateError.

    >>> import neurosim, numpy as np
    >>> rf = neurosim.filters.RF(kernel_size=(5, 8, 6), out_channels=2)
    >>> rf.set_weight(np.random.default_rng(0).normal(size=(2, 1, 5, 8, 6)))
    >>> rf.run(np.random.default_rng(1).normal(size=(20, 8, 6)), dt=7)[0].shape
    torch.Size([1, 2, 20, 1, 1])
    """

    MODES = ("exact", "corner")

    def __init__(self, in_channels: int = 1, out_channels: int = 1, kernel_size: Any = (1, 1, 1), *, bias: bool = True,
                 time_pad: bool = True, rf_mode: str = "exact", **options: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias=bias, time_pad=time_pad, autopad=False, **options)
        if rf_mode not in self.MODES:
            raise ParameterError("RF", "rf_mode", f"choose from {list(self.MODES)}", rf_mode)
        self.rf_mode = rf_mode

    def _filtered(self, frames: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        if w.shape[3:] == (1, 1):
            return causal_conv(frames.mean((3, 4), keepdim=True), w, bias)
        if w.shape[3:] != frames.shape[3:]:
            if self.rf_mode == "exact":
                raise InputError(f"RF: frames must be as large as the kernel, {tuple(w.shape[3:])} pixels "
                                 f"(got {tuple(frames.shape[3:])}), unless rf_mode is \"corner\"")
            (ky, kx), (y, x) = w.shape[3:], frames.shape[3:]
            frames = F.pad(frames, (0, kx - x, 0, ky - y))  # below 0 it crops
        return causal_readout(frames, w, bias)
