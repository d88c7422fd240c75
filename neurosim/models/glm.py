"""Generalised linear models of spike trains: a stimulus filter, a filter of past spikes, and a nonlinearity."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .._axes import SIGNAL
from .._errors import InputError, ParameterError
from ..filters import Conv1d, Delay
from ..functional.events import PoissonState, poisson_step
from ..layer import Layer
from ..stateful import ChunkLayer, scan
from ..streams.base import whole
from .containers import as_part
from .signal import to_signal, to_video


class GLM(Layer):
    """Expected spike counts from the stimulus and the spikes that were recorded before: exp(k * x + h * spikes + b).

    The history is the recorded one, as it must be when fitting (teacher forcing); `spiking` gives the model that draws its
    own spikes. `stimulus` and `history` are temporal filters: `basis(RaisedCosines(...))` makes their kernels smooth. The
    history has the counts of the frames before the present one only, from all cells to all cells.

    Args:
        lags: frames of the stimulus filter, the present one included.
        history: frames of the history filter.
        features, cells: of the stimulus, and neurons.
    Shape: signal (batch, time, features + cells), the stimulus and beside it the recorded counts of the same frames, to
        expected counts per frame, (batch, time, cells). Before the first frame there were no spikes.
    Raises: ParameterError, InputError, StateError.
    Reference: Pillow et al., Nature 454:995 (2008); Truccolo et al., J Neurophysiol 93:1074 (2005).

    >>> import neurosim, numpy as np
    >>> glm = neurosim.models.GLM(lags=20, history=15)
    >>> stimulus, counts = np.zeros((100, 1)), np.ones((100, 1))
    >>> glm.run(np.concatenate([stimulus, counts], 1), dt=30)[0].shape
    torch.Size([1, 100, 1])
    >>> glm.spiking(seed=1).run(stimulus)[0].shape
    torch.Size([1, 100, 1])
    """

    axes = SIGNAL

    def __init__(self, lags: int, history: int, features: int = 1, cells: int = 1, **options: Any) -> None:
        super().__init__(**options)
        options["resolution"] = self.resolution
        for what, n in (("lags", lags), ("history", history), ("features", features), ("cells", cells)):
            whole("GLM", what, n, 1)
        self.features, self.cells = features, cells
        self.stimulus = Conv1d(features, cells, lags, **options)
        self.past = Delay(1, **options)
        self.history = Conv1d(cells, cells, history, bias=False, **options)
        self.nonlinearity: nn.Module = as_part(torch.exp, "GLM")

    def __setattr__(self, name: str, value: Any) -> None:
        replaces = name == "nonlinearity" and not isinstance(value, nn.Module)
        super().__setattr__(name, as_part(value, "GLM") if replaces else value)

    def forward(self, x: Tensor) -> Tensor:
        """Both filters and the nonlinearity."""
        if x.shape[2] != self.features + self.cells and self.stimulus.state is None:  # else the state does not fit either
            raise InputError(f"GLM: takes the stimulus and the recorded counts side by side, {self.features} + {self.cells} "
                             f"features (got {x.shape[2]}); glm.spiking() needs no counts")
        video = to_video(x)
        drive = self.stimulus(video[:, :-self.cells]) + self.history(self.past(video[:, -self.cells:]))
        return to_signal(self.nonlinearity(drive))

    def spiking(self, seed: int = 0) -> SpikingGLM:
        """A model with a copy of these parameters whose history is the spikes that it draws, by the dice of `seed`."""
        return SpikingGLM(self, seed)


class SpikingState(NamedTuple):
    """Counts of the frames before, newest first, (batch, cells, history), and the `frame` and `key` of the dice."""

    spikes: Tensor
    frame: Tensor
    key: Tensor


class _Feedback(ChunkLayer):
    """Poisson counts under a drive and a filter of the counts before."""

    axes = SIGNAL

    def __init__(self, history: Conv1d, nonlinearity: nn.Module, seed: int) -> None:
        super().__init__(resolution=history.resolution)
        self.history, self.nonlinearity, self.seed = history, nonlinearity, seed

    def initial_state(self, x: Tensor) -> SpikingState:
        """No spikes before; frame 0."""
        frame = torch.zeros((), dtype=torch.int64, device=x.device)
        length = self.history.impulse_response().shape[2]
        return SpikingState(x.new_zeros(len(x), x.shape[2], length), frame, torch.full_like(frame, self.seed))

    def chunk(self, x: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """See `functional.events.poisson_step`."""
        kernel, h = self.history.impulse_response()[..., 0, 0], self.resolution.frame

        def step(state: SpikingState, drive: Tensor) -> tuple[Tensor, SpikingState]:
            expected = self.nonlinearity(drive + torch.einsum("oil,bil->bo", kernel, state.spikes))
            counts, dice = poisson_step(expected / h, PoissonState(state.frame, state.key), h, len(x))
            return counts, SpikingState(torch.cat([counts[..., None], state.spikes[..., :-1]], 2), *dice)

        return scan(step, state, x, self.axes.time)


class SpikingGLM(Layer):
    """A generalised linear model that draws its own spikes; made by `GLM.spiking`.

    Args:
        glm: the model whose parameters are copied.
        seed: the same seed gives the same spikes however the stream is cut.
    Shape: signal (batch, time, features) to counts per frame (batch, time, cells). At rest there were no spikes.
    Raises: ParameterError; InputError also when the history excites so much that a frame has more than 500 spikes; StateError.

    >>> import neurosim, numpy as np
    >>> glm = neurosim.models.GLM(lags=1, history=2)
    >>> glm.history.set_weight([-50.0, -50.0])  # two silent frames after each spike
    >>> counts = glm.spiking(seed=3).run(np.zeros(300))[0].flatten()
    >>> bool(((counts[:-1] > 0) & (counts[1:] > 0)).any())
    False
    """

    axes = SIGNAL

    def __init__(self, glm: GLM, seed: int = 0) -> None:
        if not isinstance(glm, GLM):
            raise ParameterError("SpikingGLM", "glm", "must be a GLM", glm)
        super().__init__(resolution=glm.resolution)
        self.stimulus = copy.deepcopy(glm.stimulus)
        self.feedback = _Feedback(copy.deepcopy(glm.history), copy.deepcopy(glm.nonlinearity), int(seed))
        self.clear_state()

    def forward(self, x: Tensor) -> Tensor:
        """The stimulus filter, and spikes under their own feedback."""
        return self.feedback(to_signal(self.stimulus(to_video(x))))
