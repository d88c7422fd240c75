"""A script written for ncps and lightning, of which only the line that imports ncps differs. Run by test_ncps_tutorial."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn, utils

from neurosim.compat import ncps


class Learner(pl.LightningModule):
    """Fits a network that returns (output, state)."""

    def __init__(self, model: nn.Module, lr: float) -> None:
        super().__init__()
        self.model, self.lr = model, lr

    def training_step(self, batch, batch_idx):
        return {"loss": self.loss(batch, "train_loss")}

    def validation_step(self, batch, batch_idx):
        return self.loss(batch, "val_loss")

    def test_step(self, batch, batch_idx):
        return self.validation_step(batch, batch_idx)

    def loss(self, batch, name):
        x, y = batch
        prediction, _ = self.model.forward(x)
        loss = nn.MSELoss()(prediction.view_as(y), y)
        self.log(name, loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.model.parameters(), lr=self.lr)


def main(epochs: int) -> None:
    """Trains, draws, saves and prints what the test looks at."""
    pl.seed_everything(0)
    steps = 48
    turn = np.linspace(0, 3 * np.pi, steps)
    x = torch.Tensor(np.stack([np.sin(turn), np.cos(turn)], axis=1)[None].astype(np.float32))
    y = torch.Tensor(np.sin(2 * turn).reshape(1, steps, 1).astype(np.float32))
    batches = utils.data.DataLoader(utils.data.TensorDataset(x, y), batch_size=1, shuffle=True, num_workers=2)

    wiring = ncps.wirings.AutoNCP(16, 1)
    network = ncps.torch.LTC(2, wiring, batch_first=True)
    learner = Learner(network, lr=0.01)
    trainer = pl.Trainer(logger=pl.loggers.CSVLogger("log"), max_epochs=epochs, gradient_clip_val=1, accelerator="cpu")

    colors = {"command": "tab:cyan"}
    figure = plt.figure(figsize=(6, 4))
    handles = wiring.draw_graph(draw_labels=True, neuron_colors=colors)
    plt.legend(handles=handles, loc="upper center", bbox_to_anchor=(1, 1))
    plt.tight_layout()
    figure.savefig("wiring.png")

    with torch.no_grad():
        before = network(x)[0].numpy()
    trainer.fit(learner, batches)
    trainer.test(learner, batches)
    with torch.no_grad():
        after = network(x)[0].numpy()
    plt.figure(figsize=(6, 4))
    for values, label in ((y, "target"), (before, "before"), (after, "after")):
        plt.plot(values[0, :, 0], label=label)
    plt.legend(loc="upper right")
    plt.savefig("fit.png")
    trainer.save_checkpoint("fit.ckpt")
    again = Learner.load_from_checkpoint("fit.ckpt", model=ncps.torch.LTC(2, ncps.wirings.AutoNCP(16, 1)), lr=0.01)
    with torch.no_grad():
        loaded = again.model(x)[0].numpy()
    json.dump({"labels": [handle.get_label() for handle in handles], "colors": colors, "test": trainer.callback_metrics[
        "val_loss"].item(), "before": float(((before - y.numpy())**2).mean()), "same": bool((loaded == after).all())},
        open("result.json", "w"))


if __name__ == "__main__":
    main(int(sys.argv[1]))
