"""The input current of ganglion cells."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from .._param import Param
from ..functional.ganglion import GanglionState, ganglion_current
from ..stateful import ChunkLayer


class GanglionInput(ChunkLayer):
    """From the potential of bipolar cells to a rectified current: transient, static nonlinearity, pooling.

    Args:
        stage_delays: the nonlinearity reads the transient of the preceding frame, as in the original program.
        values: initial values of the parameters below.
    Shape: video of potential to current in Hz, same shape. At rest the average that the transient subtracts is 0.
    Raises: ParameterError, InputError, StateError.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), eq. 13 to 15. See `functional.ganglion.ganglion_current`.

    >>> import neurosim, torch
    >>> current = neurosim.retina.GanglionInput(transient_relative_weight_center=0.0)
    >>> float(current.run(torch.full((5, 2, 2), 0.5))[0][0, 0, 0, 0, 0].round(decimals=2))  # i_0 + lambda_G / 2
    87.0
    """

    i_0 = Param(37.0, unit="Hz", at_least=0.0, doc="current at the threshold v_0")
    v_0 = Param(0.0, doc="potential from which the current grows linearly")
    lambda_G = Param(100.0, unit="Hz", at_least=0.0, doc="gain above threshold")
    sign = Param(1.0, choices=(-1.0, 1.0), fit=False, doc="1 for ON cells, -1 for OFF cells")
    sigma_surround = Param(0.0, unit="deg", at_least=0.0, doc="nominal width of the pool; 0 for none")
    transient_tau_center = Param(0.02, unit="s", at_least=0.0, doc="time constant of the average that is subtracted")
    transient_relative_weight_center = Param(0.7, doc="weight of that average; 1 makes the response fully transient")

    signals: ClassVar = {"transient": "potential after the transient filter T"}

    def __init__(self, *, stage_delays: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.stage_delays = bool(stage_delays)

    def initial_state(self, x: Tensor) -> GanglionState:
        """Nothing has happened yet."""
        zero = torch.zeros_like(x[:, :, 0])
        return GanglionState(zero, zero)

    def chunk(self, x: Tensor, state: GanglionState) -> tuple[Tensor, GanglionState]:
        """See `functional.ganglion.ganglion_current`."""
        transient, current, state = ganglion_current(
            x, state, self.resolution.frame, transient_tau=self.transient_tau_center,
            transient_weight=self.transient_relative_weight_center, sign=self.sign, v_0=self.v_0, i_0=self.i_0,
            gain=self.lambda_G, sigma_px=self.sigma_surround * self.resolution.pixels_per_degree,
            stage_delays=self.stage_delays)
        self.emit("transient", transient)
        return current, state
