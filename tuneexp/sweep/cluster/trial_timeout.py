"""Time limit of a trial: seconds of training since its start. The worker of a trial beyond it is killed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ray.tune.experiment import Trial

from tuneexp.ray_support.patches import fail_trial
from tuneexp.sweep.cluster.watchdog import OWN_PAUSE_S, where
from tuneexp.tracking.outcome import TIMEOUT_REASON


class TimeLimitExceeded(Exception):
    """A trial has trained for longer than `trial_timeout_s`."""


class TimeLimit:
    """Counts the seconds that each trial trains, and ends trials beyond the limit.

    A second counts while the worker of a trial trains, evaluates or compiles. It does not count while the trial waits
    for a worker, is paused, or while its checkpoint is written or restored, nor while this process was stopped. A retry
    after a lost worker and a resume after a kill continue the count, which is part of the snapshot.

    Args:
        limit_s: Seconds of training of one trial; None for no limit.
    """

    def __init__(self, limit_s: float | None) -> None:
        self.limit_s = limit_s
        self._trained_s: dict[str, float] = {}
        self._looked_s: float | None = None

    def look(self, controller: Any) -> None:
        """Count the time since the last call, and end trials beyond the limit. Called in each step of Tune's loop."""
        if self.limit_s is None:
            return
        now_s = time.monotonic()
        passed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        if passed_s > OWN_PAUSE_S:
            return
        for trial in list(controller.get_trials()):
            if trial.status != Trial.RUNNING or trial.is_saving or trial.is_restoring:
                continue
            trained_s = self._trained_s.get(trial.trial_id, 0.0) + passed_s
            self._trained_s[trial.trial_id] = trained_s
            if trained_s > self.limit_s:
                fail_trial(controller, trial, TimeLimitExceeded(self._reason(trial)))

    def _reason(self, trial: Trial) -> str:
        location = where(trial)
        at = f"; it was at {location}" if location else ""
        return f"{TIMEOUT_REASON} ({self.limit_s:g} s){at}"

    def forget(self, trial_id: str) -> None:
        """Remove the count of a trial that has ended, or that gets a new one."""
        self._trained_s.pop(trial_id, None)

    def state(self) -> dict[str, float]:
        """Return the seconds of training by trial id."""
        return dict(self._trained_s)

    def set_state(self, state: Mapping[str, float]) -> None:
        """Continue from the result of `state`."""
        self._trained_s = dict(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_looked_s": None}  # clocks of another process differ
