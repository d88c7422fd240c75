"""Models of spike trains, from LN to LTC, with and without a memory of their own spikes, fitted to recordings of receptor cells
and scored on what they have not seen. Prints a table and draws the best.

    python examples/fit_spike_trains.py spikes.png                  # the two grasshopper recordings: eight minutes
    python examples/fit_spike_trains.py spikes.png my.nwb my.npz    # others, see neurosim.datasets.open
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch

import neurosim
from neurosim.analysis import bits_per_spike, explained_variance, poisson
from neurosim.datasets import Recording
from neurosim.filters import Conv1d, Conv3d
from neurosim.liquid import LTC, FullyConnected
from neurosim.models import GLM, LNCascade, McIntosh, OnSignal, Sequential, Subunits
from neurosim.optim import Ridge, Smooth

matplotlib.use("Agg")
BIN, LAGS, HISTORY = 0.001, 20, 15  # seconds; frames
LEVELS = {"log": np.log, "cube root": np.cbrt, "as it is": np.asarray}  # of a positive stimulus, such as a sound's amplitude
DTYPE = {"dtype": torch.float64}

def drawn(conv: Any, seed: int) -> Any:
    """The convolution with a kernel of small random numbers."""
    g = torch.Generator().manual_seed(seed)
    shape = conv.weight.shape
    conv.set_weight(torch.randn(shape, generator=g, dtype=torch.float64) / shape[1:].numel() ** 0.5)
    return conv


def lnln(features: int, seed: int) -> Any:
    """Four filters, softplus, and a filter over their outputs."""
    model = LNCascade(**DTYPE)
    model.add_layer(drawn(Conv3d(features, 4, (LAGS, 1, 1), **DTYPE), seed), torch.nn.Softplus())
    model.add_layer(drawn(Conv3d(4, 1, (8, 1, 1), **DTYPE), seed + 1), torch.nn.Identity())
    return OnSignal(model)


def subunits(features: int, seed: int) -> Any:
    """Four filters, softplus, and their weighted sum."""
    model = Subunits(4, LAGS, features, seed=seed, **DTYPE)
    model.output = torch.nn.Identity()
    return model


def gain_control(features: int, seed: int) -> Any:
    """A filter, contrast gain control, and a second filter."""
    cells = neurosim.retina.Bipolar(adaptation_sigma=0.0, lambda_amp=50.0, input_amp=100.0, g_leak=100.0, tau=0.01, **DTYPE)
    cells.p.adaptation_sigma.requires_grad_(False)  # there is one pixel
    first, second = (Conv1d(n, 1, LAGS, **DTYPE) for n in (features, 1))
    first.set_weight(np.eye(1, LAGS)[0])
    return OnSignal(Sequential(first, cells, drawn(second, seed)))


def mcintosh(features: int, seed: int) -> Any:
    """Two rectified convolutions and a readout."""
    return OnSignal(McIntosh((LAGS, 1, 1), layer1_channels=4, layer2_channels=6, filter_2_size=(3, 1, 1), in_channels=features,
                             seed=seed, **DTYPE))


def ltc(features: int, seed: int) -> Any:
    """Four filters, and six liquid neurons that all know each other."""
    return Sequential(OnSignal(drawn(Conv3d(features, 4, (LAGS, 1, 1), **DTYPE), seed)),
                      LTC(4, FullyConnected(6, 1), ode_unfolds=3, seed=seed, **DTYPE))


DRIVES: dict[str, Callable[[int, int], Any]] = {
    "LN": lambda features, seed: LAGS, "LNLN": lnln, "subunits": subunits, "gain control": gain_control, "McIntosh": mcintosh,
    "LTC": ltc}
FILTERS = {"LN": "stimulus.weight", "LNLN": "stimulus.inner.linearities.0.weight", "subunits": "stimulus.filters.weight",
           "gain control": "stimulus.inner.layer_0.weight", "McIntosh": "stimulus.inner.conv1.weight",
           "LTC": "stimulus.layer_0.inner.weight"}


def side_by_side(x: np.ndarray, counts: np.ndarray, history: int) -> np.ndarray:
    """What a GLM takes: the stimulus, and the counts beside it when it has a history."""
    return np.concatenate([x, counts], 1) if history else x


def stretches(keep: np.ndarray) -> list[slice]:
    """Where the frames lie that are kept."""
    edges = np.flatnonzero(np.diff(np.r_[False, keep, False]))
    return [slice(a, b) for a, b in edges.reshape(-1, 2)]


def without_a_sixth(counts: np.ndarray, keep: np.ndarray) -> tuple[list[slice], slice]:
    """What is left to fit, and a sixth of the frames in a row: the last one in which the cell is not unusually silent."""
    *parts, longest = sorted(stretches(keep), key=lambda part: part.stop - part.start)
    length = keep.sum() // 6
    starts = range(longest.stop - length, longest.start, -length)
    start = next((at for at in starts if counts[at:at + length].mean() > counts[keep].mean() / 2), starts[0])
    held = slice(start, start + length)
    parts += [slice(longest.start, held.start), slice(held.stop, longest.stop)]
    return [part for part in parts if part.stop > part.start], held


def free(model: GLM) -> list[torch.nn.Parameter]:
    """The parameters that are fitted."""
    return [p for p in model.parameters() if p.requires_grad]


def convex(x: np.ndarray, counts: np.ndarray, keep: np.ndarray, history: int, weight: float) -> GLM:
    """An LN or GLM fitted by L-BFGS to its one optimum, under a penalty on rough and large kernels of this weight.

    A weak penalty on the history, too, keeps that of a cell that never spiked in two frames running from saying that it never
    will.
    """
    both, inside, parts = side_by_side(x, counts, history), torch.as_tensor(keep), stretches(keep)
    model = GLM(LAGS, history, x.shape[1], **DTYPE).start([both[part] for part in parts], [counts[part] for part in parts])
    penalty = {FILTERS["LN"]: lambda kernel: Smooth(weight)(kernel) + Ridge(weight / 10)(kernel)} if weight else {}
    if weight and history:
        penalty["history.weight"] = Ridge(3e-5)
    model.fit(both, counts, epochs=1, loss_fn=lambda out, goal: poisson(out[:, inside], goal[:, inside]), penalty=penalty,
              optimizer=neurosim.optim.Scipy(free(model), max_iter=1000))
    return model


def left_out_loss(x: np.ndarray, counts: np.ndarray, keep: np.ndarray, history: int, weight: float) -> float:
    """Negative log-likelihood of each fifth of the frames that are kept, under a model fitted to the other ones."""
    loss = 0.0
    for left_out in np.array_split(np.flatnonzero(keep), 5):
        others = keep.copy()
        others[left_out] = False
        rate = score(convex(x, counts, others, history, weight), x, counts, others).rate[left_out]
        loss += float((rate - counts[left_out, 0] * np.log(rate + 1e-12)).sum())
    return loss


def fit(name: str, history: int, x: np.ndarray, counts: np.ndarray, keep: np.ndarray, *, epochs: int = 80, seeds: int = 2,
        weights: Sequence[float] = (1e-5, 1e-4, 1e-3, 1e-2)) -> GLM:
    """A model fitted to the frames of a recording that `keep` marks.

    For an LN and its GLM the weight of the penalty is the one with which fifths of these frames are predicted best from the
    others. Other models are fitted by Adam, from some random starts, until a sixth that is held out is predicted no better; the
    one that is best there is taken.
    """
    both, features = side_by_side(x, counts, history), x.shape[1]
    if name == "LN":
        if len(weights) > 1:
            weights = [min(weights, key=lambda weight: left_out_loss(x, counts, keep, history, weight))]
        return convex(x, counts, keep, history, weights[0])
    parts, held = without_a_sixth(counts, keep)
    xs, ys = [both[part] for part in parts], [counts[part] for part in parts]
    best: tuple[float, Any] = (float("inf"), None)
    for seed in range(seeds):
        model = GLM(DRIVES[name](features, seed), history, features, **DTYPE).start(xs, ys)
        found = model.fit(xs, ys, epochs=epochs, patience=10, dt=1000, loss_fn="poisson", validation=(both[held], counts[held]),
                          optimizer=torch.optim.Adam(free(model), lr=0.02), penalty={FILTERS[name]: Smooth(1e-3)})
        best = min(best, (min(found.validation), model), key=lambda one: one[0])
    return best[1]


class Score(NamedTuple):
    """How well held-out counts are predicted."""

    bits: float  # per spike, over a constant rate, that of the training data
    variance: float  # explained, of single counts
    rate: np.ndarray  # expected counts of all frames, those fitted too
    parameters: int


def score(model: GLM, x: np.ndarray, counts: np.ndarray, keep: np.ndarray) -> Score:
    """Runs the whole recording; what counts are the frames that were not kept for the fit."""
    history = 0 if model.history is None else 1
    rate = model.run(side_by_side(x, counts, history))[0][0].detach().numpy()
    held_out = rate[~keep, 0], counts[~keep, 0]
    return Score(float(bits_per_spike(*held_out, counts[keep].mean())), float(explained_variance(*held_out)), rate[:, 0],
                 sum(p.numel() for p in free(model)))


def levelled(x: np.ndarray, counts: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The stimulus on the scale on which an LN explains the frames that are kept best."""
    choices = [scale(x) for scale in LEVELS.values()] if x.min() > 0 else [x]
    return min(choices, key=lambda one: -score(convex(one, counts, keep, 0, 1e-5), one, counts, ~keep).bits)


