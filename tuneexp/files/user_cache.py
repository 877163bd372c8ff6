"""Cache of this user: what is made once for a machine, and made again if it is missing."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """Return the folder of the cache (`TUNEEXP_CACHE`)."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tuneexp"
    return Path(os.environ.get("TUNEEXP_CACHE", default))
