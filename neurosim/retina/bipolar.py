"""Bipolar cells and their contrast gain control."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .._param import Param
from ..functional.gain_control import GainControlState, gain_control
from ..stateful import ChunkLayer


class Bipolar(ChunkLayer):
    """Bipolar cells under contrast gain control: their leak grows with the contrast around them.

    With the last six parameters at their defaults this is the standard gain control; others make it the custom one.

    Args:
        resolution, dtype, device, values: as for `Layer`; values of the parameters below, such as lambda_amp=100.
    Shape: video, output of the OPL, to the potential V of the same shape, without unit. At rest V and g are 0.
    Raises: ParameterError, InputError, StateError.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), eq. 9 to 12. See `functional.gain_control.gain_control`.

    >>> import neurosim, torch
    >>> bipolar = neurosim.retina.Bipolar()
    >>> v = bipolar.run(torch.ones(300, 4, 4), dt=50)[0]
    >>> round(float(v[0, 0, -1, 0, 0]), 4)  # without gain control: input_amp / g_leak
    1.0
    >>> bipolar.p.lambda_amp = 100.0
    >>> bipolar.clear_state()
    >>> bool(bipolar.run(torch.ones(300, 4, 4), dt=50)[0][0, 0, -1, 0, 0] < 0.7)
    True
    """

    lambda_amp = Param(0.0, unit="Hz", at_least=0.0, doc="strength of the gain control; 0 switches it off")
    g_leak = Param(50.0, unit="Hz", above=0.0, doc="leak at rest")
    input_amp = Param(50.0, unit="Hz", at_least=0.0, doc="gain of the input")
    tau = Param(0.005, unit="s", at_least=0.0, doc="time constant of the feedback conductance")
    adaptation_sigma = Param(0.2, unit="deg", at_least=0.0, doc="nominal width over which contrast is averaged")
    exponent = Param(2.0, above=0.0, doc="power of the potential that drives the feedback")
    e_inh = Param(0.0, doc="reversal potential of the feedback")
    symmetric = Param(1.0, choices=(0.0, 1.0), fit=False, doc="whether both signs of the potential drive the feedback")
    threshold = Param(0.0, doc="potential above which the feedback is driven")
    transient_relative_weight = Param(0.0, unit="Hz", doc="weight of the low-passed potential that is added to the input")
    transient_tau = Param(0.03, unit="s", at_least=0.0, doc="time constant of that low-pass")

    signals: ClassVar = {"adaptation": "feedback conductance g in Hz",
                         "attenuation": "what the leak leaves of the potential in a frame, exp(-h (g_leak + g))"}

    def initial_state(self, x: Tensor) -> GainControlState:
        """Nothing has happened yet."""
        zero = torch.zeros_like(x[:, :, 0])
        return GainControlState(zero, zero, zero)

    def chunk(self, x: Tensor, state: GainControlState) -> tuple[Tensor, GainControlState]:
        """See `functional.gain_control.gain_control`."""
        g_before = state.g
        v, g, state = gain_control(
            x, state, self.resolution.frame, input_amp=self.input_amp, g_leak=self.g_leak,
            sigma_px=self.adaptation_sigma * self.resolution.pixels_per_degree, tau=self.tau, feedback=self.lambda_amp,
            exponent=self.exponent, e_inh=self.e_inh, threshold=self.threshold,
            transient_weight=self.transient_relative_weight, transient_tau=self.transient_tau,
            symmetric=bool(self.symmetric))
        self.emit("adaptation", g)
        if self.wants("attenuation"):  # with g of the preceding frame, as the potential of this one was computed
            before = torch.cat([g_before[:, :, None], g[:, :, :-1]], 2)
            self.emit("attenuation", torch.exp(-self.resolution.frame * (self.g_leak + before)))
        return v, state
