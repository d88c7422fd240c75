"""Tests of the drop-in faces."""
