"""Layers under lightning's `Trainer`: what they remember is carried from batch to batch, or not, and never leaks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ._drive import Feed
from ._errors import InputError, MissingExtra, ParameterError, StateError
from .layer import Layer
from .optim.goals import as_goal, loss_between, loss_function, output_axes, pairs, penalties, recordings, rewind, sources_of
from .optim.penalties import Penalty
from .optim.ranges import project, ranged
from .optim.selector import made
from .streams.base import whole

try:
    from lightning.pytorch import LightningModule
except ImportError as error:
    raise MissingExtra("neurosim.lightning", "lightning") from error

__all__ = ["Chunks", "LayerModule"]


class Chunk:
    """A chunk of a recording: input, goals with their axes by name, first frames that do not count, whether it is the first."""

    def __init__(self, x: Any, goals: dict[Any, Any], skip: int, begins: bool) -> None:
        self.x, self.goals, self.skip, self.begins = x, goals, skip, begins


class Chunks:
    """Recordings as chunks in their order, for the `Trainer` to go through; `LayerModule.chunks` makes it.

    It can be resumed within an epoch. Where `torch.distributed` runs n processes, the one of rank r goes through the recordings
    r, r + n, r + 2 n, ...; all must then have as many chunks.

    Args:
        layer: the model that they are for.
        x, y: input and goal, or a list of each, as for `layer.fit`.
        dt: frames per chunk.
        t_skip: first frames of every recording that do not count.
    Raises: InputError.

    >>> import torch, neurosim
    >>> module = LayerModule(neurosim.filters.TemporalLowPass(), stream=True)
    >>> both = [torch.ones(50, 2, 2), torch.ones(20, 2, 2)]
    >>> chunks = module.chunks(both, both, dt=20)
    >>> [(chunk.x.shape[2], chunk.begins) for chunk in chunks]
    [(20, True), (20, False), (10, False), (20, True)]
    """

    def __init__(self, layer: Layer, x: Any, y: Any, dt: int, t_skip: int) -> None:
        self._layer, self._t_skip = layer, t_skip
        where = "LayerModule.chunks"
        self._dt = whole(where, "dt", dt, 1)
        self._recordings = recordings(where, x, y)
        self._lengths = [self._length(x, where) for x, _ in self._recordings]
        self._sources = [(one, one.position) for pair in self._recordings for one in sources_of(*pair)]
        if not all(source.seekable for source, _ in self._sources):
            raise InputError(f"{where}: every epoch reads the sources anew, so they have to be able to seek; give files or "
                             "arrays")
        self._done = self._resumed = 0

    def _length(self, x: Any, where: str) -> int:
        feed = Feed(x, self._layer.axes, self._dt, None, where, frame=self._layer.resolution.frame)
        feed.close()
        assert feed.total is not None  # Feed has refused a source without an end
        return -(-feed.total // self._dt)

    def _share(self) -> tuple[int, int]:
        """Rank and number of processes. Raises InputError when they would not have as many chunks."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return 0, 1
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
        counts = [sum(self._lengths[i::ranks]) for i in range(ranks)]
        if len(set(counts)) > 1:
            raise InputError(f"LayerModule.chunks: the recordings of the {ranks} processes have {counts} chunks; they have "
                             "to be as many, so that every step has a chunk of each")
        return rank, ranks

    def __len__(self) -> int:
        rank, ranks = self._share()
        return sum(self._lengths[rank::ranks])

    def __iter__(self) -> Iterator[Chunk]:
        self._done, self._resumed = self._resumed, 0
        rewind(self._sources)
        for chunk in itertools.islice(self._all(), self._done, None):
            self._done += 1
            yield chunk
        self._done = 0

    def _all(self) -> Iterator[Chunk]:
        rank, ranks = self._share()
        for x, y in self._recordings[rank::ranks]:
            for number, (part, goals, skip, _) in enumerate(pairs(self._layer, x, y, self._dt, self._t_skip)):
                yield Chunk(part, goals, skip, number == 0)

    def state_dict(self) -> dict[str, int]:
        """How many chunks of this epoch are done; lightning keeps it in its checkpoints."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """The next epoch starts after as many chunks as `state_dict` says; after all of them with the first."""
        self._resumed = state_dict["done"] % max(len(self), 1)


class LayerModule(LightningModule):
    """A layer that lightning's `Trainer` fits, with its optimizers, schedulers, clipping, loggers, checkpoints and devices.

    By default every batch `(x, y)` is a set of sequences of their own: each starts at rest and leaves nothing behind, in
    whatever order they come. With `stream=True` batches are chunks of one recording after the other, from `chunks` or from a
    `DataLoader` that does not shuffle: the state goes on from batch to batch under the accepted parameters, starts at rest with
    every epoch and recording, is put aside while the Trainer validates (its sanity check included), and is part of its
    checkpoints. The parameters are then those of `layer.fit` with the same chunks. Declared ranges hold.

    Args:
        layer: the model.
        stream: whether batches follow on each other.
        optimizer: name, class or instance; None: the layer's own, from `set_optimizer`, or Adam(lr=0.01).
        loss_fn, t_skip, penalty: as for `layer.fit`.
        scheduler: a function that makes a learning-rate scheduler of torch from the optimizer; a step per epoch, one that looks
            at a loss looks at the validation's, or else the training's.
        options: of the optimizer, such as lr.
    Shape: as for the layer; a goal has that of the output.
    Logs: `train_loss`, `val_loss`, `test_loss`, without penalties.
    Raises: ParameterError, InputError, StateError.

    >>> import torch, neurosim
    >>> module = LayerModule(neurosim.filters.TemporalLowPass(), optimizer="SGD", lr=0.1)
    >>> module.layer.tau
    tau = 0.01 s
      range: [0, inf)
      time constant
    """

    def __init__(self, layer: Layer, *, stream: bool = False, optimizer: Any = None, loss_fn: Any = None, t_skip: int = 0,
                 penalty: Mapping[str, Penalty] | None = None, scheduler: Callable[[Any], Any] | None = None,
                 **options: Any) -> None:
        super().__init__()
        if not isinstance(layer, Layer):
            raise ParameterError("LayerModule", "layer", "must be a neurosim Layer; lightning takes other modules through a "
                                 "LightningModule of your own", type(layer).__name__)
        if optimizer is None and options:
            raise ParameterError("LayerModule", "optimizer", f"is needed with options of it, {list(options)}")
        self.layer, self.stream = layer, stream
        self.t_skip = whole("LayerModule", "t_skip", t_skip)
        self._optimizer, self._options, self._scheduler = optimizer, options, scheduler
        self._loss_fn, self._penalized = loss_function("LayerModule", loss_fn), penalties(layer, penalty)
        self._before: Any = None  # the state before the batch at work
        self._aside: Any = None  # the state of the training while something else is going on
        self._good: list[Tensor] = []

    def chunks(self, x: Any, y: Any, *, dt: int) -> Chunks:
        """Input and goal, or a list of each (several recordings), cut for the `Trainer` with `stream=True`.

        Args:
            x, y: arrays, tensors, sources or paths, as for `layer.fit`.
            dt: frames per chunk.
        Raises: InputError, ParameterError.
        """
        if not self.stream:
            raise ParameterError("LayerModule", "chunks", "follow on each other; build it with LayerModule(layer, stream=True)")
        return Chunks(self.layer, x, y, dt, self.t_skip)

    def forward(self, x: Any) -> Any:
        """The layer's output for one chunk."""
        return self.layer(x)

    # ---- the loss of a batch --------------------------------------------------------------------------------------
    def _chunk(self, batch: Any, where: str) -> Chunk:
        if isinstance(batch, Chunk):
            return batch
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            raise InputError(f"LayerModule.{where}: a batch must be (input, goal), or come from LayerModule.chunks (got "
                             f"{type(batch).__name__})")
        if self.stream and self.t_skip:
            raise ParameterError("LayerModule", "t_skip", "with stream=True is for batches from LayerModule.chunks")
        x, y = batch
        x = self.layer.axes.promote(x, f"LayerModule.{where}")
        goals = y if isinstance(y, Mapping) else {0: y}
        found = {}
        for name, goal in goals.items():
            axes = output_axes(self.layer, x, goal)
            found[name] = (axes.promote(goal, f"LayerModule.{where}: the goal"), axes)
        return Chunk(x, found, self.t_skip, False)

    def _output(self, chunk: Chunk) -> Any:
        x = chunk.x.to(self.device) if isinstance(chunk.x, Tensor) else chunk.x
        return self.layer(x) if self.stream else self.layer.advance(x)[0]

    def _counts(self, chunk: Chunk) -> bool:
        """Whether the loss counts any frame of it."""
        return bool(chunk.skip < chunk.x.shape[self.layer.axes.time])

    def _loss(self, chunk: Chunk) -> tuple[Tensor, int]:
        """The loss of a chunk and over how many frames."""
        y = self._output(chunk)
        goals = {name: (as_goal(self.layer, goal.to(self.device) if isinstance(goal, Tensor) else goal), axes)
                 for name, (goal, axes) in chunk.goals.items()}
        return loss_between(self.layer, y, goals, 0, chunk.skip, self._loss_fn)

    # ---- training -------------------------------------------------------------------------------------------------
    def configure_optimizers(self) -> Any:
        """The optimizer, and the scheduler if there is one."""
        optimizer = self._optimizer
        if optimizer is None:
            optimizer = self.layer.optimizer or made(self.layer, "Adam", lr=0.01)
        optimizer = made(self.layer, optimizer, **self._options)
        if not getattr(optimizer, "needs_gradient", True):
            raise ParameterError("LayerModule", "optimizer", "must go by gradients under lightning; layer.fit takes this one",
                                 type(optimizer).__name__)
        self._ranged = ranged([p for group in optimizer.param_groups for p in group["params"]])
        if self._scheduler is None:
            return optimizer
        validates = self.trainer.fit_loop.epoch_loop.val_loop._data_source.is_defined()
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self._scheduler(optimizer),
                                                         "monitor": "val_loss" if validates else "train_loss"}}

    def on_train_epoch_start(self) -> None:
        """A stream starts at rest. (lightning does not call this when it goes on within an epoch.)"""
        if self.stream:
            loader = self.trainer.train_dataloader
            if isinstance(getattr(loader, "sampler", None), torch.utils.data.RandomSampler):
                raise InputError("LayerModule: with stream=True the chunks have to come in their order, this DataLoader "
                                 "shuffles them; use DataLoader(..., shuffle=False)")
            self.layer.clear_state()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Keeps what the steps on this batch start from."""
        if self.stream and isinstance(batch, Chunk) and batch.begins:
            self.layer.clear_state()
        self._current = self._chunk(batch, "training_step")
        self._before = self.layer._snapshot()
        self._good = [p.detach().clone() for p, _ in self._ranged]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of a batch, from the same state however often the optimizer asks."""
        project(self._ranged, self._good)
        self.layer._restore(self._before)
        if not self._counts(self._current):
            return sum(0.0 * p.sum() for p in self.layer.parameters() if p.requires_grad)  # type: ignore[return-value]
        loss, counted = self._loss(self._current)
        if not torch.isfinite(loss.detach()):
            raise StateError(f"LayerModule: the loss became {loss.item()} in batch {batch_idx}; parameters are those of the "
                             "last good step. Try a smaller learning rate.")
        self.log("train_loss", loss.detach(), prog_bar=True, on_step=True, on_epoch=False, batch_size=counted)
        for value, penalty in self._penalized:
            loss = loss + penalty(value())
        return loss

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """A step, after which parameters are within their ranges and the state is the one under them."""
        if self._counts(self._current):
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        else:
            optimizer_closure()  # lightning wants it called; there is nothing to learn
        project(self._ranged, self._good)
        if self.stream:
            self.layer._restore(self._before)
            with torch.no_grad():
                self._output(self._current)

    # ---- everything else ------------------------------------------------------------------------------------------
    def _put_aside(self) -> None:
        if self.stream:
            self._aside = self.layer._snapshot()
            self.layer.clear_state()

    def _take_up(self) -> None:
        if self.stream:
            self.layer._restore(self._aside)
            self._aside = None

    def on_validation_start(self) -> None:
        """Puts the state of the training aside."""
        self._put_aside()

    def on_validation_end(self) -> None:
        """Takes it up again."""
        self._take_up()

    def on_test_start(self) -> None:
        """As for validation."""
        self._put_aside()

    def on_test_end(self) -> None:
        """As for validation."""
        self._take_up()

    def on_predict_start(self) -> None:
        """As for validation."""
        self._put_aside()

    def on_predict_end(self) -> None:
        """As for validation."""
        self._take_up()

    def _score(self, batch: Any, batch_idx: int, name: str) -> None:
        if self.stream and (batch_idx == 0 or (isinstance(batch, Chunk) and batch.begins)):
            self.layer.clear_state()
        chunk = self._chunk(batch, name)
        if self._counts(chunk):
            loss, counted = self._loss(chunk)
            self.log(name, loss, prog_bar=True, batch_size=counted)
        else:
            self._output(chunk)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Logs `val_loss`, the mean over frames."""
        self._score(batch, batch_idx, "val_loss")

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Logs `test_loss`, the mean over frames."""
        self._score(batch, batch_idx, "test_loss")

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """The layer's output for a batch, which may have a goal or not."""
        if self.stream and (batch_idx == 0 or (isinstance(batch, Chunk) and batch.begins)):
            self.layer.clear_state()
        x = batch.x if isinstance(batch, Chunk) else batch[0] if isinstance(batch, list | tuple) else batch
        return self._output(Chunk(x, {}, 0, False))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The state of the training goes into lightning's checkpoint, also of one that is written while it is put aside."""
        if self.stream:
            now = self.layer._snapshot()
            self.layer._restore(self._aside or now)
            checkpoint["neurosim_state"] = self.layer.get_state()
            self.layer._restore(now)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """And comes out of it."""
        if self.stream and "neurosim_state" in checkpoint:
            self.layer.set_state(checkpoint["neurosim_state"])
