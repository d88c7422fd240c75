"""Two processes under torchrun fit as one does whose input has both recordings as a batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurosim import StateError
from neurosim.filters import TemporalLowPass

PROGRAM = Path(__file__).with_name("two_processes.py")


def test_without_a_process_group_there_is_a_word() -> None:
    layer, x = TemporalLowPass(), torch.randn(10, 2, 2, generator=torch.Generator().manual_seed(0))
    layer.set_optimizer.SGD(lr=0.1)
    for call in (lambda: layer.fit([x, x], [x, x], distributed=True), lambda: layer.optimize(x, x, distributed=True)):
        with pytest.raises(StateError, match=r"needs a process group; .* in a program that is started by torchrun"):
            call()


THREADS = """
import os, torch, torch.distributed as dist
import neurosim
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0", RANK="0", WORLD_SIZE="1")
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
layer = neurosim.filters.TemporalLowPass()
layer.set_optimizer.Adam(lr=0.01)
layer.optimize(torch.ones(4, 1, 1), torch.ones(4, 1, 1), distributed=True)
def threads():
    return sum("gloo" in open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task"))
before = threads()
dist.destroy_process_group()
print(before > 0, threads())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_group_that_is_destroyed_leaves_no_threads() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "0"], done.stderr  # threads that outlive the interpreter abort it


@pytest.mark.slow
def test_two_processes_and_one(tmp_path: Path) -> None:
    alone = subprocess.run([sys.executable, PROGRAM, tmp_path / "alone"], capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    two = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", PROGRAM,
                          tmp_path / "two"], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert two.returncode == 0, two.stderr
    wanted = json.loads((tmp_path / "alone-0.json").read_text())
    first, second = (json.loads((tmp_path / f"two-{rank}.json").read_text()) for rank in (0, 1))
    assert first["parameters"] == second["parameters"] and first["histories"] == second["histories"]
    for name, values in wanted["parameters"].items():
        np.testing.assert_allclose(first["parameters"][name], values, rtol=0, atol=1e-6)
    for name, history in wanted["histories"].items():
        for course in ("loss", "validation"):
            np.testing.assert_allclose(first["histories"][name][course], history[course], rtol=1e-6)
        assert first["histories"][name]["stopped"] == history["stopped"]
    assert first["refused"] == second["refused"] and "different numbers of chunks" in first["refused"]
    assert "need a multiple of 2 recordings" in first["odd"]
    assert first["called"] == 2 and second["called"] == 0 and (tmp_path / "two.checkpoint").exists()
    assert first["chunks"] == [[0, 10], [2, 10]] and second["chunks"] == [[1, 10], [3, 10]]
