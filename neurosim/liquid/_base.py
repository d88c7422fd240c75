"""What LTC and CfC have in common as layers: time spans, sequences of different length, mixed memory, the wiring."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from .._axes import SIGNAL, TIME_FIRST_SIGNAL
from .._errors import InputError, ParameterError
from .._param import Param
from ..functional.memory import LSTMState, LSTMWeights
from ..functional.timespans import elapsed
from ..stateful import ChunkLayer
from ._lengths import before_end, checked_lengths, last
from ._start import memory_start
from .recipes import FullyConnected, Recipe, wiring_from_dict
from .wirings import Wiring

Cell = Callable[[Tensor, Tensor, Tensor | None, Tensor], tuple[Tensor, Tensor, Tensor | None]]
"""A network with its parameters. Inputs (batch, time, inputs), h and the c of mixed memory (else None) before the first step,
(batch, units), time spans (batch, time) -> h (batch, time, units), outputs (batch, time, outputs) and c after every step."""


class _Liquid(ChunkLayer):
    """A liquid network as a layer: fill in `bound` and `state_type`.

    All that it computes is (batch, time, feature); `_initial`, `_chunk` and `emit` turn what is (time, batch, feature) outside.
    """

    axes = SIGNAL
    takes_unbatched = True
    takes = frozenset({"timespans", "lengths"})
    state_type: ClassVar[type]  # of a network without mixed memory: a NamedTuple of one tensor

    memory_input = Param(None, user=False, doc="weights from the inputs to the LSTM of mixed memory")
    memory_bias = Param(None, user=False, doc="biases of the LSTM of mixed memory")
    memory_recurrent = Param(None, user=False, doc="recurrent weights of the LSTM of mixed memory")

    def __init__(self, inputs: int, units: int, wiring: Wiring | None, mixed_memory: bool, batch_first: bool,
                 **options: Any) -> None:
        super().__init__(**options)
        self.batch_first, self.axes = bool(batch_first), SIGNAL if batch_first else TIME_FIRST_SIGNAL
        self.inputs, self.units, self.wiring, self.mixed_memory = inputs, units, wiring, mixed_memory

    def _add_memory(self, generator: torch.Generator, dtype: torch.dtype | None, device: Any) -> None:
        if self.mixed_memory:
            names = ("memory_input", "memory_bias", "memory_recurrent")
            for name, value in zip(names, memory_start(self.inputs, self.units, generator), strict=True):
                self._add(getattr(type(self), name), value, dtype, device)

    # ---- filled in by each network --------------------------------------------------------------------------------
    @abstractmethod
    def bound(self) -> Cell:
        """The network with its parameters as they are now."""

    def _signals(self, x: Tensor, states: Tensor) -> None:
        """Offers inner signals to whoever records them."""

    # ---- layouts --------------------------------------------------------------------------------------------------
    def _turned(self, x: Tensor) -> Tensor:
        """From the layout of the data to (batch, time, ...) and back."""
        return x if self.batch_first else x.transpose(0, 1).contiguous()

    def _initial(self, x: Tensor) -> Any:
        return self.initial_state(self._turned(x))

    def _chunk(self, x: Tensor, state: Any, **given: Any) -> tuple[Tensor, Any]:
        y, state = self.chunk(self._turned(x), state, **given)
        return self._turned(y), state

    def emit(self, name: str, value: Any) -> None:
        """As every layer, in the layout of the data."""
        if self.wants(name):
            super().emit(name, self._turned(value))

    def _told(self, **options: Any) -> str:
        """What `repr` says besides the parameters: the network, `options`, and what is not as usual."""
        network = f"inputs={self.inputs}, units={self.units}" if self.wiring is None else repr(self.wiring)
        unusual = {name: value for name, value in (("mixed_memory", self.mixed_memory), ("batch_first", self.batch_first))
                   if value != (name == "batch_first")}
        return ", ".join([network, *(f"{name}={value!r}" for name, value in {**options, **unusual}.items())])

    # ---- calls ----------------------------------------------------------------------------------------------------
    def forward(self, x: Tensor, timespans: Any = None, lengths: Any = None) -> Tensor:  # type: ignore[override]
        """The outputs, (batch, time, outputs), for a chunk that has passed the door.

        Args:
            x: (batch, time, feature); with `batch_first=False` all that has a batch and a time is (time, batch, ...).
            timespans: seconds that pass in each step: a number, (time,) or (batch, time); 1 without it.
            lengths: number of steps of each sequence in this chunk, when they differ. Outputs after the end of a sequence
                are 0, and its state is the one at its own end.
        Raises: InputError, StateError.
        """
        self._check_features(x)
        if x.shape[self.axes.time] == 0:
            self._parts(self._turned(x), timespans, lengths)  # what follows tries a step that nobody gave
        return super().forward(x, timespans=timespans, lengths=lengths)

    def initial_state(self, x: Tensor) -> Any:
        """All zero."""
        zero = x.new_zeros(x.shape[0], self.units)
        return LSTMState(zero, zero) if self.mixed_memory else self.state_type(zero)

    def chunk(self, x: Tensor, state: Any, timespans: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        """States and outputs after every step of a chunk."""
        x, timespans, lengths = self._parts(x, timespans, lengths)
        h, c = (state.h, state.c) if self.mixed_memory else (state[0], None)
        hs, y, cs = self.bound()(x, h, c, timespans)
        self._signals(x, hs)
        if lengths is not None:
            y = torch.where(before_end(lengths, x.shape[1])[:, :, None], y, 0)
        if c is None or cs is None:
            return y, self.state_type(last(h, hs, lengths))
        return y, LSTMState(last(h, hs, lengths), last(c, cs, lengths))

    def _memory(self) -> LSTMWeights | None:
        return (self.memory_input, self.memory_bias, self.memory_recurrent) if self.mixed_memory else None

    def _check_features(self, x: Tensor) -> None:
        if x.shape[2] != self.inputs:
            raise InputError(f"{type(self).__name__}: the signal must have {self.inputs} features (got {x.shape[2]})")

    def _parts(self, x: Tensor, timespans: Any, lengths: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Inputs of the network, time spans (batch, time) and lengths, for x of (batch, time, feature). Raises InputError."""
        where, (batch, time) = type(self).__name__, x.shape[:2]
        lengths = checked_lengths(lengths, x, where)
        if lengths is not None:  # what stands after the end may be anything, NaN included
            within = before_end(lengths, time)
            x = torch.where(within[:, :, None], x, 0)
            timespans = None if timespans is None else torch.as_tensor(timespans, dtype=x.dtype, device=x.device)
            within = within if self.batch_first else within.T
            if timespans is not None and timespans.shape == within.shape:
                timespans = torch.where(within, timespans, 0)
        return x, elapsed(timespans, batch, time, x, where, batch_first=self.batch_first), lengths

    # ---- what follows from the wiring is not copied: a layer that was made on meta has nothing to copy ---------------
    @abstractmethod
    def _lay_wires(self, device: Any) -> None:
        """Makes the buffers that follow from the wiring."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Liquid:
        bare = any(buffer.is_meta for buffer in self.buffers())
        super()._apply(fn, recurse)
        if bare:
            self._lay_wires(self._place()[1])
        return self

    # ---- the wiring is saved with the parameters ------------------------------------------------------------------
    def get_extra_state(self) -> dict[str, Any]:
        """The wiring, for `state_dict`; `wiring_from_dict` makes it again."""
        return {"wiring": None if self.wiring is None else self.wiring.to_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """The wiring has been compared before any value was loaded."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool,
                              missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str]) -> None:
        saved = state_dict.get(prefix + "_extra_state")
        if saved is not None and saved != self.get_extra_state():
            other = saved["wiring"] and wiring_from_dict(saved["wiring"])
            error_msgs.append(f"{type(self).__name__}: was saved with another wiring, {other}; this layer has {self.wiring}. "
                              "Make the layer with neurosim.liquid.wiring_from_dict(state_dict[...]['wiring']).")
            return
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
                                      error_msgs)
        if local_metadata.get("assign_to_params_buffers") and any(buffer.is_meta for buffer in self.buffers()):
            self._lay_wires(next(value.device for value in state_dict.values() if isinstance(value, Tensor)))


def wired(wiring: Wiring | Recipe | int, inputs: int, where: str) -> Wiring:
    """The wiring for this number of inputs; a number of units is fully connected."""
    if isinstance(wiring, int) and not isinstance(wiring, bool):
        wiring = FullyConnected(wiring)
    if not isinstance(wiring, Wiring | Recipe):
        raise ParameterError(where, "wiring", "must be a number of units, a Wiring, FullyConnected, Random, NCP or AutoNCP",
                             wiring)
    return wiring.with_inputs(inputs)
