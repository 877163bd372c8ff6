"""Metrics of the seeds of a trial, each or by parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuneexp.learning.learner import Learner


def seed_metrics(seeds: Sequence[int], returns: np.ndarray, failed: np.ndarray) -> dict[str, Any]:
    """Return the metrics of each seed. returns: [S], of the evaluation; failed: [S] bool, diverged."""
    gone = [seed for seed, is_gone in zip(seeds, failed, strict=True) if is_gone]
    by_seed = {seed: float(value) for seed, value in zip(seeds, returns, strict=True)}
    return {
        "return_per_seed": list(by_seed.values()),
        "failed_seeds": gone,
        **{f"seed/{seed}/return_mean": value for seed, value in by_seed.items()},
        **{f"seed/{seed}/failed": 1 for seed in gone},
    }


def joined(sources: Sequence[Sequence[Mapping[str, Any]]], learners: Sequence[Learner]) -> list[dict[str, Any]]:
    """Return the metrics of each part of the seeds: those of all sources, and the sizes of the learners."""
    sizes = {
        "parameters": sum(one.parameter_count for one in learners),
        "update/updates": sum(int(one.n_updates) for one in learners),
    }
    merged: list[dict[str, Any]] = [{} for _ in sources[0]]
    for of_parts in sources:
        merged = [{**before, **more} for before, more in zip(merged, of_parts, strict=True)]
    return [{**metrics, **sizes} for metrics in merged]
