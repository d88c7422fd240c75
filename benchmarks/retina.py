"""What the retina costs: frames per second, nanoseconds per pixel-frame and memory of each stage, by frame size.

    python benchmarks/retina.py [--sizes 32 64 128 256 512] [--seconds 1.0] [--dtype float32] [--threads 1]

`dt` is the length of the chunks in frames. Times are CPU time of one process with the given number of threads, medians over
repeated chunks after a warm-up. The cost of one compiled sigmoid is printed beside them, as a yardstick of the core: convis
0.6.4 runs its default retina (two channels, chunks of 100, no gradient) at 47 frames per second of CPU time at 128 x 128 on a
core where that sigmoid costs 1.7 ns.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import neurosim
from neurosim.kernels._jit import compiled
from neurosim.kernels._math import exp
from neurosim.retina import OPL, Bipolar, GanglionInput, GanglionSpiking, Retina

CONVIS = {32: 235.0, 64: 133.0, 128: 47.0, 256: 11.0}  # frames per CPU-second
CONVIS_SIGMOID = 1.7  # ns, on the same core


@compiled
def sigmoid_into(x: np.ndarray, y: np.ndarray) -> None:
    """y = 1 / (1 + exp(-x)), as the kernels compute it."""
    one = x.dtype.type(1)
    for i in range(x.shape[0]):
        y[i] = one / (one + exp(-x[i]))


def sigmoid_cost() -> float:
    """Nanoseconds for one compiled sigmoid in float32, median of 15."""
    x = np.random.default_rng(0).normal(size=1 << 16).astype(np.float32)
    y = np.empty_like(x)
    sigmoid_into(x, y)
    costs = []
    for _ in range(15):
        start = time.process_time_ns()
        for _ in range(40):
            sigmoid_into(x, y)
        costs.append((time.process_time_ns() - start) / 40 / len(x))
    return statistics.median(costs)


def per_frame(call: Callable[[], object], frames: int, seconds: float) -> float:
    """Median CPU seconds per frame of calls that process so many frames each."""
    call()
    call()
    costs, started = [], time.process_time()
    while len(costs) < 5 or time.process_time() - started < seconds:
        start = time.process_time()
        call()
        costs.append((time.process_time() - start) / frames)
    return statistics.median(costs)


def resident(what: str = "VmRSS") -> float:
    """Resident memory of this process in MB: as it is now, or (VmHWM) the most since `from_here`. NaN outside Linux."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(what)), float("nan"))


def from_here() -> None:
    """Forgets the highest resident memory so far, and hands back what the allocator keeps."""
    gc.collect()
    if Path("/proc/self/clear_refs").exists():
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def stages(dtype: torch.dtype) -> dict[str, Callable[[], neurosim.Layer]]:
    """Every stage and whole retinas, by name."""
    return {
        "OPL": lambda: OPL(dtype=dtype),
        "OPL, leaky heat": lambda: OPL(leaky_heat=True, undershoot=False, dtype=dtype),
        "Bipolar": lambda: Bipolar(lambda_amp=100.0, dtype=dtype),
        "GanglionInput": lambda: GanglionInput(dtype=dtype),
        "GanglionInput, pooled": lambda: GanglionInput(sigma_surround=0.2, dtype=dtype),
        "GanglionSpiking": lambda: GanglionSpiking(dtype=dtype),
        "GanglionSpiking, no noise": lambda: GanglionSpiking(noise_sigma=0.0, refr_sigma=0.0, dtype=dtype),
        "Retina, no spikes": lambda: Retina(spikes=False, dtype=dtype),
        "Retina (default)": lambda: Retina(dtype=dtype),
    }


def movie(size: int, frames: int, dtype: torch.dtype) -> torch.Tensor:
    """Smooth natural-looking luminance between 0 and 255 that moves."""
    rng = np.random.default_rng(0)
    field = np.fft.fft2(rng.normal(size=(size, size)))
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    f[0, 0] = 1.0
    image = np.real(np.fft.ifft2(field / f))
    image = 127.5 + 60.0 * (image - image.mean()) / image.std()
    shifted = np.stack([np.roll(image, (k // 3, k // 2), (0, 1)) for k in range(frames)])
    return torch.as_tensor(shifted.clip(0, 255), dtype=dtype)


def inputs(size: int, frames: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """What each kind of stage gets: the outputs of the stages before it."""
    x = movie(size, frames, dtype)[None, None]
    retina = Retina(dtype=dtype)
    out = retina.run(x, record=["opl", "bipolar", "gang_0_input"])
    return {"OPL": x, "Retina": x, "Bipolar": out["opl"], "GanglionInput": out["bipolar"],
            "GanglionSpiking": out["gang_0_input"]}


def measure(sizes: list[int], seconds: float, dtype: torch.dtype) -> dict[tuple[str, int], float]:
    """Prints the table; gives frames per CPU-second by stage and size."""
    found = {}
    print(f"{'stage':28}{'size':>6}{'dt':>5}{'frames/s':>11}{'ns/pixel-frame':>16}{'MB per chunk':>15}{'state kB':>10}")
    for size in sizes:
        frames = max(4, min(400, (1 << 21) // size**2))  # a chunk of about 8 MB
        given = inputs(size, frames, dtype)
        for name, make in stages(dtype).items():
            layer, x = make(), given[name.split(",")[0].split(" ")[0]]
            with torch.no_grad():
                cost = per_frame(lambda layer=layer, x=x: layer(x), frames, seconds)  # type: ignore[misc]
            state = sum(t.numel() * t.element_size() for t in layer.get_state().values()) / 1024
            from_here()
            before = resident()
            with torch.no_grad():
                layer(x)
            grown = resident("VmHWM") - before
            found[name, size] = 1 / cost
            print(f"{name:28}{size:>6}{frames:>5}{1 / cost:>11.1f}{cost / size**2 * 1e9:>16.1f}{grown:>15.1f}{state:>10.0f}")
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds per row")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.threads} thread(s), {args.dtype}; resident memory at the start {resident():.0f} MB")
    before = sigmoid_cost()
    found = measure(args.sizes, args.seconds, getattr(torch, args.dtype))
    sigmoid = statistics.mean([before, sigmoid_cost()])
    print(f"\none compiled sigmoid: {sigmoid:.2f} ns (before {before:.2f})")
    for size in args.sizes:
        if size in CONVIS:
            fps = found["Retina (default)", size]
            scaled = CONVIS[size] * CONVIS_SIGMOID / sigmoid
            print(f"default retina at {size} x {size}: {fps:.0f} frames/s, {fps / scaled:.1f} times convis "
                  f"({CONVIS[size]:g} frames/s where the sigmoid costs {CONVIS_SIGMOID} ns, {scaled:.0f} on this core)")
    costs = [1e9 / found["Retina (default)", size] / size**2 for size in args.sizes]
    print(f"default retina, dearest against cheapest pixel-frame over the sizes: {max(costs) / min(costs):.2f}")


if __name__ == "__main__":
    main()
