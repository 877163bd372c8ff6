"""Python processes that import nothing from the working folder, where a `random.py` would shadow Python's own."""

from __future__ import annotations

import sys
from pathlib import Path

import tuneexp

# Inherited by the processes that such a process starts, unlike the option -P.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}


def python_command(code: str) -> list[str]:
    """A command that runs `code` in a Python that finds this very package, but nothing of the working folder."""
    here = str(Path(tuneexp.__file__).resolve().parent.parent)
    return [sys.executable, "-P", "-c", f"import sys; sys.path.append({here!r}); {code}"]
