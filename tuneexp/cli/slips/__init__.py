"""Near misses of command lines, and the line to write instead."""

from tuneexp.cli.slips.line import line_instead

__all__ = ["line_instead"]
