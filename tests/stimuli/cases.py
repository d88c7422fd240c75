"""Every stimulus, small, for the laws that all of them keep."""

from __future__ import annotations

from neurosim import Resolution
from neurosim import stimuli as st

SIZE = (7, 10)
COMMON = {"resolution": Resolution(0.002, pixels_per_degree=5.0)}
FLASH = st.Flash(SIZE, delay=0.01, duration=0.02, period=0.05, **COMMON)
NOISE = st.PinkNoise(SIZE, slowest=0.1, seed=3, **COMMON)

STIMULI: dict[str, st.Stimulus] = {
    "drifting": st.DriftingGrating(SIZE, direction=20, **COMMON),
    "square": st.DriftingGrating(SIZE, wave="square", direction=-70, **COMMON),
    "counterphase": st.CounterphaseGrating(SIZE, **COMMON),
    "checkerboard": st.Checkerboard(SIZE, check=0.5, temporal_frequency=20, **COMMON),
    "bar": st.MovingBar(SIZE, speed=50, direction=30, bar_length=1, pause=0.01, **COMMON),
    "flash": FLASH,
    "dots": st.MovingDots(SIZE, lifetime=0.03, **COMMON),
    "chirp": st.Chirp(SIZE, dark=0.02, step=0.03, grey=0.02, sweep=0.08, **COMMON),
    "binary": st.BinaryNoise(SIZE, check=0.5, interval=0.005, seed=1, **COMMON),
    "gaussian": st.GaussianNoise(SIZE, interval=0.006, seed=2, **COMMON),
    "sparse": st.SparseNoise(SIZE, probability=0.3, **COMMON),
    "pink": NOISE,
    "natural": st.NaturalMotion(SIZE, rate=20, **COMMON),
    "masked": NOISE * st.GaussianMask(0.5),
    "added": FLASH + NOISE,
    "repeated": st.Concatenated((FLASH, 0.031), (NOISE, 0.012), repeat=True),
}
