"""Causal convolutions over space and time, with kernels that are free or follow a sigma or a tau."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError, ParameterError
from .._param import Param, as_number
from ..functional.convolution import causal_conv, replicate
from ..stateful import ChunkLayer
from .kernels import Basis, Exponential, Gaussian, HighPassExponential, Kernel


class HistoryState(NamedTuple):
    """The last frames before the chunk, (batch, channel, kernel length - 1, y, x), and how many of them are real."""

    frames: Tensor
    seen: Tensor


class _Conv(ChunkLayer):
    """What the three convolutions share; they differ in which axes their kernels may extend over."""

    weight = Param(None, user=False, doc="impulse response (out, in, lag, y, x); lag 0 is the present frame")
    bias = Param(None, user=False, doc="added to each output channel")

    over_time: ClassVar[bool] = True
    over_space: ClassVar[bool] = True

    def __init__(self, in_channels: int = 1, out_channels: int = 1, kernel_size: Any = (1, 1, 1), *, bias: bool = True,
                 time_pad: bool = True, autopad: bool = True, **options: Any) -> None:
        super().__init__(**options)
        for what, n in (("in_channels", in_channels), ("out_channels", out_channels)):
            if int(n) != n or n < 1:
                raise ParameterError(type(self).__name__, what, "must be a whole number, at least 1", n)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.time_pad, self.autopad = time_pad, autopad
        self.kernel: Kernel | None
        self.register_module("kernel", None)  # among the modules from the start, so that they can be put back whole
        dtype, device = options.get("dtype"), options.get("device")
        shape = (out_channels, in_channels, *self._size(kernel_size))
        self._add(type(self).weight, torch.zeros(shape), dtype, device)
        if bias:
            self._add(type(self).bias, torch.zeros(out_channels), dtype, device)

    def _size(self, kernel_size: Any) -> tuple[int, int, int]:
        """(time, y, x) of the kernel from what the class takes."""
        raw = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
        axes = 3 * self.over_time * self.over_space or (1 if self.over_time else 2)
        if len(raw) != axes or any(int(n) != n or n < 1 for n in raw):
            raise ParameterError(type(self).__name__, "kernel_size", f"needs {axes} whole numbers, at least 1", kernel_size)
        size = raw if axes == 3 else ((raw[0], 1, 1) if axes == 1 else (1, *raw))
        return int(size[0]), int(size[1]), int(size[2])

    # ---- kernels --------------------------------------------------------------------------------------------------
    def set_weight(self, w: Any, *, normalize: bool = False, preserve_channels: bool = False, flip: bool = True) -> None:
        """Sets a free kernel, of any size.

        Args:
            w: (time,), (y, x), (time, y, x), or (out, in, time, y, x); an array over fewer axes is used for every pair of
                channels. A number fills the kernel as large as it is.
            normalize: divide by the sum.
            preserve_channels: with several channels, connect each input channel only to its own output channel.
            flip: whether `w` is an impulse response (w[0] acts on the present frame); False for an array in the
                orientation of torch's convolutions.
        Raises: ParameterError; the kernel is then what it was.
        """
        name = type(self).__name__
        like = next(iter(self.parameters()))
        data = as_number(name, "weight", w, like.dtype, like.device)
        if not data.ndim:
            data = data.expand(self.impulse_response().shape[2:])
        if data.ndim in (1, 2, 3):
            data = data.reshape({1: (-1, 1, 1), 2: (1, *data.shape), 3: data.shape}[data.ndim])
            data = data.expand(self.out_channels, self.in_channels, *data.shape)
        if data.ndim != 5 or data.shape[:2] != (self.out_channels, self.in_channels) or not data.numel():
            raise ParameterError(name, "weight", "must be a number, (time,), (y, x), (time, y, x) or (out, in, time, y, x) "
                                 f"with out, in = {self.out_channels}, {self.in_channels}", tuple(data.shape))
        if (not self.over_time and data.shape[2] > 1) or (not self.over_space and data.shape[3:] != (1, 1)):
            raise ParameterError(name, "weight", "extends over an axis that this layer does not filter", tuple(data.shape))
        if preserve_channels:
            if self.in_channels != self.out_channels:
                raise ParameterError(name, "preserve_channels", "needs as many input as output channels",
                                     (self.in_channels, self.out_channels))
            data = data * torch.eye(self.out_channels, dtype=data.dtype, device=data.device)[:, :, None, None, None]
        if not flip:
            data = data.flip((2, 3, 4))
        if normalize:
            data = data / data.sum()
        if "weight" in self._parameters and self.weight.shape == data.shape:
            self.weight.set(data)
        else:
            self._add(type(self).weight, data, like.dtype, like.device)
        self.kernel = None

    def _make_room(self, values: Mapping[str, Any]) -> None:
        """A kernel of the size of `weight`, or one that follows what is given."""
        own = self._parameters.get("weight")
        if "weight" in values and (own is None or np.shape(values["weight"]) != tuple(own.shape)):
            self.set_weight(values["weight"])
        elif "kernel_sigma" in values and not isinstance(self.kernel, Gaussian):
            self.gaussian(float(np.squeeze(values["kernel_sigma"])))
        elif "kernel_relative_weight" in values and not isinstance(self.kernel, HighPassExponential):
            self.highpass_exponential(float(np.squeeze(values["kernel_tau"])))
        elif "kernel_tau" in values and not isinstance(self.kernel, Exponential | HighPassExponential):
            self.exponential(float(np.squeeze(values["kernel_tau"])))

    def _follow(self, kernel: Kernel) -> None:
        like = next(iter(self.parameters()))
        self._parameters.pop("weight", None)
        self.kernel = kernel.to(like)

    def gaussian(self, sigma: float) -> None:
        """A Gaussian over space of `sigma` degrees; it follows `p.kernel.sigma`. Raises ParameterError."""
        if not self.over_space:
            raise ParameterError(type(self).__name__, "gaussian", "this layer does not filter over space")
        self._follow(Gaussian(sigma=sigma, resolution=self.resolution))

    def exponential(self, tau: float) -> None:
        """An exponential over time of `tau` seconds; it follows `p.kernel.tau`. Raises ParameterError."""
        self._needs_time("exponential")
        self._follow(Exponential(tau=tau, resolution=self.resolution))

    def highpass_exponential(self, tau: float, relative_weight: float = 1.0) -> None:
        """The present frame less a weighted exponential average; it follows `p.kernel`. Raises ParameterError."""
        self._needs_time("highpass_exponential")
        self._follow(HighPassExponential(tau=tau, relative_weight=relative_weight, resolution=self.resolution))

    def basis(self, functions: Callable[[float], Tensor] | Any, weights: Any = None) -> None:
        """A kernel that is a weighted sum of temporal functions; it follows `p.kernel.weights`.

        Args:
            functions: `RaisedCosines`, `BSplines`, another callable that gives (n, lag) for a frame length in s, or such
                an array.
            weights: (n,), (out, in, n), or (out, in, n, y, x) with one weight per pixel of the kernel; zeros for every
                pixel of the present kernel when not given.
        Raises: ParameterError; the kernel is then what it was.
        """
        self._needs_time("basis")
        name = type(self).__name__
        like = next(iter(self.parameters()))
        values = as_number(name, "basis", functions(self.resolution.frame) if callable(functions) else functions,
                           like.dtype, like.device)
        if values.ndim != 2 or not values.numel():
            raise ParameterError(name, "basis", "functions must be (n, lag)", tuple(values.shape))
        n, channels = len(values), (self.out_channels, self.in_channels)
        if weights is None:
            weights = torch.zeros(*channels, n, *self.impulse_response().shape[3:])
        w = as_number(name, "basis", weights, like.dtype, like.device)
        if w.ndim in (1, 3):
            w = w[..., None, None]
        if w.ndim == 3:
            w = w.expand(*channels, *w.shape)
        if w.ndim != 5 or w.shape[:3] != (*channels, n) or not w.numel():
            raise ParameterError(name, "basis", f"weights must be (n,), (out, in, n) or (out, in, n, y, x) with out, in, n = "
                                 f"{channels[0]}, {channels[1]}, {n}", tuple(w.shape))
        if not self.over_space and w.shape[3:] != (1, 1):
            raise ParameterError(name, "basis", "weights extend over an axis that this layer does not filter", tuple(w.shape))
        self._follow(Basis(values, w, resolution=self.resolution))

    def _needs_time(self, what: str) -> None:
        if not self.over_time:
            raise ParameterError(type(self).__name__, what, "this layer does not filter over time")

    def impulse_response(self) -> Tensor:
        """The kernel as it is now, (out, in, lag, y, x); it carries the graph to the parameters it follows."""
        if self.kernel is None:
            return self.weight
        kernel = self.kernel.forward(next(iter(self.parameters())))
        return kernel.expand(self.out_channels, self.in_channels, *kernel.shape[2:])

    @property
    def remembers_input(self) -> bool:
        """The frames before; how many there are does not change unless the kernel follows a time constant."""
        return self.kernel is None

    # ---- one chunk ------------------------------------------------------------------------------------------------
    def initial_state(self, x: Tensor) -> HistoryState:
        """Before the first frame that frame was there all the time; without `time_pad`, nothing was."""
        length = self.impulse_response().shape[2] - 1
        first = x[:, :, :1].expand(-1, -1, length, -1, -1)
        return HistoryState(first.clone() if self.time_pad else torch.zeros_like(first),
                            torch.tensor(length if self.time_pad else 0, device=x.device))

    def chunk(self, x: Tensor, state: HistoryState) -> tuple[Tensor, HistoryState]:
        """Every frame from it and those before it; see `functional.convolution.causal_conv`."""
        if x.shape[1] != self.in_channels:
            raise ParameterError(type(self).__name__, "in_channels", f"the layer takes {self.in_channels} channels",
                                 x.shape[1])
        w = self.impulse_response()
        length = w.shape[2] - 1
        frames = torch.cat([state.frames, x], 2) if length else x
        bias = self.bias if "bias" in self._parameters else None
        y = self._filtered(frames, w, bias)
        missing = length - int(state.seen)
        seen = (state.seen + x.shape[2]).clamp(max=length)
        if missing:  # a slice of everything would cost the gradient a copy
            y = y[:, :, missing:]
        return y, HistoryState(frames[:, :, frames.shape[2] - length:].clone(), seen)

    def _filtered(self, frames: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        """The output for all frames that have their history among `frames`."""
        if self.autopad:
            frames = replicate(frames, w.shape[3], w.shape[4])
        elif frames.shape[3] < w.shape[3] or frames.shape[4] < w.shape[4]:
            raise InputError(f"{type(self).__name__}: frames must be at least as large as the kernel, {tuple(w.shape[3:])} "
                             f"pixels, or be continued beyond their borders, autopad=True (got {tuple(frames.shape[3:])})")
        return causal_conv(frames, w, bias)


class Conv3d(_Conv):
    """Convolution over time and space: causal in time, centred in space with replicated borders.

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size: (time, y, x); the kernel starts at zero, see `set_weight`, `gaussian`, `exponential`.
        bias: whether a bias is added to each output channel.
        time_pad: whether the first frame is taken to have been there all the time before; otherwise output starts with
            the first frame that has its whole history.
        autopad: whether borders are replicated so that the frame keeps its size; otherwise it shrinks by the kernel.
    Shape: video (batch, in, time, y, x) to (batch, out, time, y, x).
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim, numpy as np
    >>> conv = neurosim.filters.Conv3d()
    >>> conv.set_weight(np.ones((5, 3, 3)), normalize=True)
    >>> conv.run(np.random.default_rng(0).normal(size=(20, 8, 8)), dt=6)[0].shape
    torch.Size([1, 1, 20, 8, 8])
    """


class Conv2d(_Conv):
    """Convolution over space, frame by frame; arguments as for `Conv3d`, `kernel_size` is (y, x).

    >>> import neurosim
    >>> blur = neurosim.filters.Conv2d()
    >>> blur.gaussian(0.2)
    >>> blur.p.kernel.sigma = 0.3
    """

    over_time = False

    def __init__(self, in_channels: int = 1, out_channels: int = 1, kernel_size: Any = (1, 1), **options: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, **options)


class Conv1d(_Conv):
    """Convolution over time, pixel by pixel; arguments as for `Conv3d`, `kernel_size` is the number of frames.

    >>> import neurosim
    >>> decay = neurosim.filters.Conv1d()
    >>> decay.exponential(0.01)
    >>> round(decay.impulse_response().sum().item(), 6)
    1.0
    """

    over_space = False

    def __init__(self, in_channels: int = 1, out_channels: int = 1, kernel_size: Any = 1, **options: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, **options)
