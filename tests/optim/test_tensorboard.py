"""TensorBoard: what is written can be read again, by TensorBoard's own reader."""

from __future__ import annotations

import builtins
import io
import warnings
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurosim
from neurosim import ParameterError
from neurosim.optim import TensorBoard
from neurosim.optim.tensorboard import _nodes, as_image
from neurosim.plot import graph


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def model() -> neurosim.models.LN:
    found = neurosim.models.LN(bias=True)
    found.conv.set_weight(noise(4, 3, 3, seed=1))
    found.set_optimizer.SGD(lr=1e-3)
    return found


def read(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fit_is_read_again(tmp_path: Path) -> None:
    layer, x = model(), noise(30, 6, 6)
    seen = []

    class Keep(neurosim.optim.Callback):
        def epoch(self, layer: Any, history: Any) -> None:
            seen.append(layer.conv.bias.item())

    history = layer.fit(x, x, epochs=5, dt=10, validation=(x[:10], x[:10]), callbacks=[TensorBoard(tmp_path, every=2), Keep()])
    found = read(tmp_path)
    assert set(found.Tags()["scalars"]) == {"loss/training", "loss/validation", "learning_rate", "parameters/conv/bias"}
    for tag, values in (("loss/training", history.loss), ("loss/validation", history.validation),
                        ("parameters/conv/bias", seen)):
        events = found.Scalars(tag)
        assert [event.step for event in events] == [1, 2, 3, 4, 5]
        assert [event.value for event in events] == pytest.approx(values, rel=1e-6)
    images = found.Images("parameters/conv/weight")
    assert [image.step for image in images] == [1, 3, 5]
    picture = matplotlib.image.imread(io.BytesIO(images[-1].encoded_image_string))
    np.testing.assert_allclose(picture[..., :3] * 255, as_image(layer.conv.weight), atol=0.6)
    nodes = {node.name: (node.op, list(node.input)) for node in found.Graph().node}
    assert nodes == {"input": ("input", []), "LN/conv": ("Conv3d", ["input"]), "LN/nonlinearity": ("NLRectify", ["LN/conv"]),
                     "LN": ("LN", ["LN/nonlinearity"])}


def test_kernels_are_pictures() -> None:
    """Two channels, three lags, two rows, one column: red above zero, blue below, white at zero."""
    kernel = torch.zeros(2, 1, 3, 2, 1)
    kernel[0, 0, 0, 0, 0], kernel[1, 0, 2, 1, 0] = 2.0, -2.0
    image = as_image(kernel)
    times = 128 // 6
    assert image.shape == (6 * times, 6 * times, 3)
    small = image[::times, ::times]
    grey = (small == 128).all(-1)
    assert grey[2].all() and grey[:, 1::2].all() and grey.sum() == 24
    assert small[0, 0].tolist() == [255, 0, 0] and small[4, 4].tolist() == [0, 0, 255] and small[1, 0].tolist() == [255] * 3
    assert as_image(torch.zeros(7)).shape == (18, 126, 3) and (as_image(torch.zeros(7)) == 255).all()
    assert as_image(noise(2, 5)).shape == (2 * 25, 5 * 25, 3)
    assert as_image(noise(20, 1, 1)).shape == (6, 120, 3)


def test_graphs_of_models_within_models() -> None:
    retina = neurosim.retina.Retina()
    nodes = {path: sources for path, _, sources in _nodes(graph(retina).root, "Retina", ["input"])}
    assert all(source in nodes or source == "input" for sources in nodes.values() for source in sources)
    assert nodes["Retina/opl"] == ["input"] or "Retina/opl/center" in nodes
    assert any("input" in sources for sources in nodes.values()) and nodes["Retina"]


def test_any_writer_will_do() -> None:
    class Writer:
        lines: list[tuple[str, float, int]] = []

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            self.lines.append((tag, value, step))

    layer, x = model(), noise(30, 6, 6)
    history = layer.fit(x, x, epochs=2, callbacks=[TensorBoard(Writer())])
    assert ("loss/training", history.loss[1], 2) in Writer.lines
    with pytest.raises(ParameterError, match=r"must be a folder, or an object with add_scalar\(tag, value, step\)"):
        TensorBoard(print)
    with pytest.raises(ParameterError, match=r"TensorBoard\.every: must be a whole number"):
        TensorBoard(Writer(), every=0)


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if "tensorboard" in name and name.startswith("torch"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"optim.TensorBoard needs .* pip install 'neurosim-engine\[tensorboard\]'"):
        TensorBoard(tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_layer_goes_through_torch_s_own_writer(tmp_path: Path) -> None:
    """add_graph, add_scalars: a layer without memory is traced as any module is."""
    from torch.utils.tensorboard import SummaryWriter

    layer = neurosim.models.Sequential(nn.Linear(2, 2), torch.sigmoid, nn.Linear(2, 1), torch.sigmoid)
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_graph(layer, torch.zeros(1, 4, 2))
        writer.add_scalars("loss", {"training": 1.0, "validation": 2.0}, 3)
    assert any("Linear" in node.name for node in read(tmp_path).Graph().node)
