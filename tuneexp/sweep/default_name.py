"""Default name of a sweep or a run: algorithm, environment, date, and four random letters."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path

# No vowels, so that the letters form no word.
_LETTERS = "bcdfghjkmnpqrstvwxz"
_LONGEST_STEM = 100


def new_name(algorithm: str, env: str, folder: Path) -> str:
    """Return a new name in `folder`, such as `ppo-CartPole-v1-20261128-kqzt`.

    The letters avoid collisions between machines that share a storage."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{_short(algorithm)}-{_short(env)}").lstrip("._-")[:_LONGEST_STEM]
    while True:
        name = f"{stem}-{time.strftime('%Y%m%d')}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
        if not (folder / name).exists():
            return name


def _short(named: str) -> str:
    """Return the NAME of an address; other names unchanged."""
    return named.rpartition(":")[2]
