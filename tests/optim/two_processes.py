"""What test_processes runs, once by itself and once in two processes: fits whose parameters have to agree."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from neurosim import InputError
from neurosim.filters import Conv3d, TemporalLowPass
from neurosim.lightning import LayerModule
from neurosim.models import Sequential
from neurosim.optim import Callback, Ridge

F64 = torch.float64


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def model(start: float = 0.02) -> Sequential:
    """A state that follows the parameters, then one that is the input."""
    found = Sequential(TemporalLowPass(tau=start, dtype=F64), Conv3d(kernel_size=(3, 1, 1), dtype=F64))
    found[1].set_weight([0.5, 0.2, 0.1])
    return found


X = [noise(25, 2, 2, seed=seed) for seed in range(4)]
Y = [noise(25, 2, 2, seed=10 + seed) for seed in range(4)]
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Adam": ({"lr": 0.01}, {"clip": 0.5, "penalty": {"layer_1.weight": Ridge(0.1)}}),
    "LBFGS": ({"lr": 0.5, "max_iter": 4, "line_search_fn": "strong_wolfe"}, {}),
    "Scipy": ({"max_iter": 3}, {}),
    "FiniteDifference": ({"lr": 0.01}, {"t_skip": 12}),
}


class Count(Callback):
    """How many epochs it has been told of."""

    told = 0

    def epoch(self, layer: Any, history: Any) -> None:
        self.told += 1


def refused(*arguments: Any, **options: Any) -> str:
    """The message of the error."""
    fitted = model()
    fitted.set_optimizer.SGD(lr=0.1)
    try:
        fitted.fit(*arguments, distributed=True, **options)
    except InputError as error:
        return str(error)
    return ""


def main(out: str) -> None:
    """Writes what was found to `out`-rank.json."""
    together, rank = "RANK" in os.environ, int(os.environ.get("RANK", 0))
    if together:
        torch.distributed.init_process_group("gloo")
    parameters, histories, found = {}, {}, {}
    for name, (options, more) in WAYS.items():
        fitted = model(0.02 if rank == 0 else 0.05)  # they start with the parameters of the first
        fitted.set_optimizer(name, **options)
        x, y = (X, Y) if together else ([torch.stack(some[i:i + 2])[:, None] for i in (0, 2)] for some in (X, Y))
        count = Count()
        history = fitted.fit(x, y, epochs=2, dt=10, validation=(X, Y), distributed=together, callbacks=[count],
                             checkpoint=f"{out}.checkpoint" if name == "Adam" else None, **more)
        parameters[name] = torch.cat([p.detach().flatten() for p in fitted.parameters()]).tolist()
        histories[name], found["called"] = history.to_dict(), count.told
    fitted = model()
    fitted.set_optimizer.Adam(lr=0.01)
    if together:  # lightning's own way of several processes, with the state of each
        module = LayerModule(fitted, stream=True)
        pl.Trainer(max_epochs=2, strategy="ddp", devices=2, accelerator="cpu", logger=False, enable_checkpointing=False,
                   enable_progress_bar=False, enable_model_summary=False).fit(module, module.chunks(X, Y, dt=10))
    else:
        fitted.fit(x, y, epochs=2, dt=10)
    parameters["lightning"] = torch.cat([p.detach().flatten() for p in fitted.parameters()]).tolist()
    if together:
        found["refused"] = refused([X[0], X[1][:15]], [Y[0], Y[1][:15]], dt=10)
        found["odd"] = refused(X[:3], Y[:3])
        fed = LayerModule(model(), stream=True).chunks(X, Y, dt=10)
        found["chunks"] = [[next(i for i in range(4) if torch.equal(X[i][:10], chunk.x[0, 0])), chunk.x.shape[2]]
                           for chunk in fed if chunk.begins]
        torch.distributed.destroy_process_group()
    Path(f"{out}-{rank}.json").write_text(json.dumps({"parameters": parameters, "histories": histories, **found}))


if __name__ == "__main__":
    main(sys.argv[1])