def arrays(recording: Recording) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stimulus (time, features) and counts (time, 1) of each unit, in bins of 1 ms, or frames where those are longer."""
    x, counts = recording.arrays(min(1.0 / BIN, recording.frame_rate))
    return [(x.reshape(len(x), -1).astype(float), counts[:, [unit]].astype(float)) for unit in range(counts.shape[1])]


def compare(recording: Recording, *, seconds: float | None = None, folds: int = 5, names: Sequence[str] = tuple(DRIVES),
            **options: Any) -> list[dict[tuple[str, int], Score]]:
    """The scores of all models, without and with history: fitted to the first seconds (70 %), then for each of the folds.

    Several units are scored one by one, and follow each other in the list.
    """
    found = []
    for x, counts in arrays(recording):
        frames = len(x)
        first = round(frames * (0.7 if seconds is None else seconds / recording.duration))
        edges = np.linspace(0, frames, folds + 1).astype(int) if folds else []
        tests = [slice(first, frames), *(slice(a, b) for a, b in pairwise(edges))]
        for test in tests:
            keep = np.ones(frames, bool)
            keep[test] = False
            scaled = levelled(x, counts, keep)
            found.append({(name, history): score(fit(name, history, scaled, counts, keep, **options), scaled, counts, keep)
                          for name in names for history in (0, HISTORY)})
    return found


def table(results: dict[str, list[dict[tuple[str, int], Score]]], folds: int) -> str:
    """The scores as a table of markdown: of the last 30 %, and mean and standard error over folds."""
    head = ["model", "parameters"]
    for title in results:
        head += [f"{title}: bits per spike", *([f"{folds} folds", "variance explained"] if folds else ["variance explained"])]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, history in next(iter(results.values()))[0]:
        cells = [name + (" with history" if history else "")]
        cells.append(str(next(iter(results.values()))[0][name, history].parameters))
        for scores in results.values():
            mine = [one[name, history] for one in scores]
            cells.append(f"{np.mean([one.bits for one in mine[::folds + 1]]):.2f}")
            if folds:
                mine = [one for i, one in enumerate(mine) if i % (folds + 1)]
                bits = [one.bits for one in mine]
                cells.append(f"{np.mean(bits):.2f} ± {np.std(bits, ddof=1) / len(bits) ** 0.5:.2f}")
            cells.append(f"{np.mean([one.variance for one in mine]):.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(picture: Path, paths: Sequence[str] = (), *, folds: int = 5, **options: Any) -> dict[tuple[str, int], Score]:
    """Fits, prints the table and draws; the scores on the last 30 % of the first recording."""
    recordings = {Path(path).stem: neurosim.datasets.open(path) for path in paths} or {
        f"recording {number}": neurosim.datasets.grasshopper(number) for number in (1, 2)}
    results = {title: compare(recording, folds=folds, **options) for title, recording in recordings.items()}
    print(table(results, folds))
    title, recording = next(iter(recordings.items()))
    draw(title, arrays(recording)[0][1][:, 0], results, picture)
    return results[title][0]


def draw(title: str, counts: np.ndarray, results: dict[str, list[dict[tuple[str, int], Score]]], picture: Path) -> None:
    """Bits per spike of each model and recording, and what LN, GLM and the last model predict of the first recording."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(name for name, _ in results[title][0]))
    panels = {"LN": ("LN", 0), "GLM": ("LN", HISTORY), f"{names[-1]} with history": (names[-1], HISTORY)}
    figure, axes = plt.subplot_mosaic([["bits", "spikes"], *(["bits", panel] for panel in panels)], figsize=(10.5, 4.8),
                                      width_ratios=(1, 1.35), height_ratios=(0.45, 1, 1, 1), layout="constrained")
    bars = axes["bits"]
    height = 0.8 / len(results)
    for number, (one, scores) in enumerate(results.items()):
        rows = np.arange(len(names)) + (number - (len(results) - 1) / 2) * height
        for history, alpha in ((HISTORY, 0.35), (0, 1.0)):
            bars.barh(rows, [scores[0][name, history].bits for name in names], 0.9 * height, color=f"C{number}", alpha=alpha,
                      label=f"{one}{', with history' if history else ''}")
    bars.set(yticks=range(len(names)), yticklabels=names, xlabel="bits per spike, of the last 30 %")
    bars.invert_yaxis()
    bars.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False)
    start = round(0.7 * len(counts))
    shown = slice(start, min(start + 300, len(counts)))
    time = np.arange(shown.start, shown.stop) * BIN
    axes["spikes"].vlines(time[counts[shown] > 0], 0, 1, color="black", linewidth=1.0)
    axes["spikes"].set(yticks=[], title=f"spikes of {title}, held out")
    for panel, key in panels.items():
        one = results[title][0][key]
        axes[panel].plot(time, one.rate[shown] / BIN, color="C3", linewidth=1.1)
        axes[panel].set(ylabel="rate (Hz)")
        axes[panel].set_title(f"{panel}: {one.bits:.2f} bits per spike, {one.variance:.0%} of the variance explained",
                              fontsize="small")
        axes[panel].grid(alpha=0.3)
    for panel in ("spikes", *panels):
        axes[panel].set(xlim=(time[0], time[-1] + BIN))
        axes[panel].tick_params(labelbottom=panel == list(panels)[-1])
    axes[list(panels)[-1]].set(xlabel="time (s)")
    figure.savefig(picture, dpi=72)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "spikes.png"), sys.argv[2:])
