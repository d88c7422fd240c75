"""What notebooks are sent: collapsible HTML without scripts, escaped, small, and never an error."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
import torch

import neurosim
from neurosim import Output, Runner
from neurosim.filters import Conv3d, TemporalLowPass
from neurosim.liquid import AutoNCP
from neurosim.models import Sequential

LIMIT = 128_000  # bytes that any display may have


class Checked(HTMLParser):
    """Raises for a tag that is not closed, and for what could run or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "iframe", "link", "object")
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(shown: str) -> str:
    """What is shown, when it is well formed, small, collapsible and harmless."""
    parser = Checked()
    parser.feed(shown)
    assert not parser.open and shown.startswith("<details") and len(shown.encode()) < LIMIT
    return shown


def broken_layer() -> neurosim.Layer:
    layer = TemporalLowPass()
    del layer.tau
    return layer


def nan_layer() -> neurosim.Layer:
    conv = Conv3d(kernel_size=(3, 3, 3))
    with torch.no_grad():
        conv.weight.fill_(float("nan"))
    return conv


def many() -> neurosim.Layer:
    model = Sequential(*(TemporalLowPass() for _ in range(500)))
    model.run(torch.zeros(3, 2, 2))
    return model


def nested() -> neurosim.Layer:
    layer: neurosim.Layer = TemporalLowPass()
    for _ in range(60):
        layer = Sequential(layer)
    return layer


def zeros(**options: Any) -> torch.Tensor:
    return torch.zeros(1, 1, 2, 2, 2, **options)


SHOWN: dict[str, Callable[[], Any]] = {
    "500 layers": many, "their parameters": lambda: many().p, "their state": lambda: many().s, "them": lambda: many().m,
    "a deep layer": nested, "a deleted parameter": broken_layer, "NaN": nan_layer,
    "meta": lambda: TemporalLowPass().to("meta"), "retina": neurosim.retina.Retina,
    "1000 outputs": lambda: Output({f"output_{i}": zeros() for i in range(1000)}), "no output": lambda: Output({}),
    "a NaN output": lambda: Output({"a": zeros() * float("nan")}), "a meta output": lambda: Output({"a": zeros(device="meta")}),
    "a complex output": lambda: Output({"a": zeros(dtype=torch.complex64)}),
    "long names": lambda: Output({"x" * 100_000 + str(i): zeros() for i in range(100)}),
    "runner": lambda: Runner(TemporalLowPass(), torch.zeros(10, 2, 2)), "wiring": lambda: AutoNCP(20, 4).with_inputs(3),
    "history": lambda: neurosim.optim.History(list(range(1, 5001)), [0.5] * 5000, [], [0.1] * 5000, 7, "epochs"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_everything_has_a_small_harmless_display(name: str) -> None:
    thing = SHOWN[name]()
    checked(thing._repr_html_())
    repr(thing)


def test_what_is_left_out_is_said() -> None:
    assert "... and 400 more" in many()._repr_html_() and "... and 900 more" in SHOWN["1000 outputs"]()._repr_html_()
    assert "... and" not in neurosim.retina.Retina()._repr_html_()


def test_what_users_name_is_escaped() -> None:
    class Own(neurosim.Layer):
        """<b>Bold</b> claims."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    Own.__name__ = "<script>alert(1)</script>"
    assert "&lt;script&gt;" in checked(Own()._repr_html_())
    assert "&lt;i&gt;" in checked(Output({"<i>": zeros()})._repr_html_())


def test_a_wiring_counts_its_synapses() -> None:
    wiring = AutoNCP(20, 4).with_inputs(3)
    shown = wiring._repr_html_()
    for kind, number in (("sensory", 3), ("motor", 4)):
        assert f"{kind}</td><td style='text-align:left'>{number}</td>" in shown
