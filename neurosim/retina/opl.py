"""The outer plexiform layer of the retina."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from .._errors import ParameterError
from .._param import Param
from ..functional.opl import OPLState, opl, opl_start
from ..stateful import ChunkLayer


class OPL(ChunkLayer):
    """Photoreceptors and horizontal cells: a blurred, low-passed centre less a wider and slower surround.

    Args:
        leaky_heat: smoothing and low-pass in one leaky heat equation each; otherwise apart, and the centre may be a cascade.
        undershoot: whether the centre subtracts a slow average of itself.
        stage_delays: the undershoot reads the preceding frame, as in the original program.
        initial_luminance: uniform luminance before the first frame; half the luminance range when not given.
        values: initial values of the parameters below.
    Shape: video of luminance to video of the same shape, without unit.
    Raises: ParameterError, InputError, StateError.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), eq. 1 to 6. See `functional.opl.opl`.

    >>> import neurosim, torch
    >>> opl = neurosim.retina.OPL()
    >>> out = opl.run(torch.full((50, 8, 8), 127.5), dt=20, record=["center", "surround"])
    >>> bool((out["center"] - 5).abs().max() < 1e-4)  # 127.5 * lambda_opl / 255: at rest in uniform light
    True
    """

    center_sigma = Param(0.05, unit="deg", at_least=0.0, doc="nominal width of the centre")
    center_tau = Param(0.01, unit="s", at_least=0.0, doc="time constant of the centre")
    center_n = Param(0, choices=range(21), fit=False, doc="order of the centre's cascade (not with leaky_heat)")
    undershoot_tau = Param(0.1, unit="s", at_least=0.0, doc="time constant of the undershoot")
    undershoot_relative_weight = Param(0.8, doc="weight of the undershoot")
    surround_sigma = Param(0.15, unit="deg", at_least=0.0, doc="nominal width of the surround")
    surround_tau = Param(0.004, unit="s", at_least=0.0, doc="time constant of the surround")
    relative_weight = Param(1.0, doc="weight of the surround against the centre")
    lambda_opl = Param(10.0, doc="gain for a signal as large as the luminance range")
    input_luminosity_range = Param(255.0, above=0.0, fit=False, doc="luminance that counts as full range")
    initial_luminance = Param(None, fit=False, doc="uniform luminance before the first frame")

    signals: ClassVar = {"center": "centre C", "receptor": "centre after the undershoot R", "surround": "surround S"}

    def __init__(self, *, leaky_heat: bool = False, undershoot: bool = True, stage_delays: bool = False,
                 initial_luminance: float | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.leaky_heat, self.undershoot, self.stage_delays = bool(leaky_heat), bool(undershoot), bool(stage_delays)
        if not undershoot:  # nothing is there to be set or fitted that has no effect
            del self.undershoot_tau, self.undershoot_relative_weight
        start = float(self.input_luminosity_range) / 2 if initial_luminance is None else initial_luminance
        self._add(type(self).initial_luminance, start, options.get("dtype"), options.get("device"))

    def _gain(self) -> Tensor:
        return self.lambda_opl / self.input_luminosity_range

    def _weight(self) -> Any:
        return self.undershoot_relative_weight if self.undershoot else 0.0

    def initial_state(self, x: Tensor) -> OPLState:
        """Uniform light for a long time."""
        stages = 1 if self.leaky_heat else int(self.center_n) + 1
        return opl_start(x[:, :, 0], self.initial_luminance, self._gain(), self._weight(), self.relative_weight, stages)

    def chunk(self, x: Tensor, state: OPLState) -> tuple[Tensor, OPLState]:
        """See `functional.opl.opl`. Raises ParameterError for a leaky heat equation without a time constant."""
        if self.leaky_heat and not (self.center_tau > 0 and self.surround_tau > 0):
            raise ParameterError("OPL", "center_tau, surround_tau", "must be above 0 s with leaky_heat", 0.0)
        ppd = self.resolution.pixels_per_degree
        signals, state = opl(
            x, state, self.resolution.frame, center_sigma=self.center_sigma * ppd, center_tau=self.center_tau,
            center_n=int(self.center_n), gain=self._gain(), undershoot_tau=self.undershoot_tau if self.undershoot else 0.0,
            undershoot_weight=self._weight(), surround_sigma=self.surround_sigma * ppd, surround_tau=self.surround_tau,
            surround_weight=self.relative_weight, leaky=self.leaky_heat, undershoot=self.undershoot,
            stage_delays=self.stage_delays)
        for name in self.signals:
            self.emit(name, getattr(signals, name))
        return signals.opl, state
