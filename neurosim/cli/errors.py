"""What the command line reports as wrong usage."""

from __future__ import annotations

from neurosim._errors import NeurosimError


class UsageError(NeurosimError, ValueError):
    """An argument of the command line does not fit; ends the program with code 2."""
