"""Izhikevich's simple model of spiking neurons."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from .._axes import VIDEO, Axes
from .._errors import ParameterError
from .._param import Param
from ..functional.izhikevich import IZHIKEVICH_SETS, IzhikevichState, izhikevich, izhikevich_start
from ..functional.surrogates import SuperSpike, Surrogate
from ._neuron import _Neuron


class Izhikevich(_Neuron):
    """Izhikevich's neurons: dv/dt = 0.04 v^2 + 5 v + 140 - u + x, du/dt = a (b v - u); at 30 mV a spike, v = c, u += d.

    Forward Euler, order 1: steps of at most `longest_step`, each of two half-steps, then a test for a spike; several spikes in
    a frame are counted. `Izhikevich.named(name)` has one of the twenty published parameter sets. v is in mV, time in ms,
    so x is in mV/ms, which is pA for a cell of 1 pF.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        surrogate: what a spike has as its gradient, over v - threshold in mV.
        a, b, c, d: rate of recovery, its coupling to v, reset of v, step of u.
        threshold: potential of a spike in mV.
        quadratic, linear, offset: the parabola.
        longest_step: between two tests for a spike, in s.
    Shape: input in mV/ms to spike counts of the same shape. At rest v = c and u = b c.
    Raises: ParameterError, InputError, StateError.
    Reference: Izhikevich, IEEE Trans Neural Netw 14:1569 (2003); sets: ibid. 15:1063 (2004), figure 1.

    >>> import neurosim, torch
    >>> neurons = neurosim.spiking.Izhikevich.named("tonic_spiking")
    >>> spikes = neurons.run(torch.full((300, 1, 1), 14.0), dt=50)[0]  # 0.3 s, frames of 1 ms
    >>> 5 < int(spikes.sum()) < 20
    True
    """

    a = Param(0.02, unit="1/ms", doc="rate of recovery")
    b = Param(0.2, unit="1/ms", doc="coupling of the recovery to v")
    c = Param(-65.0, unit="mV", doc="potential after a spike")
    d = Param(6.0, unit="mV/ms", doc="step of the recovery at a spike")
    threshold = Param(30.0, unit="mV", doc="potential that makes a spike")
    quadratic = Param(0.04, unit="1/(mV ms)", fit=False, doc="of the parabola")
    linear = Param(5.0, unit="1/ms", fit=False, doc="of the parabola")
    offset = Param(140.0, unit="mV/ms", fit=False, doc="of the parabola")
    longest_step = Param(0.001, unit="s", above=0.0, fit=False, doc="longest time between two tests for a spike")

    counts_spikes = True
    signals: ClassVar = {"v": "potential at the end of each frame", "u": "recovery at the end of each frame"}

    def __init__(self, axes: Axes = VIDEO, *, surrogate: Surrogate = SuperSpike(10.0, 0.1), **options: Any) -> None:
        super().__init__(axes, **options)
        self.surrogate = surrogate

    @classmethod
    def named(cls, name: str, axes: Axes = VIDEO, **options: Any) -> Izhikevich:
        """Neurons with a published parameter set.

        Args:
            name: a key of `IZHIKEVICH_SETS`, in letters of any case, as figures and convis have them: "Tonic spiking".
            axes, options: as for the class; they take precedence over the set.
        Raises: ParameterError.
        """
        chosen = IZHIKEVICH_SETS.get(str(name).lower().replace(" ", "_"))
        if chosen is None:
            raise ParameterError("Izhikevich", "named", f"choose from {list(IZHIKEVICH_SETS)}", name)
        known = {"a": chosen.a, "b": chosen.b, "c": chosen.c, "d": chosen.d, "linear": chosen.linear, "offset": chosen.offset}
        return cls(axes, **{**known, **options})

    def initial_state(self, x: Tensor) -> IzhikevichState:
        """v = c and u = b c."""
        return izhikevich_start(x.select(self.axes.time, 0), self.b, self.c)

    def respond(self, x: Tensor, state: IzhikevichState) -> tuple[Tensor, IzhikevichState]:
        """See `functional.izhikevich.izhikevich`."""
        return izhikevich(x, state, self.resolution.frame, self.axes.time, a=self.a, b=self.b, c=self.c, d=self.d,
                          threshold=self.threshold, quadratic=self.quadratic, linear=self.linear, offset=self.offset,
                          longest_step=float(self.longest_step), surrogate=self.surrogate)
