"""The recordings that come with the package."""

from __future__ import annotations

from importlib import resources

from .._errors import ParameterError
from .files import open
from .recording import Recording


def grasshopper(number: int) -> Recording:
    """A recording from an auditory receptor of a grasshopper, 10 s: sound of random amplitude, and the spikes.

    Args:
        number: 1 (929 spikes) or 2 (868 spikes).
    Returns: the amplitude of the sound, Gaussian noise up to 200 Hz (1) or 800 Hz (2), at 2 kHz, and one unit. `source` and
        `licence` of the recording say where it comes from.
    Raises: ParameterError.
    Reference: Rokem et al., J Neurophysiol 95:2541 (2006).

    >>> import neurosim
    >>> neurosim.datasets.grasshopper(1)
    <Recording: 10 s of frames () at 2000 Hz, 1 unit, 929 spikes>
    """
    if number not in (1, 2):
        raise ParameterError("grasshopper", "number", "choose from [1, 2]", number)
    with resources.as_file(resources.files("neurosim.data").joinpath(f"grasshopper{number}.npz")) as path:
        return open(path)
