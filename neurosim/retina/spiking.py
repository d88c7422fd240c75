"""Spiking ganglion cells."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from .._errors import ParameterError
from .._output import Events
from .._param import Param, as_number
from ..functional.spiking import RateSurrogate, SpikingState, sample_cells, spiking, spiking_start
from ..stateful import ChunkLayer
from ..streams.base import whole


class GanglionSpiking(ChunkLayer):
    """Noisy leaky integrate-and-fire cells, exact between frames: any number of spikes in a frame, each with its time.

    Args:
        cells: (n, 2) offsets x, y of the cells in degrees from the middle of the frame, each read from the current map by
            bilinear interpolation; None for one cell per pixel.
        random_init: potentials start uniform in [0, 1) instead of 0.
        seed: of noise, refractory times and start; the same seed gives the same numbers however the stream is cut.
        surrogate: the rate whose slope counts have as their gradient.
        g_L: leak in Hz. noise_sigma: stationary deviation of the free potential. refr_mu, refr_sigma: refractory time in s,
            drawn for each spike.
    Shape: current (batch, channel, time, y, x) in Hz to spike counts of the same shape, or (batch, channel, time, 1, n).
    Raises: ParameterError, InputError, StateError.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), eq. 16; sampling as in Virtual Retina 2.2.3, whose cells
        sit half a pixel right of and below the middle.

    >>> import neurosim, torch
    >>> cells = neurosim.retina.GanglionSpiking(noise_sigma=0.0, refr_sigma=0.0)
    >>> out = cells.run(torch.full((100, 2, 2), 200.0), dt=30)  # 200 Hz of current for 0.1 s
    >>> out.spikes.times[:3]  # the first after ln(4 / 3) / 50 Hz
    tensor([0.0058, 0.0145, 0.0233], dtype=torch.float64)
    """

    g_L = Param(50.0, unit="Hz", above=0.0, doc="leak")
    noise_sigma = Param(0.1, at_least=0.0, doc="stationary deviation of the free potential, in units of the threshold")
    refr_mu = Param(0.003, unit="s", at_least=0.0, doc="mean refractory time")
    refr_sigma = Param(0.0, unit="s", at_least=0.0, doc="deviation of the refractory time from spike to spike")

    cells: Tensor | None  # a buffer: offsets x, y in degrees

    signals: ClassVar = {"events": "spikes one by one"}

    def __init__(self, cells: Any = None, *, random_init: bool = False, seed: int = 0,
                 surrogate: RateSurrogate = RateSurrogate(), **options: Any) -> None:
        super().__init__(**options)
        self.random_init, self.seed, self.surrogate = bool(random_init), whole("GanglionSpiking", "seed", seed), surrogate
        offsets = None
        if cells is not None:
            offsets = as_number("GanglionSpiking", "cells", cells, torch.float64, options.get("device"))
            if offsets.ndim != 2 or offsets.shape[1] != 2 or not len(offsets):
                raise ParameterError("GanglionSpiking", "cells", "must be (n, 2) offsets x, y in degrees, n at least 1",
                                     tuple(offsets.shape))
        self.register_buffer("cells", offsets)

    def _at_cells(self, x: Tensor) -> Tensor:
        """The current at the cells; without explicit ones, at every pixel."""
        if self.cells is None:
            return x
        middle = torch.tensor([x.shape[-1] / 2, x.shape[-2] / 2], dtype=torch.float64, device=x.device)
        places = middle + self.resolution.pixels_per_degree * self.cells.double()
        return sample_cells(x, places)[..., None, :]

    def initial_state(self, x: Tensor) -> SpikingState:
        """No spike yet, potentials at 0 or random."""
        return spiking_start(self._at_cells(x[:, :, 0]), self.seed, self.random_init)

    def chunk(self, x: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """See `functional.spiking.spiking`."""
        current = self._at_cells(x)
        counts, spikes, state = spiking(
            current, state, self.resolution.frame, g_leak=self.g_L, noise_sigma=self.noise_sigma, refractory=self.refr_mu,
            refractory_sigma=self.refr_sigma, surrogate=self.surrogate)
        if self.wants("events"):
            per_channel = current.shape[3:].numel()
            begun = int(state.frame) - x.shape[self.axes.time]
            self.emit("events", Events(spikes.batch, spikes.channel * per_channel + spikes.cell, spikes.time,
                                       current.shape[1] * per_channel, begun))
        return counts, state
