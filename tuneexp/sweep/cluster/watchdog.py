"""Tune callback that warns of a trial that hangs. Tune would wait forever, without a message."""

from __future__ import annotations

import logging
import time
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from tuneexp.ray_support.worker_logs import current_line

logger = logging.getLogger(__name__)

# A trial is suspected after FACTOR times the longest time between two reports of the sweep, and at least LEAST_S. The
# limit is larger before the first report of any trial, since trials import and compile then.
FACTOR, LEAST_S, FIRST_S = 10.0, 120.0, 900.0
OWN_PAUSE_S = 10.0  # a longer time between two of Tune's steps does not count: this process was stopped


class Watchdog(Callback):
    """Warns of a trial without reports, with the source line of its worker; then at doubling intervals."""

    def __init__(self) -> None:
        self._heard_s: dict[str, float] = {}  # trial id -> time of its start or last report
        self._reported: set[str] = set()  # ids of trials with a report since their start
        self._bounds_s: dict[str, float] = {}  # trial id -> next limit, after a warning
        self._longest_s: dict[bool, float] = {}  # longest time between reports (True), and to the first one (False)
        self._looked_s = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: clocks of another process differ."""
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._forget(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        now_s, before = time.monotonic(), trial.trial_id in self._reported
        if (heard_s := self._heard_s.get(trial.trial_id)) is not None:
            self._longest_s[before] = max(now_s - heard_s, self._longest_s.get(before, 0.0))
        self._heard_s[trial.trial_id] = now_s
        self._reported.add(trial.trial_id)
        if self._bounds_s.pop(trial.trial_id, None) is not None:
            logger.warning("trial %s reports again", trial.config["trial_number"])

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s > OWN_PAUSE_S:
            self._heard_s = dict.fromkeys(self._heard_s, now_s)
        self._looked_s = now_s
        for trial in trials:
            if trial.status != Trial.RUNNING:
                self._forget(trial)
                continue
            if trial.is_saving or trial.is_restoring:  # `SlowTransfers` warns of a slow storage
                self._heard_s[trial.trial_id] = now_s
                continue
            silent_s = now_s - self._heard_s.setdefault(trial.trial_id, now_s)
            if silent_s > self._bounds_s.get(trial.trial_id, self.bound_s(trial)):
                self._bounds_s[trial.trial_id] = 2 * silent_s
                self._tell(trial, silent_s)

    def bound_s(self, trial: Trial) -> float:
        """Return the longest time between reports of `trial` without a warning, from the reports so far."""
        first = self._longest_s.get(False)
        known = self._longest_s.get(True, first) if trial.trial_id in self._reported else first
        return FIRST_S if known is None else max(LEAST_S, FACTOR * known)

    def _forget(self, trial: Trial) -> None:
        self._heard_s.pop(trial.trial_id, None)
        self._bounds_s.pop(trial.trial_id, None)
        self._reported.discard(trial.trial_id)

    def _tell(self, trial: Trial, silent_s: float) -> None:
        slowest = max(self._longest_s.values(), default=None)
        usual = "" if slowest is None else f" (the slowest report of this sweep took {slowest:.0f} s)"
        location = where(trial)
        logger.warning(
            "trial %s has not reported for %.0f s%s%s. If it hangs there, stop the sweep with Ctrl-C, fix the cause "
            "and resume the sweep",
            trial.config["trial_number"],
            silent_s,
            usual,
            f"; it is at {location}" if location else "",
        )


def where(trial: Trial) -> str:
    """Return the current source line of the worker of `trial`, and its process; "" if unknown."""
    actor = trial.temporary_state.ray_actor
    known = ray._private.state.actors(actor._actor_id.hex()) if actor is not None else {}
    if not known.get("Pid"):
        return ""
    location = current_line(int(known["Pid"]), known["Address"]["IPAddress"])
    process = f"process {known['Pid']}"
    return f"{location} ({process})" if location else process
