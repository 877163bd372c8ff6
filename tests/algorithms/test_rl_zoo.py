"""RL Zoo's hyperparameter keys: each one is translated, or refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from tuneexp.algorithms.networks import ActorCriticConfig, QNetworkConfig
from tuneexp.algorithms.registry import ALGORITHMS, load_spec
from tuneexp.errors import UserError

# As in the files, but for n_timesteps.
PUBLISHED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "a2c CartPole": ("a2c", {"n_envs": 8, "policy": "MlpPolicy", "ent_coef": 0.0}, {"n_steps": 5}),
    "a2c Pendulum": (
        "a2c",
        {
            "n_envs": 8, "policy": "MlpPolicy", "ent_coef": 0.0, "max_grad_norm": 0.5, "n_steps": 8,
            "gae_lambda": 0.9, "vf_coef": 0.4, "gamma": 0.9, "use_rms_prop": True, "normalize_advantage": False,
            "learning_rate": "lin_7e-4", "use_sde": False, "normalize": True,
        },
        {"learning_rate": "lin_7e-4", "normalize_observation": True, "normalize_reward": True},
    ),
    "dqn MountainCar": (
        "dqn",
        {
            "policy": "MlpPolicy", "learning_rate": 4e-3, "batch_size": 128, "buffer_size": 10000,
            "learning_starts": 1000, "gamma": 0.98, "target_update_interval": 600, "train_freq": 16,
            "gradient_steps": 8, "exploration_fraction": 0.2, "exploration_final_eps": 0.07,
        },
        {"train_freq": 16, "gradient_steps": 8},
    ),
    "dqn atari": (
        "dqn",
        {
            "policy": "CnnPolicy", "buffer_size": 100000, "learning_rate": 1e-4, "batch_size": 32,
            "learning_starts": 100000, "target_update_interval": 1000, "train_freq": 4, "gradient_steps": 1,
            "exploration_fraction": 0.1, "exploration_final_eps": 0.01, "optimize_memory_usage": False,
        },
        {"buffer_size": 100000},
    ),
    "qrdqn CartPole": (
        "qrdqn",
        {"policy": "MlpPolicy", "learning_rate": 2.3e-3, "batch_size": 64, "train_freq": 256, "gradient_steps": 128},
        {"train_freq": 256},
    ),
    "td3 Pendulum": (
        "td3",
        {
            "policy": "MlpPolicy", "gamma": 0.98, "buffer_size": 200000, "learning_starts": 10000,
            "noise_type": "normal", "noise_std": 0.1, "gradient_steps": 1, "train_freq": 1, "learning_rate": 1e-3,
        },
        {"noise_std": 0.1, "learning_starts": 10000},
    ),
    "ddpg Pendulum": (
        "ddpg",
        {"noise_type": "normal", "noise_std": 0.1, "gradient_steps": -1, "train_freq": [1, "step"]},
        {"gradient_steps": -1, "train_freq": 1},
    ),
    "ppo with bounds": (
        "ppo", {"normalize": "{'norm_reward': False, 'clip_obs': 5, 'clip_reward': 2.0}"},
        {"normalize_observation": True, "normalize_reward": False, "clip_obs": 5.0, "clip_reward": 2.0},
    ),
    "sac, after each episode": ("sac", {"train_freq": "(1, 'episode')"}, {"train_freq": (1, "episode")}),
    "sac Pendulum": ("sac", {"policy": "MlpPolicy", "learning_rate": 1e-3, "ent_coef": "auto"}, {"ent_coef": None}),
    "sac LunarLander": (
        "sac",
        {"ent_coef": "auto_0.1", "target_entropy": "auto", "learning_rate": "lin_7.3e-4", "train_freq": 1, "tau": 0.01},
        {"ent_coef": None, "initial_ent_coef": 0.1, "target_entropy": None},
    ),
    "tqc fixed temperature": (
        "tqc", {"ent_coef": 0.05, "top_quantiles_to_drop_per_net": 5, "n_quantiles": 25}, {"ent_coef": 0.05},
    ),
    "ppo with its networks": (
        "ppo",
        {"policy_kwargs": "dict(log_std_init=-2,\n ortho_init=False, activation_fn=nn.ReLU, "
                          "net_arch=dict(pi=[256, 256], vf=[64]))", "normalize": "{'norm_obs': False}"},
        {"normalize_observation": False, "normalize_reward": True, "model": ActorCriticConfig(
            log_std_init=-2, ortho_init=False, activation="relu", hidden_sizes=(256, 256), vf_hidden_sizes=(64,))},
    ),
    "a2c with RMSprop": (
        "a2c", {"policy_kwargs": "dict(optimizer_class=RMSpropTFLike, optimizer_kwargs=dict(eps=1e-6))"},
        {"optimizer_class": "RMSpropTFLike", "optimizer_kwargs": {"eps": 1e-6}},
    ),
    "ppo with a memory": (
        "ppo",
        {"policy": "MlpLstmPolicy", "policy_kwargs": "dict(lstm_hidden_size=64, net_arch=dict(pi=[32], vf=[32]))"},
        {"model": ActorCriticConfig(recurrent="lstm", recurrent_size=64, enable_critic_lstm=True, hidden_sizes=(32,),
                                    vf_hidden_sizes=(32,))},
    ),
    "qrdqn with its quantiles": (
        "qrdqn", {"policy_kwargs": "dict(net_arch=[32], n_quantiles=10)"},
        {"n_quantiles": 10, "model": QNetworkConfig(hidden_sizes=(32,))},
    ),
    "what is written here wins": (
        "tqc", {"policy_kwargs": {"net_arch": [32], "n_critics": 5}, "n_critics": 1, "model": {"hidden_sizes": [8]}},
        {"n_critics": 1, "model": load_spec("tqc").config_class(model={"hidden_sizes": (8,)}).model},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_configuration_can_be_pasted_in(name: str) -> None:
    algorithm, zoo, meaning = PUBLISHED[name]
    cfg = load_spec(algorithm).config_class.parse(zoo, algorithm)
    plain = {key: value for key, value in zoo.items() if key in type(cfg).model_fields and key not in meaning}
    assert {key: getattr(cfg, key) for key in (*plain, *meaning)} == {**plain, **meaning}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("dqn", {"policy_kwargs": "dict(net_arch=sizes())"}, "sizes.. is|sizes.*never evaluated"),
    ("dqn", {"policy_kwargs": "dict(net_arch=dict(pi=[64], vf=[64]))"}, "one network|not known"),
    ("dqn", {"policy_kwargs": "dict(net_arch=[64], net_arch_=1)"}, "'net_arch'"),
    ("dqn", {"policy_kwargs": "dict(n_quantiles=5)"}, "no counterpart"),
    ("ppo", {"policy_kwargs": "dict(activation_fn=my.ReLU)"}, "tanh, relu"),
    ("ppo", {"policy_kwargs": "dict(optimizer_class=th.optim.Lion)"}, "'Adam'"),
    ("ppo", {"policy_kwargs": "dict(optimizer_class=my.Adam)"}, "th.optim.Adam"),
    ("ppo", {"policy_kwargs": "dict(net_arch=[64])", "model": "mine.py:Net"}, "keep one"),
    ("dqn", {"n_timesteps": 5e4}, "--env-steps"),
    ("dqn", {"policy": "MyPolicy"}, "model/..."),
    ("dqn", {"env_wrapper": ["stable_baselines3.common.atari_wrappers.AtariWrapper"]}, "--wrapper NAME"),
    ("dqn", {"frame_stack": 4}, "FrameStack="),
    ("dqn", {"train_freq": "(1, 'week')"}, "episode"),
    ("td3", {"train_freq": [0, "episode"]}, "train_freq"),
    ("td3", {"noise_type": "pink", "noise_std": 0.5}, "ornstein-uhlenbeck"),
    ("td3", {"action_noise": "NormalActionNoise(0, 0.1)"}, "noise_std=0.1"),
    ("sac", {"noise_type": "normal", "noise_std": 0.1}, "td3 and ddpg"),
    ("sac", {"noise_std": 0.1}, "td3 and ddpg"),
    ("td3", {"use_sde": True}, "use_sde=false"),
    ("ppo", {"use_sde": True, "use_sde_at_warmup": True}, "leave it out"),
    ("ddpg", {"sde_sample_freq": 4}, "leave it out"),
    ("sac", {"replay_buffer_class": "HerReplayBuffer"}, "hindsight"),
    ("sac", {"replay_buffer_class": "MyBuffer"}, "prioritized=true"),
    ("sac", {"replay_buffer_kwargs": "dict(handle_timeout_termination=False)"}, "leave it out"),
    ("sac", {"policy": "MlpLstmPolicy"}, "model/recurrent=lstm"),
    ("sac", {"ent_coef": "automatic"}, "initial_ent_coef|ent_coef"),
    ("sac", {"ent_coef": "auto_0"}, "initial_ent_coef"),
    ("sac", {"normalize": "{'epsilon': 5}"}, "normalize_observation"),
    ("tqc", {"top_quantiles_to_drop_per_net": 25}, "24 or less"),
    ("a2c", {"n_envs": 1, "n_steps": 1}, "2 rows"),
    ("a2c", {"seed": 1}, "--seeds"),
    ("sac", {"batch_size": 512, "buffer_size": 256}, "256 or less"),
]


def test_all_problems_are_listed_at_once() -> None:
    values = {"use_sde": True, "noise_std": 0.1, "frame_stack": 4, "seed": 1, "normalize": "{'epsilon': 5}"}
    with pytest.raises(UserError) as caught:
        load_spec("dqn").config_class.parse(values, "dqn")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(values)
    assert all(line.startswith("dqn: ") for line in lines)
    assert all(any(key in line for line in lines) for key in values)


@pytest.mark.parametrize(("algorithm", "values", "said"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_has_no_meaning_here_is_reported_in_one_line(algorithm: str, values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        load_spec(algorithm).config_class.parse(values, algorithm, see=f"tuneexp describe {algorithm}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_parsed_is_parsed_again_as_it_is(algorithm: str) -> None:
    """Checkpoints store parsed values."""
    spec = load_spec(algorithm)
    cfg = spec.config_class()
    assert spec.config_class.parse(cfg.model_dump(mode="json"), algorithm) == cfg
