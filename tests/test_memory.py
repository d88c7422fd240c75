"""Constant memory: a stream takes what one chunk takes, however long it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, gc, neurosim, torch
from pathlib import Path

def resident():
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # what the allocator holds back is not what the library holds
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024

source = neurosim.streams.RandomStream(size=(64, 64), mean=0.0, level=255.0, seed=1)
retina = neurosim.retina.Retina()
frames = 0
with torch.{mode}():
    for out in retina.stream(source, 100, max_t={frames}, detach={detach}):
        if {detach} is False:
            retina.detach_state()
        frames += out[0].shape[2]
        if frames == 1000:
            before = resident()
print(resident() - before, frames)
"""


def growth(frames: int, mode: str = "no_grad", detach: bool = True) -> float:
    """MB that resident memory grows by after the first 1,000 frames, in a process of its own."""
    program = PROGRAM.format(frames=frames, mode=mode, detach=detach)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    grown, seen = done.stdout.split()
    assert int(seen) == frames
    return float(grown)


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
@pytest.mark.slow
def test_a_long_stream_through_the_retina():
    assert growth(20_000) < 5.0


@linux
@pytest.mark.slow
@pytest.mark.parametrize("detach", [True, False])
def test_with_gradients_on(detach: bool):
    assert growth(5_000, "enable_grad", detach) < 5.0


FIT = PROGRAM[:PROGRAM.index("source =")] + """
from neurosim.streams import RandomStream
model = neurosim.models.LN(kernel_dim=(20, 5, 5))
model.set_optimizer.SGD(lr=1e-9)
frames = {frames}

class Finite(RandomStream):
    length = frames

class Loss:
    seen = 0
    def __call__(self, output, goal):
        self.seen += output.shape[2]
        if self.seen == 2000:
            Loss.before = resident()
        return ((output - goal) ** 2).mean()

loss = Loss()
losses = model.optimize(Finite((32, 32), seed=1), Finite((32, 32), seed=2), dt=100, window={window}, loss_fn=loss)
print(resident() - Loss.before, 100 * len(losses))
"""


@linux
@pytest.mark.slow
@pytest.mark.parametrize("window", [None, 200])
def test_a_long_fit(window: int | None):
    done = subprocess.run([sys.executable, "-c", FIT.format(frames=20_000, window=window)], capture_output=True, text=True,
                          timeout=900)
    assert done.returncode == 0, done.stderr
    grown, seen = done.stdout.split()
    assert int(seen) == 20_000 and float(grown) < 5.0
