"""The command line. Importing it loads typer only: each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from tuneexp.cli.exits import run, run_and_exit

__all__ = ["main", "run"]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `tuneexp`: 0 done, 1 the work failed, 2 bad input, 130 interrupted."""
    run_and_exit(lambda: run(sys.argv[1:] if args is None else args))
