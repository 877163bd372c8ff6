"""A `Scheduler` under Ray Tune: restore, pauses and promotions, concurrency. Its state is part of the snapshot."""

from __future__ import annotations

import math
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from tuneexp.nesting import flat
from tuneexp.ray_support.patches import keep_workers
from tuneexp.sweep.cluster.trial_timeout import TimeLimit
from tuneexp.sweep.search.metrics import DEFAULT
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.schedulers.scheduler import CONTINUE, PAUSE, STOP, Scheduler
from tuneexp.sweep.search.schedulers.taking_over import Listener, take_over
from tuneexp.tracking.outcome import outcome_of_failure

CLOCK = "env_steps"


class TuneScheduler(FIFOScheduler):
    """Runs a scheduler under Tune, which has several traps.

    - Tune's own `choose_trial_to_run` resumes every paused trial at once. Here a paused trial continues if it is
      promoted, and is ended once nothing else is left to run.
    - Tune writes a checkpoint between a trial's last report and its end or pause. A snapshot from that time holds the
      trial as running; after a restore Tune would train it beyond its budget, its early stop or its pause. Tune also
      starts paused trials after a restore.
    - After a restore or a retry a trial repeats reports. The scheduler gets each one once.

    Args:
        scheduler: Decides by trial id.
        concurrency: Maximum number of trials that run at once; None for no limit.
        objectives: What a result is worth; by default its `objective`.
        time_limit: Limit of the training time of a trial; None for none.

    Attributes:
        paused: Environment steps at which a trial was paused, by trial id.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        concurrency: int | None = None,
        objectives: Objectives | None = None,
        time_limit: TimeLimit | None = None,
    ) -> None:
        super().__init__()
        self.scheduler, self.concurrency = scheduler, concurrency
        self._objectives, self.time_limit = objectives or Objectives(), time_limit or TimeLimit(None)
        self.paused: dict[str, int] = {}
        self._stopped: set[str] = set()  # told to stop, and not ended yet
        self._reported: dict[str, int] = {}  # environment steps of the last report that the scheduler has got
        self._closed = False
        self._looked, self._keeps_workers = False, False
        self.listeners: list[Listener] = []  # called when a trial continues from the checkpoint of another one

    @property
    def pauses(self) -> bool:
        """True if trials may pause."""
        return self.scheduler.pauses

    def promotion_due(self) -> str | None:
        """Return the paused trial that continues as soon as there is room, before a new trial starts."""
        due = self.scheduler.promotion()
        return due if due in self.paused else None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        if not trial.is_finished():
            self.scheduler.configured(trial.trial_id, flat(trial.config.get("hyperparameters", {})))
            self.scheduler.add(trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        trial_id, env_steps = trial.trial_id, result[CLOCK]
        if trial_id in self._stopped or env_steps >= self._budget_of(trial):
            return STOP
        if is_stopping(tune_controller):
            self._stopped.add(trial_id)
            return STOP
        if trial_id in self.paused:
            return PAUSE if env_steps >= self.paused[trial_id] else CONTINUE
        # A trial without an objective is no evidence; as a member of a population it has the lowest rank.
        values = self._objectives.values(result)
        is_known = values is not None or self.scheduler.of_population
        if env_steps <= self._reported.get(trial_id, -1) or not is_known:
            return CONTINUE
        self._reported[trial_id] = env_steps
        if self._objectives.names == (DEFAULT,):
            self.scheduler.note_error(trial_id, result.get("objective_se"), len(result.get("return_per_seed", [0])))
        score = None if values is None else self._objectives.score(values)
        decision = self.scheduler.report(trial_id, env_steps, score)
        if decision == STOP:
            self._stopped.add(trial_id)
        elif decision == PAUSE:
            self.paused[trial_id] = env_steps
        return decision

    def _budget_of(self, trial: Trial) -> int:
        """Return the environment steps per seed of a trial, which the search space may vary."""
        return int(trial.config.get("budget_env_steps", self.scheduler.context.budget_env_steps))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._end(trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self._end(trial, {})

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        if trial.status != Trial.ERROR:  # else it is retried: Tune sets the status before this call
            pass_outcome(tune_controller.search_alg.searcher, trial)
            self._end(trial, {})

    def _end(self, trial: Trial, result: dict[str, Any]) -> None:
        values = self._objectives.values(result)
        if values is None:
            self.scheduler.end(trial.trial_id, None, None)
        else:
            self.scheduler.end(trial.trial_id, result.get(CLOCK), self._objectives.score(values))
        self.paused.pop(trial.trial_id, None)
        self._stopped.discard(trial.trial_id)
        self._reported.pop(trial.trial_id, None)
        self.time_limit.forget(trial.trial_id)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        self.time_limit.look(tune_controller)
        if not self._looked:
            self._looked = True
            self._order_restored(tune_controller)
        if self.scheduler.of_population and not self._keeps_workers and (trials := tune_controller.get_trials()):
            self._keeps_workers = True
            keep_workers(tune_controller, trials[0], self.concurrency or len(trials))
        by_status: dict[str, list[Trial]] = {Trial.PENDING: [], Trial.RUNNING: [], Trial.PAUSED: []}
        for trial in tune_controller.get_trials():
            if trial.status in by_status:
                by_status[trial.status].append(trial)
        pending, running, paused = by_status[Trial.PENDING], by_status[Trial.RUNNING], by_status[Trial.PAUSED]
        if is_stopping(tune_controller):
            pending = self._end_waiting(tune_controller, [*pending, *paused])
            paused = []
        else:
            self._take_over(tune_controller, paused)
        if pending or len(running) >= (self.concurrency or math.inf):
            return pending[0] if pending else None
        self._end_losers(tune_controller, paused)
        if paused and (chosen := self._next_of(paused)) is not None:
            return chosen
        if self.paused and not running and is_exhausted(tune_controller.search_alg):
            return self._close(tune_controller, paused)
        return None

    def _end_waiting(self, controller: Any, trials: list[Trial]) -> list[Trial]:
        """End trials that wait while the sweep stops. Returns those without a report: they stop at their first one."""
        for trial in [trial for trial in trials if CLOCK in trial.last_result]:
            self._end_paused(controller, trial)
        return [trial for trial in trials if CLOCK not in trial.last_result]

    def _take_over(self, controller: Any, paused: list[Trial]) -> None:
        """Let paused trials continue from the checkpoints of others, if that is due."""
        due = self.scheduler.takeovers()
        waiting = {trial.trial_id: trial for trial in paused if trial.trial_id in self.paused}
        if not due or not take_over(controller, due, waiting, self.listeners):
            return
        self.scheduler.taken_over()
        for one in due:
            trial = waiting[one.trial_id]
            self.scheduler.configured(trial.trial_id, flat(trial.config.get("hyperparameters", {})))
            # Its clock is that of its donor.
            self.paused[trial.trial_id] = self._reported[trial.trial_id] = trial.latest_checkpoint_result.metrics[CLOCK]
            if (replaced := getattr(controller.search_alg.searcher, "replaced", None)) is not None:
                replaced(trial.trial_id, trial.config["takeovers"])

    def _next_of(self, paused: list[Trial]) -> Trial | None:
        """Return a trial that waits for room only, else one that is promoted."""
        ids, due = {trial.trial_id for trial in paused}, self.promotion_due()
        # A member that is still being saved, or runs up to its pause again after a kill, waits for its pause.
        is_paused = due in ids or not self.scheduler.of_population
        if due is not None and is_paused and ids <= self.paused.keys():
            del self.paused[due]
            self.scheduler.promoted(due)
        return next((trial for trial in paused if trial.trial_id not in self.paused), None)

    def _end_losers(self, controller: Any, paused: list[Trial]) -> None:
        losers = self.scheduler.losers()
        for trial in [trial for trial in paused if trial.trial_id in losers]:
            paused.remove(trial)
            self._end_paused(controller, trial)

    def _close(self, controller: Any, paused: list[Trial]) -> Trial | None:
        """Continue when nothing runs and no new trial comes: promote, or end all paused trials."""
        self._closed = True
        self.scheduler.close()
        self._take_over(controller, paused)
        if self.promotion_due() is not None:
            return self._next_of(paused)
        for trial in paused:
            self._end_paused(controller, trial)
        return None

    def _end_paused(self, controller: Any, trial: Trial) -> None:
        # Of a trial that is not running, Tune would tell the searcher no result.
        trial.run_metadata.last_result = {**trial.last_result, "done": True}
        _end_as_running(controller, trial)

    def _order_restored(self, controller: Any) -> None:
        self._closed = self._closed and is_exhausted(controller.search_alg)  # else the sweep is extended
        if self._closed:
            self.scheduler.close()
        for trial in controller.get_trials():
            if trial.status == Trial.PENDING and had_ended(trial):
                _end_as_running(controller, trial)
        pending = [trial for trial in controller.get_trials() if trial.status == Trial.PENDING]
        for trial in pending:
            if self._is_saved_at_its_pause(trial):
                controller._set_trial_status(trial, Trial.PAUSED)
            else:
                self._reopen(controller.search_alg.searcher, trial)
        # Tune limits suggestions only: without this it would run as many restored trials as fit.
        pending = [trial for trial in pending if trial.status == Trial.PENDING]
        for trial in pending[self.concurrency or len(pending) :]:
            controller._set_trial_status(trial, Trial.PAUSED)

    def _reopen(self, searcher: Any, trial: Trial) -> None:
        """Register in the searcher that a failed trial runs again, with the retries and the time of a new one."""
        if not searcher.is_open(trial.trial_id):
            searcher.reopen(trial.trial_id, trial.config["trial_number"])
            trial.run_metadata.num_failures = 0
            self.time_limit.forget(trial.trial_id)

    def _is_saved_at_its_pause(self, trial: Trial) -> bool:
        checkpoint = trial.latest_checkpoint_result
        return (
            trial.trial_id in self.paused
            and checkpoint is not None
            and checkpoint.metrics.get(CLOCK, -1) >= self.paused[trial.trial_id]
        )

    def state(self) -> dict[str, Any]:
        """Return the state as JSON can hold it."""
        return {
            **self.scheduler.state(),
            "stopped": sorted(self._stopped),
            "paused": self.paused,
            "reported": self._reported,
            "trained_s": self.time_limit.state(),
            "closed": self._closed,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from the result of `state`, also from one of an earlier version."""
        self.scheduler.set_state(state)
        self._stopped, self.paused = set(state.get("stopped", ())), dict(state.get("paused", {}))
        self._reported = dict(state.get("reported", {}))
        self.time_limit.set_state(state.get("trained_s", {}))
        self._closed = state.get("closed", state.get("closed_at") is not None)  # the latter in earlier versions


