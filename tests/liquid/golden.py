"""The numbers of ncps, read for tests: one `Case` for each file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from neurosim.functional.ltc import LTCParams, Wires

DATA = Path(__file__).parents[1] / "data" / "ncps"
SYNAPSE = ("w", "sigma", "mu", "erev")


def names(prefix: str) -> list[str]:
    """Names of all cases that start with `prefix`."""
    return sorted(path.stem for path in DATA.glob(f"{prefix}*.npz"))


@dataclass
class Case:
    """One run of ncps: settings, arrays, and leaf tensors for everything that ncps gives a gradient for."""

    meta: dict[str, Any]
    arrays: dict[str, Tensor]
    leaves: dict[str, Tensor]

    @classmethod
    def load(cls, name: str, dtype: torch.dtype = torch.float64) -> Case:
        with np.load(DATA / f"{name}.npz") as file:
            meta = json.loads(str(file["meta"]))
            arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "meta"}
        leaves = {key.removeprefix("grad/"): None for key in arrays if key.startswith("grad/")}
        values = {key: arrays[key].to(dtype).clone().requires_grad_() for key in leaves}
        return cls(meta, arrays, values)

    def parameter(self, name: str) -> Tensor | None:
        """The leaf of a parameter of the cell, None when there is none."""
        return self.leaves.get(f"param/rnn_cell.{name}")

    def get(self, name: str) -> Tensor:
        """The leaf of an input or state, or its value where ncps gives no gradient."""
        leaf = self.leaves.get(name)
        return self.arrays[name].to(self.leaves["x"].dtype) if leaf is None else leaf

    @property
    def timespans(self) -> Any:
        if "timespans" in self.arrays:
            return self.get("timespans")
        text = str(self.meta["timespans"])
        return 1.0 if text.startswith("none") else float(text)

    def check_gradients(self, loss: Tensor, rtol: float) -> None:
        """Compares d loss / d leaf for every leaf; the tolerance is relative to the largest gradient of a leaf."""
        loss.backward()
        for name, leaf in self.leaves.items():
            expected = self.arrays[f"grad/{name}"]
            found = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=rtol * max(1.0, expected.abs().max()),
                                       msg=lambda text, name=name: f"{name}: {text}")

    def ltc(self) -> tuple[LTCParams, Wires]:
        """The dense parameters of ncps, at the synapses that exist."""
        def lists(adjacency: Tensor) -> tuple[Tensor, Tensor]:
            target, source = adjacency.T.nonzero().T
            return source.contiguous(), target.contiguous()

        def positive(name: str) -> Tensor:
            value = self.parameter(name)
            return softplus(value) if self.meta["implicit"] else value

        internal, sensory = lists(self.arrays["adjacency"]), lists(self.arrays["sensory_adjacency"])
        synapses = [(positive(name) if name == "w" else self.parameter(name))[internal] for name in SYNAPSE]
        sensory_synapses = [(positive(f"sensory_{name}") if name == "w" else self.parameter(f"sensory_{name}"))[sensory]
                            for name in SYNAPSE]
        p = LTCParams(positive("gleak"), self.parameter("vleak"), positive("cm"), *synapses, *sensory_synapses)
        return p, Wires(*internal, *sensory)

    def mapped(self, x: Tensor, which: str) -> Tensor:
        """The affine, linear or missing map of ncps at the input or output."""
        w, b = self.parameter(f"{which}_w"), self.parameter(f"{which}_b")
        x = x if w is None else x * w
        return x if b is None else x + b
