"""Recurrent modules and cells, streamed, against torch over the whole signal."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from neurosim import InputError, ParameterError
from neurosim.models import Recurrent

X = torch.randn(3, 17, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
D = {"dtype": torch.float64}


class Cell(nn.Module):
    """A user's cell with a state of two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 5, **D)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        v, w = state
        v = 0.9 * v + self.inner(x) - w.sum(1, keepdim=True)
        return v, (v, 0.5 * w + v[:, :2])


@pytest.mark.parametrize("dt", [1, 5, None])
@pytest.mark.parametrize("make", [
    lambda: nn.LSTM(4, 6, 2, **D), lambda: nn.LSTM(4, 6, batch_first=True, proj_size=3, **D),
    lambda: nn.GRU(4, 6, 2, batch_first=True, **D), lambda: nn.RNN(4, 6, nonlinearity="relu", **D),
])
def test_modules_give_what_they_give_over_the_whole(make, dt: int | None):  # type: ignore[no-untyped-def]
    module = make()
    y, last = module(X if module.batch_first else X.transpose(0, 1))
    layer = Recurrent(module)
    y = (y if module.batch_first else y.transpose(0, 1)).detach()
    torch.testing.assert_close(layer.run(X, dt)[0], y, rtol=0, atol=1e-13)
    for part, wanted in zip(layer.state, last if isinstance(last, tuple) else (last,), strict=True):
        torch.testing.assert_close(part, wanted.detach(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dt", [1, 5, None])
@pytest.mark.parametrize("cell, module", [(nn.LSTMCell, nn.LSTM), (nn.GRUCell, nn.GRU), (nn.RNNCell, nn.RNN)])
def test_cells_give_what_their_modules_give(cell, module, dt: int | None):  # type: ignore[no-untyped-def]
    one, whole = cell(4, 6, **D), module(4, 6, batch_first=True, **D)
    whole.load_state_dict({f"{name}_l0": value for name, value in one.state_dict().items()})
    torch.testing.assert_close(Recurrent(one).run(X, dt)[0], whole(X)[0].detach(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dt", [1, 5, None])
def test_a_cell_of_ones_own(dt: int | None):
    cell = Cell()
    state, wanted = (torch.zeros(3, 5, **D), torch.zeros(3, 2, **D)), []
    for frame in X.unbind(1):
        y, state = cell(frame, state)
        wanted.append(y.detach())
    layer = Recurrent(cell, state_size=(5, 2))
    assert torch.equal(layer.run(X, dt)[0], torch.stack(wanted, 1))
    assert torch.equal(layer.state.h, torch.cat(state, 1).detach())


def test_gradients_reach_the_module():
    layer = Recurrent(nn.GRU(4, 6, batch_first=True, **D))
    layer.set_optimizer.Adam(lr=0.01)
    goal = torch.zeros(3, 17, 6, **D)
    losses = [layer.optimize(X, goal, dt=6) for _ in range(8)]
    assert sum(losses[-1]) < 0.9 * sum(losses[0])


class Bad(nn.Module):
    """A cell that gives what it was made with."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result

    def forward(self, x: Tensor, state: Tensor) -> object:
        return self.result


@pytest.mark.parametrize("make, error, text", [
    (lambda: Recurrent(nn.LSTM(4, 6, bidirectional=True)), ParameterError, "must not be bidirectional"),
    (lambda: Recurrent(nn.LSTM(4, 6, 2, dropout=0.1)), ParameterError, r"must have no dropout.* \(got 0.1\)"),
    (lambda: Recurrent(Cell()), ParameterError, "Recurrent.state_size: is needed for a cell of your own"),
    (lambda: Recurrent(nn.GRUCell(4, 6), 6), ParameterError, r"state_size: is known from the module; leave it out \(got 6\)"),
    (lambda: Recurrent(Cell(), (5, 0)), ParameterError, "state_size: must be a whole number of at least 1"),
    (lambda: Recurrent(torch.tanh), ParameterError, "Recurrent.module: must be a torch module"),
    (lambda: Recurrent(nn.GRU(3, 6, **D))(X), InputError, r"the module takes 3 features \(got 4\)"),
    (lambda: Recurrent(Bad(torch.zeros(3, 5)), 5)(X), ParameterError, r"must give \(output, state\).* \(got 'Tensor'\)"),
    (lambda: Recurrent(Bad((torch.zeros(3, 5), torch.zeros(3, 4))), 5)(X), ParameterError,
     r"its state must keep the shapes \[\(3, 5\)\] \(got \[\(3, 4\)\]\)"),
])
def test_what_does_not_fit_is_refused(make, error: type[Exception], text: str):  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=text):
        make()
