"""Integrate-and-fire layers beside norse and snntorch: 16,384 neurons, 1,000 steps, forward and with surrogate gradients.

    python benchmarks/spiking.py [--neurons 16384] [--steps 1000] [--rounds 7]

norse and snntorch have to be there; install them with `pip install --no-deps norse snntorch nir nirtorch`, as they pull other
builds of torch. All get the same input and run in turn in one process and one thread; ratios are of CPU times, the median over
the rounds. Without them only neurosim is timed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from neurosim import SIGNAL
from neurosim.spiking import LIF, Izhikevich

OURS = "neurosim LIF"
WANTED = {"norse": (5.0, 2.0), "snntorch": (3.0, 2.0)}  # ratios promised, forward and with gradients

Run = Callable[[torch.Tensor], torch.Tensor]


def ours() -> Run:
    """neurosim: one call for all steps."""
    layer = LIF(SIGNAL, g_L=100.0)
    return lambda x: layer.advance(x)[0]


def ours_noisy() -> Run:
    """The same with white noise."""
    layer = LIF(SIGNAL, g_L=100.0, noise_sigma=0.1)
    return lambda x: layer.advance(x)[0]


def ours_izhikevich() -> Run:
    """Izhikevich's neurons, no competitor."""
    layer = Izhikevich(SIGNAL)
    return lambda x: layer.advance(x / 10)[0]


def norse_lif() -> Run:
    """norse's leaky integrate-and-fire cell without synaptic current: its fastest form."""
    from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step

    p = LIFBoxParameters(tau_mem_inv=torch.tensor(100.0))

    def run(x: torch.Tensor) -> torch.Tensor:
        state, spikes = LIFBoxFeedForwardState(v=torch.zeros_like(x[:, 0])), []
        for frame in x.unbind(1):
            z, state = lif_box_feed_forward_step(frame / 100, state, p, dt=0.001)
            spikes.append(z)
        return torch.stack(spikes, 1)

    return run


def norse_current() -> Run:
    """norse's leaky integrate-and-fire cell with synaptic current, its standard one."""
    from norse.torch.functional.lif import LIFFeedForwardState, LIFParameters, lif_feed_forward_step

    p = LIFParameters()

    def run(x: torch.Tensor) -> torch.Tensor:
        zeros = torch.zeros_like(x[:, 0])
        state, spikes = LIFFeedForwardState(v=zeros, i=zeros), []
        for frame in x.unbind(1):
            z, state = lif_feed_forward_step(frame / 100, state, p, dt=0.001)
            spikes.append(z)
        return torch.stack(spikes, 1)

    return run


def snntorch_leaky() -> Run:
    """snntorch's first-order leaky neuron, reset to zero."""
    import snntorch

    cell = snntorch.Leaky(beta=0.9, reset_mechanism="zero")

    def run(x: torch.Tensor) -> torch.Tensor:
        v, spikes = cell.init_leaky(), []
        for frame in x.unbind(1):
            z, v = cell(frame / 1000, v)
            spikes.append(z)
        return torch.stack(spikes, 1)

    return run


MODELS: dict[str, Callable[[], Run]] = {
    OURS: ours, "neurosim LIF, noise": ours_noisy, "neurosim Izhikevich": ours_izhikevich,
    "norse lif_box": norse_lif, "norse lif": norse_current, "snntorch Leaky": snntorch_leaky}


def forward(run: Run, x: torch.Tensor) -> float:
    """CPU seconds without gradients."""
    with torch.no_grad():
        start = time.process_time()
        run(x)
        return time.process_time() - start


def both(run: Run, x: torch.Tensor) -> float:
    """CPU seconds forward and back to the input."""
    own = x.clone().requires_grad_()
    start = time.process_time()
    run(own).mean().backward()
    return time.process_time() - start


def main() -> None:
    """Times every model that can be imported and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=16_384)
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)  # then CPU time is what one core does, and others at work on the machine do not count
    x = 300 * torch.rand(1, args.steps, args.neurons, generator=torch.Generator().manual_seed(0))
    runs = {}
    for name, make in MODELS.items():
        try:
            runs[name] = make()
        except ImportError as error:
            print(f"{name}: not timed ({error})")
    times: dict[tuple[str, Callable[..., float]], list[float]] = {}
    for round in range(args.rounds + 1):
        for what in (forward, both):
            for name, run in runs.items():  # a round is short: its times make pairs
                seconds = what(run, x)
                if round:  # the first one compiles
                    times.setdefault((name, what), []).append(seconds)

    def ratio(name: str, what: Callable[..., float]) -> float:
        """Median over the rounds of this model's time over neurosim's."""
        return statistics.median(a / b for a, b in zip(times[name, what], times[OURS, what], strict=True))

    updates = args.neurons * args.steps
    print(f"{args.neurons} neurons, {args.steps} steps, one thread; medians of {args.rounds} rounds")
    print(f"{'':22}{'forward ms':>12}{'ns/update':>11}{'ratio':>7}{'with gradients ms':>20}{'ratio':>7}")
    for name in runs:
        f, b = (statistics.median(times[name, what]) for what in (forward, both))
        print(f"{name:22}{1e3 * f:12.1f}{1e9 * f / updates:11.2f}{ratio(name, forward):7.1f}{1e3 * b:20.1f}"
              f"{ratio(name, both):7.1f}")
    for peer, (ahead, back) in WANTED.items():
        theirs = [name for name in runs if name.startswith(peer)]
        if theirs:
            found = [min(ratio(name, what) for name in theirs) for what in (forward, both)]
            kept = found[0] >= ahead and found[1] >= back
            print(f"at least {ahead:g} and {back:g} times as fast as {peer}: {'yes' if kept else 'NO'}")


if __name__ == "__main__":
    main()
