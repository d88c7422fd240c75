"""Every layer once: how it is made and what it takes. The battery runs all laws over this list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from neurosim import SIGNAL, Layer, Resolution
from neurosim.filters import (
    RF,
    BSplines,
    Conv1d,
    Conv2d,
    Conv3d,
    Delay,
    Diff,
    Exp,
    LeakyHeat,
    NLRectify,
    NLRectifyScale,
    NLRectifySquare,
    NLSquare,
    RaisedCosines,
    Sigmoid,
    SmoothConv,
    Softplus,
    SpatialRecursive,
    Sum,
    TemporalHighPass,
    TemporalLowPass,
    TimePadding,
    VariableDelay,
)
from neurosim.liquid import LTC, AutoNCP, CfC, Irregular
from neurosim.models import (
    GLM,
    LN,
    LNFDLNF,
    LNLN,
    LNLNLN,
    LNLNLNLN,
    RFN,
    Dict,
    L,
    List,
    LNCascade,
    McIntosh,
    OnSignal,
    Parallel,
    Recurrent,
    Sequential,
    SpikingGLM,
    Subunits,
)
from neurosim.models import RF as RFModel
from neurosim.retina import OPL, Bipolar, GanglionInput, GanglionSpiking, Retina
from neurosim.spiking import (
    LIF,
    AdaptiveExponential,
    FitzHughNagumo,
    HodgkinHuxley,
    IntegrativeMotionSensor,
    Izhikevich,
    Poisson,
    RatioMotionSensor,
    RefractoryLIF,
)

COARSE = Resolution(frame=0.005, pixels_per_degree=20.0)


@dataclass(frozen=True)
class Case:
    """A layer of the battery.

    Args:
        name: shown in the test's id.
        make: makes a fresh layer of the given dtype.
        shape: of its input, two batch entries and two channels where it takes them.
        low, high: range of the input.
        smooth: whether its gradients are those of its output (spike counts have surrogate gradients instead).
        bitwise: whether another cut gives the same bits; convolutions are left to torch, which sums in another order.
        batch_first: False for signals (time, batch, feature).
    """

    name: str
    make: Callable[[torch.dtype], Layer]
    shape: tuple[int, ...] = (2, 2, 40, 6, 7)
    low: float = -1.0
    high: float = 1.0
    smooth: bool = True
    bitwise: bool = True
    batch_first: bool = True

    @property
    def time(self) -> int:
        """Number of the time axis."""
        return 2 if len(self.shape) == 5 else int(self.batch_first)

    def input(self, dtype: torch.dtype, frames: int | None = None, seed: int = 0) -> torch.Tensor:
        """Uniform noise of the case's shape and range."""
        shape = list(self.shape)
        if frames is not None:
            shape[self.time] = frames
        g = torch.Generator().manual_seed(seed)
        return self.low + (self.high - self.low) * torch.rand(shape, generator=g, dtype=dtype)


