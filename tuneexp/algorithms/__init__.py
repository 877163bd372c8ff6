"""Losses and postprocessing functions of the built-in algorithms, to reuse in custom algorithms.

A loss is the `loss_fn` of an `AlgorithmSpec`; `advantages`, `transitions` and `vtrace_columns` are its
`postprocess_fn`."""

from __future__ import annotations

from typing import Any

import tuneexp

__all__ = tuneexp.names_of(__name__)


def __getattr__(name: str) -> Any:
    """Loaded on first use: other modules of this package need no torch."""
    return tuneexp.load_public(__name__, name)


def __dir__() -> list[str]:
    return __all__
