"""Generalised linear models of spike trains: a stimulus filter, a filter of past spikes, and a nonlinearity."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .._axes import SIGNAL
from .._drive import Feed
from .._errors import InputError, ParameterError, StateError
from .._param import Param
from ..filters import Conv1d, Delay
from ..functional.events import PoissonState, poisson_step
from ..layer import Layer
from ..optim.goals import recordings
from ..stateful import ChunkLayer, scan
from ..streams.base import Source, to_numbers, whole
from .containers import as_part, first
from .signal import to_signal, to_video

CHUNK = 4096  # frames that are measured together


class GLM(Layer):
    """Expected spike counts from the stimulus and the spikes that were recorded before: exp(k * z + h * spikes + bias).

    z is the stimulus less `offset`, by `scale`, which `start` measures. The history is the recorded one, as it must be when
    fitting (teacher forcing); `spiking` gives the model that draws its own spikes. It has the counts of the frames before the
    present one only, from all cells to all cells. `basis(RaisedCosines(...))` of `stimulus` and `history` makes these filters
    smooth; `nonlinearity` may be replaced by any layer, module or function.

    Args:
        stimulus: frames of the filter k, the present one included; or any layer of signals (batch, time, features) to (batch,
            time, cells) that stands in its place: a network, subunits, gain control.
        history: frames of the history filter h; 0 for a cell without memory of its spikes, the LN-Poisson model.
        features, cells: of the stimulus, and neurons.
    Shape: signal (batch, time, features + cells), the stimulus and beside it the recorded counts of the same frames, or the
        stimulus alone without a history, to expected counts per frame, (batch, time, cells). Before the first frame there
        were no spikes.
    Raises: ParameterError, InputError, StateError.
    Reference: Pillow et al., Nature 454:995 (2008); Truccolo et al., J Neurophysiol 93:1074 (2005).

    >>> import neurosim, numpy as np
    >>> glm = neurosim.models.GLM(20, history=15)
    >>> stimulus, counts = np.zeros((100, 1)), np.ones((100, 1))
    >>> glm.run(np.concatenate([stimulus, counts], 1), dt=30)[0].shape
    torch.Size([1, 100, 1])
    >>> glm.spiking(seed=1).run(stimulus)[0].shape
    torch.Size([1, 100, 1])
    """

    axes = SIGNAL

    offset = Param(None, fit=False, doc="of each feature of the stimulus, in its unit")
    scale = Param(None, fit=False, above=0.0, doc="of each feature of the stimulus, in its unit")
    bias = Param(None, user=False, doc="of each cell: what the nonlinearity gets without stimulus and spikes")

    def __init__(self, stimulus: int | Layer, history: int, features: int = 1, cells: int = 1, **options: Any) -> None:
        if isinstance(stimulus, Layer):
            if stimulus.axes != SIGNAL:
                raise ParameterError("GLM", "stimulus", "must be a layer of signals (batch, time, feature); OnSignal(layer) "
                                     "makes one of a layer of videos", stimulus)
            some = next(stimulus.parameters(), None)
            like = {} if some is None else {"dtype": some.dtype, "device": some.device}
            options = {"resolution": stimulus.resolution, **like, **options}
        super().__init__(resolution=options.pop("resolution", None))
        options["resolution"] = self.resolution
        for what, n, least in (("history", history, 0), ("features", features, 1), ("cells", cells, 1)):
            whole("GLM", what, n, least)
        self.features, self.cells = features, cells
        for spec, value in ((GLM.offset, torch.zeros(features)), (GLM.scale, torch.ones(features)),
                            (GLM.bias, torch.zeros(cells))):
            self._add(spec, value, options.get("dtype"), options.get("device"))
        self.stimulus: Any = stimulus if isinstance(stimulus, Layer) else Conv1d(
            features, cells, whole("GLM", "stimulus", stimulus, 1), bias=False, **options)
        self.past = Delay(1, **options) if history else None
        self.history: Any = Conv1d(cells, cells, history, bias=False, **options) if history else None
        self.nonlinearity: nn.Module = as_part(torch.exp, "GLM")

    def __setattr__(self, name: str, value: Any) -> None:
        replaces = name == "nonlinearity" and not isinstance(value, nn.Module)
        super().__setattr__(name, as_part(value, "GLM") if replaces else value)

    def forward(self, x: Tensor) -> Tensor:
        """Both filters and the nonlinearity."""
        if (came := x.shape[2]) != (taken := self.features + (0 if self.history is None else self.cells)):
            if self._state_now():
                raise StateError(f"GLM: the state was left by frames of shape ({taken},), this one has ({came},). Call "
                                 "clear_state() before a new recording.")
            raise InputError(f"GLM: without a history it takes the stimulus alone, {self.features} features (got {came})"
                              if self.history is None else
                              f"GLM: takes the stimulus and the recorded counts side by side, {self.features} + {self.cells} "
                              f"features (got {came}); glm.spiking() needs no counts")
        stimulus = (x[..., :self.features] - self.offset) / self.scale
        if isinstance(self.stimulus, Conv1d):
            drive = self.stimulus(to_video(stimulus))
        else:
            drive = to_video(first(self.stimulus(stimulus)))
            if drive.shape[1] != self.cells:
                raise InputError(f"GLM: {type(self.stimulus).__name__} must give a value for each cell, {self.cells} (got "
                                 f"{drive.shape[1]})")
        drive = drive + self.bias[:, None, None, None]
        if self.history is not None and self.past is not None:
            drive = drive + self.history(self.past(to_video(x[..., self.features:])))
        return to_signal(self.nonlinearity(drive))

    def start(self, x: Any, y: Any) -> GLM:
        """Where a fit to these data begins well: the stimulus standardised, and a bias that alone gives the mean count.

        Args:
            x, y: input and counts as for `fit`: arrays, sources that can seek, or lists of them. Filters are left as they are.
        Returns: this model. Raises: InputError; ParameterError when the nonlinearity never gives the mean count.

        >>> import neurosim, numpy as np
        >>> rng = np.random.default_rng(0)
        >>> sound = 70 + 5 * rng.normal(size=(5000, 1))  # decibels
        >>> counts = rng.poisson(0.3 * np.exp((sound - 70) / 5))
        >>> glm = neurosim.models.GLM(3, history=0).start(sound, counts)
        >>> history = glm.fit(sound, counts, epochs=1, loss_fn="poisson", optimizer="L-BFGS-B")
        >>> [round(value, 1) + 0.0 for value in glm.stimulus.weight.flatten().tolist()]
        [1.0, 0.0, 0.0]
        """
        before = [(one, one.position) for pair in recordings("GLM.start", x, y) for one in pair if isinstance(one, Source)]
        stimulus, counts = _Moments(self.features), _Moments(self.cells)
        for pair in recordings("GLM.start", x, y):
            for what, given, moments in zip(("input", "counts"), pair, (stimulus, counts), strict=True):
                feed = Feed(given, SIGNAL, CHUNK, None, f"GLM.start: the {what}")
                try:
                    for chunk in feed:
                        moments.add(f"GLM.start: the {what}", to_numbers(chunk, "GLM.start"))
                finally:
                    feed.close()
        for source, position in before:
            source.seek(position)
        if not counts.n or not stimulus.n:
            raise InputError("GLM.start: needs at least one frame")
        mean = np.maximum(counts.mean, 0.5 / counts.n)  # of a cell without a spike: half a spike
        self.bias.set(self._inverse(torch.as_tensor(mean, dtype=self.bias.dtype, device=self.bias.device)))
        self.offset.set(stimulus.mean)
        self.scale.set(np.where(stimulus.deviation > 0, stimulus.deviation, 1.0))
        return self

    @torch.no_grad()
    def _inverse(self, wanted: Tensor) -> Tensor:
        """Where the nonlinearity, which grows, has these values, by bisection."""
        low, high = torch.full_like(wanted, -100.0), torch.full_like(wanted, 80.0)  # exp fits into float32 there
        for _ in range(60):
            middle = (low + high) / 2
            less = self.nonlinearity(middle[None, :, None, None, None]).flatten() < wanted
            low, high = torch.where(less, middle, low), torch.where(less, high, middle)
        reached = self.nonlinearity(high[None, :, None, None, None]).flatten()
        if not torch.allclose(reached, wanted, rtol=1e-3):
            raise ParameterError("GLM", "nonlinearity", f"must be able to give the mean counts {wanted.tolist()}",
                                 reached.tolist())
        return high

    def spiking(self, seed: int = 0) -> SpikingGLM:
        """A model with a copy of these parameters whose history is the spikes that it draws, by the dice of `seed`."""
        return SpikingGLM(self, seed)


class _Moments:
    """Mean and standard deviation of features over all that was added, relative to the first frame for precision."""

    def __init__(self, features: int) -> None:
        self.features, self.n = features, 0
        self.origin: Any = 0.0
        self.sums, self.squares = np.zeros(features), np.zeros(features)

    def add(self, where: str, chunk: np.ndarray) -> None:
        """Takes in (batch, time, at least these features). Raises InputError."""
        if chunk.shape[2] < self.features or not np.isfinite(chunk).all():
            raise InputError(f"{where} must be finite and have {self.features} features at least (got {chunk.shape[2]})")
        x = chunk[..., :self.features].reshape(-1, self.features).astype(np.float64)
        if not self.n and len(x):
            self.origin = x[0]
        self.n += len(x)
        self.sums += (x - self.origin).sum(0)
        self.squares += ((x - self.origin)**2).sum(0)

    @property
    def mean(self) -> np.ndarray:
        """Of each feature."""
        return np.asarray(self.origin + self.sums / self.n)

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of each feature."""
        return np.sqrt(np.maximum(self.squares / self.n - (self.sums / self.n)**2, 0.0))


