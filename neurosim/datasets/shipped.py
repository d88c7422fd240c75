"""The recordings that come with the package."""

from __future__ import annotations

from importlib import resources

import numpy as np

from .._errors import ParameterError
from .recording import Recording

SOURCE = ("Auditory receptor cell of the grasshopper Locusta migratoria, recorded by Ariel Rokem in the laboratory of Andreas "
          "Herz, Humboldt University Berlin; from the test data of nitime 0.12.1 (grasshopper_stimulus{0}.txt, "
          "grasshopper_spike_times{0}.txt), the stimulus averaged to 2 kHz")
LICENCE = "BSD 3-Clause, (c) 2006-2023 the NIPY developers"


def grasshopper(number: int) -> Recording:
    """A recording from an auditory receptor of a grasshopper, 10 s: sound of random amplitude, and the spikes.

    Args:
        number: 1 (929 spikes) or 2 (868 spikes).
    Returns: the amplitude of the sound, Gaussian noise up to 200 Hz (1) or 800 Hz (2), at 2 kHz, and one unit.
    Raises: ParameterError.
    Reference: Rokem et al., J Neurophysiol 95:2541 (2006).

    >>> import neurosim
    >>> neurosim.datasets.grasshopper(1)
    <Recording: 10 s of frames () at 2000 Hz, 1 unit, 929 spikes>
    """
    if number not in (1, 2):
        raise ParameterError("grasshopper", "number", "choose from [1, 2]", number)
    with resources.files("neurosim.data").joinpath(f"grasshopper{number}.npz").open("rb") as file, \
            np.load(file, allow_pickle=False) as data:
        return Recording(data["amplitude"], data["spike_times_us"] * 1e-6, float(data["frame_rate"]),
                         source=SOURCE.format(number), licence=LICENCE)
