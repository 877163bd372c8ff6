"""Scheduler of a sweep, built from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneexp.algorithms.registry import config_class_of
from tuneexp.sweep.search.choice import build_scheduler
from tuneexp.sweep.search.schedulers.racing import check_racing
from tuneexp.sweep.search.schedulers.scheduler import Scheduler, SchedulerContext
from tuneexp.sweep.search.searched_budget import varies_budget
from tuneexp.sweep.search.space.structural import movable
from tuneexp.sweep.sweep_config import SweepConfig, objectives_of

if TYPE_CHECKING:
    from tuneexp.sweep.search.space import SearchSpace


def scheduler_of(config: SweepConfig, space: SearchSpace | None = None) -> Scheduler:
    """Return the scheduler of a sweep. UserError for an unknown one or a wrong option.

    space: the search space, which a scheduler needs that changes hyperparameters."""
    trial = config.trial
    moving, fixed = (None, {}) if space is None else movable(space, config_class_of(trial.algorithm))
    asked = (trial.budget_env_steps, config.searcher_seed, config.trials, config.concurrency)
    facts = (*asked, len(objectives_of(config).names), len(trial.seeds))
    scheduler = build_scheduler(config.scheduler, SchedulerContext(*facts, moving, fixed))
    if scheduler.cohorts():
        check_racing(varies_budget(config.space), config.fixed)
    return scheduler
