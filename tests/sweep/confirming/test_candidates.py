"""Configurations and seeds of a confirmation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweep.search.population.test_lineage import NOW, TAKEOVERS
from tuneexp.errors import UserError
from tuneexp.seeds import MAX_SEED
from tuneexp.sweep.confirming.candidates import best_trials, candidates, return_metric, trial_of
from tuneexp.sweep.confirming.request import unseen_seeds
from tuneexp.sweep.results import SweepResult, TrialResult
from tuneexp.sweep.search.objectives import Objectives

RETURN = Objectives.of(None)


def trial(number: int, objective: float | None, outcome: str | None = "completed", **changes: Any) -> TrialResult:
    values = {} if objective is None else {"objective": objective}
    return TrialResult(
        **{
            "trial_id": f"id{number}", "trial_number": number, "status": "ended", "outcome": outcome, "reason": None,
            "objective": objective, "env_steps": 10, "wall_s": 1.0, "config": {"gamma": 0.9 + number / 1000},
            "checkpoint": None, "objectives": values, **changes,
        }
    )  # fmt: skip


def result(*trials: TrialResult, front: tuple[TrialResult, ...] = ()) -> SweepResult:
    return SweepResult("s", "runs", "finished", "trials", None, list(trials), front=list(front))


def test_the_best_completed_trials_come_first_and_each_configuration_once() -> None:
    twice = trial(4, 50.0, config={"gamma": 0.902})
    found = best_trials(
        result(trial(0, 30.0), trial(1, 90.0, "pruned"), trial(2, 50.0), trial(3, None, "diverged"), twice), RETURN, 2
    )
    assert [one.trial_number for one in found] == [2, 0]


def test_trials_that_violate_a_constraint_are_left_out() -> None:
    found = best_trials(result(trial(0, 30.0), trial(1, 90.0, violated=["wall_s<=1"])), RETURN)
    assert [one.trial_number for one in found] == [0]


def test_more_configurations_than_there_are_completed_trials_are_refused_with_their_number() -> None:
    both = result(trial(0, 30.0), trial(1, 90.0), trial(2, 99.0, "pruned"))
    assert len(best_trials(both, RETURN)) == 2
    with pytest.raises(UserError, match="--top 2"):
        best_trials(both, RETURN, 3)
    with pytest.raises(UserError, match="no trial"):
        best_trials(result(trial(0, 30.0, "pruned")), RETURN)


def test_several_objectives_give_their_front_by_return() -> None:
    objectives = Objectives.of([{"name": "wall_s", "direction": "min"}, {"name": "return_mean", "direction": "max"}])
    on_front = tuple(
        trial(number, value, objectives={"return_mean": value, "wall_s": number})
        for number, value in ((0, 10.0), (1, 20.0))
    )
    beyond = trial(2, 15.0, objectives={"return_mean": 15.0, "wall_s": 9})
    assert [one.trial_number for one in best_trials(result(*on_front, beyond, front=on_front), objectives)] == [1, 0]


def test_a_sweep_that_optimizes_no_return_is_refused() -> None:
    with pytest.raises(UserError, match="wall_s"):
        return_metric(Objectives.of([{"name": "wall_s", "direction": "min"}]))
    with pytest.raises(UserError, match="return_mean"):
        return_metric(Objectives.of([{"name": "return_mean", "direction": "min"}]))


def test_the_defaults_have_the_fixed_hyperparameters_of_the_sweep() -> None:
    found = candidates(
        result(trial(7, 1.0)), [trial(7, 1.0)], {"model/activation": "relu", "n_envs": 4}, {"gamma": 0.5}
    )
    assert [one.name for one in found] == ["trial 7", "defaults", "random search"]
    assert found[1].config == {"model": {"activation": "relu"}, "n_envs": 4}
    assert found[2].config == {"gamma": 0.5}
    assert [trial_of(one.name) for one in found] == [7, None, None]


def test_unseen_seeds_begin_after_those_of_the_sweep() -> None:
    assert unseen_seeds(3, [0, 1, 2]) == [3, 4, 5]
    assert unseen_seeds([8, 5], [0, 1]) == [8, 5]
    near_the_end = unseen_seeds(4, [1, MAX_SEED - 1])
    assert len(near_the_end) == 4
    assert not {*near_the_end} & {1, MAX_SEED - 1}
    assert unseen_seeds([0, 9], [0, 1], force=True) == [0, 9]


@pytest.mark.parametrize(
    ("asked", "word"), [(1, "at least 2"), (0, "at least 2"), ([4], "at least 2"), ([1, 9], "seed 1"), ([-1, 4], "-1")]
)
def test_seeds_that_tuning_used_or_too_few_are_refused(asked: Any, word: str) -> None:
    with pytest.raises(UserError, match=word):
        unseen_seeds(asked, [0, 1])


def test_members_of_a_population_are_trained_with_the_schedules_of_their_lineages() -> None:
    members = [trial(number, 1.0, config=NOW[number], takeovers=TAKEOVERS[number]) for number in TAKEOVERS]
    of_0, of_1, of_2, _ = candidates(result(*members), members, {})[:4]
    assert of_0.config == {"lr": 1.0, "n_steps": 32}
    changes = [{"env_steps": 100, "values": {"lr": 1.2}}, {"env_steps": 200, "values": {"lr": 2.2}}]
    assert of_0.schedule == changes
    assert (of_1.config, of_1.schedule) == (NOW[1], [])
    assert (of_2.config["lr"], of_2.schedule) == (8.0, [{"env_steps": 300, "values": {"lr": 9.0}}])


def test_members_that_had_equal_values_at_all_steps_are_one_configuration() -> None:
    copied = [{"env_steps": 100, "donor": 0, "before": {"gamma": 0.5}, "after": {"gamma": 0.9}}]
    moved = [{"env_steps": 100, "donor": 1, "before": {"gamma": 0.5}, "after": {"gamma": 0.9}}]
    members = [
        trial(0, 3.0, config={"gamma": 0.9}), trial(1, 2.0, config={"gamma": 0.7}),
        trial(2, 4.0, config={"gamma": 0.9}, takeovers=copied), trial(3, 1.0, config={"gamma": 0.9}, takeovers=moved),
    ]  # fmt: skip
    found = best_trials(result(*members), RETURN, 3)
    assert [one.trial_number for one in found] == [2, 1, 3]  # 3 ended as 0 did, and had the values of 1 before
