"""Default name of a sweep or a run: what is trained, the day, and four letters."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path

# No vowels: the letters never make a word.
_LETTERS = "bcdfghjkmnpqrstvwxz"
_LONGEST_STEM = 100


def new_name(algorithm: str, env: str, folder: Path) -> str:
    """`ppo-CartPole-v1-20261128-kqzt`: no other name in `folder`. A name of an earlier day is never made again, and
    the letters keep apart machines that share a storage."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{_short(algorithm)}-{_short(env)}").lstrip("._-")[:_LONGEST_STEM]
    while True:
        name = f"{stem}-{time.strftime('%Y%m%d')}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
        if not (folder / name).exists():
            return name


def _short(named: str) -> str:
    """The NAME of an address; other names whole."""
    return named.rpartition(":")[2]
