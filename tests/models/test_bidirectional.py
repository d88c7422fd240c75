"""Bidirectional models: both directions, time spans, sequences of different length, and what cannot be cut in chunks."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

import neurosim
from neurosim import InputError, ParameterError, StateError
from neurosim.filters import TemporalLowPass
from neurosim.liquid import LTC, AutoNCP, CfC, Irregular
from neurosim.models import Bidirectional, Recurrent, Sequential


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def spans(*shape: int) -> Tensor:
    return 2 * torch.rand(shape, generator=torch.Generator().manual_seed(1))


def ltc(seed: int) -> LTC:
    return LTC(2, AutoNCP(8, 2), seed=seed)


def both(**options: Any) -> Bidirectional:
    return Bidirectional(ltc(0), CfC(2, 3, backbone_units=8), **options)


def test_a_torch_lstm_of_two_directions() -> None:
    """torch's own bidirectional network with the same weights."""
    whole = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    one, other = nn.LSTM(3, 4, batch_first=True), nn.LSTM(3, 4, batch_first=True)
    with torch.no_grad():
        for name, p in one.named_parameters():
            p.copy_(whole.get_parameter(name))
            other.get_parameter(name).copy_(whole.get_parameter(name + "_reverse"))
    model, x = Bidirectional(Recurrent(one), Recurrent(other)), noise(2, 7, 3)
    wanted, (h, c) = whole(x)
    torch.testing.assert_close(model(x), wanted)
    state = model.get_state()
    torch.testing.assert_close(torch.cat([state["ahead.h"], state["back.h"]]), h)
    torch.testing.assert_close(torch.cat([state["ahead.c"], state["back.c"]]), c)


@pytest.mark.parametrize("timespans", [None, 0.5, spans(9), spans(3, 9)], ids=["none", "number", "time", "batch-time"])
def test_each_step_keeps_its_time_span(timespans: Any) -> None:
    x = noise(3, 9, 2)
    turned = timespans.flip(-1) if isinstance(timespans, Tensor) else timespans
    back = CfC(2, 3, backbone_units=8)(x.flip(1), timespans=turned).flip(1)
    wanted = torch.cat([ltc(0)(x, timespans=timespans), back], 2)
    assert torch.equal(both()(x, timespans=timespans), wanted)
    numbers = timespans.numpy() if isinstance(timespans, Tensor) else timespans
    assert torch.equal(both()(x, timespans=numbers), wanted)


def test_each_sequence_is_turned_at_its_own_end() -> None:
    x, timespans, lengths = noise(4, 9, 2), spans(4, 9), [9, 4, 0, 1]
    model = both()
    y = model(x, timespans=timespans, lengths=lengths)
    for row, length in enumerate(lengths):
        own = both()(x[row:row + 1, :length], timespans=timespans[row:row + 1, :length])
        torch.testing.assert_close(y[row:row + 1, :length], own, rtol=1e-5, atol=1e-6)  # one row: another order of sums
        assert (y[row, length:] == 0).all()
    sequences = [noise(length, 2, seed=length) for length in (3, 7, 5)]
    got, counts = pad_packed_sequence(both()(pack_sequence(sequences, enforce_sorted=False)), batch_first=True)
    padded = nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    assert counts.tolist() == [3, 7, 5] and torch.equal(got, both()(padded, lengths=counts))


def test_irregular_stacks_of_both_directions() -> None:
    def make() -> Sequential:
        return Sequential(both(), Bidirectional(LTC(5, 3), LTC(5, 3, seed=4), join="sum"))

    x, timespans = noise(2, 9, 2), spans(2, 9)
    wanted = make()(x, timespans=timespans)
    inner = both()(x, timespans=timespans)
    two = LTC(5, 3)(inner, timespans=timespans) + LTC(5, 3, seed=4)(inner.flip(1), timespans=timespans.flip(1)).flip(1)
    assert torch.equal(wanted, two)
    assert torch.equal(Irregular(make(), feature=0)(torch.cat([timespans[:, :, None], x], 2)), wanted)


def test_a_second_chunk_is_refused_and_nothing_changes() -> None:
    x, model = noise(1, 9, 2), both()
    with pytest.raises(StateError, match="Bidirectional: needs the whole recording in one call"):
        model.run(x, dt=5)
    assert model.get_state() == {}
    first = model(x)
    before = model.get_state()
    with pytest.raises(StateError, match="clear_state"):
        model(x)
    with pytest.raises(StateError, match="in one call"):
        model.advance(x, before)
    assert all(torch.equal(value, before[name]) for name, value in model.get_state().items())
    assert model(x[:, :0]).shape == (1, 0, 5)  # no frames, no second chunk
    model.clear_state()
    assert torch.equal(model(x), first)


def test_training_in_minibatches_starts_anew_each_time() -> None:
    model, x, y = both(), noise(4, 6, 2), noise(4, 6, 5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        loss = nn.functional.mse_loss(model.advance(x, timespans=0.3)[0], y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert model.get_state() == {} and losses[-1] < 0.9 * losses[0]


def test_gradients() -> None:
    model = Bidirectional(LTC(2, 3, dtype=torch.float64), LTC(2, 3, seed=1, dtype=torch.float64))
    x = noise(2, 4, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: model.advance(x, lengths=[4, 2])[0], (x,))


def test_videos_are_turned_along_their_own_time_axis() -> None:
    model = Bidirectional(TemporalLowPass(tau=0.01), TemporalLowPass(tau=0.03))
    x = noise(1, 2, 8, 3, 3)
    wanted = torch.cat([TemporalLowPass(tau=0.01)(x), TemporalLowPass(tau=0.03)(x.flip(2)).flip(2)], 1)
    assert torch.equal(model(x), wanted)


def test_copies() -> None:
    x, model = noise(1, 9, 2), both()
    wanted = model(x)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert copied.get_state().keys() == model.get_state().keys() != set()
        copied.clear_state()
        assert torch.equal(copied(x), wanted)
    assert both().run(x)[0].shape == (1, 9, 5) and neurosim.models.Bidirectional is Bidirectional


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"Bidirectional.join: choose from"):
        both(join="mean")
    with pytest.raises(InputError, match=r"LTC.timespans: must be a number"):
        both()(noise(2, 9, 2), timespans=spans(9, 2))
    with pytest.raises(InputError, match=r"LTC.lengths: must lie in 0..9"):
        both()(noise(2, 9, 2), lengths=[9, 10])
    with pytest.raises(InputError, match=r"Bidirectional: with a call may come \['lengths', 'timespans'\] besides the chunk"):
        both()(noise(2, 9, 2), spans=1.0)
