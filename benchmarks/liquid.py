"""What liquid networks cost, beside ncps 1.0.1, torch.nn.LSTM and the bare sigmoids that they are made of.

python benchmarks/liquid.py [--ncps FOLDER] [--pairs 7] [--tutorial]

Installs ncps from PyPI into a folder of its own (a temporary one unless FOLDER is given) and runs both in this process: one
thread, float32, 8 inputs, 100 steps. Ratios are medians over pairs of runs of CPU time.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurosim.compat import ncps as ours
from neurosim.kernels._jit import compiled
from neurosim.kernels._math import exp
from neurosim.liquid import LTC, AutoNCP, FullyConnected

INPUTS, STEPS, UNFOLDS = 8, 100, 6
NETWORKS = {"AutoNCP(16, 4)": AutoNCP(16, 4), "AutoNCP(64, 4)": AutoNCP(64, 4), "FullyConnected(16)": FullyConnected(16),
            "FullyConnected(64)": FullyConnected(64)}
GOALS = {("AutoNCP(16, 4)", 1): 200, ("AutoNCP(64, 4)", 1): 40, ("FullyConnected(16)", 1): 100, ("FullyConnected(64)", 1): 15,
         ("AutoNCP(64, 4)", 32): 18, ("FullyConnected(64)", 32): 2.5}


def install(folder: Path) -> None:
    """Makes ncps importable, from a folder of its own."""
    if not (folder / "ncps").exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, "ncps==1.0.1"],
                       check=True)
    sys.path.append(str(folder))


def seconds(work: Callable[[], Any], least: float = 0.01) -> float:
    """CPU time of one call, from as many as fill `least` seconds."""
    count, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < least or not count:
        work()
        count += 1
    return spent / count


def training(call: Callable[[], torch.Tensor]) -> Callable[[], None]:
    """Forward and backward."""
    return lambda: (call() ** 2).mean().backward()


@compiled
def sigmoids(x: np.ndarray, out: np.ndarray, times: int) -> None:
    """The compiled sigmoid alone, over an array that stays in the cache."""
    one = x.dtype.type(1)
    for _ in range(times):
        for i in range(len(x)):
            out[i] = one / (one + exp(-x[i]))


def floor(evaluations: int) -> float:
    """CPU time of that many sigmoids."""
    x = np.linspace(-4, 4, 1024).astype(np.float32)
    out = np.empty_like(x)
    times = max(evaluations // 1024, 1)
    sigmoids(x, out, times)
    return min(seconds(lambda: sigmoids(x, out, times)) for _ in range(5)) * evaluations / (1024 * times)


def networks(ncps: Any, pairs: int) -> None:
    """The table of ratios."""
    print(f"{'network':20} batch  pass       ncps       neurosim   ratio   compat   goal   x sigmoids   LSTM")
    for name, recipe in NETWORKS.items():
        for batch in (1, 32):
            x = torch.randn(batch, STEPS, INPUTS, generator=torch.Generator().manual_seed(0))
            arguments = {key: value for key, value in recipe.to_dict().items() if key != "wiring"}
            theirs = ncps.torch.LTC(INPUTS, getattr(ncps.wirings, type(recipe).__name__)(**arguments))
            face = ours.torch.LTC(INPUTS, getattr(ours.wirings, type(recipe).__name__)(**arguments))
            layer = LTC(INPUTS, recipe)
            lstm = torch.nn.LSTM(INPUTS, layer.units, batch_first=True)
            calls = {"ncps": lambda m=theirs, x=x: m(x)[0], "neurosim": lambda m=layer, x=x: m(x),
                     "compat": lambda m=face, x=x: m(x)[0], "LSTM": lambda m=lstm, x=x: m(x)[0]}
            synapses, sensory = len(layer.wires.source), len(layer.wires.sensory_source)
            bare = floor(batch * STEPS * (UNFOLDS * synapses + sensory))
            for label, wrap in (("forward", None), ("training", training)):
                works = {key: call if wrap is None else wrap(call) for key, call in calls.items()}
                with torch.set_grad_enabled(wrap is not None):
                    for work in works.values():
                        work()
                    times = {key: [] for key in works}
                    for _ in range(pairs):
                        for key, work in works.items():
                            times[key].append(seconds(work, 0.0 if key == "ncps" else 0.01))
                ratio, compat = (statistics.median(a / b for a, b in zip(times["ncps"], times[key], strict=True))
                                 for key in ("neurosim", "compat"))
                middle = {key: statistics.median(value) for key, value in times.items()}
                goal = 3.5 if (name, batch, label) == ("FullyConnected(64)", 32, "training") else GOALS.get((name, batch), "")
                print(f"{name:20} {batch:5}  {label:8} {middle['ncps'] * 1e3:7.1f} ms {middle['neurosim'] * 1e3:9.3f} ms "
                      f"{ratio:7.1f} {compat:7.1f} {goal!s:>6}   {middle['neurosim'] / bare:9.2f} "
                      f"{middle['LSTM'] * 1e3:8.3f} ms", flush=True)


def tutorial(module: Any, wirings: Any, seed: int) -> tuple[float, float]:
    """The sine tutorial of ncps, 400 steps of Adam: final loss, CPU time."""
    torch.manual_seed(seed)
    phase = np.linspace(0, 3 * np.pi, 48)
    x = torch.from_numpy(np.stack([np.sin(phase), np.cos(phase)], 1))[None].float()
    y = torch.from_numpy(np.sin(np.linspace(0, 6 * np.pi, 48)))[None, :, None].float()
    begin = time.process_time()
    model = module.LTC(2, wirings.AutoNCP(16, 1), batch_first=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(400):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x)[0], y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return float(loss.detach()), time.process_time() - begin


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ncps", type=Path, help="folder of an installed ncps, or where to install it")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--tutorial", action="store_true", help="only the sine tutorial, 5 seeds, with neurosim")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.tutorial:
        for seed in range(5):
            loss, spent = tutorial(ours.torch, ours.wirings, seed)
            print(f"seed {seed}: final loss {loss:.3g}, {spent:.2f} s of CPU time")
        return
    with tempfile.TemporaryDirectory() as folder:
        install(options.ncps or Path(folder))
        importlib.import_module("ncps.torch")
        networks(importlib.import_module("ncps"), options.pairs)


if __name__ == "__main__":
    main()
