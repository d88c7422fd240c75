"""Impulse responses of layers, in time and in space."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._axes import VIDEO
from .._errors import ParameterError
from ._canvas import CYCLE, SIGNED, colours, extent, span, subplots


def impulse_response(layer: Any, shape: tuple[int, ...], dt: int | None = None, *, amplitude: float = 1.0,
                     output: int | str = 0) -> Tensor:
    """Response from rest to an impulse at the first frame in the middle of an input of zeros, less that to zeros alone.

    The difference leaves the response itself where a layer's output is not zero at rest; noise is the same in both.

    Args:
        layer: any layer; its state and parameters are untouched.
        shape: (time, y, x) for videos, (time, feature) for signals.
        dt: frames per chunk.
        amplitude: of the impulse, in the unit of the input. A linear layer's response is proportional to it; spikes, rectified
            or adapting responses may need a large one.
        output: which one, by number or name.
    Returns: that output, all axes kept.
    Raises: as `run` of the layer.

    >>> import neurosim
    >>> impulse_response(neurosim.filters.Delay(2), (4, 1, 1), amplitude=3.0).flatten().tolist()
    [0.0, 0.0, 3.0, 0.0]
    """
    zeros = torch.zeros(shape, dtype=layer._place()[0])
    middle = (0, *(n // 2 for n in shape[1:]))
    pulse = zeros.clone()
    pulse[middle] = amplitude
    before = layer.get_state()
    try:
        responses = []
        for x in (pulse, zeros):
            layer.clear_state()
            responses.append(layer.run(x.to(layer._place()[1]), dt)[output])
    finally:
        layer.set_state(before)
    return responses[0] - responses[1]


def impulse(layer: Any, shape: tuple[int, ...] = (500, 10, 10), dt: int | None = None, *, amplitude: float = 1.0,
            output: int | str = 0) -> Any:
    """The impulse response over time: of videos at the place of the impulse and to its right, of signals each feature.

    Args:
        layer, shape, dt, amplitude, output: as for `impulse_response`.
    Returns: the matplotlib figure. Of more than six features the first six are drawn.
    Raises: as `run` of the layer.

    >>> import matplotlib.pyplot as plt, neurosim
    >>> figure = impulse(neurosim.filters.TemporalLowPass(tau=0.02), (100, 5, 5))
    >>> figure.axes[0].get_xlabel()
    'time after the impulse (ms)'
    >>> plt.close(figure)
    """
    y = impulse_response(layer, shape, dt, amplitude=amplitude, output=output).detach().cpu().double()
    if y.ndim == len(VIDEO.names):
        y = y[0, 0]
        row, column = (n // 2 for n in y.shape[1:])
        distances = [away / layer.resolution.pixels_per_degree for away in range(min(4, y.shape[2] - column))]
        curves = {f"{far:.3g} deg further" if far else "at the impulse": y[:, row, column + away]
                  for away, far in enumerate(distances)}
    else:
        curves = {f"feature {i}": y.select(layer.axes.batch, 0)[:, i] for i in range(min(y.shape[2], len(CYCLE)))}
    figure, ((panel,),) = subplots(figsize=(6, 3.5))
    for (label, curve), colour in zip(curves.items(), CYCLE, strict=False):
        panel.plot(np.arange(len(curve)) * layer.resolution.frame * 1e3, curve.numpy(), color=colour, label=label)
    panel.set(xlabel="time after the impulse (ms)", ylabel=f"{type(layer).__name__}: response")
    if not y.any():
        panel.set_title(f"no response to an impulse of {amplitude:g}; try another amplitude", fontsize=10)
    panel.legend(fontsize="small")
    panel.grid(alpha=0.3)
    return figure


def impulse_space(layer: Any, shape: tuple[int, ...] = (50, 20, 20), dt: int | None = None, *, amplitude: float = 1.0,
                  output: int | str = 0) -> Any:
    """The impulse response over space, at the frame where it is largest.

    Args:
        layer: a layer on videos.
        shape, dt, amplitude, output: as for `impulse_response`.
    Returns: the matplotlib figure.
    Raises: ParameterError for a layer on signals, which has no space; errors of the layer's `run`.

    >>> import matplotlib.pyplot as plt, neurosim
    >>> figure = impulse_space(neurosim.filters.SpatialRecursive(sigma=0.2), (3, 15, 15))
    >>> figure.axes[0].get_title()
    'SpatialRecursive, 0 ms after the impulse'
    >>> plt.close(figure)
    """
    if layer.axes != VIDEO:
        raise ParameterError(type(layer).__name__, "plot_impulse_space", "needs a layer on videos")
    y = impulse_response(layer, shape, dt, amplitude=amplitude, output=output).detach().cpu().double()[0, 0]
    best = int(y.abs().flatten(1).amax(1).argmax())
    low, high = span(y[best].numpy(), symmetric=True)
    figure, ((panel,),) = subplots(figsize=(4.6, 3.8))
    image = panel.imshow(y[best].numpy(), cmap=colours(SIGNED), vmin=low, vmax=high,
                         extent=extent(y.shape[1:], layer.resolution))
    found = (f"{best * layer.resolution.frame * 1e3:g} ms after the impulse" if y.any()
             else f"no response to an impulse of {amplitude:g}")
    panel.set(xlabel="x (deg)", ylabel="y (deg)", title=f"{type(layer).__name__}, {found}")
    figure.colorbar(image, label="response")
    return figure
