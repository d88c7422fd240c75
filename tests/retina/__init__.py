"""Tests of the retina."""
