"""The LSTM that mixed memory puts before a liquid cell."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..kernels.memory import lstm

LSTMWeights = tuple[Tensor, Tensor, Tensor]


class LSTMState(NamedTuple):
    """Both of shape (batch, units)."""

    h: Tensor  # hidden state; the liquid cell advances it
    c: Tensor  # memory


def lstm_step(weights: LSTMWeights, state: LSTMState, x: Tensor) -> LSTMState:
    """One step of an LSTM, whose h the liquid cell then takes as its own state.

    Args:
        weights: (4 units, inputs), (4 units,), (4 units, units) for input, bias and recurrence; row blocks candidate,
            input gate, forget gate, output gate.
        x: (batch, inputs).
    Returns: the state in which the liquid cell starts its step; time spans play no part.
    Reference: Lechner & Hasani, Mixed-memory RNNs, 2022; as in ncps the forget gate is biased by 1.
    """
    return LSTMState(*lstm(weights, state.h, state.c, x))
