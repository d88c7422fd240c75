"""Compiled functions, each beside its plain-torch reference; see `_op.py` for what a kernel file holds."""
