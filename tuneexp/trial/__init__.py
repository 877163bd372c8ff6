"""A trial: one configuration trained on S seeds at once."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneexp.trial.trial import Trial

__all__ = ["Trial"]


def __getattr__(name: str) -> Any:
    if name != "Trial":
        raise AttributeError(f"module 'tuneexp.trial' has no attribute {name!r}")
    # Loaded at first use: other modules of this package do not need torch.
    return importlib.import_module("tuneexp.trial.trial").Trial
