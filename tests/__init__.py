"""Tests of neurosim, in the same tree as the library."""
