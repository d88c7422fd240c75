"""The golden cases of ncps through `neurosim.compat.ncps`: state_dicts loaded, outputs, states and gradients."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from neurosim.compat import ncps

from ..liquid.golden import Case, names

ACTIVATIONS = {"LeCun": "lecun_tanh", "SiLU": "silu", "ReLU": "relu", "Tanh": "tanh", "GELU": "gelu"}


def wiring(attributes: dict[str, Any]) -> ncps.wirings.Wiring:
    """The wiring with these attributes, as an object of ncps has them."""
    cls = getattr(ncps.wirings, attributes["class"])
    given = {name.removeprefix("_").replace("num_inter", "inter").replace("num_command", "command")
             .replace("num_motor", "motor"): value for name, value in sorted(attributes.items())}
    if attributes["class"] == "NCP":
        given["seed"] = 7  # ncps does not keep it
    return cls(**{name: given[name] for name in inspect.signature(cls).parameters if name in given})


def build(case: Case) -> torch.nn.Module:
    """The module that made the case, with its parameters loaded by their names."""
    meta: dict[str, Any] = case.meta
    x, states = case.arrays["x"], case.arrays["states"]
    options = {"mixed_memory": "c0" in case.arrays}
    units = wiring(meta["wiring"]) if meta["wiring"] else states.shape[2]
    if meta["model"].upper().startswith("LTC"):
        model: torch.nn.Module = ncps.torch.LTC(
            x.shape[2], units, input_mapping=meta["input_mapping"], output_mapping=meta["output_mapping"],
            ode_unfolds=meta["ode_unfolds"], epsilon=meta["epsilon"], implicit_param_constraints=meta["implicit"], **options)
    else:
        if not meta["wiring"]:
            act = meta["backbone"][1].split("(")[0] if meta["backbone"] else "LeCun"
            options |= {"activation": ACTIVATIONS[act], "backbone_layers": meta["backbone_layers"],
                        "backbone_units": case.arrays["param/rnn_cell.ff1.weight"].shape[1]}
        model = ncps.torch.CfC(x.shape[2], units, proj_size=meta["proj_size"], mode=meta["mode"], **options)
    model.to(case.leaves["x"].dtype)
    model.load_state_dict({key.removeprefix("param/"): value for key, value in case.arrays.items() if key.startswith("param/")})
    return model


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", names("ltc_") + names("cfc_"))
def test_numbers_of_ncps(name: str, dtype: torch.dtype) -> None:
    case = Case.load(name, dtype)
    model = build(case)
    hx = (case.get("h0"), case.get("c0")) if "c0" in case.arrays else case.get("h0")
    y, hn = model(case.get("x"), hx, case.timespans)
    exact = dtype == torch.float64
    forward = {"rtol": 1e-12, "atol": 1e-12} if exact else {"rtol": 1e-5, "atol": 1e-5}
    h, c = hn if isinstance(hn, tuple) else (hn, None)
    torch.testing.assert_close(y.double(), case.arrays["y"], **forward)
    torch.testing.assert_close(h.double(), case.arrays["hn"], **forward)
    if c is not None:
        torch.testing.assert_close(c.double(), case.arrays["cn"], **forward)
    (y**2).sum().backward()
    for key, expected in case.arrays.items():
        if not key.startswith("grad/"):
            continue
        name = key.removeprefix("grad/")
        leaf = model.get_parameter(name.removeprefix("param/")) if "param/" in name else case.leaves[name]
        found = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        rtol = 1e-10 if exact else 1e-4  # float32: sums over time and batch of what is known to 1e-7
        torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=rtol * max(1.0, float(expected.abs().max())),
                                   msg=lambda text, key=key: f"{key}: {text}")
