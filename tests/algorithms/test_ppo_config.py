"""PPO's hyperparameters: published configurations are accepted, invalid ones give an error of one line."""

from __future__ import annotations

from typing import Any

import pytest

from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.errors import UserError


def parse(values: dict[str, Any]) -> PPOConfig:
    return PPOConfig.parse(values, "ppo", see="tuneexp describe ppo")


def test_a_published_configuration_can_be_pasted_in() -> None:
    """RL Zoo, hyperparams/ppo.yml, CartPole-v1, without its n_timesteps."""
    zoo = {
        "n_envs": 8, "policy": "MlpPolicy", "n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98,
        "n_epochs": 20, "ent_coef": 0.0, "learning_rate": "lin_0.001", "clip_range": "lin_0.2", "use_sde": False,
        "normalize": True,
    }  # fmt: skip
    cfg = parse(zoo)
    assert (cfg.n_envs, cfg.n_steps, cfg.batch_size, cfg.n_epochs) == (8, 32, 256, 20)
    assert (cfg.gamma, cfg.gae_lambda) == (0.98, 0.8)
    assert (cfg.learning_rate, cfg.clip_range) == ("lin_0.001", "lin_0.2")
    assert cfg.normalize_observation
    assert cfg.normalize_reward


def test_defaults_are_those_of_stable_baselines3() -> None:
    cfg = PPOConfig()
    assert (cfg.learning_rate, cfg.batch_size, cfg.n_epochs, cfg.gamma, cfg.gae_lambda) == (3e-4, 64, 10, 0.99, 0.95)
    assert (cfg.clip_range, cfg.clip_range_vf, cfg.ent_coef, cfg.vf_coef, cfg.max_grad_norm) == (0.2, None, 0, 0.5, 0.5)
    assert (cfg.target_kl, cfg.normalize_advantage, cfg.model.hidden_sizes, cfg.model.activation) == (
        None, True, None, "tanh",
    )  # fmt: skip


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"policy_kwargs": "dict(__import__('os').system('false'))"}, "evaluated"),
    ({"n_timesteps": 1e5}, "--env-steps"),
    ({"policy": "MyPolicy"}, "model/..."),
    ({"normalize": "sometimes"}, "mapping"),
    ({"lr": 1e-3}, "did you mean|known"),
    ({"learning_rte": 1e-3}, "'learning_rate'"),
    ({"model": {"hidden_size": [64]}}, "hidden_sizes"),
    ({"model": {"activation": "tanhh"}}, "tanh"),
    ({"batch_size": 2, "n_envs": 1, "n_steps": 1}, "2 rows"),
    ({"batch_size": 1}, "batch_size"),
    ({"gamma": 1.5}, "gamma"),
    ({"gamma": 0.0}, "gamma"),
    ({"gae_lambda": -0.1}, "gae_lambda"),
    ({"learning_rate": 0.0}, "learning_rate"),
    ({"learning_rate": "linear:-1"}, "learning_rate"),
    ({"learning_rate": "lambda x: x"}, "linear:0.001"),
    ({"learning_rate": float("nan")}, "learning_rate"),
    ({"clip_range": 0.0}, "clip_range"),
    ({"target_kl": -1.0}, "target_kl"),
    ({"target_kl": "None"}, "write null"),
    ({"gamma": "None"}, r"got 'None' \("),
    ({"n_steps": 0}, "n_steps"),
    ({"n_envs": 2.5}, "n_envs"),
    ({"ent_coef": float("inf")}, "ent_coef"),
    ({"model": {"hidden_sizes": [64, 0]}}, "hidden_sizes"),
    ({"model": {"hidden_sizes": [-3]}}, "hidden_sizes"),
    ({"model": {"shared": True, "vf_hidden_sizes": [3]}}, "shared"),
]


@pytest.mark.parametrize(("values", "said"), REFUSED, ids=lambda value: str(value)[:50])
def test_a_bad_value_is_reported_in_one_or_two_lines(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        parse(values)
    assert len(str(caught.value).splitlines()) <= 2
    assert "ppo" in str(caught.value)


def test_the_work_of_a_rollout() -> None:
    cfg = PPOConfig(n_envs=8, n_steps=32, batch_size=100, n_epochs=3)
    assert cfg.rollout_env_steps() == 256
    assert cfg.updates_per_rollout() == 9
    assert cfg.minibatch_rows() == 100
