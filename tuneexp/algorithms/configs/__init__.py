"""Configurations of the algorithms. They need no torch, so that a wrong name or value is told at once."""
