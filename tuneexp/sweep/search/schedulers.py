"""Schedulers, which stop trials early. They count environment steps per seed, and their state survives a kill."""

from __future__ import annotations

import math
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter

CLOCK = "env_steps"
REDUCTION_FACTOR = 3


class _Resumable(FIFOScheduler):
    """Puts restored trials in order: ends what had ended, reopens what had failed, runs `concurrency` of them at once.

    Between a trial's last report and Tune's note of its end lies the writing of a checkpoint. A snapshot from there
    holds a trial that Tune would train again, past what the scheduler or the budget allowed it."""

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
        # Tune limits suggestions only: of restored trials it would run as many as there is room for.
        for trial in pending[self.concurrency or len(pending) :]:
            controller._set_trial_status(trial, Trial.PAUSED)


def reopen(searcher: Any, trial: Trial) -> None:
    """Tell the searcher, and Tune's limit of suggestions around it, that a trial which had failed runs again."""
    limiter, searcher = (searcher, searcher.searcher) if isinstance(searcher, ConcurrencyLimiter) else (None, searcher)
    if searcher.is_open(trial.trial_id):
        return
    searcher.reopen(trial.trial_id, trial.config["trial_number"])
    trial.run_metadata.num_failures = 0
    if limiter is not None and trial.trial_id not in limiter.live_trials:
        limiter.live_trials.add(trial.trial_id)
        limiter.num_unfinished_live_trials += 1


def had_ended(trial: Trial) -> bool:
    """Return True where a restored trial has ended. One that spent its budget also needs its last checkpoint."""
    result, checkpoint = trial.last_result or {}, trial.latest_checkpoint_result
    if not result.get("done"):
        return False
    pruned = result[CLOCK] < trial.config["budget_env_steps"] and math.isfinite(result["objective"])
    return pruned or (checkpoint is not None and checkpoint.metrics.get(CLOCK) == result[CLOCK])


class Fifo(_Resumable):
    """Every trial gets its whole budget."""

    def __init__(self, budget_env_steps: int) -> None:
        super().__init__()

    def state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass


class Asha(_Resumable, AsyncHyperBandScheduler):
    """Asynchronous successive halving (Li et al. 2020) on environment steps per seed.

    Rungs lie at budget/9, budget/3 and the budget; a trial goes on where its objective is in the best third of what
    reached the rung before it. Tune forgets the rungs at a restore: `state` and `set_state` carry them."""

    def __init__(self, budget_env_steps: int) -> None:
        grace = max(1, budget_env_steps // REDUCTION_FACTOR**2)
        super().__init__(time_attr=CLOCK, max_t=budget_env_steps, grace_period=grace, reduction_factor=REDUCTION_FACTOR)
        # A decision outlives the process: a rung asks each trial once, so a trial that was told to stop just before
        # a kill would otherwise go on after the resume.
        self._stopped: set[str] = set()

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        # A trial without a score is no evidence about the others: it must not enter a rung.
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
