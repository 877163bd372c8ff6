"""What an algorithm of one's own is tested with: probe environments, and the contract that every algorithm keeps.

In a test file: `TestMine = contract("path/mine.py:MINE", hyperparameters={...})`. Without one:
`python -m tuneexp.testing path/mine.py:MINE --set learning_rate=0.005`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneexp.testing.suite import contract

__all__ = ["contract"]


def __getattr__(name: str) -> Any:
    """Loaded on first use: the probes are environments, and a worker that steps one needs no contract."""
    if name != "contract":
        raise AttributeError(f"module 'tuneexp.testing' has no attribute {name!r}")
    from tuneexp.testing.suite import contract

    return contract