class SpikingState(NamedTuple):
    """Counts of the frames before, newest first, (batch, cells, history), and the `frame` and `key` of the dice."""

    spikes: Tensor
    frame: Tensor
    key: Tensor


class _Feedback(ChunkLayer):
    """Poisson counts under a drive and a filter of the counts before."""

    axes = SIGNAL

    def __init__(self, history: Conv1d | None, nonlinearity: nn.Module, seed: int, resolution: Any) -> None:
        super().__init__(resolution=resolution)
        self.history: Any = history
        self.nonlinearity, self.seed = nonlinearity, seed

    def kernel(self, x: Tensor) -> Tensor:
        """(cells, cells, lags) of the history, no lags without one."""
        if self.history is None:
            return x.new_zeros(x.shape[2], x.shape[2], 0)
        return torch.as_tensor(self.history.impulse_response()[..., 0, 0])

    def initial_state(self, x: Tensor) -> SpikingState:
        """No spikes before; frame 0."""
        frame = torch.zeros((), dtype=torch.int64, device=x.device)
        return SpikingState(x.new_zeros(len(x), x.shape[2], self.kernel(x).shape[2]), frame, torch.full_like(frame, self.seed))

    def chunk(self, x: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """See `functional.events.poisson_step`."""
        kernel, h = self.kernel(x), self.resolution.frame
        lags = kernel.shape[2]

        def step(state: SpikingState, drive: Tensor) -> tuple[Tensor, SpikingState]:
            drive = drive + torch.einsum("oil,bil->bo", kernel, state.spikes)
            expected = self.nonlinearity(drive[:, :, None, None, None])[..., 0, 0, 0]
            counts, dice = poisson_step(expected / h, PoissonState(state.frame, state.key), h, len(x))
            return counts, SpikingState(torch.cat([counts[..., None], state.spikes], 2)[..., :lags], *dice)

        return scan(step, state, x, self.axes.time)


class SpikingGLM(Layer):
    """A generalised linear model that draws its own spikes; made by `GLM.spiking`.

    Args:
        glm: the model whose parameters are copied.
        seed: the same seed gives the same spikes however the stream is cut.
    Shape: signal (batch, time, features) to counts per frame (batch, time, cells). At rest there were no spikes.
    Raises: ParameterError; InputError also when the history excites so much that a frame has more than 500 spikes; StateError.

    >>> import neurosim, numpy as np
    >>> glm = neurosim.models.GLM(1, history=2)
    >>> glm.history.set_weight([-50.0, -50.0])  # two silent frames after each spike
    >>> counts = glm.spiking(seed=3).run(np.zeros(300))[0].flatten()
    >>> bool(((counts[:-1] > 0) & (counts[1:] > 0)).any())
    False
    """

    axes = SIGNAL
    counts_spikes = True

    def __init__(self, glm: GLM, seed: int = 0) -> None:
        if not isinstance(glm, GLM):
            raise ParameterError("SpikingGLM", "glm", "must be a GLM", glm)
        super().__init__(resolution=glm.resolution)
        self.drive = copy.deepcopy(glm)
        self.feedback = _Feedback(self.drive.history, self.drive.nonlinearity, int(seed), glm.resolution)
        self.drive.history = self.drive.past = None
        self.drive.nonlinearity = nn.Identity()
        self.clear_state()

    def forward(self, x: Tensor) -> Tensor:
        """The drive by the stimulus, and spikes under their own feedback."""
        return self.feedback(self.drive(x))
