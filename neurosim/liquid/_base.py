"""What LTC and CfC have in common as layers: time spans, sequences of different length, mixed memory, the wiring."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .._axes import SIGNAL
from .._errors import InputError, ParameterError
from .._param import Param
from ..functional.memory import LSTMState
from ..functional.timespans import elapsed
from ..stateful import ChunkLayer
from ._scan import Cell, before_end, checked_lengths, last, scan_cell
from ._start import memory_start
from .recipes import FullyConnected, Recipe, wiring_from_dict
from .wirings import Wiring


class _Given(NamedTuple):
    """What came with a call besides the signal."""

    timespans: Any = None
    lengths: Any = None


NOTHING = _Given()


class _Liquid(ChunkLayer):
    """A liquid network as a layer: fill in `bound`, `read` and `state_type`."""

    axes = SIGNAL
    state_type: ClassVar[type]  # of a network without mixed memory: a NamedTuple of one tensor

    memory_input = Param(None, user=False, doc="weights from the inputs to the LSTM of mixed memory")
    memory_bias = Param(None, user=False, doc="biases of the LSTM of mixed memory")
    memory_recurrent = Param(None, user=False, doc="recurrent weights of the LSTM of mixed memory")

    def __init__(self, inputs: int, units: int, wiring: Wiring | None, mixed_memory: bool, timespan_feature: int | None,
                 **options: Any) -> None:
        super().__init__(**options)
        features = inputs + (timespan_feature is not None)
        if timespan_feature is not None and not -features <= timespan_feature < features:
            raise ParameterError(type(self).__name__, "timespan_feature", f"must be the number of a feature of x, which "
                                 f"has {features}: the inputs and the time spans", timespan_feature)
        self.inputs, self.units, self.wiring = inputs, units, wiring
        self.mixed_memory, self.timespan_feature = mixed_memory, timespan_feature
        self._given = NOTHING

    def _add_memory(self, generator: torch.Generator, dtype: torch.dtype | None, device: Any) -> None:
        if self.mixed_memory:
            names = ("memory_input", "memory_bias", "memory_recurrent")
            for name, value in zip(names, memory_start(self.inputs, self.units, generator), strict=True):
                self._add(getattr(type(self), name), value, dtype, device)

    # ---- filled in by each network --------------------------------------------------------------------------------
    @abstractmethod
    def bound(self) -> Cell:
        """The network with its parameters as they are now."""

    @abstractmethod
    def read(self, states: Tensor) -> Tensor:
        """The outputs, (batch, time, outputs), from the states after every step."""

    def _signals(self, cell: Cell, x: Tensor, states: Tensor) -> None:
        """Offers inner signals to whoever records them."""

    # ---- calls ----------------------------------------------------------------------------------------------------
    def __call__(self, x: Any, timespans: Any = None, lengths: Any = None) -> Any:
        """The output for one chunk; the state is carried on to the next call.

        Args:
            x: (batch, time, feature), or promotable; numpy array or tensor. A torch `PackedSequence` gives one back.
            timespans: seconds that pass in each step: a number, (time,) or (batch, time); 1 without it.
            lengths: number of steps of each sequence in this chunk, when they differ. Outputs after the end of a sequence
                are 0, and its state is the one at its own end.
        Returns: (batch, time, outputs).
        Raises: InputError, StateError; the state is then what it was before.
        """
        if not isinstance(x, PackedSequence):
            return super().__call__(x, timespans=timespans, lengths=lengths)
        if lengths is not None:
            raise InputError(f"{type(self).__name__}.lengths: a PackedSequence has its own (got {lengths!r})")
        padded, own = pad_packed_sequence(x, batch_first=True)
        y = super().__call__(padded, timespans=timespans, lengths=own)
        return pack_padded_sequence(y, own, batch_first=True, enforce_sorted=x.sorted_indices is None)

    def forward(self, x: Tensor, timespans: Any = None, lengths: Any = None) -> Tensor:
        """See `__call__`."""
        self._given = _Given(timespans, lengths)
        if x.shape[1] == 0:
            self._parts(x, self._given, type(self).__name__)
            self._given = NOTHING  # what follows tries a step that nobody gave
        try:
            return super().forward(x)
        finally:
            self._given = NOTHING

    def initial_state(self, x: Tensor) -> Any:
        """All zero."""
        zero = x.new_zeros(x.shape[0], self.units)
        return LSTMState(zero, zero) if self.mixed_memory else self.state_type(zero)

    def chunk(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """States and outputs after every step of a chunk."""
        where = type(self).__name__
        x, timespans, lengths = self._parts(x, self._given, where)
        h, c = (state.h, state.c) if self.mixed_memory else (state[0], None)
        cell = self.bound()
        hs, cs = scan_cell(cell, self._memory(), x, h, c, timespans)
        self._signals(cell, x, hs)
        y = self.read(hs)
        if lengths is not None:
            y = torch.where(before_end(lengths, x.shape[1])[:, :, None], y, 0)
        if c is None or cs is None:
            return y, self.state_type(last(h, hs, lengths))
        return y, LSTMState(last(h, hs, lengths), last(c, cs, lengths))

    def _memory(self) -> tuple[Tensor, Tensor, Tensor] | None:
        return (self.memory_input, self.memory_bias, self.memory_recurrent) if self.mixed_memory else None

    def _parts(self, x: Tensor, given: _Given, where: str) -> tuple[Tensor, Tensor, Tensor | None]:
        """Inputs of the network, time spans (batch, time) and lengths. Raises InputError."""
        features = self.inputs + (self.timespan_feature is not None)
        if x.shape[2] != features:
            rest = ", one of them the time spans" if self.timespan_feature is not None else ""
            raise InputError(f"{where}: the signal must have {features} features{rest} (got {x.shape[2]})")
        batch, time = x.shape[:2]
        timespans, lengths = given.timespans, checked_lengths(given.lengths, x, where)
        if lengths is not None:
            x = torch.where(before_end(lengths, time)[:, :, None], x, 0)
        if self.timespan_feature is not None:
            if timespans is not None:
                raise InputError(f"{where}.timespans: they are feature {self.timespan_feature} of the signal already; give "
                                 "them once")
            column = self.timespan_feature % features
            timespans = x[:, :, column]
            x = torch.cat([x[:, :, :column], x[:, :, column + 1:]], 2)
        return x, elapsed(timespans, batch, time, x, where), lengths

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


def wired(wiring: Wiring | Recipe | int, inputs: int, where: str) -> Wiring:
    """The wiring for this number of inputs; a number of units is fully connected."""
    if isinstance(wiring, int) and not isinstance(wiring, bool):
        wiring = FullyConnected(wiring)
    if not isinstance(wiring, Wiring | Recipe):
        raise ParameterError(where, "wiring", "must be a number of units, a Wiring, FullyConnected, Random, NCP or AutoNCP",
                             wiring)
    return wiring.with_inputs(inputs)
