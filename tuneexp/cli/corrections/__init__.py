"""Corrections of command lines that are refused."""

from tuneexp.cli.corrections.correction import correction_of

__all__ = ["correction_of"]
