"""Time of a sweep from the costs of some of its trials, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tuneexp.sweep.planning.estimate import (
    COMPILE_S,
    START_S,
    TRIAL_S,
    Interval,
    mean_of_trials,
    overhead_seconds,
    program_seconds,
    slowdown,
    sweep_seconds,
    trial_seconds,
)
from tuneexp.trial.probe import Probe
from tuneexp.trial.trial_config import TrialConfig

PROBE = Probe(
    build_s=2.0, compiled=True, chunks_s=(0.001, 0.003), cpu_s=0.001, evaluation_s=0.01, final_evaluation_s=0.02,
    evaluation_steps=20, longest_episode=500, checkpoint_bytes=1000, save_s=0.1, budget_env_steps=1000,
    programs="one", one_process=True,
)  # fmt: skip
CONFIG = TrialConfig.parse({"algorithm": "ppo", "env": "CartPole-v1", "budget_env_steps": 1000}, "the test")


def test_a_trial_is_training_evaluations_and_checkpoints() -> None:
    found = trial_seconds(PROBE, CONFIG)
    # 1,000 steps of 2 ms, one standard deviation of 1.414 ms; ten reports, the last with the long evaluation.
    assert found.low == pytest.approx(2 - 1.41421 + 20 * (9 * 0.01 + 0.02) + 1)
    assert found.high == pytest.approx(2 + 1.41421 + 500 * (9 * 0.01 + 0.02) + 1)


def test_seeds_that_catch_up_write_a_checkpoint_at_each_report() -> None:
    cohorts = [{"seeds": 1, "from_env_steps": 0}, {"seeds": 1, "from_env_steps": 300}]
    cohorts += [{"seeds": 2, "from_env_steps": 650}]
    more = trial_seconds(PROBE, CONFIG, cohorts).low - trial_seconds(PROBE, CONFIG).low
    assert more == pytest.approx((3 + 7) * 0.1)  # reports every 100 steps


def test_evaluations_without_a_time_limit_last_as_long_as_now() -> None:
    found = trial_seconds(replace(PROBE, longest_episode=None, chunks_s=(0.002,)), CONFIG)
    assert found.low == found.high == pytest.approx(2 + 2.2 + 1)


def test_the_mean_of_all_trials_is_as_uncertain_as_those_that_were_not_measured() -> None:
    found = [Interval(8, 10), Interval(10, 12), Interval(12, 14)]
    assert mean_of_trials(found, 3) == Interval(10, 12)
    # t with 2 degrees of freedom: 2.92; standard error 2 / sqrt(3); half of the trials are known.
    half = 2.91999 * 2 / 3**0.5 * 0.5**0.5
    assert mean_of_trials(found, 6).high == pytest.approx(12 + half)
    assert mean_of_trials(found, 6).low == pytest.approx(8)  # not below the fastest one: 10 - half is less
    assert mean_of_trials(found[:1], 6) == found[0]


def test_a_sweep_is_between_full_places_and_a_last_trial_that_runs_alone() -> None:
    assert sweep_seconds(Interval(10, 20), 8, 2) == Interval(40, 80 + 10)
    assert sweep_seconds(Interval(10, 20), 2, 4) == Interval(10, 20 + 10)
    assert sweep_seconds(Interval(10, 20), 8, 4, share=0.25).low == 10  # one trial runs to the end


def test_programs_that_were_not_seen_may_have_to_be_compiled() -> None:
    other = replace(PROBE, programs="other", cpu_s=0.002)
    assert program_seconds([PROBE], 1, 8, 2) == Interval(2.0, 2.0)
    assert program_seconds([replace(PROBE, compiled=False)], 5, 8, 1) == Interval(10.0, 10.0)
    # On a machine that gives half of a core, compilation takes twice as long.
    assert program_seconds([PROBE], 5, 8, 1) == Interval(10.0, 10.0 + 4 * 2 * COMPILE_S)
    assert program_seconds([PROBE], None, 3, 2) == Interval(4.0, 4.0 + 2 * COMPILE_S)
    assert program_seconds([other] * 4, 5, 8, 1) == Interval(10.0, 10.0 + 4 * COMPILE_S)  # four of the same
    assert program_seconds([PROBE, other], 2, 8, 1) == Interval(4.0, 4.0)


def test_a_busy_machine_slows_the_start_too() -> None:
    assert slowdown([PROBE]) == 2.0  # 2 ms a step, of which 1 ms is CPU time
    assert slowdown([replace(PROBE, one_process=False)]) is None
    assert overhead_seconds([PROBE], 10, 2) == Interval(START_S + 5 * TRIAL_S, 2 * (START_S + 5 * TRIAL_S))