def is_exhausted(search_alg: Any) -> bool:
    """Return True if Tune's search algorithm will suggest no further trial."""
    return bool(getattr(search_alg.searcher, "exhausted", False)) or search_alg.is_finished()


def is_stopping(controller: Any) -> bool:
    """Return True if the sweep ends with the trials that run."""
    searcher = getattr(getattr(controller, "search_alg", None), "searcher", None)
    return bool(getattr(searcher, "stopping", False))


def _end_as_running(controller: Any, trial: Trial) -> None:
    """End a trial that does not run. Scheduler and searcher get its last result, as those of a running one do."""
    controller._set_trial_status(trial, Trial.RUNNING)
    controller.stop_trial(trial)
    # Tune marks trials with an actor only: without this the next snapshot would hold the trial as it was.
    getattr(controller, "_tune_controller", controller)._mark_trial_to_checkpoint(trial)


def pass_outcome(searcher: Any, trial: Trial) -> None:
    """Pass the outcome of a trial that fails to the searcher. From Tune it gets only that there was an error."""
    if (failed_as := getattr(searcher, "failed_as", None)) is not None:
        failed_as(trial.trial_id, outcome_of_failure(trial))


def had_ended(trial: Trial) -> bool:
    """Return True if a restored trial has ended. A completed one also needs its last checkpoint."""
    result, checkpoint = trial.last_result or {}, trial.latest_checkpoint_result
    if not result.get("done"):
        return False
    pruned = result[CLOCK] < trial.config["budget_env_steps"] and math.isfinite(result["objective"])
    return pruned or (checkpoint is not None and checkpoint.metrics.get(CLOCK) == result[CLOCK])
