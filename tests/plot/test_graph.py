"""The graph of a model: who gives to whom, what is counted, what a page of it needs."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

import neurosim
from neurosim import ParameterError, plot
from neurosim.filters import Delay, NLRectify, TemporalLowPass
from neurosim.models import LNFDLNF, Dict, List, LNCascade, Parallel, Sequential
from tests.cases import CASES


def arrows(model: torch.nn.Module) -> set[tuple[str, str]]:
    """The arrows of the mermaid text, by the names of the layers."""
    text = plot.graph(model).mermaid
    names = dict(re.findall(r'(n\d+)\["([\w.]+)', text)) | {"input": "input", "output": "output"}
    return {(names[a], names[b]) for a, b in re.findall(r"^  (\w+) --> (\w+)$", text, re.M)}


def test_data_flows_through_containers() -> None:
    model = Dict({"low": TemporalLowPass(), "both": Parallel(Delay(1), List(Delay(2), NLRectify())), "sum": Delay(3)})
    text = plot.graph(model).mermaid
    assert 'n5["layer_0: Delay"]' in text and 'n6["layer_1: NLRectify"]' in text
    found = set(re.findall(r"^  (\w+) --> (\w+)$", text, re.M))
    assert found == {("input", "n1"), ("n1", "n3"), ("n1", "n5"), ("n5", "n6"), ("n3", "n7"), ("n6", "n7"), ("n7", "output")}


def test_data_flows_through_the_retina() -> None:
    assert arrows(neurosim.retina.Retina(stage_delays=True)) >= {
        ("input", "opl"), ("opl", "bipolar_delay"), ("bipolar_delay", "bipolar"), ("bipolar", "gang_0_input_delay"),
        ("bipolar", "gang_1_input_delay"), ("gang_0_input_delay", "gang_0_input"), ("gang_1_spikes", "output")}
    assert arrows(neurosim.retina.Retina(gang=False, bipolar=False)) == {("input", "opl"), ("opl", "output")}
    assert ("gang_0_input", "output") in arrows(neurosim.retina.Retina(spikes=False))


def test_data_flows_through_linear_nonlinear_models() -> None:
    assert arrows(LNFDLNF()) == {
        ("input", "conv1"), ("conv1", "nonlinearity1"), ("nonlinearity1", "feedback1"), ("nonlinearity1", "delay"),
        ("feedback1", "delay"), ("delay", "conv2"), ("conv2", "nonlinearity2"), ("nonlinearity2", "feedback2"),
        ("nonlinearity2", "output"), ("feedback2", "output")}
    assert ("nonlinearities.0", "linearities.1") in arrows(LNCascade(2))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_layer_has_a_graph_whose_arrows_know_its_parts(case) -> None:
    model = case.make(torch.float32)
    made = plot.graph(model)
    ElementTree.fromstring(made.svg)  # well formed
    known = dict(model.named_modules())
    for path, layer in known.items():
        edges = layer._flow() if isinstance(layer, neurosim.Layer) else None
        for end in {end for edge in edges or () for end in edge if end}:
            assert f"{path}.{end}".lstrip(".") in known
    assert f"{sum(p.numel() for p in model.parameters()):,} parameter" in made.svg or not list(model.parameters())


def test_shapes_are_told_for_an_input_and_nothing_changes() -> None:
    model = Sequential(neurosim.filters.Conv3d(1, 3, (2, 1, 1)), torch.nn.AvgPool3d((1, 2, 2)))
    made = plot.graph(model, torch.zeros(4, 5, 6))
    assert "gives 1x3x4x5x6" in made.mermaid and "gives 1x3x4x2x3" in made.svg
    assert model[0].state is None and not model[0]._forward_hooks


def test_names_are_escaped_and_unknown_flow_has_a_broken_border() -> None:
    class Own(neurosim.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = TemporalLowPass()

        def forward(self, x):
            return self.inner(x)

    Own.__name__ = '<script>"x"'
    made = plot.graph(Own())
    assert "<script" not in made.html and "&lt;script&gt;" in made.svg and "stroke-dasharray" in made.svg
    assert '"' not in re.findall(r'\["(.*?)<br/>', made.mermaid)[0]


def test_a_large_model_has_a_small_picture() -> None:
    made = plot.graph(Sequential(*(TemporalLowPass() for _ in range(500))))
    assert len(made._repr_html_()) < 100_000
    assert "...: 351 more" in made.svg  # 150 boxes, the container among them


def test_a_graph_is_saved_and_asks_for_nothing(tmp_path: Path) -> None:
    made = plot.graph(Sequential(TemporalLowPass()))
    for suffix, start in ((".html", "<!DOCTYPE html>"), (".svg", "<svg"), (".mmd", "flowchart TD")):
        made.save(tmp_path / f"graph{suffix}")
        assert (tmp_path / f"graph{suffix}").read_text().startswith(start)
    page = made.html.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in page and "src=" not in page and "<script" not in page
    with pytest.raises(ParameterError, match=r"Graph.save.path: the suffix must be one of \['.html', '.svg', '.mmd'\]"):
        made.save(tmp_path / "graph.png")
    with pytest.raises(ParameterError, match=r"plot.graph.model: must be a layer or a torch module \(got 'int'\)"):
        plot.graph(3)
