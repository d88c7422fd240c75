"""A convolutional network for ganglion cells' responses: two rectified convolutions and a linear readout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..filters import RF, Conv3d, NLRectify
from ..layer import Layer
from ..plot._graph import chain
from ..streams.base import shape_of, whole


class McIntosh(Layer):
    """Two rectified convolutions, `conv1` and `conv2`, and a linear `readout` of all channels and pixels.

    Without `frame` the readout takes the mean of each channel over the frame, whatever its size; `readout.set_weight`
    puts weights for every pixel in its place, (out, channel, 1, y, x), with `flip=False` when they lie as one sees them.

    Args:
        filter_size: (time, y, x) of the first kernels.
        random_init: kernels drawn from a normal distribution, scaled by 1 / sqrt(weights per output); else zeros.
        out_channels: cells.
        filter_2_size: (time, y, x) of the second kernels.
        layer1_channels, layer2_channels: types of subunits.
        frame: (y, x), for a readout with one weight for every pixel; all weights start at one over the pixels.
        in_channels: channels of the input.
        seed: of the random kernels.
    Shape: video (batch, in, time, y, x) to (batch, 1, time, 1, cell).
    Raises: ParameterError, InputError, StateError.
    Reference: McIntosh et al., NIPS 29 (2016), as built in convis; there the weights of the readout start at one.

    >>> import neurosim, torch
    >>> model = neurosim.models.McIntosh((5, 3, 3), out_channels=4, layer1_channels=2, layer2_channels=3)
    >>> model.run(torch.rand(20, 8, 8), dt=6)[0].shape
    torch.Size([1, 1, 20, 1, 4])
    """

    def __init__(self, filter_size: tuple[int, int, int] = (10, 5, 5), random_init: bool = True, out_channels: int = 1,
                 filter_2_size: tuple[int, int, int] = (1, 1, 1), layer1_channels: int = 8, layer2_channels: int = 16, *,
                 frame: tuple[int, int] | None = None, in_channels: int = 1, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        for what, n in (("layer1_channels", layer1_channels), ("layer2_channels", layer2_channels),
                        ("out_channels", out_channels), ("in_channels", in_channels)):
            whole("McIntosh", what, n, 1)
        options["resolution"] = self.resolution
        self.conv1 = Conv3d(in_channels, layer1_channels, filter_size, **options)
        self.nonlinearity1 = NLRectify(**options)
        self.conv2 = Conv3d(layer1_channels, layer2_channels, filter_2_size, **options)
        self.nonlinearity2 = NLRectify(**options)
        size = (1, 1) if frame is None else shape_of("McIntosh", "frame", frame)
        self.readout = RF(layer2_channels, out_channels, (1, *size), **options)
        g = torch.Generator().manual_seed(seed)
        for conv in (self.conv1, self.conv2) if random_init else ():
            shape = conv.weight.shape
            conv.set_weight(torch.randn(shape, generator=g, dtype=torch.float64) / shape[1:].numel() ** 0.5)
        self.readout.set_weight(torch.full(self.readout.weight.shape, 1.0 / (size[0] * size[1]), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """The cells' responses, side by side in a frame of one row."""
        x = self.nonlinearity2(self.conv2(self.nonlinearity1(self.conv1(x))))
        return self.readout(x)[..., 0, 0].movedim(1, -1)[:, None, :, None]

    def _flow(self) -> list[tuple[str, str]]:
        return chain(list(self._modules))
