"""Ganglion cells that spike: where they read the current map, exact integrate-and-fire, and a gradient for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .._errors import InputError, ParameterError
from ..kernels.random import START, uniform
from ..kernels.spiking import spiking as spiking_kernel

LONGEST_FRAME = 10.0  # s; in a longer one float32 could not tell the spikes of a strong current apart


class SpikingState(NamedTuple):
    """What spiking cells remember between chunks.

    Potential `v`, what is `left` of the refractory time in s, number of spikes so far `fired` (int64), all (batch,
    channel, *cells); number of the next `frame` and the seed `key` of all randomness, int64 0-d.
    """

    v: Tensor
    left: Tensor
    fired: Tensor
    frame: Tensor
    key: Tensor


class Spikes(NamedTuple):
    """Spikes one by one, ordered by frame, batch, channel, cell and time.

    `batch`, `channel` and `cell` are int64, `cell` counts along the flattened axes of the cells; `time` is in
    seconds since the start of the first frame, float64.
    """

    batch: Tensor
    channel: Tensor
    cell: Tensor
    time: Tensor


@dataclass(frozen=True)
class RateSurrogate:
    """A smooth firing rate, whose slope stands for the derivative of a spike count, which has none.

    The rate of a cell without noise in a constant current is 1 / (refractory + ln(1 + 1 / m) / g_leak) with
    m = current / g_leak - 1, the distance to threshold, and 0 for m <= 0: its slope is infinite at threshold and 0
    below. Here m is replaced by width * softplus(m / width), which is m far above threshold and fades out below it.

    Args:
        width: how far from threshold the slope is changed, in units of the potential.
    """

    width: float = 0.1

    def __call__(self, current: Tensor, g_leak: Tensor, refractory: Tensor) -> Tensor:
        """Rate in Hz for a current and leak in Hz and a refractory time in s."""
        above = self.width * F.softplus((current / g_leak - 1) / self.width)
        # The smallest normal number keeps 1 / above finite far below threshold.
        interval = torch.log1p(1 / above.clamp(min=torch.finfo(above.dtype).tiny))
        return 1 / (refractory + interval / g_leak)


def spiking_start(frame: Tensor, seed: int, random_init: bool = False) -> SpikingState:
    """The state before the first frame.

    Args:
        frame: any current of one frame, (batch, channel, *cells); gives shape, dtype and device.
        seed: key of all randomness, a 64-bit integer.
        random_init: potentials uniform in [0, 1) instead of 0.
    """
    zeros = torch.zeros_like(frame)
    fired = torch.zeros(frame.shape, dtype=torch.int64, device=frame.device)
    number, key = fired.new_zeros(()), torch.tensor(seed, dtype=torch.int64, device=frame.device)
    v = zeros
    if random_init:
        rows, cells = frame.shape[:2].numel(), frame.shape[2:].numel()
        v = uniform(key, START, number, rows, cells, frame.dtype).reshape(frame.shape)
    return SpikingState(v, zeros, fired, number, key)


def spiking(current: Tensor, state: SpikingState, h: float, *, g_leak: Tensor, noise_sigma: Tensor, refractory: Tensor,
            refractory_sigma: Tensor,
            surrogate: RateSurrogate = RateSurrogate()) -> tuple[Tensor, Spikes, SpikingState]:
    """Leaky integrate-and-fire cells: dv/dt = I - g_leak v, a spike at v = 1, then v = 0 for the refractory time.

    Exact between frames, with any number of spikes in a frame. The current of frame k is I[k] + eta[k],
    eta = noise_sigma sqrt(2 g_leak / h) N(0, 1): the free potential then has the stationary deviation
    noise_sigma sqrt(2 / (g_leak h) tanh(g_leak h / 2)) at the ends of frames. The refractory time is drawn for each
    spike, max(refractory + refractory_sigma N(0, 1), 0). The same state gives the same numbers however the frames
    are cut into chunks.

    Counts have the gradient of `h * surrogate(current, g_leak, refractory)`, frame by frame; the state carries none.

    Args:
        current: (batch, channel, time, *cells) in Hz, at most 1e6.
        state: of `spiking_start`, or what an earlier chunk left.
        h: length of a frame in s, at most 10.
        g_leak: in Hz, above 0. noise_sigma: in units of the threshold. refractory, refractory_sigma: in s. All 0-d.
        surrogate: the rate whose slope the counts get.
    Returns: spike counts like `current` (NaN where the current is not a number, too strong, or was so before), the
        spikes, the next state.
    Raises: ParameterError, InputError.
    Reference: Wohrer & Kornprobst 2009, equation 16. Departs from it: nowhere.
    """
    if not 0 < h <= LONGEST_FRAME:
        raise ParameterError("spiking", "h", f"must lie in (0, {LONGEST_FRAME:g}] s", h)
    batch, channels, time = current.shape[:3]
    cells = current.shape[3:]
    if state.v.shape != (batch, channels, *cells):
        raise InputError(f"spiking: the state is for frames of shape {tuple(state.v.shape)}, the current "
                         f"has frames of shape {(batch, channels, *cells)}")
    rows = (batch * channels, cells.numel())
    noise = noise_sigma * torch.sqrt(2 * g_leak / h)
    constants = [p.detach().to(current.dtype) for p in (g_leak, noise, refractory, refractory_sigma)]
    v, left = state.v.detach().reshape(rows), state.left.detach().reshape(rows)
    counts, v, left, fired, row, cell, times = spiking_kernel(
        current.detach().reshape(rows[0], time, rows[1]), v, left, state.fired.reshape(rows), state.frame, state.key,
        *constants, h)
    counts = counts.reshape(current.shape)
    if torch.is_grad_enabled() and any(p.requires_grad for p in (current, g_leak, refractory)):
        expected = h * surrogate(current, g_leak, refractory)
        counts = counts + (expected - expected.detach())
    shape = state.v.shape
    spikes = Spikes(torch.div(row, max(channels, 1), rounding_mode="floor"), row % max(channels, 1), cell, times)
    return counts, spikes, SpikingState(v.reshape(shape), left.reshape(shape), fired.reshape(shape), state.frame +
                                        time, state.key)


def sample_cells(x: Tensor, positions: Tensor) -> Tensor:
    """Frames read at the positions of cells, bilinear, clamped to the frame.

    Positions and weights are float32 whatever the dtype of x, as in the original program.

    Args:
        x: (..., y, x).
        positions: (cells, 2), x and y of each cell as pixel indices; in Virtual Retina width / 2 +
            pixels_per_degree * offset, half a pixel right of the centre of the frame.
    Returns: (..., cells).
    Raises: InputError.
    Reference: facts of the original program, `linear_atXY` of its image library.
    """
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise InputError(f"sample_cells: positions must be (cells, 2) (got {tuple(positions.shape)})")
    height, width = x.shape[-2:]
    at_x = positions[:, 0].float().clamp(0, width - 1)
    at_y = positions[:, 1].float().clamp(0, height - 1)
    x0, y0 = at_x.long(), at_y.long()
    dx, dy = (at_x - x0).to(x.dtype), (at_y - y0).to(x.dtype)
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)
    here, right = x[..., y0, x0], x[..., y0, x1]
    below, across = x[..., y1, x0], x[..., y1, x1]
    return here + dx * (right - here + dy * (here + across - below - right)) + dy * (below - here)
