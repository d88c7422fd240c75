"""Layers under lightning's Trainer: sequences of their own, streams, validation in between, resuming."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from neurosim import InputError, ParameterError, StateError
from neurosim.filters import Conv3d, TemporalLowPass
from neurosim.lightning import LayerModule
from neurosim.liquid import LTC, AutoNCP
from neurosim.models import LN, Sequential
from neurosim.optim import Ridge
from neurosim.streams import CallableStream, SequenceStream

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
pytestmark = [pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
              pytest.mark.filterwarnings("ignore:The number of training batches .*"),
              pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no.*"),
              pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
              pytest.mark.filterwarnings("ignore:.*tensorboardX.*"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning")]
F64 = torch.float64


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def trainer(epochs: int, **options: Any) -> Any:
    return pl.Trainer(max_epochs=epochs, **{"accelerator": "cpu", "logger": False, "enable_checkpointing": False,
                                            "enable_progress_bar": False, "enable_model_summary": False, **options})


def layer() -> Sequential:
    """With a state that depends on the parameters, and one that is the input."""
    model = Sequential(TemporalLowPass(tau=0.02, dtype=F64), Conv3d(kernel_size=(3, 1, 1), dtype=F64))
    model[1].set_weight([0.5, 0.2, 0.1])
    return model


X, Y = noise(50, 2, 2), noise(50, 2, 2, seed=1)
HELD = noise(20, 2, 2, seed=2), noise(20, 2, 2, seed=3)


def equal(one: Sequential, other: Sequential) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def sine() -> tuple[Tensor, Tensor]:
    """The first tutorial of ncps: a sine of twice the frequency from a sine and a cosine."""
    t = np.linspace(0, 3 * np.pi, 48)
    x = np.stack([np.sin(t), np.cos(t)], 1)[None].astype("float32")
    return torch.from_numpy(x), torch.from_numpy(np.sin(2 * t).reshape(1, -1, 1).astype("float32"))


def test_the_first_tutorial_of_ncps(tmp_path: Path) -> None:
    """As it stands there, on the modules of `compat`."""
    from neurosim.compat.ncps.torch import LTC as NcpsLTC
    from neurosim.compat.ncps.wirings import AutoNCP as NcpsAutoNCP

    class SequenceLearner(pl.LightningModule):
        def __init__(self, model: nn.Module, lr: float = 0.005) -> None:
            super().__init__()
            self.model, self.lr = model, lr

        def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
            x, y = batch
            y_hat, _ = self.model.forward(x)
            loss = nn.MSELoss()(y_hat.view_as(y), y)
            self.log("train_loss", loss, prog_bar=True)
            return {"loss": loss}

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.model.parameters(), lr=self.lr)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = SequenceLearner(NcpsLTC(2, NcpsAutoNCP(16, 1), batch_first=True), lr=0.01)
    going = trainer(30, logger=pl.loggers.CSVLogger(str(tmp_path)), gradient_clip_val=1, log_every_n_steps=1)
    going.fit(learner, DataLoader(TensorDataset(*sine()), batch_size=1, shuffle=True))
    assert going.callback_metrics["train_loss"] < 0.4  # a constant has 0.5


def test_sequences_start_at_rest_and_leave_nothing() -> None:
    """The same network as a layer: shuffled, clipped, validated, and a state of its own that nothing touches."""
    x, y = sine()
    module = LayerModule(LTC(2, AutoNCP(16, 1), seed=0), optimizer="Adam", lr=0.01)
    module.layer.run(x[:, :5])
    before = module.layer.get_state()
    both = TensorDataset(torch.cat([x, x.flip(1)]), torch.cat([y, y.flip(1)]))
    going = trainer(30, gradient_clip_val=1)
    going.fit(module, DataLoader(both, batch_size=1, shuffle=True), DataLoader(both))
    assert going.callback_metrics["val_loss"] < 0.4
    module.layer.clear_state()
    loss = np.mean([module.layer.compute_loss(a[None], b[None]) for a, b in both])
    assert float(going.callback_metrics["val_loss"]) == pytest.approx(loss, rel=1e-5)
    assert all(value.shape == before[name].shape for name, value in before.items()) and module.layer.get_state() == {}


CHOICES: dict[str, Callable[[Sequential], None]] = {
    "Adam": lambda model: model.set_optimizer.Adam(lr=0.01),
    "LBFGS": lambda model: model.set_optimizer.LBFGS(lr=0.5, max_iter=4, line_search_fn="strong_wolfe")}


@pytest.mark.parametrize("name", CHOICES)
def test_a_stream_is_fitted_as_by_fit(name: str) -> None:
    """To the bit, with the default sanity check and validation in the middle of every epoch, two recordings."""
    other, model = layer(), layer()
    options = {"penalty": {"layer_1.weight": Ridge(0.01)}, "t_skip": 8,
               "scheduler": lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)}
    CHOICES[name](other)
    history = other.fit([X, X[:23]], [Y, Y[:23]], epochs=2, dt=7, validation=HELD, **options)
    last = layer()
    CHOICES[name](last)
    last.fit([X, X[:23]], [Y, Y[:23]], epochs=2, dt=7, **options)
    CHOICES[name](model)
    module = LayerModule(model, stream=True, **options)
    going = trainer(2, val_check_interval=3)
    going.fit(module, module.chunks([X, X[:23]], [Y, Y[:23]], dt=7), module.chunks(*HELD, dt=6))
    assert equal(model, last)
    assert float(going.validate(module, module.chunks(*HELD, dt=7), verbose=False)[0]["val_loss"]) == pytest.approx(
        history.validation[-1], rel=1e-12)
    plain = layer()  # the state is the one after the last recording, not that of the validation
    CHOICES[name](plain)
    for recording in ([X, Y], [X[:23], Y[:23]], [X, Y], [X[:23], Y[:23]]):
        plain.clear_state()
        plain.optimize(*recording, dt=7, penalty=options["penalty"], t_skip=8)
        if len(recording[0]) == 23:
            plain.optimizer.param_groups[0]["lr"] *= 0.8
    assert equal(plain, model)
    for key, value in plain.get_state().items():
        assert torch.equal(model.get_state()[key], value)


def test_a_stream_from_a_data_loader() -> None:
    """Chunks of equal length as a data set, one after the other."""
    model, other = layer(), layer()
    x, y = (data.reshape(5, 1, 10, 2, 2) for data in (X, Y))
    module = LayerModule(model, stream=True, optimizer="SGD", lr=0.1)
    trainer(2).fit(module, DataLoader(TensorDataset(x, y), batch_size=1, shuffle=False))
    other.set_optimizer.SGD(lr=0.1)
    other.fit(X, Y, epochs=2, dt=10)
    assert equal(model, other)
    with pytest.raises(InputError, match=r"this DataLoader shuffles them; use DataLoader\(..., shuffle=False\)"):
        trainer(1).fit(module, DataLoader(TensorDataset(x, y), shuffle=True))


def test_a_stream_from_files_in_time(tmp_path: Path) -> None:
    source, goal = SequenceStream(X.numpy()), SequenceStream(Y.numpy())
    model, other = layer(), layer()
    module = LayerModule(model, stream=True, optimizer="SGD", lr=0.1)
    trainer(2).fit(module, module.chunks(source, goal, dt=15))
    other.set_optimizer.SGD(lr=0.1)
    other.fit(X, Y, epochs=2, dt=15)
    assert equal(model, other)
    with pytest.raises(InputError, match="has no end"):
        module.chunks(CallableStream(lambda k: X[k].numpy(), (2, 2)), goal, dt=5)


class Stop(pl.Callback):
    """Writes a checkpoint and ends after so many steps."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise ZeroDivisionError

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        if trainer.global_step:
            trainer.save_checkpoint(self.path.with_name("validated"))


