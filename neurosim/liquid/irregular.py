"""Irregularly sampled recordings as streams: the elapsed time of each step is a feature of the signal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._errors import InputError, ParameterError
from ..layer import Layer


class Irregular(Layer):
    """A model on signals one feature of which is the time that passes in each step, in seconds.

    `run`, `stream` and a `Runner` then see one signal, and irregular recordings go through them in chunks like any other.

    Args:
        inner: `LTC`, `CfC`, or any model that takes `timespans`, such as a `Sequential` or `Bidirectional` of them.
        feature: number of the feature that holds the time spans; the model gets the others.
        resolution: instead of that of the model.
    Shape: signal (batch, time, 1 + inputs) to what the model gives for (batch, time, inputs), in its layout.
    Raises: ParameterError, InputError for a signal without such a feature, and for time spans that are negative.
    Reference: that of the model, whose step lasts as long as the time span.

    >>> import neurosim, torch
    >>> from neurosim.liquid import LTC, AutoNCP, Irregular
    >>> model = Irregular(LTC(2, AutoNCP(16, 3)), feature=0)
    >>> recording = torch.rand(50, 3)                             # seconds, and two inputs
    >>> model.run(recording, dt=7)[0].shape
    torch.Size([1, 50, 3])
    >>> sorted(model.takes), model.takes_unbatched
    (['lengths'], True)
    """

    def __init__(self, inner: Layer, feature: int = -1, *, resolution: Any = None) -> None:
        if not isinstance(inner, Layer) or "timespans" not in inner.takes or "feature" not in inner.axes.names:
            raise ParameterError("Irregular", "inner", "must be a model of signals that takes timespans, such as an LTC, a CfC "
                                 "or a Sequential of them", inner)
        super().__init__(resolution=resolution or inner.resolution)
        self.inner, self.feature, self.axes = inner, int(feature), inner.axes

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        """What the model takes besides the time spans."""
        return self.inner.takes - {"timespans"}

    @property
    def takes_unbatched(self) -> bool:  # type: ignore[override]
        """As the model."""
        return self.inner.takes_unbatched

    def forward(self, x: Tensor, **given: Any) -> Any:
        """What the model gives."""
        features = x.shape[2]
        if not -features <= self.feature < features:
            raise InputError(f"Irregular: the time spans are feature {self.feature} of the signal, which has {features}")
        column = self.feature % features
        rest = torch.cat([x[:, :, :column], x[:, :, column + 1:]], 2)
        return self.inner(rest, timespans=x[:, :, column], **given)

    def _flow(self) -> list[tuple[str, str]]:
        return [("", "inner"), ("inner", "")]
