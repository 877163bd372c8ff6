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
        checkpoints: Of the kept checkpoints of all trials, at most the quota. In the default store MLflow's are links.
        while_running: Of further checkpoints while the sweep runs: a trial keeps its last one until the next is safe.
        records: Of snapshots, logs and MLflow's database.
    """

    checkpoints: int
    while_running: int
    records: int


def disk_of(config: SweepConfig, trials: int, checkpoint_bytes: Sequence[int]) -> Disk:
    """Return the disk space of a sweep from the bytes of some of its checkpoints."""
    each = sum(checkpoint_bytes) // len(checkpoint_bytes)
    reports = config.trial.reports
    records = DATABASE_BYTES + trials * (TRIAL_BYTES + reports * REPORT_BYTES)
    kept = trials * min(config.keep + 1, reports) * each
    quota = config.checkpoint_quota_bytes
    return Disk(
        kept if quota is None else min(kept, quota), 2 * min(trials, config.concurrency or trials) * each, records
    )
