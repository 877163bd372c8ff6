"""Corrections of command lines that are refused."""

from tuneexp.cli.slips.line import near_miss

__all__ = ["near_miss"]
