"""Slow references that tests compare with."""
