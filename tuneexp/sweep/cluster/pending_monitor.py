"""Tune callback that warns while no trial runs, and ends a sweep whose local Ray is lost. Tune would wait forever."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from tuneexp.ray_support.lost_processes import lost_process
from tuneexp.sweep.cluster.loss_detection import ClusterLost
from tuneexp.sweep.cluster.resources import Resources, total_words

logger = logging.getLogger(__name__)

WARN_AFTER_S = 60.0


class PendingMonitor(Callback):
    """Warns after `WARN_AFTER_S` without a running trial, then at doubling intervals.

    bundles: resource request of the largest trial."""

    def __init__(self, bundles: Sequence[Resources]) -> None:
        self._bundles = bundles
        self._waiting_since_s: float | None = None
        self._next_warning_s = WARN_AFTER_S

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        lost = lost_process()
        if lost is not None:
            raise ClusterLost(lost)
        if not trials or any(trial.status == Trial.RUNNING for trial in trials):
            self._waiting_since_s = None
            return
        now_s = time.monotonic()
        if self._waiting_since_s is None:
            self._waiting_since_s, self._next_warning_s = now_s, WARN_AFTER_S
        elif (waited_s := now_s - self._waiting_since_s) >= self._next_warning_s:
            self._next_warning_s = 2 * waited_s
            if a_trial_is_starting():
                logger.warning("no trial runs yet: one has been importing and compiling for %.0f s", waited_s)
                return
            logger.warning(
                "no trial has run for %.0f s: a trial needs %s, the cluster has %s, of which %s are free; "
                "the sweep continues once resources are free; after Ctrl-C it can be resumed",
                waited_s,
                total_words(self._bundles),
                total_words([ray.cluster_resources()]),
                total_words([ray.available_resources()]),
            )


def a_trial_is_starting() -> bool:
    """Return True if a placement group of this job is created: a trial has its resources and is starting."""
    job = ray.get_runtime_context().get_job_id()  # ids of its objects end with it
    groups = ray.util.placement_group_table().items()
    return any(group["state"] == "CREATED" and name.endswith(job) for name, group in groups)
