"""Recognition of RL Zoo's hyperparameter files, by file name and content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneexp.algorithms.registry import ALGORITHMS

# Files of the package that are for algorithms here, by their names, and for others.
FILES = {**{name: name for name in ALGORITHMS if name not in ("impala", "appo")}, "ppo_lstm": "ppo"}
OTHERS = ("ars", "crossq", "her", "trpo")


def algorithm_of(file: str | Path) -> str | None:
    """The algorithm that a file of this name has rows for."""
    return FILES.get(Path(file).stem)


def has_rows(values: Mapping[str, Any]) -> bool:
    """True for a mapping from environments to rows."""
    return any(isinstance(row, Mapping) and {"n_timesteps", "policy"} <= {*row} for row in values.values())
