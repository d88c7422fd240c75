"""The landscape of a loss over two parameters, and the path of an optimizer on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .._errors import NeurosimError, ParameterError, UnknownName
from ..streams.base import whole
from ._canvas import LEVELS, ORANGE, PURPLE, SKY, array, colours, subplots

Limits = tuple[float, float]
PATHS = ("white", SKY, "#F0E442", PURPLE)  # seen on blue and on yellow ground, with their marks


def loss_landscape(layer: Any, x: Any, y: Any, params: Sequence[str], *, ranges: Sequence[Limits] | None = None,
                   points: int = 25, path: Any = None, loss_fn: Callable[..., Any] | None = None, dt: int | None = None,
                   t_skip: int = 0) -> Any:
    """The loss over a grid of two parameters: filled contours on a logarithmic scale, with its minimum marked.

    Args:
        layer: the model; its parameters, state and optimizer are afterwards what they were, to the bit.
        x, y: input and goal, arrays or tensors, as for `compute_loss`.
        params: two paths of parameters that are single numbers, such as ("conv.bias", "nonlinearity.scale").
        ranges: (low, high) for each; when not given, around the present value and the path, within the declared range.
        points: values of each parameter.
        path: values that an optimizer went through, (steps, 2), drawn with its start and its end; or several by name.
        loss_fn, dt, t_skip: as for `compute_loss`.
    Returns: the matplotlib figure. Where the model refuses the values, or the loss is not a number, nothing is drawn. A loss
        that is not positive everywhere is shown above its minimum.
    Raises: ParameterError, UnknownName, and the errors of `compute_loss` for input and goal.

    >>> import matplotlib.pyplot as plt, neurosim, torch
    >>> x = torch.linspace(-1, 1, 30)[:, None, None]
    >>> line = neurosim.filters.NLRectifyScale(scale=2.0, bias=0.5)
    >>> goal = line.run(x)[0]
    >>> line.p.scale = 1.0
    >>> figure = loss_landscape(line, x, goal, ("scale", "bias"), points=9, path=[(1.0, 0.0), (1.6, 0.3), (2.0, 0.5)])
    >>> figure.axes[0].get_xlabel(), line.p.scale.item()
    ('scale', 1.0)
    >>> plt.close(figure)
    """
    where = "plot.loss_landscape"
    names = _two(layer, params)
    whole(where, "points", points, 2)
    paths = {name: _path(one) for name, one in (path if isinstance(path, Mapping) else {"path": path}).items()}
    steps = np.concatenate([np.empty((0, 2)), *paths.values()])
    now = [float(_value(layer, name)) for name in names]
    if ranges is None:
        ranges = [_around(layer, name, here, steps[:, i]) for i, (name, here) in enumerate(zip(names, now, strict=True))]
    axes = [_grid(i, limits, points) for i, limits in enumerate(_pair(ranges))]
    losses = _losses(layer, names, axes, lambda: layer.compute_loss(x, y, dt=dt, loss_fn=loss_fn, t_skip=t_skip))
    figure, ((panel,),) = subplots(figsize=(6.4, 4.8))
    _contours(figure, panel, axes, losses)
    b, a = np.unravel_index(int(np.nanargmin(losses)), losses.shape)
    panel.plot(axes[0][a], axes[1][b], marker="*", markersize=15, color=ORANGE, markeredgecolor="white", linestyle="none",
               label=f"minimum of the grid, {losses[b, a]:.3g}")
    for (name, steps), colour in zip(paths.items(), itertools.cycle(PATHS)):
        if len(steps):
            panel.plot(*steps.T, color=colour, linewidth=1.4, marker="." if len(steps) <= 200 else None, markersize=4,
                       label=f"{name}, {len(steps)} steps")
            panel.plot(*steps[0], marker="o", color=colour, markersize=7, markeredgecolor="black", linestyle="none",
                       label="start" if colour == PATHS[0] else None)
            panel.plot(*steps[-1], marker="X", color=colour, markersize=9, markeredgecolor="black", linestyle="none",
                       label="end" if colour == PATHS[0] else None)
    units = [_unit(layer, name) for name in names]
    panel.set(xlabel=f"{names[0]}{units[0]}", ylabel=f"{names[1]}{units[1]}", xlim=axes[0][[0, -1]], ylim=axes[1][[0, -1]])
    panel.legend(fontsize=8, facecolor="0.35", labelcolor="white", loc="best")
    return figure


def _two(layer: Any, params: Sequence[str]) -> list[str]:
    names = [params] if isinstance(params, str) else list(params)
    if len(names) != 2 or names[0] == names[1]:
        raise ParameterError("plot.loss_landscape", "params", "must be two different paths", params)
    for name in names:
        if name not in layer.p:
            raise UnknownName("plot.loss_landscape.params", name, layer.p.keys())
        if _value(layer, name).size != 1:
            raise ParameterError("plot.loss_landscape", "params", f"must be single numbers; {name} has another shape",
                                 _value(layer, name).shape)
    return names


def _value(layer: Any, name: str) -> np.ndarray:
    return array("plot.loss_landscape", name, layer.p[name])


def _unit(layer: Any, name: str) -> str:
    unit = getattr(getattr(layer.p[name], "spec", None), "unit", "")
    return f" ({unit})" if unit else ""


def _pair(ranges: Sequence[Limits]) -> list[Limits]:
    found = list(ranges)
    if len(found) != 2:
        raise ParameterError("plot.loss_landscape", "ranges", "must be two pairs (low, high)", ranges)
    return found


def _grid(i: int, limits: Limits, points: int) -> np.ndarray:
    if len(limits) != 2 or not (np.isfinite(limits).all() and limits[0] < limits[1]):
        raise ParameterError("plot.loss_landscape", f"ranges[{i}]", "must be two finite numbers, low below high", limits)
    return np.linspace(float(limits[0]), float(limits[1]), points)


def _path(path: Any) -> np.ndarray:
    if path is None or not len(path):
        return np.empty((0, 2))
    steps = array("plot.loss_landscape", "path", path)
    if steps.ndim != 2 or steps.shape[1] != 2 or not np.isfinite(steps).all():
        raise ParameterError("plot.loss_landscape", "path", "must be (steps, 2), finite", steps.shape)
    return steps


def _around(layer: Any, name: str, here: float, path: np.ndarray) -> Limits:
    """A range that holds the present value and the path, with room; values that the parameter refuses are left out."""
    low, high = min([here, *path]), max([here, *path])
    room = max(0.4 * (high - low), 0.0 if len(path) else abs(here), 1e-3 * abs(here)) or 1.0
    spec = getattr(layer.p[name], "spec", None)
    low, high = low - room, high + room
    if spec is not None and (least := spec.above if spec.above is not None else spec.at_least) is not None:
        low = max(low, least if spec.above is None else least + 1e-3 * (high - least))
    if spec is not None and spec.at_most is not None:
        high = min(high, spec.at_most)
    return low, high


def _losses(layer: Any, names: list[str], axes: list[np.ndarray], loss: Callable[[], float]) -> np.ndarray:
    """The losses (second parameter, first parameter); parameters are put back."""
    loss()  # input and goal that do not fit are refused before anything changes
    losses = np.full((len(axes[1]), len(axes[0])), np.nan)
    before = layer._raw_parameters()
    refused: NeurosimError | None = None
    try:
        with torch.no_grad():
            for b, second in enumerate(axes[1]):
                for a, first in enumerate(axes[0]):
                    try:
                        layer.p[names[0]], layer.p[names[1]] = float(first), float(second)
                        losses[b, a] = loss()
                    except NeurosimError as error:  # values that the parameter or the model refuses: a hole
                        refused = error
    finally:
        layer._set_raw_parameters(before)
    losses[~np.isfinite(losses)] = np.nan
    if np.isnan(losses).all():
        raise ParameterError("plot.loss_landscape", "ranges", "the loss is a number nowhere on this grid; choose others"
                             + (f" ({refused})" if refused else ""))
    return losses


def _contours(figure: Any, panel: Any, axes: list[np.ndarray], losses: np.ndarray) -> None:
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    low, high, label = float(np.nanmin(losses)), float(np.nanmax(losses)), "loss"
    shown = losses
    if low <= 0 and high > low:  # a logarithm needs room above zero
        floor = 1e-4 * (high - low)
        shown, label = np.maximum(losses - low, floor), f"loss above its minimum of {low:.4g}"
        low, high = floor, high - low
    if not high > low:
        panel.contourf(*axes, shown, cmap=colours(LEVELS))
        panel.set_title(f"the loss is {high:.4g} everywhere", fontsize=10)
        return
    drawn = panel.contourf(*axes, np.ma.masked_invalid(shown), levels=np.geomspace(low, high * (1 + 1e-9), 30),
                           norm=LogNorm(low, high), cmap=LEVELS)
    decades = np.log10(high / low)
    bar = figure.colorbar(drawn, label=label)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0)))
    bar.ax.yaxis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(10, 10)))
    bar.ax.minorticks_off()
