"""Tab at the prompt: names are found by IPython's completer and rlcompleter, and no value is touched."""

from __future__ import annotations

import importlib
import rlcompleter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from IPython.core.completer import provisionalcompleter
from IPython.core.guarded_eval import EVALUATION_POLICIES
from IPython.core.interactiveshell import InteractiveShell

import neurosim


@pytest.fixture
def retina() -> neurosim.retina.Retina:
    model = neurosim.retina.Retina()
    model.run(torch.full((3, 6, 6), 100.0))
    return model


@pytest.fixture
def complete(retina: neurosim.retina.Retina) -> Iterator[Callable[[str], list[str]]]:
    """What IPython offers for a line of code, with its default settings."""
    shell = InteractiveShell.instance()
    shell.user_ns.update(neurosim=neurosim, retina=retina, out=retina.run(torch.full((3, 6, 6), 100.0)))
    before = set(EVALUATION_POLICIES["limited"].allowed_getattr_external)

    def names(code: str) -> list[str]:
        with provisionalcompleter():
            return [c.text.lstrip(".") for c in shell.Completer.completions(code, len(code))]

    yield names
    EVALUATION_POLICIES["limited"].allowed_getattr_external.clear()
    EVALUATION_POLICIES["limited"].allowed_getattr_external.update(before)
    shell.Completer.use_jedi = True
    InteractiveShell.clear_instance()


STAGES = ["opl", "bipolar", "gang_0_input", "gang_0_spikes", "gang_1_input", "gang_1_spikes"]
LINES = [
    ("retina.p.", STAGES),
    ("retina.p.bip", ["bipolar"]),
    ("neurosim.ret", ["retina"]),
    ("neurosim.default_", ["default_grad_enabled", "default_resolution"]),
    ("retina.p.bipolar.", ["lambda_amp", "g_leak", "input_amp", "tau", "adaptation_sigma"]),
    ("retina.p.opl.center_", ["center_sigma", "center_tau", "center_n"]),
    ("retina.p._all.gang_1_sp", ["gang_1_spikes_refr_mu", "gang_1_spikes_noise_sigma"]),
    ("retina.p._search.tra", ["transient"]),
    ("retina.p._search.lam.", ["bipolar_lambda_amp", "gang_0_input_lambda_G", "gang_1_input_lambda_G"]),
    ("retina.s.", ["opl", "bipolar", "gang_0_spikes"]),
    ("retina.m.", STAGES),
    ("retina.set_optimizer.", ["Adam", "LBFGS", "SGD"]),
    ("out.", ["ganglion_on", "ganglion_off"]),
]


@pytest.mark.parametrize("code, wanted", LINES)
def test_ipython_as_it_is(complete: Callable[[str], list[str]], code: str, wanted: list[str]):
    assert set(wanted) <= set(complete(code))


@pytest.mark.parametrize("jedi", [True, False])
@pytest.mark.parametrize("code, wanted", [*LINES, ('retina.p["opl.cent', ["opl.center_tau", "opl.center_sigma"]),
                                          ('out["gang', ["ganglion_on", "ganglion_off"])])
def test_ipython_with_the_extension(complete: Callable[[str], list[str]], code: str, wanted: list[str], jedi: bool):
    neurosim.load_ipython_extension(None)
    InteractiveShell.instance().Completer.use_jedi = jedi
    assert set(wanted) <= set(complete(code))


@pytest.mark.parametrize("code, wanted", LINES)
def test_rlcompleter(retina: neurosim.retina.Retina, code: str, wanted: list[str]):
    completer = rlcompleter.Completer({"neurosim": neurosim, "retina": retina, "out": retina.run(torch.full((3, 6, 6), 100.0))})
    found, i = [], 0
    while (match := completer.complete(code, i)) is not None:
        found.append(match.rpartition(".")[2].rstrip("()"))
        i += 1
    assert set(wanted) <= set(found)


def test_completion_touches_no_value(retina: neurosim.retina.Retina, complete: Callable[[str], list[str]]):
    class Untouchable(torch.nn.Module):
        """A constraint that must not be computed."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if armed:
                raise AssertionError("a value was computed")
            return x

    armed = False
    torch.nn.utils.parametrize.register_parametrization(retina.bipolar, "tau", Untouchable())
    touched: list[Any] = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            touched.append(func)
            return func(*args, **(kwargs or {}))

    armed = True
    with Watch():
        assert "tau" in complete("retina.p.bipolar.")
        completer = rlcompleter.Completer({"retina": retina})
        assert completer.complete("retina.p.bipolar.", 0) is not None
    assert touched == []


def test_an_exploring_user_cannot_break_it(retina: neurosim.retina.Retina):
    for name in ("_ipython_canary_method_should_not_exist_", "_repr_png_", "__wrapped__", "_no_such_private"):
        assert not hasattr(retina.p, name)
        assert not hasattr(retina.s, name)
    with pytest.raises(neurosim.UnknownName, match="did you mean 'lambda_amp'"):
        retina.p.bipolar.lambda_amq = 3.0
    with pytest.raises(neurosim.ParameterError, match=r"would destroy the parameter; write layer.p.lambda_amp = value"):
        retina.bipolar.lambda_amp = 100.0


@pytest.mark.parametrize("name", ["analysis", "datasets", "filters", "liquid", "models", "optim", "plot", "retina", "spiking",
                                  "stimuli", "streams"])
def test_a_part_of_the_package_offers_its_public_names_alone(name: str) -> None:
    part = importlib.import_module(f"neurosim.{name}")
    assert [offered for offered in dir(part) if not offered.startswith("_")] == sorted(part.__all__)
