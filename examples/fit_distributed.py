"""Four recordings are fitted by two processes together: by `fit`, and in a loop with torch's DistributedDataParallel.

    torchrun --standalone --nproc-per-node 2 examples/fit_distributed.py distributed.png
    python examples/fit_distributed.py distributed.png          # the same in one process
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.distributed
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

import neurosim

matplotlib.use("Agg")
DT, AT_ONCE = 100, 2  # frames of a chunk, recordings of a step


def recordings(frames: int) -> tuple[list[Tensor], list[Tensor], np.ndarray]:
    """Four movies, what a cell answered to each, with noise of its own; and the cell's kernel."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-2:3, -2:3]
    kernel = np.sin(np.arange(6) / 1.2)[:, None, None] * np.exp(-(x**2 + y**2) / 3)
    cell = neurosim.models.LN()
    cell.conv.set_weight(kernel)
    movies = [torch.from_numpy(rng.normal(size=(frames, 8, 8)).astype("float32")) for _ in range(4)]
    answers = []
    for movie in movies:
        cell.clear_state()
        answer = cell.run(movie)[0][0, 0]
        answers.append(answer + torch.from_numpy(rng.normal(size=answer.shape).astype("float32")))
    return movies, answers, kernel


def model() -> neurosim.models.LN:
    """What is fitted."""
    found = neurosim.models.LN()
    found.conv.set_weight(np.full((6, 5, 5), 0.01))
    found.set_optimizer.Adam(lr=0.01)
    return found


def by_fit(movies: list[Tensor], answers: list[Tensor], epochs: int, together: bool) -> neurosim.models.LN:
    """Each process with its share of the recordings; or one process, with the recordings of a step as a batch."""
    fitted = model()
    if not together:
        movies, answers = ([torch.stack(some[i:i + AT_ONCE])[:, None] for i in range(0, len(some), AT_ONCE)]
                           for some in (movies, answers))
    fitted.fit(movies, answers, epochs=epochs, dt=DT, distributed=together)
    return fitted


def in_a_loop(movies: list[Tensor], answers: list[Tensor], epochs: int) -> neurosim.models.LN:
    """The loop that one would write with DistributedDataParallel."""
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    fitted = model()
    shared = DistributedDataParallel(fitted)
    for _ in range(epochs):
        for movie, answer in zip(movies[rank::ranks], answers[rank::ranks], strict=True):
            fitted.clear_state()
            for part, wanted in zip(movie.split(DT), answer.split(DT), strict=True):
                fitted.optimizer.zero_grad()
                ((shared(part) - wanted) ** 2).mean().backward()
                fitted.optimizer.step()
    return fitted


def main(picture: Path, epochs: int = 20, frames: int = 400) -> np.ndarray:
    """Fits; the kernel that is found. Under torchrun, the largest difference to the loop is printed."""
    together = "RANK" in os.environ  # torchrun says so
    if together:
        torch.distributed.init_process_group("gloo")
    movies, answers, kernel = recordings(frames)
    found = by_fit(movies, answers, epochs, together).conv.weight.detach().numpy()[0, 0]
    first = not together or torch.distributed.get_rank() == 0
    if together:
        other = in_a_loop(movies, answers, epochs).conv.weight.detach().numpy()[0, 0]
        if first:
            print(f"fit and the loop differ by {np.abs(found - other).max():.1g}")
        torch.distributed.destroy_process_group()
    if first:
        error = np.linalg.norm(found - kernel) / np.linalg.norm(kernel)
        print(f"the kernel is off by {error:.1%}")
        np.save(picture.with_suffix(".npy"), found)
        draw(kernel, found, picture)
    return found


def draw(wanted: np.ndarray, found: np.ndarray, picture: Path) -> None:
    """Both kernels, lag by lag."""
    import matplotlib.pyplot as plt

    figure, rows = plt.subplots(2, len(wanted), figsize=(8, 3), layout="constrained")
    limit = np.abs(wanted).max()
    for row, kernel, name in zip(rows, (wanted, found), ("of the cell", "found"), strict=True):
        for lag, panel in enumerate(row):
            image = panel.imshow(kernel[lag], cmap="RdBu_r", vmin=-limit, vmax=limit)
            panel.set(xticks=[], yticks=[], title=f"{lag} ms")
        row[0].set_ylabel(name)
    figure.colorbar(image, ax=rows, label="weight")
    figure.savefig(picture, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "distributed.png"))
