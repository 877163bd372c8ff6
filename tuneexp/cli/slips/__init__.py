"""Near misses of command lines, and what to write instead."""

from tuneexp.cli.slips.line import near_miss

__all__ = ["near_miss"]
