"""Tests of neurosim.functional."""
