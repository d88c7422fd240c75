"""Pictures of outputs and impulse responses. matplotlib is imported when a picture is made, not before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._axes import VIDEO, Axes
from ._errors import ParameterError

__all__ = ["impulse", "impulse_response", "impulse_space", "time_courses"]


def time_courses(values: Mapping[str, Tensor], axes: Axes = VIDEO, frame: float = 0.001, start: int = 0) -> Any:
    """One panel per output: its mean over pixels (or features) against time, with the range as a band.

    Args:
        values: tensors by name, all axes kept.
        axes: kind of the data.
        frame: seconds per frame.
        start: number of the first frame.
    Returns: the matplotlib figure.
    Raises: ParameterError when there is nothing to plot.
    """
    import matplotlib.pyplot as plt

    shown = {name: x.detach().cpu().double().movedim(axes.time, 0).flatten(1) for name, x in values.items()
             if x.shape[axes.time] and x.numel()}
    if not shown:
        raise ParameterError("plot", "values", "there is no frame to plot")
    figure, panels = plt.subplots(len(shown), 1, sharex=True, squeeze=False, figsize=(8, 1.0 + 1.8 * len(shown)),
                                  layout="constrained")
    for panel, (name, x) in zip(panels[:, 0], shown.items(), strict=True):
        t = (start + np.arange(len(x))) * frame
        if x.shape[1] > 1:
            panel.fill_between(t, x.min(1).values.numpy(), x.max(1).values.numpy(), alpha=0.25, linewidth=0,
                               label="range")
        panel.plot(t, x.mean(1).numpy(), label="mean" if x.shape[1] > 1 else None)
        panel.set_ylabel(name)
        panel.grid(alpha=0.3)
    if any(x.shape[1] > 1 for x in shown.values()):
        panels[0, 0].legend(loc="upper right", fontsize="small")
    panels[-1, 0].set_xlabel("time (s)")
    return figure


def impulse_response(layer: Any, shape: tuple[int, ...], dt: int | None = None) -> Tensor:
    """Response from rest to 1 at the first frame in the middle of an input of zeros, less that to zeros alone.

    The difference leaves the response itself where a layer's output is not zero at rest.

    Args:
        layer: any layer; its state and parameters are untouched.
        shape: (time, y, x) for videos, (time, feature) for signals.
        dt: frames per chunk.
    Returns: the first output, all axes kept.
    """
    zeros = torch.zeros(shape, dtype=layer._place()[0])
    middle = (0, *(n // 2 for n in shape[1:]))
    pulse = zeros.clone()
    pulse[middle] = 1.0
    before = layer.get_state()
    try:
        responses = []
        for x in (pulse, zeros):
            layer.clear_state()
            responses.append(layer.run(x.to(layer._place()[1]), dt)[0])
    finally:
        layer.set_state(before)
    return responses[0] - responses[1]


def impulse(layer: Any, shape: tuple[int, ...] = (500, 10, 10), dt: int | None = None) -> Any:
    """The impulse response over time at the stimulated place and its neighbours. Returns the figure."""
    import matplotlib.pyplot as plt

    y = impulse_response(layer, shape, dt).detach().cpu()
    y = y.movedim(layer.axes.time, 0)[:, 0] if layer.axes is not VIDEO else y[0, 0]
    t = np.arange(len(y)) * layer.resolution.frame * 1e3
    figure, panel = plt.subplots(figsize=(6, 3.5), layout="constrained")
    middle = tuple(n // 2 for n in y.shape[1:])
    for away in range(min(4, y.shape[-1] - middle[-1])):
        place = (*middle[:-1], middle[-1] + away)
        panel.plot(t, y.flatten(1)[:, int(np.ravel_multi_index(place, y.shape[1:]))].numpy(), alpha=1.0 if away == 0 else 0.5,
                   label="at the impulse" if away == 0 else f"{away} further")
    panel.set(xlabel="time after the impulse (ms)", ylabel=f"{type(layer).__name__}: response")
    panel.legend(fontsize="small")
    panel.grid(alpha=0.3)
    return figure


def impulse_space(layer: Any, shape: tuple[int, ...] = (50, 20, 20), dt: int | None = None) -> Any:
    """The impulse response over space, at the frame where it is largest. Returns the figure.

    Raises: ParameterError for a layer on signals, which has no space.
    """
    import matplotlib.pyplot as plt

    if layer.axes is not VIDEO:
        raise ParameterError(type(layer).__name__, "plot_impulse_space", "needs a layer on videos")
    y = impulse_response(layer, shape, dt).detach().cpu()[0, 0]
    best = int(y.abs().flatten(1).amax(1).argmax())
    degrees = [n / layer.resolution.pixels_per_degree for n in y.shape[1:]]
    limit = float(y[best].abs().max()) or 1.0
    figure, panel = plt.subplots(figsize=(4.6, 3.8), layout="constrained")
    image = panel.imshow(y[best].numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit, origin="upper",
                         extent=(0.0, degrees[1], degrees[0], 0.0))
    panel.set(xlabel="x (deg)", ylabel="y (deg)",
              title=f"{type(layer).__name__}, {best * layer.resolution.frame * 1e3:g} ms after the impulse")
    figure.colorbar(image, label="response")
    return figure
