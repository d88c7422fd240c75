"""The LSTM of mixed memory, by the names of ncps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ....functional.memory import LSTMState, lstm_step
from ....liquid._start import memory_start


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A `torch.nn.Linear` with these values, which draws none of its own."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    made.weight = nn.Parameter(weight)
    if bias is not None:
        made.bias = nn.Parameter(bias)
    return made


class LSTMCell(nn.Module):
    """One step of an LSTM whose forget gate is biased by 1; see `functional.memory.lstm_step`."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        weight, bias, recurrent = memory_start(input_size, hidden_size, torch.default_generator)
        self.input_map, self.recurrent_map = linear(weight, bias), linear(recurrent)

    def weights(self) -> tuple[Any, Any, Any]:
        """As `functional.memory.lstm_step` takes them."""
        return self.input_map.weight, self.input_map.bias, self.recurrent_map.weight

    def forward(self, inputs: Tensor, states: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The next pair (h, c), both (batch, units)."""
        return tuple(lstm_step(self.weights(), LSTMState(*states), inputs))  # type: ignore[return-value]
