"""Tables whose best configuration is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.tuners.curve_table import CurveTable
from tuneexp.sweep.search.space import SearchSpace

SPACE = {
    "learning_rate": {"loguniform": [1e-5, 1e-1]},
    "gamma": {"complement_loguniform": [0.9, 0.999]},
    "activation": {"choice": ["tanh", "relu"]},
}


def smooth_table(rows: int = 64, seeds: int = 5, noise: float = 0.0, seconds: bool = True) -> CurveTable:
    """Curves that rise towards a score, which falls with the distance from (1e-3, 0.99, tanh)."""
    rng = np.random.default_rng(0)
    space = SearchSpace.from_mapping(SPACE)
    points = [
        {
            "learning_rate": float(10 ** rng.uniform(-5, -1)),
            "gamma": float(1 - 10 ** rng.uniform(-3, -1)),
            "activation": ("tanh", "relu")[number % 2],
        }
        for number in range(rows)
    ]
    env_steps = np.arange(1, 10) * 100
    scores = [
        100
        - 20 * abs(np.log10(point["learning_rate"]) + 3)
        - 10 * abs(np.log10(1 - point["gamma"]) + 2)
        - 5 * (point["activation"] == "relu")
        for point in points
    ]
    returns = tuple(
        score * (env_steps / 900) ** 0.5 + noise * rng.normal(size=(seeds, len(env_steps))) for score in scores
    )
    return CurveTable(
        "smooth", tuple(space.dimensions.values()), tuple(points), env_steps, returns,
        np.linspace(1.0, 2.0, rows) if seconds else None,
    )  # fmt: skip


def write_csv(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path
