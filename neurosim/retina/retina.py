"""The retina: its stages assembled, by default with an ON and an OFF channel of spiking ganglion cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .._errors import InputError, ParameterError
from .._output import Output
from .._units import Resolution
from ..filters import Delay
from ..layer import Layer
from ..streams.base import whole
from . import config as files
from ._translate import channels_of, gain_control_of, opl_of, to_config
from .bipolar import Bipolar
from .config import RetinaConfig
from .ganglion import GanglionInput
from .opl import OPL
from .spiking import GanglionSpiking


class Channel(NamedTuple):
    """One layer of ganglion cells.

    Fields: `input`, options of its `GanglionInput`; `spikes`, options of its `GanglionSpiking`, None for a layer whose output
    is the current; `array`, (x, y) size of its cell array in degrees, 0 for as large as the image allows.

    >>> import neurosim
    >>> parvo = Channel({"sign": 1.0, "transient_tau_center": 0.03}, {"noise_sigma": 0.1})
    >>> retina = neurosim.retina.Retina(channels=[parvo, Channel({"sign": -1.0}, None)])
    >>> [(type(current).__name__, type(cells).__name__) for current, cells in retina.channels]
    [('GanglionInput', 'GanglionSpiking'), ('GanglionInput', 'NoneType')]
    """

    input: Mapping[str, Any]
    spikes: Mapping[str, Any] | None
    array: tuple[float, float] = (0.0, 0.0)


ON_OFF = (Channel({"sign": 1.0}, {}), Channel({"sign": -1.0}, {}))


class Retina(Layer):
    """A retina: outer plexiform layer, contrast gain control, ganglion cells with their currents and spikes.

    Stages are the sub-layers `opl`, `bipolar`, and for each ganglion channel i `gang_i_input` and `gang_i_spikes`.

    Args:
        opl, bipolar: whether the stage is there, or a layer to take its place.
        gang: whether there are ganglion cells; without them the output is that of the stage before.
        spikes: whether they spike; without, the outputs are their currents in Hz.
        channels: the ganglion channels; one ON and one OFF when not given.
        stage_delays: each stage reads the preceding frame of the stage before it, as in the original program.
        initial_luminance: uniform luminance before the first frame; half the luminance range when not given.
        seed: of all noise.
        resolution, dtype, device: as for every layer.
    Shape: video (batch, channel, time, y, x) of luminance in 0..255. Outputs are `ganglion_on` and `ganglion_off` where there
        is one of each, else `ganglion_0`, `ganglion_1`, ...; without ganglion cells `bipolar` or `opl`. `out.spikes` are the
        spikes of all channels, cells numbered on from one to the next.
    Raises: ParameterError, InputError, StateError.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009); numbers as in their program Virtual Retina 2.2.3.

    >>> import neurosim, torch
    >>> retina = neurosim.retina.Retina()
    >>> retina.p.bipolar.lambda_amp = 100.0
    >>> out = retina.run(255 * torch.rand(60, 8, 8, generator=torch.Generator().manual_seed(0)), dt=20)
    >>> out.keys(), out.ganglion_on.shape
    (['ganglion_on', 'ganglion_off'], torch.Size([1, 1, 60, 8, 8]))
    """

    def __init__(self, opl: bool | Layer = True, bipolar: bool | Layer = True, gang: bool = True, spikes: bool = True, *,
                 channels: Sequence[Channel] = ON_OFF, stage_delays: bool = False, initial_luminance: float | None = None,
                 seed: int = 0, resolution: Resolution | None = None, dtype: torch.dtype | None = None,
                 device: torch.device | str | None = None) -> None:
        super().__init__(resolution=resolution, dtype=dtype, device=device)
        options: dict[str, Any] = {"resolution": self.resolution, "dtype": dtype, "device": device}
        if opl is True:
            opl = OPL(stage_delays=stage_delays, **options)
        if bipolar is True:
            bipolar = Bipolar(**options)
        for what, given in (("opl", opl), ("bipolar", bipolar)):
            if not isinstance(given, Layer) and given not in (False, None):
                raise ParameterError("Retina", what, "must be True, False or a Layer", given)
        self.opl: Layer | None = opl or None
        self.bipolar: Layer | None = bipolar or None
        if self.opl is None and self.bipolar is None and not gang:
            raise ParameterError("Retina", "gang", "a retina needs at least one stage", gang)
        if initial_luminance is not None:
            if not isinstance(self.opl, OPL):
                raise ParameterError("Retina", "initial_luminance", "needs an OPL stage", initial_luminance)
            self.opl.p.initial_luminance = initial_luminance
        self.stage_delays = bool(stage_delays)
        whole("Retina", "seed", seed)
        self._arrays = [channel.array for channel in channels if channel.spikes is not None] if gang and spikes else []
        self._channels = len(channels) if gang else 0
        for i, channel in enumerate(channels if gang else ()):
            current = GanglionInput(stage_delays=stage_delays, **channel.input, **options)
            cells = None
            if spikes and channel.spikes is not None:
                own = int(np.random.SeedSequence([seed, i]).generate_state(1, np.uint64)[0] >> np.uint64(1))
                cells = GanglionSpiking(**{"seed": own, **channel.spikes}, **options)
            self.add_module(f"gang_{i}_input", current)
            self.add_module(f"gang_{i}_spikes", cells)
        if stage_delays:
            for stage in self._delayed():
                self.add_module(f"{stage}_delay", Delay(1))

    def _delayed(self) -> list[str]:
        """The stages that read the preceding frame of the one before."""
        ganglion = [f"gang_{i}_{part}" for i in range(self._channels) for part in ("input", "spikes")]
        names = [name for name in ["bipolar", *ganglion] if self._modules.get(name) is not None]
        return names if self.opl is not None else names[1:]

    @property
    def channels(self) -> list[tuple[GanglionInput, GanglionSpiking | None]]:
        """The ganglion channels in order: the layer of their currents, and that of their spikes or None."""
        return [(self._modules[f"gang_{i}_input"], self._modules[f"gang_{i}_spikes"])  # type: ignore[misc]
                for i in range(self._channels)]

    def _names(self) -> list[str]:
        signs = [float(current.sign) for current, _ in self.channels]
        if sorted(signs) == [-1.0, 1.0]:
            return ["ganglion_on" if sign > 0 else "ganglion_off" for sign in signs]
        return [f"ganglion_{i}" for i in range(len(signs))]

    def _stage(self, name: str, x: Tensor) -> Tensor:
        """A stage's output; a stage that is left out passes its input on."""
        stage: nn.Module | None = self._modules.get(name)
        if stage is None:
            return x
        delay = self._modules.get(f"{name}_delay")
        return stage(x if delay is None else delay(x))

    def forward(self, x: Tensor) -> Output:
        """All stages, one after the other; the ganglion channels side by side."""
        x = self._stage("opl", self._cropped(x))
        x = self._stage("bipolar", x)
        if not self._channels:
            values = {"bipolar" if self.bipolar is not None else "opl": x}
        else:
            values = {name: self._stage(f"gang_{i}_spikes", self._stage(f"gang_{i}_input", x))
                      for i, name in enumerate(self._names())}
        return Output(values, frame=self.resolution.frame)

    def _flow(self) -> list[tuple[str, str]]:
        edges: list[tuple[str, str]] = []
        before = ""
        for stage in ("opl", "bipolar"):
            before = self._joined(edges, before, stage)
        for i in range(self._channels):
            last = self._joined(edges, self._joined(edges, before, f"gang_{i}_input"), f"gang_{i}_spikes")
            edges.append((last, ""))
        return edges if self._channels else [*edges, (before, "")]

    def _joined(self, edges: list[tuple[str, str]], before: str, stage: str) -> str:
        """Adds the edges from a stage through the next one and its delay, as far as they are there; the last of them."""
        for name in (f"{stage}_delay", stage):
            if self._modules.get(name) is not None:
                edges.append((before, name))
                before = name
        return before

    def _cropped(self, x: Tensor) -> Tensor:
        """The middle of the frame that cell arrays of a stated size can see. Raises InputError when they see beyond it."""
        if not self._arrays or not all(size for array in self._arrays for size in array):
            return x
        ppd = self.resolution.pixels_per_degree
        reach = [float(getattr(layer, name).detach()) for layer, name in (
            (self.opl, "center_sigma"), (self.opl, "surround_sigma"), (self.bipolar, "adaptation_sigma")) if layer is not None]
        pool = max(float(current.sigma_surround.detach()) for current, _ in self.channels)
        margin = math.ceil(7 * ppd * math.sqrt(sum(s * s for s in (*reach, pool))))
        for axis, sizes in ((-1, [a[0] for a in self._arrays]), (-2, [a[1] for a in self._arrays])):
            image = x.shape[axis]
            if max(sizes) * ppd > max(1, image - margin + 1):
                raise InputError(f"Retina: a cell array of {max(sizes):g} deg needs at least "
                                 f"{math.ceil(max(sizes) * ppd) + margin - 1} pixels per axis with its margin (got {image})")
            n = min(round(max(sizes) * ppd) + margin - 1, image)
            x = x.narrow(axis, (image - n) // 2, n)
        return x

    # ---- configurations -------------------------------------------------------------------------------------------
    @classmethod
    def from_config(cls, config: RetinaConfig, *, dtype: torch.dtype | None = None, **options: Any) -> Retina:
        """The retina of a configuration.

        Args:
            config: a `RetinaConfig`.
            dtype: of the parameters.
            options: `stage_delays`, `initial_luminance`, `seed`, `device`, as for `Retina`.
        Raises: ConfigError, ParameterError.
        """
        resolution = Resolution(config.retina["temporal-step__sec"], config.retina["pixels-per-degree"])
        shared: dict[str, Any] = {"resolution": resolution, "dtype": dtype, "device": options.get("device")}
        opl = OPL(stage_delays=options.get("stage_delays", False), **opl_of(config), **shared)
        gain = gain_control_of(config)
        channels = [Channel(*parts) for parts in channels_of(config)]
        return cls(opl, False if gain is None else Bipolar(**gain, **shared), gang=bool(channels), channels=channels,
                   resolution=resolution, dtype=dtype, **options)

    @classmethod
    def from_xml(cls, path: str | Path, **options: Any) -> Retina:
        """The retina of a Virtual Retina XML file: parameters, time step and pixels per degree are those of the file.

        Args:
            path: of the XML file.
            options: `dtype`, `stage_delays`, `initial_luminance`, `seed`, `device`, as for `Retina`.
        Raises: StreamError for a missing file, ConfigError for what is malformed, unknown or not built.
        """
        return cls.from_config(files.from_xml(path), **options)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], **options: Any) -> Retina:
        """The retina of nested dicts, `given`, with the names of the XML; see `neurosim.retina.config`. Raises ConfigError."""
        return cls.from_config(files.from_dict(given), **options)

    def to_dict(self) -> dict[str, Any]:
        """The present parameters as nested dicts. Raises ConfigError for stages that Virtual Retina does not have."""
        return files.to_dict(to_config(self))

    def to_xml(self, path: str | Path) -> None:
        """Writes the present parameters to `path`, an XML file of Virtual Retina. Raises ConfigError, StreamError."""
        files.to_xml(to_config(self), path)
