"""Trials whose seeds join in cohorts: the same training as of one stack, on a clock that never goes back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.small import parameters_of, small_config, small_trial
from tuneexp.algorithms.ppo import PPO
from tuneexp.errors import CheckpointError, UserError
from tuneexp.files import checkpoint
from tuneexp.sweep.from_address import trial_from_checkpoint
from tuneexp.trial.cohorts.cohort_trial import CohortTrial, build_trial
from tuneexp.trial.from_checkpoint import evaluate_checkpoint
from tuneexp.trial.loaded_policies import policy_from_checkpoint
from tuneexp.trial.trial import Trial

POISONED = "tests.sampling.envs:Poisoned"
REPORT = 64
# (reports before they join, number): 1 and 3 seeds; two cohorts at once where a report jumped over a rung.
COHORTS = {"window": [(0, 1), (2, 3)], "best": [(0, 3), (1, 1)], "auc": [(0, 1), (2, 1), (2, 2)]}


def racing(joins: Sequence[tuple[int, int]], **changes: Any) -> CohortTrial:
    cohorts = [{"from_env_steps": reports * REPORT, "seeds": seeds} for reports, seeds in joins]
    number = sum(seeds for _, seeds in joins)
    trial = build_trial(PPO, small_config([5, *range(1, number)], cohorts=cohorts, **changes))
    assert isinstance(trial, CohortTrial)
    return trial


def run(trial: Trial | CohortTrial) -> list[dict[str, Any]]:
    reports = []
    while not trial.done:
        reports.append(trial.advance())
    return reports


def without_times(report: dict[str, Any]) -> str:
    return repr({name: value for name, value in report.items() if not name.startswith("time/")})


@pytest.mark.parametrize("kind", COHORTS)
def test_seeds_that_join_later_end_as_those_of_one_stack(kind: str) -> None:
    objective = {"kind": kind, "aggregate": "iqm"}
    raced = racing(COHORTS[kind], objective=objective, rollouts=5)
    stacked = small_trial(raced.config.seeds, objective=objective, rollouts=5)
    last, expected = run(raced)[-1], run(stacked)[-1]
    for name in ("return_per_seed", "objective", "objective_se", "objective_low", "update/entropy"):
        assert last[name] == pytest.approx(expected[name]), name
    assert last["env_steps_spent"] == expected["env_steps_spent"] == 5 * REPORT * 4
    own = [parameters_of(cohort.trial) for cohort in raced.cohorts]
    for name, leaf in parameters_of(stacked).items():
        assert np.allclose(np.concatenate([one[name] for one in own]), leaf, atol=1e-6), name


def test_the_clock_stays_at_the_rung_while_new_seeds_catch_up() -> None:
    reports = run(racing([(0, 1), (1, 1), (3, 2)]))
    clock = [report["env_steps"] // REPORT for report in reports]
    assert clock == [1, 1, 2, 3, 3, 3, 3, 4]
    spent = [report["env_steps_spent"] // REPORT for report in reports]
    assert spent == [1, 2, 4, 6, 8, 10, 12, 16]
    assert [len(report["return_per_seed"]) for report in reports] == [1, 1, 2, 2, 2, 2, 2, 4]
    repeated = [index for index in range(1, 8) if clock[index] == clock[index - 1]]
    for name in ("objective", "return_per_seed", "failed_seeds", "update/loss", "done"):
        assert all(reports[index][name] == reports[index - 1][name] for index in repeated), name
    assert "objective_se" not in reports[1]
    assert [report["iteration"] for report in reports] == list(range(1, 9))
    seconds = [report["time/train_s"] for report in reports]
    assert seconds == sorted(seconds)
    assert [report["done"] for report in reports] == [False] * 7 + [True]


def test_a_trial_continues_from_each_of_its_checkpoints_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    trial, reports = racing([(0, 1), (1, 1), (3, 2)]), []
    while not trial.done:
        reports.append(trial.advance())
        checkpoint.write(tmp_path / str(len(reports)), trial.state_dict())
    for done in range(1, len(reports)):
        again = trial_from_checkpoint(tmp_path / str(done), trust=True)
        rest = run(again)
        assert [without_times(one) for one in rest] == [without_times(one) for one in reports[done:]], done
        again.close()


def test_the_policies_of_a_checkpoint_are_those_of_all_seeds_that_are_not_behind(tmp_path: Path) -> None:
    trial = racing([(0, 1), (2, 3)], normalize_observation=True)
    reports = [trial.advance() for _ in range(3)]
    checkpoint.write(tmp_path / "behind", trial.state_dict())
    reports += run(trial)
    checkpoint.write(tmp_path / "level", trial.state_dict())
    assert policy_from_checkpoint(tmp_path / "behind").facts.seeds == [5]
    with pytest.raises(UserError, match=r"seed=1: the checkpoint has the seeds 5$"):
        policy_from_checkpoint(tmp_path / "behind", seed=1)
    stacked = small_trial(trial.config.seeds, normalize_observation=True)
    run(stacked)
    checkpoint.write(tmp_path / "stacked", stacked.state_dict())
    observation = np.array([0.1, -0.2, 0.03, 0.4], np.float32)
    for place, seed in enumerate(trial.config.seeds):
        mine, other = (policy_from_checkpoint(tmp_path / name, seed=seed) for name in ("level", "stacked"))
        assert mine.facts.seeds == trial.config.seeds
        assert mine.facts.returns == pytest.approx(other.facts.returns)
        assert mine.facts.returns[seed] == reports[-1]["return_per_seed"][place]
        assert np.array_equal(mine(observation), other(observation))
    returns = [evaluate_checkpoint(tmp_path / name, 2, 3, trust=True) for name in ("level", "stacked")]
    assert returns[0] == returns[1]
    best = policy_from_checkpoint(tmp_path / "level").facts.seed
    assert reports[-1]["return_per_seed"][trial.config.seeds.index(best)] == max(reports[-1]["return_per_seed"])


@pytest.mark.parametrize("victim", [1, 2])
def test_a_trial_ends_if_all_of_its_seeds_so_far_diverge(victim: int) -> None:
    cohorts = [{"from_env_steps": 0, "seeds": 1}, {"from_env_steps": 3 * REPORT, "seeds": 2}]
    trial = build_trial(PPO, small_config([1, 2, 3], env=POISONED, env_kwargs={"victim": victim}, cohorts=cohorts))
    last = run(trial)[-1]
    assert last["failed_seeds"] == [victim]
    assert math.isnan(last["objective"]) == (victim == 1)
    assert (last["env_steps"] == trial.config.budget_env_steps) == (victim == 2)


def test_a_cohort_of_which_all_seeds_diverge_keeps_its_place() -> None:
    cohorts = [{"from_env_steps": 0, "seeds": 2}, {"from_env_steps": 2 * REPORT, "seeds": 1}]
    config = small_config([1, 3, 2], env=POISONED, env_kwargs={"victim": 2}, cohorts=cohorts, rollouts=6)
    trial = build_trial(PPO, config)
    last = run(trial)[-1]
    assert (last["env_steps"], last["failed_seeds"], last["done"]) == (6 * REPORT, [2], True)
    assert len(last["return_per_seed"]) == 3
    assert last["env_steps_spent"] < 6 * REPORT * 3


def test_checkpoints_of_other_trials_are_refused_by_name() -> None:
    raced, stacked = racing([(0, 1), (1, 2)]), small_trial([5, 1, 2])
    raced.advance()
    with pytest.raises(CheckpointError, match="started together; this trial races on seeds"):
        raced.load_state_dict(stacked.state_dict())
    with pytest.raises(CheckpointError, match="joined one after another"):
        stacked.load_state_dict(raced.state_dict())
    with pytest.raises(CheckpointError, match=r"cohorts of seeds \[\[5\]\], this trial has \[\[5, 1\], \[2\]\]"):
        racing([(0, 2), (1, 1)]).load_state_dict(raced.state_dict())
    with pytest.raises(CheckpointError, match="damaged: KeyError"):
        racing([(0, 1), (1, 2)]).load_state_dict({"cohorts": [{"seeds": [5]}]})


def test_processes_of_a_trial_are_refused() -> None:
    with pytest.raises(UserError, match="write num_env_runners=0"):
        racing([(0, 1), (1, 2)], num_env_runners=1)


def test_seeds_that_join_after_a_resume_report_where_the_others_did(tmp_path: Path) -> None:
    """A longer budget has other reports."""
    trial = racing([(0, 1), (3, 2)])
    for _ in range(3):
        trial.advance()
    checkpoint.write(tmp_path / "rung", trial.state_dict())
    longer = trial_from_checkpoint(
        tmp_path / "rung", trust=True, budget_env_steps=9 * REPORT, report_every_env_steps=2 * REPORT
    )
    reports = run(longer)
    assert [one["env_steps"] // REPORT for one in reports] == [3, 3, 3, 4, 6, 8, 9]
    assert [one["env_steps_spent"] // REPORT for one in reports] == [5, 7, 9, 12, 18, 24, 27]
    assert isinstance(longer, CohortTrial)
    assert {tuple(cohort.clock) for cohort in longer.cohorts} == {tuple(n * REPORT for n in (1, 2, 3, 4, 6, 8, 9))}
