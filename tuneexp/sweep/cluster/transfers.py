"""Tune callback that warns of slow writes and reads of checkpoints. Workers retry them without a log line."""

from __future__ import annotations

import logging
import time
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from tuneexp.files.retries import patience_s

logger = logging.getLogger(__name__)

# Interval to the first warning; each further one is twice as long, for the whole sweep.
SLOW_S, REPEAT_S, LONGEST_REPEAT_S = 15.0, 60.0, 960.0


class SlowTransfers(Callback):
    """Warns of slow transfers. location: folder or URI of the checkpoints, for the message."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._since_s: dict[str, float] = {}  # trial id -> start of the running transfer
        self._next_s, self._repeat_s = 0.0, REPEAT_S

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        now_s = time.monotonic()
        busy = {trial.trial_id: trial for trial in trials if trial.is_saving or trial.is_restoring}
        self._since_s = {trial_id: self._since_s.get(trial_id, now_s) for trial_id in busy}
        if not busy or now_s < self._next_s:
            return
        trial_id, since_s = min(self._since_s.items(), key=lambda item: item[1])
        if now_s - since_s >= SLOW_S:
            self._next_s = now_s + self._repeat_s
            self._repeat_s = min(2 * self._repeat_s, LONGEST_REPEAT_S)
            self._tell(busy[trial_id], now_s - since_s)

    def _tell(self, trial: Trial, waited_s: float) -> None:
        logger.warning(
            "trial %s has tried to %s its checkpoint for %.0f s: %s may be full or unreachable. After %.0f s of "
            "failures the sweep stops, and can be resumed",
            trial.config["trial_number"],
            "save" if trial.is_saving else "read",
            waited_s,
            self._location,
            patience_s(),
        )
