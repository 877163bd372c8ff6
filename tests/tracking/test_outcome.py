"""Outcome of a trial and its reason."""

from __future__ import annotations

import math

import pytest
from ray.exceptions import RayTaskError

from tests.tracking.helpers import BUDGET_ENV_STEPS, make_result, make_trial
from tuneexp.errors import sentence_of
from tuneexp.tracking.outcome import MLFLOW_STATUS, OUTCOMES, last_raised, outcome_of, reason_of


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (make_result(BUDGET_ENV_STEPS), "completed"),
        (make_result(BUDGET_ENV_STEPS + 24), "completed"),
        (make_result(BUDGET_ENV_STEPS, failed_seeds=[1]), "completed"),
        (make_result(200, done=True), "pruned"),
        (make_result(200), "timeout"),
        ({}, "timeout"),
        (None, "timeout"),
        (make_result(200, objective=math.nan, failed_seeds=[0, 1], done=True), "diverged"),
        (make_result(200, objective=math.inf, done=True), "diverged"),
        (make_result(BUDGET_ENV_STEPS, objective=math.nan), "diverged"),
    ],
)
def test_outcome_of_a_trial_that_stopped_without_an_error(result: dict[str, object] | None, outcome: str) -> None:
    assert outcome_of(make_trial(0), result) == outcome


TRACEBACK = """Failure # 1 (occurred at 2026-01-01_00-00-00)
ray::AlgorithmTrainable.train() (pid=1, ip=127.0.0.1)
  File "trainable.py", line 1, in step
    self.allocate_out_of_memory_buffer()
{error}
"""


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("tuneexp.errors.EnvironmentFault: CartPole-v1 returned NaN at step 7", "error"),
        ("ValueError: boom", "error"),
        ("MemoryError", "out_of_memory"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out_of_memory"),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", "out_of_memory"),
        ("TimeoutError: no answer for 60 s", "error"),  # a fault outside of the trial
        ("trained for longer than trial_timeout_s (10 s); it was at my_env.py line 12", "timeout"),
    ],
)
def test_outcome_and_reason_of_an_error(error: str, outcome: str) -> None:
    trial = make_trial(0, status="ERROR", error=TRACEBACK.format(error=error))
    assert outcome_of(trial, make_result(200)) == outcome
    assert reason_of(trial, make_result(200)) == error


def test_a_worker_killed_for_memory_is_out_of_memory() -> None:
    from ray.exceptions import OutOfMemoryError

    message = "Task was killed due to the node running low on memory.\nMemory on the node (IP: 1) was 15 / 16 GB."
    trial = make_trial(0, status="ERROR", error=f"Failure # 1 (occurred at 2026)\n{OutOfMemoryError(message)}")
    assert outcome_of(trial, {}) == "out_of_memory"


def test_the_latest_failure_counts() -> None:
    first = TRACEBACK.format(error="MemoryError")
    second = "Failure # 2 (occurred at 2026)\nValueError: second\n"
    trial = make_trial(0, status="ERROR", error=first + second)
    assert (outcome_of(trial, {}), reason_of(trial, {})) == ("error", "ValueError: second")


def test_an_error_without_a_message_still_has_a_reason() -> None:
    assert reason_of(make_trial(0, status="ERROR"), {}) == "the worker died without a message"


def test_reasons_are_one_line() -> None:
    assert reason_of(make_trial(0), make_result(200, done=True)) == "stopped after 200 of 1000 env steps"
    assert reason_of(make_trial(0), make_result(BUDGET_ENV_STEPS)) is None
    assert reason_of(make_trial(0), make_result(200, failed_seeds=[0, 1])) == "seeds that became NaN: 0, 1"


def test_every_outcome_has_a_final_status_of_mlflow() -> None:
    from mlflow.entities import RunStatus

    assert set(MLFLOW_STATUS) == set(OUTCOMES)
    assert all(RunStatus.is_terminated(RunStatus.from_string(status)) for status in MLFLOW_STATUS.values())
    assert MLFLOW_STATUS["completed"] == "FINISHED"
    assert MLFLOW_STATUS["pruned"] == "FINISHED"  # KILLED has the red cross of a failure
    assert MLFLOW_STATUS["diverged"] == "FAILED"


def test_control_characters_of_a_message_are_spelled_out_and_the_colours_of_ray_are_dropped() -> None:
    cause = ValueError("\x1b[31m[v2]\x07 no\tok\n[/x]")
    spelled = r"ValueError: \x1b[31m[v2]\x07 no ok [/x]"
    assert sentence_of(cause) == spelled
    trace = 'Traceback (most recent call last):\n  File "my_env.py", line 1, in step\n    raise\n'
    text = str(RayTaskError("step", f"{trace}{spelled}", cause, proctitle="ray::Mine.step", pid=1, ip="127.0.0.1"))
    coloured = "\x1b[36mray::Mine.step()\x1b[39m (pid=1, ip=127.0.0.1)"
    assert last_raised(f"{coloured}\n{text}") == spelled
    assert last_raised(coloured) == "ray::Mine.step() (pid=1, ip=127.0.0.1)"
