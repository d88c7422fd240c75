"""What liquid networks cost, beside ncps 1.0.1, torch.nn.LSTM and the bare sigmoids that they are made of.

    python benchmarks/liquid.py [--ncps FOLDER] [--pairs 7] [--tutorial [SEEDS]] [--without-ncps]

Installs ncps from PyPI into a folder of its own (a temporary one unless FOLDER is given) and runs both in this process: one
thread, float32, 8 inputs, 100 steps. Ratios are medians over pairs of runs of CPU time. "x sigmoids" is the time over that of
as many evaluations of the kernels' own sigmoid, in a loop that does nothing else: of one for each synapse and sub-step, in
training of two, since the backward pass needs them again. With --tutorial the sine tutorial of ncps is trained instead, by both
(ncps takes more than a minute a seed) or, with --without-ncps, by neurosim alone.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
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
from neurosim.kernels._lanes import EXACT, lanes, vload, vlogistic2, vstore
from neurosim.liquid import LTC, AutoNCP, CfC, FullyConnected

INPUTS, STEPS, UNFOLDS = 8, 100, 6
NETWORKS = {"AutoNCP(16, 4)": AutoNCP(16, 4), "AutoNCP(64, 4)": AutoNCP(64, 4), "FullyConnected(16)": FullyConnected(16),
            "FullyConnected(64)": FullyConnected(64)}
GOALS = {("AutoNCP(16, 4)", 1): 200, ("AutoNCP(64, 4)", 1): 40, ("FullyConnected(16)", 1): 100, ("FullyConnected(64)", 1): 15,
         ("AutoNCP(64, 4)", 32): 18, ("FullyConnected(64)", 32): 2.5}
TRAINING_GOALS = {**GOALS, ("FullyConnected(64)", 32): 3.5}
Calls = dict[str, Callable[[], torch.Tensor]]


def install(folder: Path) -> Any:
    """ncps, from a folder of its own."""
    if not (folder / "ncps").exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, "ncps==1.0.1"],
                       check=True)
    sys.path.append(str(folder))
    importlib.import_module("ncps.torch")
    return importlib.import_module("ncps")


def seconds(work: Callable[[], Any], least: float = 0.01, clock: Callable[[], float] = time.process_time) -> float:
    """Time of one call, from as many as fill `least` seconds."""
    count, begin = 0, clock()
    while (spent := clock() - begin) < least or not count:
        work()
        count += 1
    return spent / count


def training(call: Callable[[], torch.Tensor]) -> Callable[[], None]:
    """Forward and backward."""
    return lambda: (call() ** 2).mean().backward()


@compiled(fastmath=EXACT)
def sigmoids(x: np.ndarray, out: np.ndarray, times: int) -> None:
    """The sigmoid of the kernels alone, over an array that stays in the cache."""
    for _ in range(times):
        for i in range(0, len(x), lanes(x)):
            vstore(out, i, vlogistic2(vload(x, i)))


def sigmoid_cost() -> float:
    """CPU time of one sigmoid, seconds."""
    x = np.linspace(-4, 4, 1024).astype(np.float32)
    out = np.empty_like(x)
    return min(seconds(lambda: sigmoids(x, out, 100)) for _ in range(15)) / (100 * len(x))


def measured(calls: Calls, pairs: int) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """For forward and training: median CPU time of each call, and median ratio of that of ncps to it."""
    found = {}
    for label, wrap in (("forward", None), ("training", training)):
        works = {key: call if wrap is None else wrap(call) for key, call in calls.items()}
        with torch.set_grad_enabled(wrap is not None):
            for work in works.values():
                work()
            times: dict[str, list[float]] = {key: [] for key in works}
            for _ in range(pairs):
                for key, work in works.items():
                    times[key].append(seconds(work, 0.0 if key == "ncps" else 0.01))
        found[label] = ({key: statistics.median(value) for key, value in times.items()},
                        {key: statistics.median(a / b for a, b in zip(times["ncps"], times[key], strict=True))
                         for key in works})
    return found


def noise(batch: int) -> torch.Tensor:
    """An input."""
    return torch.randn(batch, STEPS, INPUTS, generator=torch.Generator().manual_seed(0))


def ltc_networks(ncps: Any, pairs: int) -> None:
    """The table of LTC."""
    cost = sigmoid_cost()
    print(f"one sigmoid: {cost * 1e9:.3f} ns")
    print(f"{'LTC':20} batch  pass          ncps      neurosim   ratio  compat   goal  x sigmoids       LSTM")
    for name, recipe in NETWORKS.items():
        for batch in (1, 32):
            x = noise(batch)
            arguments = {key: value for key, value in recipe.to_dict().items() if key != "wiring"}
            theirs = ncps.torch.LTC(INPUTS, getattr(ncps.wirings, type(recipe).__name__)(**arguments))
            face = ours.torch.LTC(INPUTS, getattr(ours.wirings, type(recipe).__name__)(**arguments))
            layer = LTC(INPUTS, recipe)
            lstm = torch.nn.LSTM(INPUTS, layer.units, batch_first=True)
            calls: Calls = {"ncps": lambda m=theirs, x=x: m(x)[0], "neurosim": lambda m=layer, x=x: m(x),
                            "compat": lambda m=face, x=x: m(x)[0], "LSTM": lambda m=lstm, x=x: m(x)[0]}
            bare = cost * batch * STEPS * (UNFOLDS * len(layer.wires.source) + len(layer.wires.sensory_source))
            for label, (times, ratios) in measured(calls, pairs).items():
                goal = (GOALS if label == "forward" else TRAINING_GOALS).get((name, batch), "")
                floor = bare * (1 if label == "forward" else 2)
                print(f"{name:20} {batch:5}  {label:8} {times['ncps'] * 1e3:7.1f} ms {times['neurosim'] * 1e3:10.3f} ms "
                      f"{ratios['neurosim']:7.1f} {ratios['compat']:7.1f} {goal!s:>6} {times['neurosim'] / floor:11.2f} "
                      f"{times['LSTM'] * 1e3:7.3f} ms", flush=True)


def other_networks(ncps: Any, pairs: int) -> None:
    """The table of CfC, of mixed memory and of dropout, which ncps leaves out after the first layer."""
    print(f"\n{'CfC, mixed memory':32} batch  pass          ncps      neurosim   ratio  compat")
    dropout: dict[str, Any] = {"backbone_layers": 2, "backbone_dropout": 0.2}
    for name, kind, what, options in (
            ("CfC 16 units", "CfC", 16, {}), ("CfC 64 units", "CfC", 64, {}), ("CfC AutoNCP(64, 4)", "CfC", AutoNCP(64, 4), {}),
            ("CfC 32 units, mixed", "CfC", 32, {"mixed_memory": True}),
            ("CfC AutoNCP(64, 4), mixed", "CfC", AutoNCP(64, 4), {"mixed_memory": True}),
            ("LTC AutoNCP(64, 4), mixed", "LTC", AutoNCP(64, 4), {"mixed_memory": True}),
            ("CfC 32 units, 2 layers, dropout", "CfC", 32, dropout)):
        for batch in (1, 32):
            x, layer = noise(batch), {"LTC": LTC, "CfC": CfC}[kind](INPUTS, what, **options)
            theirs, face = (getattr(package.torch, kind)(
                INPUTS, what if isinstance(what, int) else package.wirings.AutoNCP(64, 4), **options)
                for package in (ncps, ours))
            calls: Calls = {"ncps": lambda m=theirs, x=x: m(x)[0], "neurosim": lambda m=layer, x=x: m(x),
                            "compat": lambda m=face, x=x: m(x)[0]}
            for label, (times, ratios) in measured(calls, pairs).items():
                print(f"{name:32} {batch:5}  {label:8} {times['ncps'] * 1e3:7.1f} ms {times['neurosim'] * 1e3:10.3f} ms "
                      f"{ratios['neurosim']:7.1f} {ratios['compat']:7.1f}", flush=True)


def two_threads(pairs: int) -> None:
    """What a second thread gains at batch 32: on the clock, and in CPU time of the thread that calls, which gets no longer when
    others keep the second core from us. The loss is left out: torch computes it with threads of its own.
    """
    print(f"\n{'two threads, batch 32':24} pass          clock, gain        CPU of caller, gain")
    for name in ("AutoNCP(64, 4)", "FullyConnected(64)"):
        layer, x = LTC(INPUTS, NETWORKS[name]), noise(32)
        slope = torch.ones_like(layer(x))
        for label, work in (("forward", lambda m=layer, x=x: m(x)),
                            ("training", lambda m=layer, x=x, slope=slope: m(x).backward(slope))):
            times: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
            with torch.set_grad_enabled(label == "training"):
                for _ in range(10 * pairs):
                    for threads, found in times.items():
                        torch.set_num_threads(threads)
                        work()
                        clock, caller = time.perf_counter(), time.thread_time()
                        work()
                        found.append((time.perf_counter() - clock, time.thread_time() - caller))
            torch.set_num_threads(1)
            (clock, caller), (clock_two, caller_two) = (
                tuple(statistics.quantiles(column, n=10)[0] for column in zip(*found, strict=True)) for found in times.values())
            print(f"{name:24} {label:8} {clock * 1e3:6.2f} -> {clock_two * 1e3:6.2f} ms {clock / clock_two:5.2f} "
                  f"{caller * 1e3:8.2f} -> {caller_two * 1e3:6.2f} ms {caller / caller_two:5.2f}", flush=True)


def resident(what: str) -> float:
    """Resident memory in MB, as it is now (VmRSS) or at its highest since `clear_refs` (VmHWM); Linux only."""
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(what)) / 1024


def child(module: str, name: str, batch: int) -> None:
    """In a process of its own: how much memory training takes at its peak, in MB."""
    recipe = NETWORKS[name]
    arguments = {key: value for key, value in recipe.to_dict().items() if key != "wiring"}
    package = ours if module == "neurosim" else importlib.import_module("ncps")
    torch_part = package.torch if module == "neurosim" else importlib.import_module("ncps.torch")
    model = torch_part.LTC(INPUTS, getattr(package.wirings, type(recipe).__name__)(**arguments))
    x = noise(batch)
    training(lambda: model(x[:, :1])[0])()  # whatever is loaded and compiled once
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    training(lambda: model(x)[0])()
    print(resident("VmHWM") - before)


def memory(folder: Path) -> None:
    """Peak memory of training, at two sizes."""
    print(f"\n{'memory of training':20} batch      ncps  neurosim   potentials of all sub-steps")
    for name in ("FullyConnected(16)", "FullyConnected(64)"):
        for batch in (32, 128):
            peaks = []
            for module in ("ncps", "neurosim"):
                command = [sys.executable, __file__, "--ncps", str(folder), "--child", module, name, str(batch)]
                peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            potentials = batch * STEPS * UNFOLDS * NETWORKS[name].units * 4 / 2**20
            print(f"{name:20} {batch:5} {peaks[0]:6.0f} MB {peaks[1]:6.1f} MB {potentials:10.1f} MB", flush=True)


def tutorial(module: Any, wirings: Any, seed: int, moved: int = 0) -> tuple[float, float]:
    """The sine tutorial of ncps, 400 steps of Adam: final loss, CPU time.

    moved: unless 0, resting potentials start a millionth of their size away, by random numbers of this seed.
    """
    torch.manual_seed(seed)
    phase = np.linspace(0, 3 * np.pi, 48)
    x = torch.from_numpy(np.stack([np.sin(phase), np.cos(phase)], 1))[None].float()
    y = torch.from_numpy(np.sin(np.linspace(0, 6 * np.pi, 48)))[None, :, None].float()
    begin = time.process_time()
    model = module.LTC(2, wirings.AutoNCP(16, 1), batch_first=True)
    if moved:
        generator = torch.Generator().manual_seed(moved)
        with torch.no_grad():
            model.rnn_cell.vleak.mul_(1 + 1e-6 * torch.randn(model.rnn_cell.vleak.shape, generator=generator))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(400):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x)[0], y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return float(loss.detach()), time.process_time() - begin


def tutorials(ncps: Any, seeds: int) -> None:
    """The sine tutorial for several seeds, run by run.

    Adam's steps are so long here that rounding decides where the last ones end: what is printed last is the range of 8 runs
    that start within a millionth of the same values.
    """
    tutorial(ours.torch, ours.wirings, 0)  # loads the machine code
    print("sine tutorial  ncps                    compat.ncps            eight starts next to it")
    for seed in range(seeds):
        theirs = "" if ncps is None else "{:.2e} in {:5.1f} s".format(*tutorial(ncps.torch, ncps.wirings, seed))
        loss, spent = tutorial(ours.torch, ours.wirings, seed)
        nearby = [tutorial(ours.torch, ours.wirings, seed, moved)[0] for moved in range(1, 9)]
        print(f"seed {seed}:       {theirs:20}    {loss:.2e} in {spent:5.2f} s    {min(nearby):.2e} to {max(nearby):.2e}, "
              f"median {statistics.median(nearby):.2e}", flush=True)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ncps", type=Path, help="folder of an installed ncps, or where to install it")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--tutorial", type=int, nargs="?", const=5, metavar="SEEDS", help="only the sine tutorial")
    parser.add_argument("--without-ncps", action="store_true", help="the sine tutorial with neurosim alone")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.tutorial and options.without_ncps:
        tutorials(None, options.tutorial)
        return
    with tempfile.TemporaryDirectory() as folder:
        place = options.ncps or Path(folder)
        ncps = install(place)
        if options.child:
            child(*options.child[:2], int(options.child[2]))
        elif options.tutorial:
            tutorials(ncps, options.tutorial)
        else:
            ltc_networks(ncps, options.pairs)
            other_networks(ncps, options.pairs)
            two_threads(options.pairs)
            memory(place)


if __name__ == "__main__":
    main()
