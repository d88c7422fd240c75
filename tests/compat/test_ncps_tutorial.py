"""The first steps of ncps, with its lightning trainer, on `neurosim.compat.ncps`: a script run as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
def test_first_steps_of_ncps(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run([sys.executable, HERE / "first_steps.py", "60"], cwd=tmp_path, env=environment, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["labels"][:4] == ["Sensory neurons", "Inter neurons", "Command neurons", "Motor neurons"]
    assert result["colors"] == {"command": "tab:cyan"}
    assert result["same"] and result["test"] < 0.6 * result["before"]
    for picture in ("wiring.png", "fit.png"):
        assert plt.imread(tmp_path / picture).std() > 0.01
    assert next((tmp_path / "log").rglob("metrics.csv")).read_text().startswith("epoch")
