"""Seeds of one trial with numbers of their own are trained as trials of their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.learning.whole import use_whole_updates
from tests.small import parameters_of
from tuneexp.algorithms.dqn import DQN
from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.sac import SAC
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.errors import UserError
from tuneexp.trial import Trial, environments
from tuneexp.trial.population.row_configs import RowConfigs
from tuneexp.trial.trial_config import TrialConfig

OF_PPO: list[dict[str, Any]] = [
    {"learning_rate": 1e-3, "gamma": 0.9, "clip_range": 0.2, "ent_coef": 0.0, "max_grad_norm": 0.5},
    {"learning_rate": "linear:0.004:0.001", "gamma": 0.99, "clip_range": 0.05, "ent_coef": 0.1, "max_grad_norm": 0.05},
    {"learning_rate": 3e-4, "gamma": 0.5, "clip_range": 0.3, "ent_coef": 0.01, "gae_lambda": 0.2},
]
OF_DQN: list[dict[str, Any]] = [
    {"learning_rate": 1e-3, "gamma": 0.9, "exploration_initial_eps": 1.0},
    {"learning_rate": 1e-2, "gamma": 0.5, "exploration_initial_eps": 0.1},
    {"learning_rate": 1e-4, "gamma": 0.99, "exploration_initial_eps": 0.5},
]
SMALL: dict[str, dict[str, Any]] = {
    "ppo": {"n_envs": 2, "n_steps": 32, "batch_size": 16, "n_epochs": 2},
    "dqn": {"n_envs": 2, "learning_starts": 16, "buffer_size": 500, "train_freq": 16, "gradient_steps": 4},
    "sac": {"n_envs": 1, "learning_starts": 16, "buffer_size": 500},
}
SMALL = {name: {"batch_size": 16, "model": {"hidden_sizes": [8]}, **own} for name, own in SMALL.items()}


def trial_of(spec: AlgorithmSpec, seeds: list[int], own: dict[str, Any]) -> Trial:
    given = {
        "algorithm": spec.name, "env": "Pendulum-v1" if spec is SAC else "CartPole-v1", "seeds": seeds,
        "budget_env_steps": 640, "compile": "off", "hyperparameters": {**SMALL[spec.name], **own},
    }  # fmt: skip
    return Trial(spec, TrialConfig.parse(given, "the test"))


def together(spec: AlgorithmSpec, each: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Trial:
    """One trial whose seeds have the numbers of `each`."""
    cfgs = [spec.config_class.parse({**SMALL[spec.name], **own}, spec.name) for own in each]
    with monkeypatch.context() as patched:
        patched.setattr(environments, "row_configs", lambda *_: RowConfigs(cfgs))
        return trial_of(spec, list(range(len(each))), each[0])


@pytest.mark.parametrize("whole", [False, True], ids=["gradient", "whole"])
@pytest.mark.parametrize(("spec", "each"), [(PPO, OF_PPO), (DQN, OF_DQN)], ids=["ppo", "dqn"])
def test_seeds_are_trained_as_by_trials_of_their_own(
    spec: AlgorithmSpec, each: list[dict[str, Any]], whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacked = together(spec, each, monkeypatch)
    alone = [trial_of(spec, [seed], own) for seed, own in enumerate(each)]
    if whole:
        assert use_whole_updates(stacked)
    for trial in (stacked, *alone):
        for _ in range(6):
            trial.training_step()
    assert stacked.learner.n_updates == alone[0].learner.n_updates > 4
    for seed, trial in enumerate(alone):
        for name, value in trial.learner.parameters.items():
            torch.testing.assert_close(
                stacked.learner.parameters[name][seed], value[0], rtol=1e-3, atol=1e-5, msg=f"{name} of seed {seed}"
            )
    assert len({float(leaf[0].sum()) for leaf in [next(iter(t.learner.parameters.values())) for t in alone]}) == 3


def test_equal_numbers_give_the_bits_of_a_trial_without_numbers_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    stacked, usual = together(PPO, [{}] * 3, monkeypatch), trial_of(PPO, [0, 1, 2], {})
    assert not stacked.learner.hyper.differing
    for trial in (stacked, usual):
        trial.training_step()
    ours, theirs = parameters_of(stacked), parameters_of(usual)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("spec", "each", "field"),
    [
        (PPO, [{}, {"n_epochs": 3}], "n_epochs"),
        (PPO, [{}, {"target_kl": 0.1}], "target_kl"),
        (PPO, [{}, {"model": {"hidden_sizes": [4]}}], "model"),
        (SAC, [{}, {"tau": 0.1}], "tau"),
    ],
)
def test_what_is_one_for_all_seeds_is_refused_by_name(
    spec: AlgorithmSpec, each: list[dict[str, Any]], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=f"seeds of one trial differ in {field}"):
        together(spec, each, monkeypatch)
