"""Command lines for messages to the user."""

from __future__ import annotations

import shlex
from pathlib import Path


def command(*words: object, storage: str | Path | None = None) -> str:
    """Return `tuneexp WORD ... --storage FOLDER`, quoted for a shell."""
    parts = ["tuneexp", *map(str, words)]
    if storage is not None:
        parts += ["--storage", str(storage)]
    return shlex.join(parts)
