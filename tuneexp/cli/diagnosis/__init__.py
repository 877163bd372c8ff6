"""Checks of `tuneexp doctor`: each returns a finding."""
