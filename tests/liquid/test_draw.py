"""Drawing wirings: what is drawn, in which colours, how fast, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgb

from neurosim._errors import ParameterError
from neurosim.liquid import AutoNCP, FullyConnected, Wiring
from neurosim.liquid.draw import LAYOUTS


@pytest.fixture
def axes() -> Iterator[Any]:
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_draws_every_synapse_and_neuron(layout: str, axes: Any) -> None:
    wiring = AutoNCP(12, 2).with_inputs(3)
    wiring.draw_graph(layout, draw_labels=True, axes=axes)
    axes.figure.canvas.draw()
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    nodes = [c for c in axes.collections if isinstance(c, EllipseCollection)]
    count = np.count_nonzero(wiring.internal) + np.count_nonzero(wiring.sensory)
    assert sum(len(c.get_segments()) for c in lines) == count
    assert len(nodes[0].get_offsets()) == 15
    assert np.isfinite(nodes[0].get_offsets()).all()
    assert [text.get_text() for text in axes.texts] == [*map(str, range(12)), "0", "1", "2"]


def test_colours_and_legend(axes: Any) -> None:
    chosen = {"command": "black"}
    signs = {"inhibitory": "purple"}
    wiring = AutoNCP(12, 2).with_inputs(3)
    legend = wiring.draw_graph(neuron_colors=chosen, synapse_colors=signs, axes=axes)
    assert chosen == {"command": "black"} and signs == {"inhibitory": "purple"}
    colors = {patch.get_label(): to_rgb(patch.get_facecolor()) for patch in legend}
    assert colors == {label: to_rgb(color) for label, color in {
        "Sensory neurons": "tab:olive", "Inter neurons": "tab:blue", "Command neurons": "black",
        "Motor neurons": "tab:orange", "Excitatory synapses": "tab:green", "Inhibitory synapses": "purple"}.items()}
    (nodes,) = (c for c in axes.collections if isinstance(c, EllipseCollection))
    command = [i for i, kind in enumerate(wiring.kinds) if kind == "command"]
    np.testing.assert_array_equal(nodes.get_facecolors()[command, :3], np.zeros((len(command), 3)))


def test_one_colour_for_all_synapses_and_no_legend_for_what_is_absent(axes: Any) -> None:
    wiring = Wiring.empty(1, 2).add_synapse(0, 1, 1).add_synapse(1, 1, 1)
    legend = wiring.draw_graph(synapse_colors="gray", axes=axes)
    assert [patch.get_label() for patch in legend] == ["Sensory neurons", "Motor neurons", "Excitatory synapses"]
    assert to_rgb(legend[-1].get_facecolor()) == to_rgb("gray")


def test_the_current_axes_are_the_default(axes: Any) -> None:
    plt.sca(axes)
    FullyConnected(3, 1).with_inputs(2).draw_graph()
    assert axes.collections


def test_many_synapses_are_drawn_in_time(axes: Any) -> None:
    wiring = AutoNCP(64, 8).with_inputs(16)
    assert np.count_nonzero(wiring.internal) + np.count_nonzero(wiring.sensory) >= 750
    begin = time.process_time()
    wiring.draw_graph(axes=axes)
    axes.figure.canvas.draw()
    assert time.process_time() - begin < 2.0  # what we promise; one object for each arrow takes 49 s


@pytest.mark.parametrize(("arguments", "text"), [
    ({"layout": "square"}, r"draw_graph\.layout: choose from \['layers', .*\] \(got 'square'\)"),
    ({"neuron_colors": {"boss": "red"}}, r"draw_graph\.neuron_colors: keys must be some of .* \(got \['boss'\]\)"),
    ({"synapse_colors": {"weak": "red"}}, r"draw_graph\.synapse_colors: keys .* \(got \['weak'\]\)"),
])
def test_what_is_not_known_is_refused(arguments: dict[str, Any], text: str, axes: Any) -> None:
    with pytest.raises(ParameterError, match=text):
        FullyConnected(3).with_inputs(1).draw_graph(**arguments, axes=axes)
    assert not axes.collections
