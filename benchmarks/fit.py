"""What fitting a linear-nonlinear model costs: frames per second, beside the same model in plain torch.

    python benchmarks/fit.py [--size 32] [--frames 200] [--seconds 2.0] [--dtype float32] [--threads 1]

One step is: the model forward (causal convolution, borders replicated, rectification), mean squared error, gradients of
kernel and bias, one step of SGD. neurosim does it by `optimize`, plain torch by the loop that a person would write around
`Conv3d`. Both start from the same numbers, run in turn in one process, and must come to the same kernel. Times are CPU time,
medians over pairs.
convis 0.6.4 runs its LN model with a kernel of 20 x 9 x 9, forwards only, at 808 frames per second of CPU time at 32 x 32 on
a core where one compiled sigmoid costs 1.7 ns; the sigmoid's cost here scales that number to this core.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from retina import CONVIS_SIGMOID, sigmoid_cost
from torch import Tensor, nn

import neurosim

KERNELS = ((20, 1, 1), (20, 5, 5), (20, 9, 9))
CONVIS = {32: 808.0, 64: 204.0, 128: 50.0, 256: 12.0}  # frames per CPU-second, kernel 20 x 9 x 9, forwards


class Plain(nn.Module):
    """The model as it is written with torch alone; `kernel` as torch's convolutions take it."""

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 1, tuple(kernel.shape), dtype=kernel.dtype)
        with torch.no_grad():
            self.conv.weight.copy_(kernel)
            self.conv.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, time, y, x) to the same; the first frame was there all the time before."""
        lags, ky, kx = self.conv.kernel_size
        return torch.relu(self.conv(F.pad(x, (kx // 2, (kx - 1) // 2, ky // 2, (ky - 1) // 2, lags - 1, 0), mode="replicate")))


def in_turn(calls: list[Callable[[], object]], frames: int, seconds: float) -> list[float]:
    """Frames per CPU-second of each call: medians over rounds in which each is called once."""
    for call in calls:
        call()
    costs, started = [], time.process_time()
    while len(costs) < 5 or time.process_time() - started < seconds:
        row = []
        for call in calls:
            start = time.process_time()
            call()
            row.append(time.process_time() - start)
        costs.append(row)
    return [frames / statistics.median(column) for column in zip(*costs)]


def compare(size: int, frames: int, kernel_size: tuple[int, int, int], seconds: float, dtype: torch.dtype,
            rate: float = 1e-4) -> list[float]:
    """Frames per CPU-second: forwards by neurosim and plain torch, then one step of fitting by both."""
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.normal(size=(1, 1, frames, size, size)), dtype=dtype)
    goal = torch.as_tensor(rng.normal(size=x.shape), dtype=dtype)
    kernel = torch.as_tensor(rng.normal(size=kernel_size) / np.sqrt(np.prod(kernel_size)), dtype=dtype)

    model = neurosim.models.LN(kernel_size, bias=True, dtype=dtype)
    model.conv.set_weight(kernel, flip=False)
    model.requires_grad_(True)
    model.set_optimizer.SGD(lr=rate)
    plain = Plain(kernel)
    sgd = torch.optim.SGD(plain.parameters(), lr=rate)

    def ours() -> None:
        model.clear_state()
        model.optimize(x, goal)

    def theirs() -> None:
        sgd.zero_grad()
        F.mse_loss(plain(x), goal).backward()
        sgd.step()

    def forward(layer: Callable[[Tensor], Tensor]) -> None:
        with torch.no_grad():
            layer(x)

    steps = in_turn([ours, theirs], frames, seconds)
    difference = (model.conv.impulse_response().flip((2, 3, 4)) - plain.conv.weight).abs().max()
    assert difference < 1e-4 * plain.conv.weight.abs().max(), "the two models are not the same"
    return [*in_turn([lambda: model.run(x), lambda: forward(plain)], frames, seconds), *steps]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, help="pixels along a side of the frame")
    parser.add_argument("--frames", type=int, default=200, help="of a chunk: one step of the optimizer")
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU seconds per comparison")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.size} x {args.size} pixels, {args.frames} frames a step, {args.threads} thread(s), {args.dtype}; "
          "frames per CPU-second")
    before = sigmoid_cost()
    print(f"{'kernel':>10}{'forward':>10}{'torch':>10}{'times':>8}{'fitting':>10}{'torch':>10}{'times':>8}")
    for size in KERNELS:
        found = compare(args.size, args.frames, size, args.seconds, getattr(torch, args.dtype))
        print(f"{'x'.join(map(str, size)):>10}{found[0]:>10.0f}{found[1]:>10.0f}{found[0] / found[1]:>8.1f}"
              f"{found[2]:>10.0f}{found[3]:>10.0f}{found[2] / found[3]:>8.1f}")
    sigmoid = statistics.mean([before, sigmoid_cost()])
    print(f"one compiled sigmoid: {sigmoid:.2f} ns")
    if args.size in CONVIS:
        scaled = CONVIS[args.size] * CONVIS_SIGMOID / sigmoid
        print(f"LN 20x9x9 forwards: {found[0] / scaled:.1f} times convis ({CONVIS[args.size]:g} frames/s where the sigmoid "
              f"costs {CONVIS_SIGMOID} ns, {scaled:.0f} on this core);\nfitting: {found[2] / scaled:.1f} times what convis "
              "does forwards")


if __name__ == "__main__":
    main()
