"""Defaults of a sweep that differ from those of the declarations in trial_config.py."""

from __future__ import annotations

ALGORITHM = "ppo"
ENV = "CartPole-v1"
TRIALS = 8
SEEDS = 4
BUDGET_ENV_STEPS = 50_000
STORAGE = "runs"
