"""The PyTorch modules of ncps: LTC and CfC, and their cells."""

from .cfc import CfC, CfCCell, WiredCfCCell
from .ltc import LTC, LTCCell

__all__ = ["CfC", "CfCCell", "LTC", "LTCCell", "WiredCfCCell"]
