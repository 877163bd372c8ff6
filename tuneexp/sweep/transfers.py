"""The Tune callback that tells of checkpoints which take long to be saved or read: workers retry, but can't say so."""

from __future__ import annotations

import logging
import time
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from tuneexp.outages import patience_s

logger = logging.getLogger(__name__)

SLOW_S, REPEAT_S = 15.0, 60.0


class SlowTransfers(Callback):
    """`place`: where checkpoints lie, for the message."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._tell_at_s: dict[str, float] = {}  # by trial id, of trials that save or read now

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        now_s = time.monotonic()
        busy = {trial.trial_id: trial for trial in trials if trial.is_saving or trial.is_restoring}
        self._tell_at_s = {trial_id: self._tell_at_s.get(trial_id, now_s + SLOW_S) for trial_id in busy}
        late = [busy[trial_id] for trial_id, at_s in self._tell_at_s.items() if now_s >= at_s]
        if not late:
            return
        self._tell_at_s = dict.fromkeys(busy, now_s + REPEAT_S)
        logger.warning(
            "trial %s has not %s its checkpoint yet: is %s full or out of reach? It is tried for %.0f s, then the "
            "sweep stops and can be resumed",
            late[0].config["trial_number"],
            "saved" if late[0].is_saving else "read",
            self._place,
            patience_s(),
        )
