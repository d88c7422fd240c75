"""A neuron of one's own: declared in a few lines, run in chunks, fitted to what another one did; before and after as a picture.

python examples/own_neuron.py [PICTURE.png]
"""

import sys
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure

import neurosim
from neurosim import FrameLayer, Param


class AdaptingState(NamedTuple):
    """Potential and adaptation, (batch, feature)."""

    v: torch.Tensor
    w: torch.Tensor


class Adapting(FrameLayer):
    """A membrane with an adaptation current: tau dv/dt = x - v - w, tau_w dw/dt = a v - w."""

    axes = neurosim.SIGNAL
    tau = Param(0.01, unit="s", above=0.0, doc="membrane time constant")
    tau_w = Param(0.1, unit="s", above=0.0, doc="time constant of the adaptation")
    a = Param(0.5, at_least=0.0, doc="strength of the adaptation")

    def initial_state(self, x: torch.Tensor) -> AdaptingState:
        """At rest, both 0."""
        return AdaptingState(torch.zeros_like(x), torch.zeros_like(x))

    def step(self, state: AdaptingState, frame: torch.Tensor) -> tuple[torch.Tensor, AdaptingState]:
        """One frame; both equations exact for what is held over it."""
        h = self.resolution.frame
        keep, keep_w = torch.exp(-h / self.tau), torch.exp(-h / self.tau_w)
        v = keep * state.v + (1 - keep) * (frame - state.w)
        w = keep_w * state.w + (1 - keep_w) * self.a * v
        return v, AdaptingState(v, w)


def main(picture: Path = Path("own_neuron.png")) -> float:
    """Finds the adaptation of a cell again from what it does; returns the strength found."""
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(0)).cumsum(0) / 10
    goal = Adapting(a=1.5).run(x)[0]
    cell = Adapting()
    before = cell.run(x)[0]
    cell.p.tau.requires_grad_(False)
    cell.p.tau_w.requires_grad_(False)
    cell.set_optimizer.LBFGS(line_search_fn="strong_wolfe")
    for step in range(3):
        cell.clear_state()
        (loss,) = cell.optimize(x, goal)
        print(f"step {step}: loss {loss:.3g}, a = {cell.a.item():.4f}")
    print(cell.p)
    cell.clear_state()
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(x, color="0.8", label="input")
    axes.plot(goal[0], color="black", label="goal, a = 1.5")
    axes.plot(before[0], color="tab:blue", linestyle="--", label="before, a = 0.5")
    axes.plot(cell.run(x)[0][0], color="tab:orange", linestyle="--", label=f"after, a = {cell.a.item():.3f}")
    axes.set(xlabel="time (ms)", ylabel="potential", title="An adapting neuron, fitted to another one")
    axes.legend(fontsize="small")
    figure.savefig(picture)
    return cell.a.item()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
