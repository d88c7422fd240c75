"""The PyTorch modules of ncps: LTC and CfC, and their cells."""

from .cfc import CfC
from .cfc_cell import CfCCell
from .ltc import LTC
from .ltc_cell import LTCCell
from .wired_cfc_cell import WiredCfCCell

__all__ = ["CfC", "CfCCell", "LTC", "LTCCell", "WiredCfCCell"]
