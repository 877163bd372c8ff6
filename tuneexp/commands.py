"""Command lines that messages tell a person to write."""

from __future__ import annotations

import shlex
from pathlib import Path


def command(*words: object, storage: str | Path | None = None) -> str:
    """`tuneexp WORD ... --storage FOLDER`, each word quoted where a shell needs it, so that it can be pasted."""
    parts = ["tuneexp", *map(str, words)]
    if storage is not None:
        parts += ["--storage", str(storage)]
    return shlex.join(parts)
