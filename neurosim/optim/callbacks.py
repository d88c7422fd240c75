"""What may look on while a layer is fitted."""

from __future__ import annotations

from typing import Any

from .history import History


class Callback:
    """Looks on while `layer.fit` works: fill in what you need.

    >>> import neurosim, torch
    >>> class Tell(Callback):
    ...     def begin(self, layer, history):
    ...         print("from", float(layer.gain))
    ...     def epoch(self, layer, history):
    ...         print(history.epochs[-1], round(float(layer.gain), 3))
    >>> class Gain(neurosim.Layer):
    ...     gain = neurosim.Param(0.0, doc="gain")
    ...     def forward(self, x):
    ...         return self.gain * x
    >>> layer = Gain()
    >>> layer.set_optimizer.SGD(lr=0.25)
    >>> history = layer.fit(torch.ones(10, 2, 2), torch.ones(10, 2, 2), epochs=2, callbacks=[Tell()])
    from 0.0
    1 0.5
    2 0.75
    """

    def begin(self, layer: Any, history: History) -> None:
        """Before the first epoch of fitting `layer`, with what an earlier part of a resumed fit left in `history`."""

    def epoch(self, layer: Any, history: History) -> None:
        """After each epoch of fitting `layer`; its numbers are the last ones of `history`."""

    def end(self, layer: Any, history: History) -> None:
        """After the last epoch, with the whole `history`; the layer has the parameters that it keeps."""