def kernel(*shape: int) -> torch.Tensor:
    """A fixed random kernel."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def conv3d(dtype: torch.dtype, **options: Any) -> Conv3d:
    """A convolution with a free kernel and two channels each way."""
    layer = Conv3d(2, 2, dtype=dtype, **options)
    layer.set_weight(kernel(2, 2, 5, 3, 3))
    layer.p.bias = [0.1, -0.2]
    return layer


def conv1d(dtype: torch.dtype) -> Conv1d:
    """A convolution whose kernel follows a time constant."""
    layer = Conv1d(2, 2, dtype=dtype, resolution=COARSE)
    layer.exponential(0.01)
    return layer


def conv2d(dtype: torch.dtype) -> Conv2d:
    """A convolution whose kernel follows a sigma."""
    layer = Conv2d(2, 2, dtype=dtype, resolution=COARSE)
    layer.gaussian(0.055)
    return layer


def rf(dtype: torch.dtype, *size: int, **options: Any) -> RF:
    """A receptive field with a free kernel of that many frames, two channels each way; of any frame without a size."""
    layer = RF(2, 2, dtype=dtype, **options)
    layer.set_weight(kernel(2, 2, 5, *(size or (1, 1))))
    return layer


def basis(dtype: torch.dtype) -> Conv3d:
    """A convolution whose kernel is a sum of raised cosines, with one weight per pixel."""
    layer = Conv3d(2, 2, dtype=dtype, resolution=COARSE)
    layer.basis(RaisedCosines(n=4, last_peak=0.03), kernel(2, 2, 4, 3, 3))
    return layer


def splines(dtype: torch.dtype) -> Conv1d:
    """A temporal convolution whose kernel is a sum of B-splines."""
    layer = Conv1d(2, 2, dtype=dtype, resolution=COARSE)
    layer.basis(BSplines(n=5, duration=0.05, offset=0.01), kernel(2, 2, 5))
    return layer


def drawn(module: Any, scale: float = 0.5) -> Any:
    """The module with fixed random kernels: models start at zero, torch's modules by torch's own dice."""
    g = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for value in module.parameters():
            if value.ndim:
                value.copy_(scale * torch.randn(value.shape, generator=g, dtype=value.dtype))
    return module


def soft(model: Any, dtype: torch.dtype) -> Any:
    """The model without kinks, so that differences of its output are its gradients."""
    for name, part in list(model.named_children()):
        if isinstance(part, NLRectify):
            setattr(model, name, Softplus(dtype=dtype))
    return model


WIDE = (2, 2, 3, 3, 3)
SMALL = (2, 2, 40, 4, 3)


def recurrent(dtype: torch.dtype, kind: type[torch.nn.Module], *args: Any, **options: Any) -> Recurrent:
    """A torch recurrent module."""
    return Recurrent(drawn(kind(2, 4, *args, dtype=dtype, **options)))


def spiking_glm(dtype: torch.dtype) -> SpikingGLM:
    """A generalised linear model with spikes that inhibit those to come."""
    glm = drawn(GLM(5, 3, 2, 2, dtype=dtype))
    glm.p.history.weight = -glm.history.weight.detach().abs()
    return SpikingGLM(glm, seed=1)


def to_signal(x: torch.Tensor) -> torch.Tensor:
    """A video as a signal with its channels and pixels as features."""
    return x.movedim(2, 1).flatten(2)


def mixed(dtype: torch.dtype) -> Sequential:
    """A video that becomes a signal on its way."""
    return Sequential(TemporalLowPass(tau=0.01, dtype=dtype), Sum(("y", "x"), dtype=dtype), to_signal,
                      Recurrent(drawn(torch.nn.GRU(2, 4, batch_first=True, dtype=dtype))))


def retina(dtype: torch.dtype, **options: Any) -> Retina:
    """A small retina."""
    return Retina(dtype=dtype, resolution=COARSE, **options)


CASES = [
    Case("TemporalLowPass", lambda t: TemporalLowPass(tau=0.02, dtype=t)),
    Case("TemporalLowPass-cascade", lambda t: TemporalLowPass(tau=0.004, n=2, dtype=t)),
    Case("TemporalLowPass-signal", lambda t: TemporalLowPass(SIGNAL, tau=0.004, dtype=t), shape=(2, 40, 5)),
    Case("TemporalHighPass", lambda t: TemporalHighPass(tau=0.01, k=0.7, dtype=t)),
    Case("TemporalHighPass-signal", lambda t: TemporalHighPass(SIGNAL, tau=0.01, k=0.7, dtype=t), shape=(2, 40, 5)),
    Case("SpatialRecursive", lambda t: SpatialRecursive(sigma=0.15, dtype=t)),
    Case("LeakyHeat", lambda t: LeakyHeat(sigma=0.1, tau=0.01, resolution=COARSE, dtype=t)),
    Case("Delay", lambda t: Delay(3, dtype=t)),
    Case("Delay-signal", lambda t: Delay(2, axes=SIGNAL, dtype=t), shape=(2, 40, 5)),
    Case("Conv3d", conv3d, bitwise=False),
    Case("Conv3d-no-time-pad", lambda t: conv3d(t, time_pad=False, autopad=False), bitwise=False),
    Case("Conv2d", conv2d, bitwise=False),
    Case("Conv1d", conv1d, bitwise=False),
    Case("Conv3d-basis", basis, bitwise=False),
    Case("Conv1d-splines", splines, bitwise=False),
    Case("RF", lambda t: rf(t), bitwise=False),
    Case("RF-no-time-pad", lambda t: rf(t, bias=False, time_pad=False), bitwise=False),
    Case("RF-corner", lambda t: rf(t, 2, 5, rf_mode="corner"), shape=(2, 2, 40, 3, 4), bitwise=False),
    Case("SmoothConv", lambda t: SmoothConv(3, 0.01, (3, 2), in_channels=2, out_channels=3, dtype=t), bitwise=False),
    Case("VariableDelay", lambda t: VariableDelay([[[3.0]], [[1.0]]], dtype=t)),
    Case("VariableDelay-signal", lambda t: VariableDelay(2, SIGNAL, dtype=t), shape=(2, 40, 5)),
    Case("TimePadding", lambda t: TimePadding(3, dtype=t)),
    Case("TimePadding-signal", lambda t: TimePadding(2, "zeros", SIGNAL, dtype=t), shape=(2, 40, 5)),
    Case("Diff", lambda t: Diff(dtype=t)),
    Case("Diff-signal", lambda t: Diff(SIGNAL, dtype=t), shape=(2, 40, 5)),
    Case("Sum", lambda t: Sum(dtype=t)),
    Case("NLRectify", lambda t: NLRectify(dtype=t)),
    Case("NLRectifyScale", lambda t: NLRectifyScale(scale=1.7, bias=-0.3, dtype=t)),
    Case("NLSquare", lambda t: NLSquare(scale=1.7, bias=-0.3, dtype=t)),
    Case("NLRectifySquare", lambda t: NLRectifySquare(SIGNAL, scale=1.7, bias=-0.3, dtype=t), shape=(2, 40, 5)),
    Case("Sigmoid", lambda t: Sigmoid(scale=1.7, bias=-0.3, dtype=t), bitwise=False),
    Case("Exp", lambda t: Exp(scale=1.7, bias=-0.3, dtype=t), bitwise=False),
    Case("Softplus", lambda t: Softplus(scale=1.7, bias=-0.3, dtype=t), bitwise=False),
    Case("L", lambda t: drawn(L(WIDE, True, dtype=t)), shape=SMALL, bitwise=False),
    Case("RF-model", lambda t: drawn(RFModel((2, 2, 4, 1, 1), dtype=t)), bitwise=False),
    Case("LN", lambda t: drawn(LN(WIDE, dtype=t)), shape=SMALL, bitwise=False),
    Case("RFN", lambda t: drawn(RFN((2, 2, 4, 1, 1), True, dtype=t)), bitwise=False),
    Case("LNLN", lambda t: drawn(LNLN(WIDE, dtype=t)), shape=SMALL, bitwise=False),
    Case("LNLNLN", lambda t: drawn(LNLNLN((2, 2, 2, 2, 2), True, dtype=t)), shape=SMALL, bitwise=False),
    Case("LNLNLNLN", lambda t: drawn(LNLNLNLN((2, 2, 2, 1, 1), True, dtype=t)), shape=SMALL, bitwise=False),
    Case("LNCascade", lambda t: drawn(LNCascade(2, WIDE, True, nonlinearity=torch.nn.Softplus, dtype=t)), shape=SMALL,
         bitwise=False),
    Case("LNFDLNF", lambda t: soft(drawn(LNFDLNF((2, 2, 2, 1, 2), True, feedback_length=3, dtype=t)), t), shape=SMALL,
         bitwise=False),
    Case("McIntosh", lambda t: soft(McIntosh((3, 3, 3), True, 3, (2, 1, 1), 2, 3, in_channels=2, dtype=t), t), shape=SMALL,
         bitwise=False),
    Case("Sequential", lambda t: Sequential(TemporalLowPass(tau=0.01, dtype=t), Diff(), torch.square)),
    Case("Sequential-mixed", mixed, bitwise=False),
    Case("Parallel", lambda t: Parallel(TemporalLowPass(tau=0.01, dtype=t), Delay(2))),
    Case("Parallel-signal", lambda t: Parallel(TemporalLowPass(SIGNAL, tau=0.01, dtype=t), Delay(2, SIGNAL), join="sum"),
         shape=(2, 40, 5)),
    Case("List", lambda t: List(TemporalLowPass(tau=0.01, dtype=t), Delay(2), mode="parallel", join="sum")),
    Case("Dict", lambda t: Dict({"membrane": TemporalLowPass(tau=0.01, dtype=t), "rate": Exp(dtype=t)}), bitwise=False),
    Case("Recurrent-LSTM", lambda t: recurrent(t, torch.nn.LSTM, 2), shape=(2, 40, 2), bitwise=False),
    Case("Recurrent-GRU", lambda t: recurrent(t, torch.nn.GRU, batch_first=True), shape=(2, 40, 2), bitwise=False),
    Case("Recurrent-cell", lambda t: recurrent(t, torch.nn.LSTMCell), shape=(2, 40, 2), bitwise=False),
    Case("OnSignal", lambda t: OnSignal(Sequential(drawn(Conv1d(2, 3, 5, dtype=t)), TemporalLowPass(tau=0.004, dtype=t))),
         shape=(2, 40, 2), bitwise=False),
    Case("Subunits", lambda t: Subunits(3, 5, 2, 2, dtype=t), shape=(2, 40, 2), bitwise=False),
    Case("GLM", lambda t: drawn(GLM(5, 3, dtype=t)), shape=(2, 40, 2), bitwise=False),
    Case("GLM of subunits", lambda t: drawn(GLM(Subunits(2, 4, 2, dtype=t), 0, 2)), shape=(2, 40, 2), bitwise=False),
    Case("SpikingGLM", spiking_glm, shape=(2, 40, 2), bitwise=False, smooth=False),
    Case("OPL", lambda t: OPL(resolution=COARSE, dtype=t), low=0.0, high=255.0),
    Case("OPL-leaky", lambda t: OPL(leaky_heat=True, undershoot=False, resolution=COARSE, dtype=t), low=0.0, high=255.0),
    Case("Bipolar", lambda t: Bipolar(lambda_amp=100.0, resolution=COARSE, dtype=t), low=-5.0, high=5.0),
    Case("Bipolar-custom", lambda t: Bipolar(lambda_amp=100.0, exponent=1.5, e_inh=-0.3, symmetric=0.0,
                                             threshold=0.1, transient_relative_weight=0.4, resolution=COARSE, dtype=t),
         low=-5.0, high=5.0),
    Case("GanglionInput", lambda t: GanglionInput(sigma_surround=0.05, resolution=COARSE, dtype=t), low=-0.3, high=0.5),
    Case("GanglionSpiking", lambda t: GanglionSpiking(refr_sigma=0.001, resolution=COARSE, dtype=t), low=0.0, high=400.0,
         smooth=False),
    Case("GanglionSpiking-cells", lambda t: GanglionSpiking(cells=[(0.0, 0.0), (-0.05, 0.1)], random_init=True,
                                                            resolution=COARSE, dtype=t), low=0.0, high=400.0, smooth=False),
    Case("Retina", retina, low=0.0, high=255.0, smooth=False),
    Case("Retina-currents", lambda t: retina(t, spikes=False), low=0.0, high=255.0),
    Case("Retina-delays", lambda t: retina(t, stage_delays=True), low=0.0, high=255.0, smooth=False),
    Case("LIF", lambda t: LIF(noise_sigma=0.2, dtype=t), low=0.0, high=400.0, smooth=False),
    Case("LIF-signal", lambda t: LIF(SIGNAL, threshold=0.5, v_reset=0.1, dtype=t), shape=(2, 40, 5), low=0.0, high=400.0,
         smooth=False),
    Case("Izhikevich", lambda t: Izhikevich(longest_step=0.002, resolution=COARSE, dtype=t), low=0.0, high=30.0, smooth=False),
    Case("Izhikevich-signal", lambda t: Izhikevich.named("tonic_bursting", SIGNAL, dtype=t), shape=(2, 40, 5), low=0.0,
         high=60.0, smooth=False),
    Case("AdaptiveExponential", lambda t: AdaptiveExponential(SIGNAL, longest_step=0.0005, dtype=t), shape=(2, 40, 5),
         low=0.0, high=3e-9, smooth=False),
    Case("FitzHughNagumo", lambda t: FitzHughNagumo(resolution=Resolution(frame=0.0001), dtype=t), shape=(2, 2, 40, 3, 4)),
    Case("HodgkinHuxley-signal", lambda t: HodgkinHuxley(SIGNAL, resolution=Resolution(frame=0.00005), dtype=t),
         shape=(2, 40, 5), low=0.0, high=40.0),
    Case("Poisson", lambda t: Poisson(dtype=t), low=0.0, high=900.0, smooth=False),
    Case("Poisson-signal", lambda t: Poisson(SIGNAL, seed=2, dtype=t), shape=(2, 40, 5), low=0.0, high=900.0, smooth=False),
    Case("IntegrativeMotionSensor", lambda t: IntegrativeMotionSensor(dtype=t), low=-900.0, high=900.0, smooth=False),
    Case("RatioMotionSensor-signal", lambda t: RatioMotionSensor(SIGNAL, dtype=t), shape=(2, 40, 5), low=0.6, high=3.0,
         smooth=False),
    Case("RefractoryLIF", lambda t: RefractoryLIF(refr_sigma=0.002, noise_sigma=0.1, dtype=t), low=0.0, high=400.0,
         smooth=False),
    Case("LTC", lambda t: LTC(2, AutoNCP(12, 3), dtype=t), shape=(2, 40, 2)),
    Case("LTC-clamp", lambda t: LTC(2, 3, positive="clamp", input_mapping=None, dtype=t), shape=(2, 40, 2)),
    Case("LTC-mixed", lambda t: LTC(2, AutoNCP(8, 2), mixed_memory=True, dtype=t), shape=(2, 40, 2)),
    Case("LTC-mixed-rk4", lambda t: LTC(2, 3, mixed_memory=True, solver="rk4", dtype=t), shape=(2, 40, 2)),
    Case("Irregular", lambda t: Irregular(Sequential(LTC(1, AutoNCP(8, 2), dtype=t), CfC(2, 3, backbone_units=8, dtype=t))),
         shape=(2, 40, 2), low=0.0),
    Case("LTC-time-first", lambda t: LTC(2, AutoNCP(12, 3), batch_first=False, dtype=t), shape=(40, 2, 2), batch_first=False),
    Case("Irregular-time-first", lambda t: Irregular(Parallel(
        LTC(1, 3, mixed_memory=True, batch_first=False, dtype=t), CfC(1, 3, backbone_units=8, batch_first=False, dtype=t))),
         shape=(40, 2, 2), low=0.0, batch_first=False),
    Case("CfC", lambda t: CfC(2, 5, proj_size=3, backbone_units=8, dtype=t), shape=(2, 40, 2)),
    Case("CfC-dropout", lambda t: CfC(2, 5, backbone_units=8, backbone_layers=2, backbone_dropout=0.3, dtype=t),
         shape=(2, 40, 2)),
    Case("CfC-pure-mixed", lambda t: CfC(2, 3, mode="pure", backbone_layers=0, mixed_memory=True, dtype=t), shape=(2, 40, 2)),
    Case("CfC-wired", lambda t: CfC(2, AutoNCP(12, 3), mode="no_gate", recurrent="wiring", dtype=t), shape=(2, 40, 2)),
]
