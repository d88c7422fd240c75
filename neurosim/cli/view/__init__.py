"""`neurosim view`: a result as one page of HTML that needs nothing else."""

from .page import write_page

__all__ = ["write_page"]
