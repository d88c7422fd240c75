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

    With s the logistic function, and g, i, f, o the four blocks of W x + b + R h:

        c' = s(f + 1) c + s(i) tanh g,  h' = s(o) tanh c'

    Args:
        weights: (4 units, inputs), (4 units,), (4 units, units) W, b and R; row blocks candidate g, input gate i,
            forget gate f, output gate o.
        x: (batch, inputs).
    Returns: the state in which the liquid cell starts its step; time spans play no part.
    Reference: Lechner & Hasani, Mixed-memory RNNs, 2022; as in ncps the forget gate is biased by 1.
    """
    return LSTMState(*lstm(weights, state.h, state.c, x))
