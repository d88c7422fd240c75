"""Tests of stimuli."""
