"""The LSTM that mixed memory puts before a liquid cell."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class LSTMState(NamedTuple):
    """Both of shape (batch, units)."""

    h: Tensor  # hidden state; the liquid cell advances it
    c: Tensor  # memory


def lstm_step(weights: tuple[Tensor, Tensor, Tensor], state: LSTMState, x: Tensor) -> LSTMState:
    """One step of an LSTM, whose h the liquid cell then takes as its own state.

    Args:
        weights: (4 units, inputs), (4 units,), (4 units, units) for input, bias and recurrence; row blocks candidate,
            input gate, forget gate, output gate.
        x: (batch, inputs).
    Returns: the state in which the liquid cell starts its step; time spans play no part.
    Reference: Lechner & Hasani, Mixed-memory RNNs, 2022; as in ncps the forget gate is biased by 1.
    """
    w_input, bias, w_recurrent = weights
    z = x @ w_input.T + bias + state.h @ w_recurrent.T
    candidate, into, forget, out = z.chunk(4, 1)
    c = state.c * torch.sigmoid(forget + 1) + torch.tanh(candidate) * torch.sigmoid(into)
    return LSTMState(torch.tanh(c) * torch.sigmoid(out), c)
