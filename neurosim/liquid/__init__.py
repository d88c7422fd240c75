"""Liquid networks: wirings and, on them, networks whose time constants follow their input."""

from .cfc import CfC
from .irregular import Irregular
from .ltc import LTC
from .recipes import NCP, AutoNCP, FullyConnected, Random, Recipe, wiring_from_dict
from .wirings import SynapseList, Wiring

__all__ = ["LTC", "CfC", "Irregular", "Wiring", "SynapseList", "Recipe", "FullyConnected", "Random", "NCP", "AutoNCP",
           "wiring_from_dict"]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