@pytest.mark.parametrize("step", [3, 8, 14])
def test_an_interrupted_stream_goes_on_bit_for_bit(tmp_path: Path, step: int) -> None:
    """Within the first epoch, within the second, and at its end: seven chunks each."""
    def fit(**options: Any) -> Sequential:
        model = layer()
        module = LayerModule(model, stream=True, optimizer="Adam", lr=0.01)
        chosen = {key: options.pop(key) for key in ("ckpt_path", "weights_only") if key in options}
        trainer(3, **options).fit(module, module.chunks(X, Y, dt=8), module.chunks(*HELD, dt=8), **chosen)
        return model

    whole = fit(val_check_interval=2)
    with pytest.raises(ZeroDivisionError):
        fit(val_check_interval=2, callbacks=[Stop(tmp_path / "stopped", step)])
    assert equal(fit(val_check_interval=2, ckpt_path=tmp_path / "stopped"), whole)
    state = torch.load(tmp_path / "validated", weights_only=True)["neurosim_state"]
    assert state["layer_0.stages"].shape[-2:] == (2, 2)  # that of the training, not of the validation


def test_a_loss_that_is_lost_stops_the_training() -> None:
    model = layer()
    seen: list[Any] = []

    def loss(output: Tensor, goal: Tensor) -> Tensor:
        return (output - goal).square().mean() * (float("nan") if len(seen) == 3 else 1.0)

    module = LayerModule(model, stream=True, optimizer="SGD", lr=0.01, loss_fn=loss)

    class Count(pl.Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            seen.append([p.detach().clone() for p in model.parameters()])

    with pytest.raises(StateError, match=r"the loss became nan in batch 2; parameters are those of the last good step"):
        trainer(1, callbacks=[Count()]).fit(module, module.chunks(X, Y, dt=10))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), seen[-1], strict=True))


