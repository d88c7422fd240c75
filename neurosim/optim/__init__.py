"""Fitting a layer: choosing an optimizer with Tab, the loop over chunks, the loop over epochs."""

from .callbacks import Callback
from .history import History
from .loop import Fitting
from .optimizers import CautiousLBFGS, FiniteDifference, Scipy
from .penalties import Ridge, Smooth, Sparse
from .selector import OptimizerSelector
from .tensorboard import TensorBoard

__all__ = ["Callback", "CautiousLBFGS", "FiniteDifference", "Fitting", "History", "OptimizerSelector", "Ridge", "Scipy",
           "Smooth", "Sparse", "TensorBoard"]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
