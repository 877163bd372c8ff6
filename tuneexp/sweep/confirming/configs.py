"""Configurations of the sweeps within a sweep: its confirmation, and the random search to compare it with."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from tuneexp.files.remote_folders import joined
from tuneexp.sweep.confirming.candidates import Candidate
from tuneexp.sweep.results import SweepResult
from tuneexp.sweep.search.space.listed import KEY, SCHEDULES
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig

# Settings of the search of a sweep, which neither a confirmation nor a random search has.
_NO_SEARCH: dict[str, Any] = {
    "scheduler": "fifo",
    "objectives": None,
    "time_budget_s": None,
    "until": None,
    "stagnation": None,
    "warm_start": [],
    "confirmation_s": None,
}


def confirmation_config(
    config: SweepConfig, folder: SweepFolder, found: Sequence[Candidate], seeds: Sequence[int]
) -> SweepConfig:
    """Return the configuration of a confirmation: each configuration once, with the whole budget, on other seeds.

    The timeout of a trial grows with the number of seeds. There is no quota: `best.yaml` may name any trial."""
    longer = math.ceil(len(seeds) / len(config.trial.seeds))
    schedules = {one.name: one.schedule for one in found if one.schedule}
    return _changed(
        config,
        folder,
        searcher="grid",
        searcher_seed=0,
        constraints=[],
        fixed={},
        space={KEY: {one.name: one.config for one in found}, **({SCHEDULES: schedules} if schedules else {})},
        suggested={},
        trials=len(found),
        seeds=list(seeds),
        checkpoint_quota_bytes=None,
        trial_timeout_s=config.trial_timeout_s and config.trial_timeout_s * longer,
    )


def random_search_config(config: SweepConfig, folder: SweepFolder, tuning: SweepResult) -> SweepConfig:
    """Return the configuration of a random search with as many environment steps as a sweep has spent."""
    spent = sum(one.env_steps for one in tuning.trials)
    return _changed(
        config,
        folder,
        searcher="random",
        searcher_seed=(config.searcher_seed + 1) % 2**32,  # else its trials would be the sweep's first ones
        trials=max(1, round(spent / config.trial.budget_env_steps)),
    )


def _changed(config: SweepConfig, folder: SweepFolder, **changes: Any) -> SweepConfig:
    checkpoints = None if config.checkpoints is None else joined(config.checkpoints, folder.outermost.name)
    values = {**config.flat("json"), **_NO_SEARCH, **changes, "checkpoints": checkpoints}
    return SweepConfig.parse({**values, "name": folder.name, "created_at_s": time.time()}, f"sweep {folder.name!r}")
