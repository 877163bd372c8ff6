"""Schedulers for early stopping, on environment steps per seed. Their state is part of the snapshot."""

from __future__ import annotations

import math
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter

CLOCK = "env_steps"
REDUCTION_FACTOR = 3


class _Resumable(FIFOScheduler):
    """Corrects restored trials: ends those that had ended, reopens failed ones, and runs at most `concurrency`.

    Tune writes a checkpoint between a trial's last report and its end. A snapshot from that time holds the trial as
    running, and Tune would train it beyond its budget or its early stop."""

    concurrency: int | None = None
    _looked = False

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        if not self._looked:
            self._looked = True
            self._order_restored(tune_controller)
        trials = tune_controller.get_trials()
        pending = [trial for trial in trials if trial.status == Trial.PENDING]
        running = sum(trial.status == Trial.RUNNING for trial in trials)
        if pending or running >= (self.concurrency or math.inf):
            return pending[0] if pending else None
        return next((trial for trial in trials if trial.status == Trial.PAUSED), None)

    def _order_restored(self, controller: Any) -> None:
        for trial in controller.get_trials():
            if trial.status == Trial.PENDING and had_ended(trial):
                controller._set_trial_status(trial, Trial.RUNNING)
                controller.stop_trial(trial)
        pending = [trial for trial in controller.get_trials() if trial.status == Trial.PENDING]
        for trial in pending:
            reopen(controller.search_alg.searcher, trial)
        # Tune limits suggestions only: without this it would run as many restored trials as fit.
        for trial in pending[self.concurrency or len(pending) :]:
            controller._set_trial_status(trial, Trial.PAUSED)


def reopen(searcher: Any, trial: Trial) -> None:
    """Register in the searcher, and in the concurrency limiter around it, that a failed trial runs again."""
    limiter, searcher = (searcher, searcher.searcher) if isinstance(searcher, ConcurrencyLimiter) else (None, searcher)
    if searcher.is_open(trial.trial_id):
        return
    searcher.reopen(trial.trial_id, trial.config["trial_number"])
    trial.run_metadata.num_failures = 0
    if limiter is not None and trial.trial_id not in limiter.live_trials:
        limiter.live_trials.add(trial.trial_id)
        limiter.num_unfinished_live_trials += 1


def had_ended(trial: Trial) -> bool:
    """Return True if a restored trial has ended. A completed one also needs its last checkpoint."""
    result, checkpoint = trial.last_result or {}, trial.latest_checkpoint_result
    if not result.get("done"):
        return False
    pruned = result[CLOCK] < trial.config["budget_env_steps"] and math.isfinite(result["objective"])
    return pruned or (checkpoint is not None and checkpoint.metrics.get(CLOCK) == result[CLOCK])


class Fifo(_Resumable):
    """No early stopping: every trial gets its whole budget."""

    def __init__(self, budget_env_steps: int) -> None:
        super().__init__()

    def state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass


class Asha(_Resumable, AsyncHyperBandScheduler):
    """Asynchronous successive halving (ASHA, Li et al. 2020, arXiv:1810.05934) on environment steps per seed.

    Rungs are at budget/9, budget/3 and the budget. A trial continues if its objective is in the best third of the
    trials that have reached the rung so far. Tune does not restore rungs: `state` and `set_state` do."""

    def __init__(self, budget_env_steps: int) -> None:
        grace = max(1, budget_env_steps // REDUCTION_FACTOR**2)
        super().__init__(time_attr=CLOCK, max_t=budget_env_steps, grace_period=grace, reduction_factor=REDUCTION_FACTOR)
        # Kept in the snapshot: a rung judges each trial once, so a trial that was stopped just before a kill would
        # otherwise continue after the resume.
        self._stopped: set[str] = set()

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        # A trial without an objective must not enter a rung.
        if not math.isfinite(result.get(self._metric, math.nan)):
            return TrialScheduler.CONTINUE
        decision = super().on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP:
            self._stopped.add(trial.trial_id)
        return TrialScheduler.STOP if trial.trial_id in self._stopped else decision

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        if math.isfinite(result.get(self._metric, math.nan)):
            super().on_trial_complete(tune_controller, trial, result)

    def state(self) -> dict[str, Any]:
        """Return the rungs, each `[env steps, {trial id: objective}]`, and the trials that were stopped."""
        rungs = [[milestone, dict(recorded)] for milestone, recorded in self._brackets[0]._rungs]
        return {"rungs": rungs, "stopped": sorted(self._stopped)}

    def set_state(self, state: dict[str, Any]) -> None:
        self._brackets[0]._rungs = [(milestone, dict(recorded)) for milestone, recorded in state["rungs"]]
        self._stopped = set(state["stopped"])


Scheduler = Fifo | Asha
