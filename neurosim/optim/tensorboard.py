"""A fit in TensorBoard: losses and parameters by epoch, kernels as images, the graph of the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .._errors import MissingExtra, ParameterError
from ..plot import graph
from ..plot._graph import Node
from ..streams.base import whole
from .callbacks import Callback
from .history import History

SMALLEST = 128  # pixels along the longer side of an image: kernels of a few numbers are enlarged


class TensorBoard(Callback):
    """Writes a fit for TensorBoard: `layer.fit(x, y, callbacks=[TensorBoard("runs/first")])`, then `tensorboard --logdir runs`.

    After each epoch: `loss/training`, `loss/validation`, `learning_rate`, and every parameter by its path, single numbers as
    scalars, arrays as images (blue below zero, red above; of a kernel a row for each pair of channels, a column for each lag).
    At the start: the graph of the model. Steps are epochs.

    Args:
        writer: a folder to write to (needs the extra `tensorboard`), or any object with `add_scalar(tag, value, step)`, such
            as a `SummaryWriter`; images are left to its `add_image`, if it has one, the graph to its `file_writer`.
        every: epochs between two images of each array.
    Raises: MissingExtra, ParameterError.

    >>> import neurosim, torch
    >>> class Lines:
    ...     def add_scalar(self, tag, value, step):
    ...         print(step, tag, round(value, 2))
    >>> layer = neurosim.filters.NLRectifyScale(scale=1.0, bias=0.0)
    >>> layer.set_optimizer.SGD(lr=0.25)
    >>> x = torch.ones(10, 2, 2)
    >>> history = layer.fit(x, 2 * x, epochs=1, callbacks=[TensorBoard(Lines())])
    1 loss/training 1.0
    1 learning_rate 0.25
    1 parameters/scale 1.5
    1 parameters/bias 0.5
    """

    def __init__(self, writer: Any, *, every: int = 1) -> None:
        self.every = whole("TensorBoard", "every", every, 1)
        self._opened = isinstance(writer, str | Path)
        if self._opened:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise MissingExtra("optim.TensorBoard", "tensorboard") from error
            writer = SummaryWriter(str(writer))
        if not callable(getattr(writer, "add_scalar", None)):
            raise ParameterError("TensorBoard", "writer", "must be a folder, or an object with add_scalar(tag, value, step)",
                                 writer)
        self.writer = writer

    def begin(self, layer: Any, history: History) -> None:
        """Writes the graph of `layer`; what an earlier part of a resumed fit left in `history` is there already."""
        events = getattr(self.writer, "file_writer", None)
        if events is not None:
            events.add_event(_graph_event(layer))

    def epoch(self, layer: Any, history: History) -> None:
        """Writes the losses of the last epoch in `history`, and the parameters of `layer`."""
        step = history.epochs[-1]
        self.writer.add_scalar("loss/training", history.loss[-1], step)
        if history.validation:
            self.writer.add_scalar("loss/validation", history.validation[-1], step)
        self.writer.add_scalar("learning_rate", history.learning_rate[-1], step)
        images = getattr(self.writer, "add_image", None)
        for path, value in layer.p.items():
            value = getattr(value, "value", value).detach()
            tag = f"parameters/{path.replace('.', '/')}"
            if value.numel() == 1:
                self.writer.add_scalar(tag, value.item(), step)
            elif value.numel() and images is not None and (step - 1) % self.every == 0:
                images(tag, as_image(value), step, dataformats="HWC")

    def end(self, layer: Any, history: History) -> None:
        """Closes the writer, if it was opened here; `layer` and `history` have been written."""
        if self._opened:
            self.writer.close()


def as_image(value: Tensor) -> np.ndarray:
    """An array of any shape as a picture (height, width, 3) of bytes, white at zero.

    (..., lag, y, x) becomes a row of frames for each of the first axes, with a grey line between; smaller arrays are a single
    frame.
    """
    x = value.detach().cpu().double().numpy()
    x = x.reshape((1,) * max(3 - x.ndim, 0) + x.shape)
    x = x.reshape(-1, *x.shape[-3:])  # (row, lag, y, x)
    if x.shape[2:] == (1, 1):  # a course over time is one row, not a column of single pixels
        x = x.reshape(x.shape[0], 1, 1, -1)
    limit = np.abs(x).max() or 1.0
    if len(x) * x.shape[1] > 1:
        x = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    flat = x.transpose(0, 2, 1, 3).reshape(x.shape[0] * x.shape[2], -1)
    shade = 1.0 - np.abs(flat) / limit
    image = np.stack([np.where(flat > 0, 1.0, shade), shade, np.where(flat < 0, 1.0, shade)], -1)
    image[np.isnan(flat)] = 0.5
    times = max(SMALLEST // max(image.shape[:2]), 1)
    return np.rint(255 * image).astype(np.uint8).repeat(times, 0).repeat(times, 1)


def _graph_event(layer: Any) -> Any:
    """The graph of the model as an event of TensorBoard: layers within layers, arrows where data goes.

    (`SummaryWriter.add_graph` traces a module, which a layer that remembers the chunk before cannot be relied on to bear.)
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.graph_pb2 import GraphDef
        from torch.utils.tensorboard._proto_graph import node_proto
    except ImportError as error:
        raise MissingExtra("optim.TensorBoard", "tensorboard") from error
    nodes = list(_nodes(graph(layer).root, type(layer).__name__, ["input"]))
    made = [node_proto("input", op="input"), *(node_proto(*node) for node in nodes)]
    return Event(graph_def=GraphDef(node=made).SerializeToString())


def _nodes(node: Node, path: str, sources: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Name, kind and sources of a layer and of all below it; a layer that holds others ends in a node of its own name."""
    for name, part in node.parts.items():
        before = [sources if one == "" else [f"{path}/{one}"] for one, other in node.edges or () if other == name]
        yield from _nodes(part, f"{path}/{name}", [source for one in before for source in one])
    if node.parts:
        last = [f"{path}/{one}" for one, other in node.edges or () if other == "" and one != ""]
        sources = last or (sources if node.edges is None else [])
    yield path, node.kind, sources
