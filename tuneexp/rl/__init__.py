"""Functions of reinforcement learning on tensors: returns, losses, exploration, distributions, schedules.

They are pure: no parameters, no random numbers, no loops over seeds. Leading axes are kept."""

from __future__ import annotations

from typing import Any

import tuneexp

__all__ = tuneexp.names_of(__name__)


def __getattr__(name: str) -> Any:
    """Loaded on first use: other modules of this package need no torch."""
    return tuneexp.load_public(__name__, name)


def __dir__() -> list[str]:
    return __all__
