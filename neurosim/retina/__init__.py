"""The retina, from luminance to the spikes of ganglion cells."""

from .bipolar import Bipolar
from .config import RetinaConfig
from .ganglion import GanglionInput
from .opl import OPL
from .retina import Channel, Retina
from .spiking import GanglionSpiking

__all__ = ["OPL", "Bipolar", "Channel", "GanglionInput", "GanglionSpiking", "Retina", "RetinaConfig"]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
