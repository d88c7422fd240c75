"""Models find themselves again: an LTC network its own output."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosim.liquid import LTC


@pytest.mark.slow
def test_an_ltc_network_fits_the_output_of_another_one() -> None:
    t = np.arange(100) * 0.1
    x = np.stack([np.sin(t), np.cos(0.7 * t)], 1).astype("float32")
    wanted = LTC(2, 8, seed=1).run(x)[0].detach()
    model = LTC(2, 8, seed=2)
    model.set_optimizer.Adam(lr=0.02)
    history = model.fit(x, wanted, epochs=400)
    assert history.loss[0] > 1e-3 and model.compute_loss(x, wanted) < 1e-4
    assert torch.isfinite(torch.cat([p.flatten() for p in model.parameters()])).all()
