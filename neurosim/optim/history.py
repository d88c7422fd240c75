"""What a fit has gone through: losses by epoch."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, field
from typing import Any

from .._tree import html_table


@dataclass
class History:
    """Losses of a fit, epoch by epoch.

    Fields: `epochs`, numbers from 1; `loss`, the mean over the frames of the epoch, each chunk before its step; `validation`,
    the loss of the held-out data after each epoch, empty without such data; `learning_rate`; `best`, the epoch with the lowest
    validation (or training) loss; `stopped`, why it ended: "epochs", "patience" or "interrupted".

    >>> history = History([1, 2], [0.5, 0.25], [], [0.1, 0.1], 2, "epochs")
    >>> history
    History: 2 epochs, loss 0.5 to 0.25, best epoch 2 (epochs)
    >>> history.add(loss=0.3, validation=None, learning_rate=0.1), history.watched  # not the best
    (False, [0.5, 0.25, 0.3])
    """

    epochs: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    best: int | None = None
    stopped: str = ""

    @property
    def watched(self) -> list[float]:
        """What tells the best epoch: the validation loss, without one the training loss."""
        return self.validation or self.loss

    def add(self, loss: float, validation: float | None, learning_rate: float) -> bool:
        """Takes in an epoch: its `loss`, that of the `validation` data, its `learning_rate`; whether it is the best yet."""
        self.epochs.append(len(self.epochs) + 1)
        self.loss.append(loss)
        self.learning_rate.append(learning_rate)
        if validation is not None:
            self.validation.append(validation)
        if self.best is None or self.watched[-1] < self.watched[self.best - 1]:
            self.best = self.epochs[-1]
        return self.best == self.epochs[-1]

    def plot(self) -> Any:
        """Losses against epochs. Returns the figure."""
        from ..plot import fit
        return fit(self)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain lists and numbers."""
        return asdict(self)

    def __repr__(self) -> str:
        if not self.epochs:
            return "History: no epochs"
        validation = f", validation {self.validation[0]:.4g} to {self.validation[-1]:.4g}" if self.validation else ""
        return (f"History: {len(self.epochs)} epochs, loss {self.loss[0]:.4g} to {self.loss[-1]:.4g}{validation}, "
                f"best epoch {self.best} ({self.stopped or 'running'})")

    def _repr_html_(self) -> str:
        some = set(range(0, len(self.epochs), max(len(self.epochs) // 20, 1)))  # a long fit is still a short table
        shown = sorted(some | {len(self.epochs) - 1, (self.best or 1) - 1}) if self.epochs else []
        rows = [(str(self.epochs[i]), f"{self.loss[i]:.5g}", f"{self.validation[i]:.5g}" if self.validation else "",
                 f"{self.learning_rate[i]:.3g}") for i in shown]
        return (f"<details open><summary><b>{html.escape(repr(self))}</b></summary>"
                f"{html_table(('epoch', 'loss', 'validation', 'learning rate'), rows)}</details>")
