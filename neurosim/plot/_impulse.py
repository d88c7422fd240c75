"""Impulse responses of layers, in time and in space."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._axes import VIDEO
from .._errors import ParameterError
from ._canvas import CYCLE, SIGNED, colours, extent, span, subplots


def impulse_response(layer: Any, shape: tuple[int, ...], dt: int | None = None) -> Tensor:
    """Response from rest to 1 at the first frame in the middle of an input of zeros, less that to zeros alone.

    The difference leaves the response itself where a layer's output is not zero at rest.

    Args:
        layer: any layer; its state and parameters are untouched.
        shape: (time, y, x) for videos, (time, feature) for signals.
        dt: frames per chunk.
    Returns: the first output, all axes kept.
    Raises: as `run` of the layer.

    >>> import neurosim
    >>> impulse_response(neurosim.filters.Delay(2), (4, 1, 1)).flatten().tolist()
    [0.0, 0.0, 1.0, 0.0]
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
    """The impulse response over time at the stimulated place and at its neighbours to the right.

    Args:
        layer, shape, dt: as for `impulse_response`.
    Returns: the matplotlib figure.
    Raises: as `run` of the layer.

    >>> import matplotlib.pyplot as plt, neurosim
    >>> figure = impulse(neurosim.filters.TemporalLowPass(tau=0.02), (100, 5, 5))
    >>> figure.axes[0].get_xlabel()
    'time after the impulse (ms)'
    >>> plt.close(figure)
    """
    y = impulse_response(layer, shape, dt).detach().cpu().double()
    y = y.movedim(layer.axes.time, 0)[:, 0] if layer.axes is not VIDEO else y[0, 0]
    t = np.arange(len(y)) * layer.resolution.frame * 1e3
    figure, ((panel,),) = subplots(figsize=(6, 3.5))
    middle = tuple(n // 2 for n in y.shape[1:])
    for away, colour in enumerate(CYCLE[:min(4, y.shape[-1] - middle[-1])]):
        place = (*middle[:-1], middle[-1] + away)
        distance = f"{away / layer.resolution.pixels_per_degree:.3g} deg" if layer.axes is VIDEO else str(away)
        panel.plot(t, y.flatten(1)[:, int(np.ravel_multi_index(place, y.shape[1:]))].numpy(), color=colour,
                   label="at the impulse" if away == 0 else f"{distance} further")
    panel.set(xlabel="time after the impulse (ms)", ylabel=f"{type(layer).__name__}: response")
    panel.legend(fontsize="small")
    panel.grid(alpha=0.3)
    return figure


def impulse_space(layer: Any, shape: tuple[int, ...] = (50, 20, 20), dt: int | None = None) -> Any:
    """The impulse response over space, at the frame where it is largest.

    Args:
        layer: a layer on videos.
        shape, dt: as for `impulse_response`.
    Returns: the matplotlib figure.
    Raises: ParameterError for a layer on signals, which has no space; errors of the layer's `run`.

    >>> import matplotlib.pyplot as plt, neurosim
    >>> figure = impulse_space(neurosim.filters.SpatialRecursive(sigma=0.2), (3, 15, 15))
    >>> figure.axes[0].get_title()
    'SpatialRecursive, 0 ms after the impulse'
    >>> plt.close(figure)
    """
    if layer.axes is not VIDEO:
        raise ParameterError(type(layer).__name__, "plot_impulse_space", "needs a layer on videos")
    y = impulse_response(layer, shape, dt).detach().cpu().double()[0, 0]
    best = int(y.abs().flatten(1).amax(1).argmax())
    low, high = span(y[best].numpy(), symmetric=True)
    figure, ((panel,),) = subplots(figsize=(4.6, 3.8))
    image = panel.imshow(y[best].numpy(), cmap=colours(SIGNED), vmin=low, vmax=high,
                         extent=extent(y.shape[1:], layer.resolution))
    panel.set(xlabel="x (deg)", ylabel="y (deg)",
              title=f"{type(layer).__name__}, {best * layer.resolution.frame * 1e3:g} ms after the impulse")
    figure.colorbar(image, label="response")
    return figure
