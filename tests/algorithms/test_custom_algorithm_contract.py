"""The contract of `tuneexp.testing` for the algorithm of experiments/custom_algorithm.py."""

from __future__ import annotations

from pathlib import Path

from tuneexp.testing import contract

SCRIPT = Path(__file__).parents[2] / "experiments" / "custom_algorithm.py"

TestReinforce = contract(
    f"{SCRIPT}:REINFORCE",
    {"n_envs": 4, "n_steps": 16, "hidden_size": 32, "learning_rate": 0.01, "baseline_learning_rate": 0.02},
)
