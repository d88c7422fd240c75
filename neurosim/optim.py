"""Fitting a layer: choosing an optimizer with Tab, and the loop over chunks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ._axes import to_tensor
from ._drive import Feed
from ._errors import InputError, ParameterError, StateError, UnknownName
from ._output import Output
from ._param import declared
from ._stacks import Remembering
from ._tree import Shown
from .streams.base import whole

__all__ = ["OptimizerSelector", "mean_squared_error"]

Loss = Callable[[Tensor, Tensor], Tensor]


def mean_squared_error(output: Tensor, goal: Tensor) -> Tensor:
    """Mean of (output - goal)^2 over all elements."""
    return torch.nn.functional.mse_loss(output, goal)


def _optimizers() -> dict[str, type[torch.optim.Optimizer]]:
    return {name: value for name, value in vars(torch.optim).items()
            if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer}


class OptimizerSelector:
    """`layer.set_optimizer.<Tab>` lists the optimizers of torch; calling one binds the layer's parameters.

    >>> import neurosim
    >>> layer = neurosim.filters.TemporalLowPass()
    >>> layer.set_optimizer.Adam(lr=0.01)
    >>> type(layer.optimizer).__name__
    'Adam'
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __dir__(self) -> list[str]:
        return sorted(_optimizers())

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        known = _optimizers()
        if name not in known:
            raise UnknownName("set_optimizer", name, sorted(known))

        @functools.wraps(known[name])
        def choose(*args: Any, **kwargs: Any) -> None:
            self(known[name], *args, **kwargs)

        return choose

    def __call__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Binds an optimizer: an instance, or a class (or its name in torch.optim) with its arguments.

        The first argument may be the parameters to fit; without it they are all that require gradients.
        Raises: ParameterError, UnknownName.
        """
        if isinstance(optimizer, torch.optim.Optimizer):
            self._layer.optimizer = optimizer
            return
        if isinstance(optimizer, str):
            getattr(self, optimizer)(*args, **kwargs)
            return
        if not (inspect.isclass(optimizer) and issubclass(optimizer, torch.optim.Optimizer)):
            raise ParameterError("set_optimizer", "optimizer", "must be a torch optimizer, its class or its name",
                                 optimizer)
        if not args and "params" not in kwargs:
            fitted = [x for x in self._layer.parameters() if x.requires_grad]
            if not fitted:
                raise ParameterError("set_optimizer", "params", "no parameter requires a gradient; call "
                                     "layer.requires_grad_(True) or pass the parameters to fit")
            args = (fitted,)
        elif args and isinstance(args[0], Tensor):
            args = ([args[0]], *args[1:])
        elif args and not isinstance(args[0], Iterable):
            raise ParameterError("set_optimizer", "params", "give options by name, set_optimizer.SGD(lr=0.1)", args[0])
        self._layer.optimizer = optimizer(*args, **kwargs)

    def __repr__(self) -> str:
        return f"set_optimizer.<one of {', '.join(dir(self))}>(options)"


class Fitting(Remembering):
    """The part of a layer that fits its parameters to a goal."""

    axes: Any
    run: Any

    set_optimizer = Shown(OptimizerSelector, "Chooses the optimizer: `layer.set_optimizer.Adam(lr=0.01)`.")

    def optimize(self, x: Any, y: Any, *, dt: int | None = None, optimizer: torch.optim.Optimizer | None = None,
                 loss_fn: Loss | None = None, t_skip: int = 0) -> list[float]:
        """One step of the optimizer per chunk.

        The step's closure runs the chunk from the same state however often the optimizer asks; the state carried on
        is the one under the accepted parameters.

        Args:
            x: input, as for `run`.
            y: goal, what the (first) output should be: array, tensor or source with the same number of frames.
            dt: frames per chunk, through which gradients go; None for one chunk.
            optimizer: instead of the one chosen by `set_optimizer`.
            loss_fn: `loss_fn(output, goal)`, a scalar; the mean squared error when not given.
            t_skip: so many first frames of the input do not count in the loss.
        Returns: the loss of every chunk before its step.
        Raises: ParameterError, InputError, StateError; state and parameters are then those of the last good chunk.
        """
        optimizer = optimizer or self.optimizer
        if optimizer is None:
            raise ParameterError(type(self).__name__, "optimize", "has no optimizer; choose one first, such as "
                                 "layer.set_optimizer.Adam(lr=0.01), or pass optimizer=")
        losses = []
        for part, goal, skip in self._pairs(x, y, dt, t_skip):
            if skip >= goal.shape[self.axes.time]:  # nothing counts yet: only the state goes on
                with torch.no_grad():
                    self(part)
                continue
            losses.append(self._one_step(optimizer, part, goal, skip, loss_fn or mean_squared_error))
        return losses

    def compute_loss(self, x: Any, y: Any, *, dt: int | None = None, loss_fn: Loss | None = None,
                     t_skip: int = 0) -> float:
        """The loss over the whole input, from the present state; without side effects.

        Arguments and errors as for `optimize`. Returns: the mean of the chunks' losses, weighted by their frames.
        """
        before = self._snapshot()
        total, frames = 0.0, 0
        try:
            with torch.no_grad():
                for part, goal, skip in self._pairs(x, y, dt, t_skip):
                    out = _first(self(part))
                    n = goal.shape[self.axes.time] - skip
                    if n > 0:
                        total += n * float(self._loss(out, goal, skip, loss_fn or mean_squared_error))
                        frames += n
        finally:
            self._restore(before)
        if not frames:
            raise InputError(f"{type(self).__name__}.compute_loss: no frame is left to score; t_skip={t_skip}")
        return total / frames

    def _pairs(self, x: Any, y: Any, dt: int | None, t_skip: int) -> Any:
        """Chunks of input and goal, and how many first frames of each do not count."""
        where = type(self).__name__
        whole(where, "t_skip", t_skip)
        inputs, goals = Feed(x, self.axes, dt, None, where), Feed(y, self.axes, dt, None, f"{where}: the goal")
        try:
            if inputs.total != goals.total:
                raise InputError(f"{where}: input and goal must have the same number of frames "
                                 f"(got {inputs.total} and {goals.total})")
            start = 0
            for part, goal in zip(inputs, goals, strict=True):
                frames = part.shape[self.axes.time]
                yield part, self._goal(goal), min(max(t_skip - start, 0), frames)
                start += frames
        finally:
            inputs.close()
            goals.close()

    def _goal(self, goal: Any) -> Tensor:
        some = next(iter(self.parameters()), None)
        dtype, device = (torch.get_default_dtype(), None) if some is None else (some.dtype, some.device)
        target = to_tensor(goal, dtype, device, f"{type(self).__name__}: the goal").detach()
        if not bool(torch.isfinite(target).all()):
            raise InputError(f"{type(self).__name__}: the goal holds NaN or infinite values; leave those frames out "
                             "(t_skip) or replace them")
        return target

    def _loss(self, out: Tensor, goal: Tensor, skip: int, loss_fn: Loss) -> Tensor:
        if out.shape != goal.shape:
            raise InputError(f"{type(self).__name__}: the goal must have the shape of the output, {tuple(out.shape)} "
                             f"(got {tuple(goal.shape)})")
        time, n = self.axes.time, out.shape[self.axes.time]
        return loss_fn(out.narrow(time, skip, n - skip), goal.narrow(time, skip, n - skip))

    def _check_ranges(self) -> None:
        """Raises ParameterError when a step has left the declared range of a parameter."""
        for path, module in self.named_modules():
            for name, spec in declared(type(module)).items():
                value = module._parameters.get(name)
                if value is not None and value.requires_grad:
                    try:
                        spec.check(path or type(module).__name__, value.detach())
                    except ParameterError as error:
                        raise ParameterError(type(self).__name__, "optimize", f"a step left the range: {error}. Parameters are "
                                             "back at their last good values; take smaller steps, or hold the range with "
                                             "torch.nn.utils.parametrize") from None

    def _one_step(self, optimizer: torch.optim.Optimizer, part: Any, goal: Tensor, skip: int, loss_fn: Loss) -> float:
        before, good = self._snapshot(), self._raw_parameters()
        losses: list[float] = []

        def closure() -> Tensor:
            self._restore(before)
            optimizer.zero_grad()
            loss = self._loss(_first(self(part)), goal, skip, loss_fn)
            losses.append(loss.item())
            if not torch.isfinite(loss):
                raise StateError(f"{type(self).__name__}.optimize: the loss became {loss.item()}; parameters are back at "
                                 "their last good values. Try a smaller learning rate.")
            loss.backward()
            return loss

        try:
            with torch.enable_grad():
                optimizer.step(closure)  # type: ignore[arg-type]
            self._check_ranges()
            self._restore(before)
            with torch.no_grad():
                self(part)
        except BaseException:
            self._restore(before)
            self._set_raw_parameters(good)
            raise
        return losses[0]


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, Output) else output
