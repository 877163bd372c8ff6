"""Test suite for algorithms: probe environments, and the contract that every algorithm fulfils.

In a test file: `TestMine = contract("path/mine.py:MINE", hyperparameters={...})`. Without one: `python -m
tuneexp.testing path/mine.py:MINE --set learning_rate=0.005`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneexp.testing.suite import contract

__all__ = ["contract"]


def __getattr__(name: str) -> Any:
    """Import `contract` on first use: a worker that steps a probe environment does not need it."""
    if name != "contract":
        raise AttributeError(f"module 'tuneexp.testing' has no attribute {name!r}")
    from tuneexp.testing.suite import contract

    return contract
