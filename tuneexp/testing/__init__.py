"""Test suite for algorithms: probe environments, and the contract that every algorithm fulfils.

In a test file: `TestMine = contract("path/mine.py:MINE", hyperparameters={...})`. Without one: `python -m
tuneexp.testing path/mine.py:MINE --set learning_rate=0.005`.
"""

from __future__ import annotations

from typing import Any

import tuneexp

__all__ = tuneexp.names_of(__name__)


def __getattr__(name: str) -> Any:
    """Loaded on first use: the probes are environments, and a worker that steps one needs no contract."""
    return tuneexp.load_public(__name__, name)


def __dir__() -> list[str]:
    return __all__