def test_ranges_hold() -> None:
    model = TemporalLowPass(tau=0.001, dtype=F64)
    module = LayerModule(model, optimizer="SGD", lr=10.0)
    trainer(3).fit(module, DataLoader(TensorDataset(X[None, None], -X[None, None])))
    assert model.tau.item() >= 0


def test_tests_and_predictions() -> None:
    model = layer()
    module = LayerModule(model, stream=True)
    model.run(X[:5])
    state = model.get_state()
    chunks = module.chunks(X, Y, dt=20)
    loss = trainer(1).test(module, chunks, verbose=False)[0]["test_loss"]
    out = torch.cat(trainer(1).predict(module, chunks), 2)
    for name, value in model.get_state().items():
        assert torch.equal(value, state[name])
    model.clear_state()
    assert float(loss) == pytest.approx(model.compute_loss(X, Y, dt=20), rel=1e-12)
    torch.testing.assert_close(out, model.run(X, dt=20)[0], rtol=1e-12, atol=1e-12)


def test_refusals() -> None:
    with pytest.raises(ParameterError, match=r"LayerModule.layer: must be a neurosim Layer.*\(got 'Linear'\)"):
        LayerModule(nn.Linear(1, 1))
    with pytest.raises(ParameterError, match=r"optimizer: is needed with options of it, \['lr'\]"):
        LayerModule(layer(), lr=0.1)
    with pytest.raises(ParameterError, match=r"build it with LayerModule\(layer, stream=True\)"):
        LayerModule(layer()).chunks(X, Y, dt=5)
    module = LayerModule(LN(), optimizer="FiniteDifference")
    with pytest.raises(ParameterError, match=r"must go by gradients under lightning; layer.fit takes this one"):
        trainer(1).fit(module, DataLoader(TensorDataset(X, Y)))
    with pytest.raises(InputError, match=r"a batch must be \(input, goal\)"):
        trainer(1).fit(LayerModule(layer()), DataLoader(X))
