"""Training of one configuration of a recorded task, all of its seeds in one stack."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.recording.tasks import CONFIGURATIONS, RecordedTask
from tuneexp.algorithms.registry import load_spec


class Curves(NamedTuple):
    """Learning curves of a configuration.

    returns: [seeds, evaluations], mean return of the deterministic policy. cpu_s, wall_s: seconds of the training and
    evaluation of all seeds together, without building and compiling the programs."""

    returns: NDArray[np.float64]
    cpu_s: float
    wall_s: float


def train(task: RecordedTask, point: Mapping[str, Any], compilation: str = "auto") -> Curves:
    """Train a configuration.

    Args:
        task: what to train.
        point: the numbers that vary.
        compilation: setting `compile` of the trial. `auto` compiles, since all configurations share the programs.

    Returns:
        The curves. After the divergence of all seeds a trial ends, and its last evaluation is repeated.
    """
    algo = load_spec(task.algorithm).build(
        env=task.env,
        wrappers=list(task.wrappers),
        seeds=list(task.seeds),
        budget_env_steps=task.env_steps,
        report_every_env_steps=task.env_steps // task.evaluations,
        evaluation={"episodes": task.episodes, "final_episodes": task.episodes},
        compile=compilation,
        expected_trials=CONFIGURATIONS,
        **task.fixed,
        **point,
    )
    try:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        reports = [algo.train()]
        while not reports[-1]["done"]:
            reports.append(algo.train())
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    finally:
        algo.stop()
    _check(task, [report["env_steps"] for report in reports], reports[-1]["failed_seeds"])
    reports += [reports[-1]] * (task.evaluations - len(reports))
    return Curves(np.array([report["return_per_seed"] for report in reports]).T, cpu_s, wall_s)


def _check(task: RecordedTask, env_steps: list[int], failed: list[int]) -> None:
    """Raise ValueError if the evaluations were not at the steps that name the columns of the table."""
    expected = task.evaluated_at
    all_failed = len(failed) == len(task.seeds)
    # A trial in which every seed has diverged reports at once, between two evaluations.
    if not (env_steps == expected or (all_failed and env_steps[:-1] == expected[: len(env_steps) - 1])):
        raise ValueError(f"{task.name}: evaluated at {env_steps}; a period must be a whole number of rollouts")
