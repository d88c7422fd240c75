"""Nonlinearities against the numbers of another program and against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neurosim import SIGNAL, InputError, ParameterError, filters
from neurosim.functional import nonlinear

DATA = Path(__file__).parents[1] / "data" / "convis"
DTYPES = {torch.float64: 1e-9, torch.float32: 1e-5}


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("name", ["NLRectify", "NLRectifyScale", "NLSquare", "NLRectifySquare"])
def test_numbers_of_convis(name: str, dtype: torch.dtype):
    z = np.load(DATA / "nonlinearities.npz")
    plain = name == "NLRectify"
    layer = getattr(filters, name)(dtype=dtype, **({} if plain else {"scale": 1.7, "bias": -0.3}))
    wanted = z[name if plain else f"{name}_scale1.7_bias-0.3"]
    np.testing.assert_allclose(layer.run(torch.from_numpy(z["x"]).to(dtype), 7)[0][0, 0].numpy(), wanted, rtol=0,
                               atol=DTYPES[dtype] * np.abs(wanted).max())


@pytest.mark.parametrize("name, function", [
    ("NLRectify", lambda x: np.clip(x, 0, 1e6)),
    ("NLRectifyScale", lambda x: np.clip(0.5 - 2 * x, 0, 1e6)),
    ("NLSquare", lambda x: (0.5 - 2 * x) ** 2),
    ("NLRectifySquare", lambda x: np.clip(0.5 - 2 * x, 0, 1e6) ** 2),
    ("Sigmoid", lambda x: 1 / (1 + np.exp(2 * x - 0.5))),
    ("Exp", lambda x: np.exp(0.5 - 2 * x)),
    ("Softplus", lambda x: np.logaddexp(0, 0.5 - 2 * x)),
])
def test_formulas(name: str, function):  # type: ignore[no-untyped-def]
    values = {} if name == "NLRectify" else {"scale": -2.0, "bias": 0.5}
    x = np.concatenate([np.linspace(-20, 20, 401), [3e6] if "Rectify" in name else []])
    y = getattr(filters, name)(SIGNAL, **values).double()(torch.from_numpy(x))[0, :, 0].detach().numpy()
    # torch's softplus is linear above 20, where it is off by exp(-20)
    np.testing.assert_allclose(y, function(x), rtol=1e-12, atol=3e-9 if name == "Softplus" else 1e-15)


def test_unknown_values_and_wrong_ranks_are_refused():
    with pytest.raises(ParameterError, match=r"NLRectify.scale: unknown; choose from \[\]"):
        filters.NLRectify(scale=1.0)
    with pytest.raises(ParameterError, match=r"Sigmoid.slope: unknown; choose from \['scale', 'bias'\]"):
        filters.Sigmoid(slope=1.0)
    with pytest.raises(InputError, match="a signal must be"):
        filters.Exp(SIGNAL)(np.zeros((2, 2, 2, 2, 2)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, *DTYPES], ids=str)
def test_a_rectifier_lets_the_gradient_at_zero_through(dtype: torch.dtype) -> None:
    x = torch.tensor([-3.0, -torch.finfo(dtype).tiny, 0.0, -0.0, 2.0, float("nan"), 1e4], dtype=dtype, requires_grad=True)
    y = nonlinear.rectify(x)
    assert y[:5].tolist() == [0.0, 0.0, 0.0, 0.0, 2.0] and y[5].isnan() and y[6] == x[6]
    (gradient,) = torch.autograd.grad(y.nansum(), x)
    assert gradient[:5].tolist() == [0.0, 0.0, 1.0, 1.0, 1.0] and gradient[6] == 1
