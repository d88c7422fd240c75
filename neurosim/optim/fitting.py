"""The loop over epochs around `optimize`: validation, early stopping, schedulers, checkpoints."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .._errors import InputError, ParameterError, StateError
from ..streams.base import whole
from .callbacks import Callback
from .goals import Loss, recordings, rewind, sources_of
from .history import History
from .penalties import Penalty
from .processes import Processes
from .selector import made

log = logging.getLogger("neurosim")


def fit(layer: Any, x: Any, y: Any, *, epochs: int = 100, dt: int | None = None, validation: Any = None,
        patience: int | None = None, optimizer: Any = None, loss_fn: Loss | str | None = None, t_skip: int = 0,
        window: int | None = None, penalty: Mapping[str, Penalty] | None = None, clip: float | None = None,
        scheduler: Any = None, callbacks: Sequence[Callback] = (), checkpoint: str | Path | None = None,
        progress: bool = False, distributed: bool = False) -> History:
    """Fits the parameters over several epochs; every recording starts at rest.

    Ctrl-C ends it after the last whole step and keeps what was learned. The state is afterwards what it was before.

    Args:
        x, y: input and goal as for `optimize`, or a list of each: several recordings. Sources are read from where they are, in
            every epoch anew, so they must be able to seek unless there is one epoch.
        epochs: how often all recordings are gone through.
        dt: frames per chunk, one step of the optimizer each; None: one step per recording.
        validation: `(x, y)` or `([x, ...], [y, ...])` that is scored after every epoch and not fitted. With it, the layer ends
            with the parameters of the epoch that was best on it.
        patience: stop after so many epochs without a better loss.
        optimizer: one, its class or its name; None: that of `set_optimizer`, or Adam(lr=0.01) when none was chosen.
        loss_fn, t_skip, window, penalty, clip: as for `optimize`; t_skip counts in every recording.
        scheduler: a learning-rate scheduler of torch, or a function that makes one from the optimizer; a step per epoch.
        callbacks: `neurosim.optim.Callback` objects.
        checkpoint: path of a file, written after every epoch. If it is there the fit goes on from it, and gives the same
            parameters, bit for bit, as one that was not interrupted.
        progress: shows a bar.
        distributed: under `torchrun`, with a process group: of n processes that of rank r fits the recordings r, r + n, ...,
            and every step is taken together, as by one process that has the n recordings at work as a batch. Callbacks, the
            bar and the checkpoint are those of the first process.
    Returns: `History`.
    Raises: as `optimize`; InputError for sources that cannot be read again; StateError for a checkpoint of another fit.
        Parameters are then those of the last good step.
    """
    where = f"{type(layer).__name__}.fit"
    epochs = whole(where, "epochs", epochs, 1)
    patience = None if patience is None else whole(where, "patience", patience, 1)
    processes = Processes(where, distributed)
    train = processes.share(recordings(where, x, y))
    held_out = [] if validation is None else validation_pairs(where, validation)
    if len(held_out) % processes.count == 0:
        held_out = processes.share(held_out)
    sources = [(one, one.position) for pair in [*train, *held_out] for one in sources_of(*pair)]
    if epochs > 1 and any(not source.seekable for source, _ in sources):
        raise InputError(f"{where}: a source that cannot seek is read for one epoch only; give epochs=1, a file or an array")
    if optimizer is None and layer.optimizer is None:
        layer.set_optimizer.Adam(lr=0.01)
    optimizer = layer.optimizer if optimizer is None else made(layer, optimizer)
    scheduler = scheduler_for(where, scheduler, optimizer)
    for hook in callbacks:
        if not all(callable(getattr(hook, name, None)) for name in ("begin", "epoch", "end")):
            raise ParameterError(where, "callbacks", "need the methods begin, epoch and end; derive them from "
                                 "neurosim.optim.Callback", hook)
    options = {"dt": dt, "loss_fn": loss_fn, "t_skip": t_skip}
    steps = {"optimizer": optimizer, "window": window, "penalty": penalty, "clip": clip, "distributed": distributed}
    history, best = History(), None
    plan = {"dt": dt, "recordings": len(train), "t_skip": t_skip, "window": window, "optimizer": type(optimizer).__name__,
            "parameters": {name: list(p.shape) for name, p in layer.named_parameters()}}
    if checkpoint is not None and Path(checkpoint).exists():
        history, best = resume(where, Path(checkpoint), layer, optimizer, scheduler, plan)
    before = layer._snapshot()
    hooks: Sequence[Callback] = tuple(callbacks) if processes.rank == 0 else ()
    try:
        for hook in hooks:
            hook.begin(layer, history)
        with bar(epochs, len(history.epochs), progress and processes.rank == 0) as tell:
            while len(history.epochs) < epochs and not worn_out(history, patience):
                if sources:
                    rewind(sources)
                loss = mean_loss(layer, train, {**options, **steps})
                score = None if not held_out else processes.mean(score_of(layer, held_out, options), next(layer.parameters()))
                if history.add(loss, score, float(optimizer.param_groups[0].get("lr", float("nan")))) and held_out:
                    best = layer._raw_parameters()
                if scheduler is not None:
                    plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
                    scheduler.step(*((history.watched[-1],) if plateau else ()))
                if checkpoint is not None and processes.rank == 0:
                    save(Path(checkpoint), layer, optimizer, scheduler, plan, history, best)
                for hook in hooks:
                    hook.epoch(layer, history)
                tell(history)
        history.stopped = "patience" if len(history.epochs) < epochs else "epochs"
    except KeyboardInterrupt:
        history.stopped = "interrupted"
        log.warning("%s: interrupted in epoch %d; parameters are those of the last good step%s", where,
                    len(history.epochs) + 1, " of the best epoch" if best is not None else "")
    finally:
        layer._restore(before)
    if best is not None:
        layer._set_raw_parameters(best)
    for hook in hooks:
        hook.end(layer, history)
    return history


signature = inspect.signature(fit)


def scheduler_for(where: str, scheduler: Any, optimizer: torch.optim.Optimizer) -> Any:
    """A scheduler from one, its class or a function that makes one, or None. Raises ParameterError."""
    if callable(scheduler) and not hasattr(scheduler, "optimizer"):
        scheduler = scheduler(optimizer)
    if scheduler is not None and not callable(getattr(scheduler, "step", None)):
        raise ParameterError(where, "scheduler", "must be a learning-rate scheduler of torch, or a function that makes one "
                             "from the optimizer", scheduler)
    if scheduler is not None and getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise ParameterError(where, "scheduler", "belongs to another optimizer than the one of this fit; give a function that "
                             "makes it, such as lambda optimizer: ExponentialLR(optimizer, 0.9)", type(scheduler).__name__)
    return scheduler


def validation_pairs(where: str, validation: Any) -> list[tuple[Any, Any]]:
    """Held-out input and goal of each recording."""
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise ParameterError(where, "validation", "must be (x, y), input and goal, or ([x, ...], [y, ...])", validation)
    return recordings(where, *validation)


def mean_loss(layer: Any, train: Sequence[tuple[Any, Any]], options: dict[str, Any]) -> float:
    """One epoch over all recordings, each from rest; the mean of all losses."""
    losses: list[float] = []
    for x, y in train:
        layer.clear_state()
        losses += layer.optimize(x, y, **options)
    if not losses:
        raise InputError(f"{type(layer).__name__}.fit: no frame is left to fit; t_skip={options['t_skip']}")
    return sum(losses) / len(losses)


def score_of(layer: Any, held_out: Sequence[tuple[Any, Any]], options: dict[str, Any]) -> float:
    """The mean loss of the held-out recordings, each from rest."""
    total = 0.0
    for x, y in held_out:
        layer.clear_state()
        total += layer.compute_loss(x, y, **options)
    return total / len(held_out)


def worn_out(history: History, patience: int | None) -> bool:
    """Whether the last `patience` epochs have brought nothing better."""
    return patience is not None and history.best is not None and len(history.epochs) - history.best >= patience


class bar:
    """A bar over epochs, or nothing."""

    def __init__(self, epochs: int, done: int, shown: bool) -> None:
        self.bar = None
        if shown:
            from tqdm.auto import tqdm
            self.bar = tqdm(total=epochs, initial=done, unit=" epochs")

    def __enter__(self) -> Callable[[History], None]:
        return self.tell

    def tell(self, history: History) -> None:
        """Shows the last epoch."""
        if self.bar is not None:
            validation = f", validation {history.validation[-1]:.4g}" if history.validation else ""
            self.bar.set_postfix_str(f"loss {history.loss[-1]:.4g}{validation}", refresh=False)
            self.bar.update()

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()


def save(path: Path, layer: Any, optimizer: Any, scheduler: Any, plan: dict[str, Any], history: History, best: Any) -> None:
    """Writes all that the next epoch needs to a new file and puts it in the place of the old one."""
    content = {"plan": plan, "parameters": layer._raw_parameters(), "optimizer": optimizer.state_dict(),
               "scheduler": None if scheduler is None else scheduler.state_dict(), "history": history.to_dict(), "best": best,
               "random": torch.get_rng_state()}
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def resume(where: str, path: Path, layer: Any, optimizer: Any, scheduler: Any, plan: dict[str, Any]) -> tuple[History, Any]:
    """Puts back what `save` wrote. Raises StateError when it was written by another fit; nothing has changed then."""
    try:
        content = torch.load(path, weights_only=True)
        there = content["plan"]
    except Exception as error:
        raise StateError(f"{where}: {path} is no checkpoint of a fit ({error}); remove it, or give another path") from error
    for name, value in plan.items():
        if there.get(name) != value:
            raise StateError(f"{where}: the checkpoint {path} is of a fit with {name}={there.get(name)!r}, this one has "
                             f"{name}={value!r}; go on with the same arguments, or give another path")
    if (scheduler is None) != (content["scheduler"] is None):
        raise StateError(f"{where}: the checkpoint {path} is of a fit with{'' if scheduler is None else 'out'} a scheduler")
    layer._set_raw_parameters(content["parameters"])
    optimizer.load_state_dict(content["optimizer"])
    if scheduler is not None:
        scheduler.load_state_dict(content["scheduler"])
    torch.set_rng_state(content["random"])  # parts of torch's own, such as dropout, draw from it
    return History(**content["history"]), content["best"]
