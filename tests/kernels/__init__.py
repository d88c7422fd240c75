"""Tests of neurosim.kernels."""
