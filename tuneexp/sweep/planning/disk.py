"""Disk space of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuneexp.sweep.sweep_config import SweepConfig

# Measured on a sweep of PPO with four seeds: records in its folder and in MLflow's database, and an empty database.
REPORT_BYTES, TRIAL_BYTES, DATABASE_BYTES = 9_000, 170_000, 950_000


@dataclass(frozen=True)
class Disk:
    """Estimated bytes of a sweep.

    Attributes:
        checkpoints: Of the last checkpoint of each trial, and of the best one in MLflow.
        while_running: Of further checkpoints while the sweep runs: a trial keeps its last one until the next is safe.
        records: Of snapshots, logs and MLflow's database.
    """

    checkpoints: int
    while_running: int
    records: int


def disk_of(config: SweepConfig, trials: int, checkpoint_bytes: Sequence[int]) -> Disk:
    """Return the disk space of a sweep from the bytes of some of its checkpoints."""
    each = sum(checkpoint_bytes) // len(checkpoint_bytes)
    reports = -(-config.trial.budget_env_steps // config.trial.report_period)
    records = DATABASE_BYTES + trials * (TRIAL_BYTES + reports * REPORT_BYTES)
    return Disk((trials + 1) * each, 2 * min(trials, config.concurrency or trials) * each, records)
