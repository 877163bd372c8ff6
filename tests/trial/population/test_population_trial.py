"""Members of a stacked population are trained as trials of their own; copies are exact; a resume is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tuneexp.algorithms.dqn import DQN
from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.sac import SAC
from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.trial import Trial
from tuneexp.trial.from_checkpoint import evaluate_checkpoint, trial_from_checkpoint
from tuneexp.trial.population.population_trial import PopulationTrial
from tuneexp.trial.trial_config import TrialConfig

SMALL: dict[str, dict[str, Any]] = {
    "ppo": {"n_envs": 2, "n_steps": 32, "n_epochs": 2, "normalize_observation": True, "normalize_reward": True},
    "dqn": {"n_envs": 2, "learning_starts": 16, "buffer_size": 500, "train_freq": 16, "gradient_steps": 4},
    "sac": {"n_envs": 1, "learning_starts": 16, "buffer_size": 500, "train_freq": 16, "gradient_steps": 2},
}
RATES = [1e-3, 1e-2, 3e-4, 3e-3, 1e-4, 5e-3, 2e-3, 7e-4]
OWN: dict[str, list[dict[str, Any]]] = {
    "ppo": [{"learning_rate": rate, "clip_range": 0.05 + 0.03 * m, "ent_coef": 0.01 * m, "gae_lambda": 0.9 + 0.01 * m}
            for m, rate in enumerate(RATES)],
    "dqn": [{"learning_rate": rate, "gamma": 0.9 + 0.01 * m, "exploration_final_eps": 0.02 * m}
            for m, rate in enumerate(RATES)],
    "sac": [{"learning_rate": rate, "gamma": 0.9 + 0.01 * m} for m, rate in enumerate(RATES)],
}  # fmt: skip
SPECS = {"ppo": PPO, "dqn": DQN, "sac": SAC}


def hyperparameters(name: str, member: int) -> dict[str, Any]:
    return {"batch_size": 16, "model": {"hidden_sizes": [8]}, **SMALL[name], **OWN[name][member]}


def config(name: str, seeds: int, **changes: Any) -> TrialConfig:
    given = {
        "algorithm": name, "env": "Pendulum-v1" if name == "sac" else "CartPole-v1", "seeds": list(range(seeds)),
        "budget_env_steps": 512, "report_every_env_steps": 128, "compile": "off",
        "evaluation": {"episodes": 2, "final_episodes": 2, "max_steps": 60},
    }  # fmt: skip
    return TrialConfig.parse({**given, **changes}, "the test")


def population(name: str, members: int, seeds: int = 1, **changes: Any) -> PopulationTrial:
    of_members = [{"trial_number": m, "hyperparameters": hyperparameters(name, m)} for m in range(members)]
    given = config(name, seeds, members=of_members, own_numbers=list(OWN[name][0]), **changes)
    return PopulationTrial(SPECS[name], given)


def alone(name: str, member: int, seeds: int) -> Trial:
    return Trial(SPECS[name], config(name, seeds, hyperparameters=hyperparameters(name, member)))


def rows(trial: Trial, chosen: Sequence[int] | slice) -> list[torch.Tensor]:
    learner = trial.learner
    target = [] if learner.target is None else list(learner.target.leaves.values())
    moments = []
    for block in learner.optimizer.blocks:
        for value in learner.optimizer._moments(block.parameter).values():
            whole = torch.zeros_like(learner.stack.flat)
            whole[block.span] = value
            moments += learner.stack.split(whole).values()
    return [leaf[chosen].clone() for leaf in [*learner.parameters.values(), *target, *moments]]


NEVER_EQUAL = ("time/train_s", "time/env_steps_per_s", "trial_number", "hyperparameters", "partial_episodes")


@pytest.mark.parametrize(
    ("name", "members", "seeds"), [("ppo", 1, 3), ("ppo", 3, 3), ("ppo", 8, 1), ("dqn", 3, 1), ("sac", 3, 1)]
)
def test_members_are_trained_and_reported_as_trials_of_their_own(name: str, members: int, seeds: int) -> None:
    stacked = population(name, members, seeds)
    report = [stacked.advance(), stacked.advance()][-1]
    assert [one["trial_number"] for one in report["members"]] == list(range(members))
    for member in range(members):
        single = alone(name, member, seeds)
        expected = [single.advance(), single.advance()][-1]
        found = report["members"][member]
        assert expected.keys() == found.keys() - {"trial_number", "hyperparameters"}
        for metric in expected.keys() - set(NEVER_EQUAL):
            assert found[metric] == pytest.approx(expected[metric], rel=2e-2, abs=1e-3, nan_ok=True), metric
        for ours, theirs in zip(rows(stacked, stacked.rows_of(member)), rows(single, slice(None)), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert report["objective"] == max(one["objective"] for one in report["members"])


@pytest.mark.parametrize(("name", "seeds"), [("ppo", 3), ("dqn", 1), ("sac", 1)])
def test_a_copy_is_exact_leaves_environments_and_draws_new_random_numbers(name: str, seeds: int) -> None:
    trial = population(name, 4, seeds)
    trial.advance()
    trial.learner.failed[trial.rows_of(2)] = True
    before = trial.state_dict()
    donors, rates = [0, 0, 3, 3], [1e-3, 2e-3, 4e-3, 5e-3]
    values = [
        {**hyperparameters(name, donor), "learning_rate": rate} for donor, rate in zip(donors, rates, strict=True)
    ]
    old = [rows(trial, trial.rows_of(member)) for member in range(4)]
    trial.copy(donors, values)
    for member, donor in enumerate(donors):
        assert all(map(torch.equal, rows(trial, trial.rows_of(member)), old[donor]))
    assert not trial.learner.failed.any()
    if trial.trainer.normaliser is not None:
        for value in trial.trainer.normaliser.state_dict().values():
            assert (value[trial.rows_of(1)] == value[trial.rows_of(0)]).all()
            assert (value[trial.rows_of(2)] == value[trial.rows_of(3)]).all()
    after = trial.state_dict()
    for part in ("learner", "group"):
        pairs = list(zip(before[part]["generators"], after[part]["generators"], strict=True))
        kept = [torch.equal(own, other) for own, other in pairs]
        assert kept == [member in (0, 3) for member in range(4) for _ in range(seeds)]
        assert len({tuple(other.tolist()) for _, other in pairs[:: seeds or 1]}) == 3  # 0 and 3 have the same seeds
    same_streams(before["group"]["runners"], after["group"]["runners"])
    index = trial.learner.hyper.names.index("learning_rate")
    np.testing.assert_allclose(trial.learner.hyper.tensor[::seeds, index], rates, rtol=1e-6)
    trial.advance()
    assert all(trial.learner.parameters[leaf].isfinite().all() for leaf in trial.learner.parameters)


def same_streams(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        for key in one:
            same_streams(one[key], other[key])
    elif isinstance(one, list | tuple):
        for mine, theirs in zip(one, other, strict=True):
            same_streams(mine, theirs)
    else:
        assert np.array_equal(np.asarray(one), np.asarray(other)) or one is other


@pytest.mark.parametrize("name", ["ppo", "dqn"])
def test_a_resume_between_two_decisions_is_exact(name: str, tmp_path: Path) -> None:
    trial, changed = population(name, 3), [{**hyperparameters(name, 2), "learning_rate": 2e-3} for _ in range(3)]
    trial.advance()
    trial.copy([2, 1, 2], [changed[0], hyperparameters(name, 1), hyperparameters(name, 2)])
    checkpoint.write(tmp_path / "middle", trial.state_dict())
    reports = [trial.advance(), trial.advance()]
    again = population(name, 3)
    again.load_state_dict(checkpoint.read(tmp_path / "middle"))
    assert [member.hyperparameters["learning_rate"] for member in again.members] == [2e-3, 1e-2, 3e-4]
    repeated = [again.advance(), again.advance()]
    assert all(map(torch.equal, rows(trial, slice(None)), rows(again, slice(None))))
    for first, second in zip(reports, repeated, strict=True):
        for one, other in zip(first["members"], second["members"], strict=True):
            assert one["return_per_seed"] == other["return_per_seed"]
            assert one["objective"] == other["objective"]


def test_a_member_has_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    trial = population("ppo", 3, 3)
    report = trial.advance()
    for index, state in enumerate(trial.member_states()):
        folder = checkpoint.write(tmp_path / str(index), state)
        single = trial_from_checkpoint(folder)
        assert all(map(torch.equal, rows(single, slice(None)), rows(trial, trial.rows_of(index))))
        assert single.config.hyperparameters == hyperparameters("ppo", index)
        assert single.env_steps == trial.env_steps
        assert single.objective.value() == report["members"][index]["objective"]
        single.advance()
        assert evaluate_checkpoint(folder, 2)["return_per_seed"] == pytest.approx(
            report["members"][index]["return_per_seed"], rel=0.5
        )


@pytest.mark.parametrize(
    ("name", "field", "own"),
    [("ppo", "n_epochs", [2, 3]), ("ppo", "target_kl", [None, 0.1]), ("sac", "tau", [0.1, 0.2])],
)
def test_what_is_one_for_the_stack_is_refused_by_name(name: str, field: str, own: list[Any]) -> None:
    of_members = [
        {"trial_number": m, "hyperparameters": {**hyperparameters(name, m), field: value}}
        for m, value in enumerate(own)
    ]
    with pytest.raises(UserError, match=field):
        PopulationTrial(SPECS[name], config(name, 1, members=of_members, own_numbers=[field]))


def test_a_training_step_reads_numbers_that_differ_by_member_from_the_view_only() -> None:
    read: dict[str, Any] = {}

    def own_step(training: Any) -> None:
        read["view"] = training.view.clip_range
        read["shared"] = training.cfg.n_epochs, training.cfg.minibatch_rows()
        read["differs"] = training.cfg.clip_range

    of_members = [{"trial_number": m, "hyperparameters": hyperparameters("ppo", m)} for m in range(2)]
    given = config("ppo", 2, members=of_members, own_numbers=list(OWN["ppo"][0]))
    with pytest.raises(UserError, match=r"differ in clip_range; .* read training\.view\.clip_range"):
        PopulationTrial(replace(PPO, training_step=own_step), given).training_step()
    assert read["view"][:, 0].tolist() == pytest.approx([0.05, 0.05, 0.08, 0.08])
    assert read["shared"] == (2, 16)
    assert "differs" not in read


def test_learning_rates_by_member_have_programs_of_their_own() -> None:
    usual = Trial(PPO, config("ppo", 3, hyperparameters=hyperparameters("ppo", 0)))
    assert usual.trainer.programs is Trial(PPO, usual.config).trainer.programs
    assert usual.trainer.programs is not population("ppo", 3).trainer.programs


def test_a_diverged_member_is_frozen_until_it_is_replaced() -> None:
    trial = population("ppo", 3)
    trial.advance()
    trial.learner.failed[1] = True
    frozen = rows(trial, [1])
    report = trial.advance()
    assert np.isnan(report["members"][1]["objective"])
    assert report["members"][1]["failed_seeds"] == [0]
    assert np.isfinite(report["objective"])
    assert not report["done"]
    assert all(map(torch.equal, frozen, rows(trial, [1])))
    trial.copy([0, 0, 2], [hyperparameters("ppo", member) for member in range(3)])
    report = trial.advance()
    assert np.isfinite(report["members"][1]["objective"])
    assert report["members"][1]["failed_seeds"] == []
    assert not torch.equal(rows(trial, [1])[0], frozen[0])
