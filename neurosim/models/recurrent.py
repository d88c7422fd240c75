"""torch's recurrent modules and users' cells as layers that stream: their hidden state is the layer's state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .._axes import SIGNAL
from .._errors import InputError, ParameterError
from .._units import Resolution
from ..stateful import ChunkLayer, scan
from ..streams.base import whole


class HiddenState(NamedTuple):
    """Hidden state: (layers, batch, units) of an nn.RNN or nn.GRU, (batch, units) of a cell, its parts side by side."""

    h: Tensor


class MemoryState(NamedTuple):
    """Hidden state and memory of an nn.LSTM, (layers, batch, units) each."""

    h: Tensor
    c: Tensor


class Recurrent(ChunkLayer):
    """A torch recurrent module, or a cell, over signals; its hidden state is carried from chunk to chunk.

    Args:
        module: nn.LSTM, nn.GRU or nn.RNN (one direction, no dropout), nn.LSTMCell, nn.GRUCell or nn.RNNCell, or a cell of
            your own: a module called as `cell(x, state) -> (y, state)` with x of shape (batch, feature) and the state a
            tensor (batch, units), or a tuple of them.
        state_size: units of a cell of your own, a number or one per tensor of its state.
        resolution: as for every layer.
    Shape: signal (batch, time, feature) to (batch, time, units). At rest the state is 0.
    Raises: ParameterError for a module that looks ahead or draws random numbers, InputError, StateError.

    >>> import neurosim, torch
    >>> layer = neurosim.models.Recurrent(torch.nn.GRU(3, 8, batch_first=True))
    >>> layer.run(torch.rand(20, 3), dt=6)[0].shape
    torch.Size([1, 20, 8])
    """

    axes = SIGNAL

    def __init__(self, module: nn.Module, state_size: int | Sequence[int] | None = None, *,
                 resolution: Resolution | None = None) -> None:
        super().__init__(resolution=resolution)
        if not isinstance(module, nn.Module):
            raise ParameterError("Recurrent", "module", "must be a torch module", module)
        if isinstance(module, nn.RNNBase) and module.bidirectional:
            raise ParameterError("Recurrent", "module", "must not be bidirectional: it would look into the future")
        if isinstance(module, nn.RNNBase) and module.dropout:
            raise ParameterError("Recurrent", "module", "must have no dropout: it differs from chunk to chunk", module.dropout)
        known = isinstance(module, nn.RNNBase | nn.RNNCellBase)
        if known == (state_size is not None):
            raise ParameterError("Recurrent", "state_size", "is known from the module; leave it out" if known else
                                 "is needed for a cell of your own: the units of its state", state_size)
        if isinstance(module, nn.RNNCellBase):
            state_size = [module.hidden_size] * (2 if isinstance(module, nn.LSTMCell) else 1)
        sizes = [] if state_size is None else [state_size] if isinstance(state_size, int) else list(state_size)
        self.sizes = [whole("Recurrent", "state_size", size, 1) for size in sizes]
        self.module = module

    def initial_state(self, x: Tensor) -> HiddenState | MemoryState:
        """All zero."""
        module, batch = self.module, len(x)
        if not isinstance(module, nn.RNNBase):
            return HiddenState(x.new_zeros(batch, sum(self.sizes)))
        h = x.new_zeros(module.num_layers, batch, module.proj_size or module.hidden_size)
        if not isinstance(module, nn.LSTM):
            return HiddenState(h)
        return MemoryState(h, x.new_zeros(module.num_layers, batch, module.hidden_size))

    def chunk(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The module over the chunk, from the state on."""
        module = self.module
        if isinstance(module, nn.RNNBase | nn.RNNCellBase) and x.shape[2] != module.input_size:
            raise InputError(f"Recurrent: the module takes {module.input_size} features (got {x.shape[2]})")
        if not isinstance(module, nn.RNNBase):
            return scan(self._step, state, x, self.axes.time)
        x = x if module.batch_first else x.transpose(0, 1)
        y, last = module(x, tuple(state) if isinstance(module, nn.LSTM) else state.h)
        return (y if module.batch_first else y.transpose(0, 1)), (
            MemoryState(*last) if isinstance(module, nn.LSTM) else HiddenState(last))

    def _step(self, state: HiddenState, frame: Tensor) -> tuple[Tensor, HiddenState]:
        parts = state.h.split(self.sizes, 1)
        result = self.module(frame, parts if len(parts) > 1 else parts[0])
        if isinstance(self.module, nn.RNNCellBase):
            y, new = (result[0], result) if isinstance(result, tuple) else (result, (result,))
        else:
            y, new = self._taken(result)
        if [tuple(part.shape) for part in new] != [tuple(part.shape) for part in parts]:
            raise ParameterError("Recurrent", "module", f"its state must keep the shapes {[tuple(p.shape) for p in parts]}",
                                 [tuple(part.shape) for part in new])
        return y, HiddenState(torch.cat(new, 1))

    @staticmethod
    def _taken(result: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output and state that a user's cell gave. Raises ParameterError."""
        if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Tensor):
            y, state = result
            new = (state,) if isinstance(state, Tensor) else tuple(state) if isinstance(state, tuple | list) else ()
            if new and all(isinstance(part, Tensor) for part in new):
                return y, new
        raise ParameterError("Recurrent", "module", "a cell must give (output, state), the state a tensor or a tuple of "
                             "them", type(result).__name__)
