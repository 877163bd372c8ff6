"""The command line. Importing it loads nothing: each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `tuneexp`: 0 done, 1 the work failed, 2 bad input, 130 interrupted."""
    try:
        from tuneexp.cli.exit_codes import run_and_exit

        run_and_exit(lambda: run(sys.argv[1:] if args is None else args))
    except KeyboardInterrupt:  # while this package was being imported
        sys.stderr.write("tuneexp: interrupted\n")
        sys.exit(130)


def run(args: Sequence[str]) -> int:
    """Run one command line of `tuneexp` and return its exit code."""
    from tuneexp.cli.app import app
    from tuneexp.cli.exit_codes import run_app

    return run_app(app, args, "tuneexp", correct=True)
