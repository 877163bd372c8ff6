"""Defaults of a sweep, in plain numbers and texts: the command line shows them before anything heavy is imported."""

from __future__ import annotations

ALGORITHM = "ppo"
TRIALS = 8
SEEDS = 4
ENV_STEPS = 50_000
SCHEDULER = "asha"
SEARCHER = "tpe"
SEARCHER_SEED = 0
COMPILE = "auto"
STORAGE = "runs"
