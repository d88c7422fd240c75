"""Epochs: validation, early stopping, schedulers, several recordings, checkpoints, Ctrl-C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import neurosim
from neurosim import InputError, Layer, ParameterError, StateError
from neurosim.filters import Conv3d, TemporalLowPass
from neurosim.optim import Callback, History
from neurosim.streams import CallableStream, SequenceStream

F64 = torch.float64


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def kernel() -> Conv3d:
    conv = Conv3d(bias=False, dtype=F64)
    conv.set_weight(np.zeros((3, 1, 1)))
    return conv


def response(x: Tensor, noise_level: float = 0.0, seed: int = 5) -> Tensor:
    """Of a kernel 1, 2, 3."""
    conv = kernel()
    conv.set_weight(np.array([1.0, 2.0, 3.0]))
    y = conv.run(x)[0]
    return y + noise_level * noise(*y.shape, seed=seed)


def test_an_epoch_is_optimize_over_all_recordings_from_rest() -> None:
    x, z = noise(30, 2, 2), noise(20, 2, 2, seed=1)
    one, other = kernel(), kernel()
    one.run(x)
    state = one.get_state()
    one.set_optimizer.Adam(lr=0.05)
    history = one.fit([x, z], [response(x), response(z)], epochs=2, dt=10)
    other.set_optimizer.Adam(lr=0.05)
    losses = []
    for _ in range(2):
        epoch = []
        for part in (x, z):
            other.clear_state()
            epoch += other.optimize(part, response(part), dt=10)
        losses.append(np.mean(epoch))
    assert torch.equal(one.weight, other.weight) and history.loss == pytest.approx(losses, rel=1e-14)
    assert history.epochs == [1, 2] and history.stopped == "epochs" and history.learning_rate == [0.05, 0.05]
    for name, value in one.get_state().items():
        assert torch.equal(value, state[name])  # the state is what it was before


def test_sources_are_read_again_in_every_epoch() -> None:
    x = noise(30, 2, 2)
    y = response(x)[0, 0]
    source, goal = SequenceStream(x.numpy()), SequenceStream(y.numpy(force=True))
    source.seek(10)
    goal.seek(10)
    one, other = kernel(), kernel()
    for layer in (one, other):
        layer.set_optimizer.SGD(lr=0.05)
    one.fit(source, goal, epochs=3, dt=5)
    other.fit(x[10:], y[10:], epochs=3, dt=5)
    assert torch.equal(one.weight, other.weight)
    with pytest.raises(InputError, match=r"cannot seek is read for one epoch only; give epochs=1"):
        one.fit(CallableStream(lambda k: x[k].numpy(), (2, 2)), y, epochs=2)


def test_the_parameters_that_were_best_on_held_out_data_are_kept() -> None:
    """Few, noisy data and many epochs: the held-out loss rises again."""
    x, held = noise(12, 1, 1), noise(200, 1, 1, seed=1)
    conv = Conv3d(bias=False, dtype=F64)
    conv.set_weight(np.zeros((10, 1, 1)))
    conv.set_optimizer.Adam(lr=0.1)
    kept = []

    class Keep(Callback):
        def epoch(self, layer: Layer, history: History) -> None:
            kept.append(layer.weight.detach().clone())

    y, wanted = response(x, 3.0), response(held)
    history = conv.fit(x, y, epochs=200, validation=(held, wanted), patience=20, callbacks=[Keep()])
    assert history.stopped == "patience" and len(history.epochs) == history.best + 20
    assert history.validation[history.best - 1] == min(history.validation)
    assert torch.equal(conv.weight, kept[history.best - 1]) and not torch.equal(conv.weight, kept[-1])
    assert conv.compute_loss(held, wanted) == pytest.approx(min(history.validation), rel=1e-12)


def test_schedulers_of_torch_step_once_per_epoch() -> None:
    x = noise(20, 1, 1)
    conv = kernel()
    conv.set_optimizer.SGD(lr=0.1)
    history = conv.fit(x, response(x), epochs=4, scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.1))
    assert history.learning_rate == pytest.approx([0.1, 0.1, 0.01, 0.01])
    plateau = conv.fit(x, noise(20, 1, 1), epochs=4, optimizer=torch.optim.SGD(conv.parameters(), lr=1e-6),
                       scheduler=lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5,
                                                                                             threshold=0.5))
    assert plateau.learning_rate[-1] < 1e-6


class Stop(Callback):
    """Raises after so many epochs."""

    def __init__(self, epochs: int, error: type[BaseException]) -> None:
        self.epochs, self.error = epochs, error

    def epoch(self, layer: Layer, history: History) -> None:
        if len(history.epochs) == self.epochs:
            raise self.error


@pytest.mark.parametrize("optimizer", ["Adam", "LBFGS"])
def test_an_interrupted_fit_goes_on_bit_for_bit(tmp_path: Path, optimizer: str) -> None:
    x, held = noise(30, 2, 2), noise(20, 2, 2, seed=1)

    def fit(layer: Conv3d, **options: object) -> History:
        getattr(layer.set_optimizer, optimizer)(lr=0.1)
        return layer.fit(x, response(x, 0.5), epochs=6, dt=10, validation=(held, response(held)), **options,
                         scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9))

    whole, first, second = kernel(), kernel(), kernel()
    expected = fit(whole)
    path = tmp_path / "fit.checkpoint"
    with pytest.raises(ZeroDivisionError):
        fit(first, checkpoint=path, callbacks=[Stop(3, ZeroDivisionError)])
    assert [file.name for file in tmp_path.iterdir()] == ["fit.checkpoint"]
    history = fit(second, checkpoint=path)
    assert torch.equal(second.weight, whole.weight) and history == expected
    assert fit(kernel(), checkpoint=path).loss == expected.loss  # nothing is left to do
    with pytest.raises(StateError, match=r"is of a fit with dt=10, this one has dt=5; go on with the same arguments"):
        kernel().fit(x, response(x), dt=5, checkpoint=path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(StateError, match="is no checkpoint of a fit"):
        kernel().fit(x, response(x), checkpoint=path)


def test_what_torch_draws_goes_on_too(tmp_path: Path) -> None:
    """Dropout of torch's own draws from torch's generator."""
    x = noise(30, 2, 2)

    def fit(**options: object) -> Tensor:
        model = neurosim.models.Sequential(kernel(), torch.nn.Dropout(0.5)).train()
        model.set_optimizer.SGD(lr=0.1)
        model.fit(x, response(x), epochs=4, dt=10, **options)
        return model[0].weight.detach()

    with torch.random.fork_rng():
        torch.manual_seed(3)
        whole = fit()
        torch.manual_seed(3)
        with pytest.raises(ZeroDivisionError):
            fit(checkpoint=tmp_path / "fit", callbacks=[Stop(2, ZeroDivisionError)])
        torch.manual_seed(4)
        assert torch.equal(fit(checkpoint=tmp_path / "fit"), whole)


def test_ctrl_c_keeps_what_was_learned(caplog: pytest.LogCaptureFixture) -> None:
    x = noise(30, 2, 2)
    conv = kernel()
    conv.set_optimizer.Adam(lr=0.1)
    history = conv.fit(x, response(x), epochs=1000, callbacks=[Stop(5, KeyboardInterrupt)])
    assert history.stopped == "interrupted" and len(history.epochs) == 5
    assert conv.compute_loss(x, response(x)) < history.loss[0]
    assert "interrupted in epoch 6; parameters are those of the last good step" in caplog.text


def test_without_an_optimizer_there_is_adam() -> None:
    x = noise(30, 2, 2)
    conv = kernel()
    conv.fit(x, response(x), epochs=2)
    assert isinstance(conv.optimizer, torch.optim.Adam)


def test_refusals() -> None:
    x, conv = noise(10, 1, 1), kernel()
    for options, text in (({"epochs": 0}, r"epochs: must be a whole number of at least 1 \(got 0\)"),
                          ({"patience": 0}, "at least 1"),
                          ({"validation": 3}, r"validation: must be \(x, y\)"), ({"t_skip": 10}, "no frame is left to fit")):
        with pytest.raises((ParameterError, InputError), match=text):
            conv.fit(x, x, **options)
    conv.set_optimizer.SGD(lr=0.1)
    other = torch.optim.SGD(conv.parameters(), lr=0.1)
    for options, text in (({"scheduler": "StepLR"}, "must be a learning-rate scheduler of torch"),
                          ({"scheduler": torch.optim.lr_scheduler.StepLR(other, 1)}, "belongs to another optimizer"),
                          ({"callbacks": [print]}, "need the methods begin, epoch and end")):
        with pytest.raises(ParameterError, match=text):
            conv.fit(x, x, **options)
    with pytest.raises(InputError, match="as many goals as inputs are needed"):
        conv.fit([x, x], [x])


def test_a_history_shows_itself() -> None:
    history = History()
    assert repr(history) == "History: no epochs" and "<details" in history._repr_html_()
    for k in range(1000):
        history.add(1 / (k + 1), 2 / (k + 1), 0.1)
    assert "1000 epochs" in repr(history) and len(history._repr_html_()) < 5000


def test_the_bar_tells(capsys: pytest.CaptureFixture[str]) -> None:
    x = noise(10, 1, 1)
    kernel().fit(x, x, epochs=3, validation=(x, x), progress=True)
    shown = capsys.readouterr().err
    assert "3/3" in shown and "validation" in shown


def test_a_lost_loss_leaves_the_parameters_of_the_last_good_step() -> None:
    x = noise(40, 1, 1)
    layer = TemporalLowPass(tau=0.02, dtype=F64)
    layer.set_optimizer.SGD(lr=1e-4)
    calls = []

    def loss(output: Tensor, goal: Tensor) -> Tensor:
        calls.append(layer.tau.item())
        return ((output - goal) ** 2).mean() * (torch.nan if len(calls) == 4 else 1.0)

    with pytest.raises(StateError, match="the loss became nan"):
        layer.fit(x, x, dt=10, loss_fn=loss)
    assert layer.tau.item() == calls[3] != 0.02
