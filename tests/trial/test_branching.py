"""A trial that continues from a checkpoint of another one, and a trial with a schedule."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.small import parameters_of, same, small_config, small_trial
from tuneexp.algorithms.ppo import PPO
from tuneexp.trial import Trial


def advanced(trial: Trial, reports: int = 1) -> Trial:
    for _ in range(reports):
        trial.advance()
    return trial


def copied(state: dict[str, Any], **changes: Any) -> Trial:
    trial = small_trial(**changes)
    trial.load_state_dict(state)
    return trial


@pytest.mark.parametrize("seeds", [(0,), (3, 4, 5)])
def test_a_copy_has_the_parameters_of_its_donor_and_other_random_numbers(seeds: tuple[int, ...]) -> None:
    donor = advanced(small_trial(seeds, trial_number=1))
    state = donor.state_dict()
    own, copy, again = (copied(state, seeds=seeds, trial_number=number) for number in (1, 2, 2))
    assert copy.env_steps == donor.env_steps
    assert same(parameters_of(copy), parameters_of(donor))
    for trial in (donor, own, copy, again):
        advanced(trial)
    assert same(parameters_of(own), parameters_of(donor))  # a checkpoint of its own: it goes on as before
    assert not same(parameters_of(copy), parameters_of(donor))
    assert same(parameters_of(again), parameters_of(copy))  # a copy that is restored again is the same one
    later = copied(copy.state_dict(), seeds=seeds, trial_number=2)
    assert same(parameters_of(advanced(later)), parameters_of(advanced(copy)))  # from now on it is its own


def test_a_copy_takes_its_own_hyperparameters() -> None:
    state = advanced(small_trial(trial_number=0)).state_dict()
    copy = copied(state, trial_number=1, learning_rate=5e-4)
    assert copy.advance()["update/learning_rate"] == pytest.approx(5e-4)


def test_values_change_at_exactly_the_steps_of_a_schedule() -> None:
    schedule = [
        {"env_steps": 0, "values": {"learning_rate": 2e-3}},
        {"env_steps": 128, "values": {"learning_rate": 5e-4}},
    ]
    trial = small_trial(schedule=schedule, report_every_env_steps=64, rollouts=4)
    rates = [trial.advance()["update/learning_rate"] for _ in range(4)]
    assert rates == pytest.approx([2e-3, 2e-3, 5e-4, 5e-4])
    assert [trial.env_steps, trial.iteration] == [256, 4]
    assert len(trial.objective.state_dict()) == len(small_trial().objective.state_dict())


def test_a_change_between_two_reports_keeps_the_state() -> None:
    schedule = [{"env_steps": 128, "values": {"learning_rate": 1e-3}}]  # the same value: nothing may differ
    changed = small_trial(schedule=schedule, report_every_env_steps=256)
    plain = small_trial(report_every_env_steps=256)
    assert same(parameters_of(advanced(changed)), parameters_of(advanced(plain)))


def test_a_trial_that_is_restored_has_the_values_of_its_step() -> None:
    schedule = [{"env_steps": 64, "values": {"learning_rate": 2e-3}}, {"env_steps": 192, "values": {"gamma": 0.5}}]
    trial = advanced(small_trial(schedule=schedule), 2)
    restored = copied(trial.state_dict(), schedule=schedule)
    assert same(parameters_of(advanced(restored, 2)), parameters_of(advanced(trial, 2)))
    assert restored.cfg.gamma == 0.5
    assert restored.cfg.learning_rate == 2e-3


def test_a_member_of_a_population_goes_on_when_all_seeds_have_diverged() -> None:
    for of_population in (False, True):
        trial = Trial(PPO, small_config(of_population=of_population))
        trial.advance()
        trial.learner.failed[:] = True
        assert trial.done != of_population
    assert torch.isnan(torch.tensor(trial.advance()["objective"])) or trial.failed.all()
