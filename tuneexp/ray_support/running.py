"""Ray, if this process uses it. It is not imported here."""

from __future__ import annotations

import sys
from typing import Any


def running_ray() -> Any | None:
    """Return the module if this process is connected to a Ray; None otherwise, also while a thread imports it."""
    ray = sys.modules.get("ray")
    initialized = getattr(ray, "is_initialized", None)
    return ray if initialized is not None and initialized() else None
