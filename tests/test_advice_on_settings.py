"""The corrections in errors about hyperparameters and search spaces work as they are written."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from pydantic import Field
from ray import tune

from tuneexp import config
from tuneexp.algorithms.ppo import PPO, PPOConfig
from tuneexp.algorithms.registry import ALGORITHMS, load_algorithm
from tuneexp.algorithms.spec import replace
from tuneexp.errors import UserError
from tuneexp.files.yaml_reading import parse_yaml
from tuneexp.sweep.cluster.resources import refuse_unmeetable
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.trial.resource_request import bundles_of

# What the messages of pasted hyperparameters tell to write, by the algorithms that they name.
EVERY = tuple(ALGORITHMS)
OFF_POLICY = ("dqn", "qrdqn", "sac", "td3", "ddpg", "tqc")
TAKEN: list[tuple[dict[str, Any], tuple[str, ...], str, dict[str, Any]]] = [
    ({"policy_kwargs": "dict(net_arch=sizes())"}, EVERY, "plain values", {"policy_kwargs": "dict(net_arch=[64, 64])"}),
    ({"policy_kwargs": "dict(net_arch=64)"}, EVERY, "net_arch=[64, 64]", {"policy_kwargs": "dict(net_arch=[64, 64])"}),
    ({"policy_kwargs": "dict(activation_fn=nn.Mish)"}, EVERY, "tanh, relu",
     {"policy_kwargs": "dict(activation_fn=nn.Tanh)"}),
    ({"action_noise": "NormalActionNoise"}, ("td3", "ddpg"), "noise_std=0.1", {"noise_std": 0.1}),
    ({"replay_buffer_class": "MyBuffer"}, ("dqn", "sac", "td3"), "prioritized=true", {"prioritized": True}),
    ({"policy": "CnnLstmPolicy"}, ("sac",), "ppo, a2c, appo or impala with model/recurrent=lstm", {}),
    ({"train_freq": [1, "rollout"]}, OFF_POLICY, '[1, "episode"]', {"train_freq": [1, "episode"]}),
    ({"normalize": "dict(clip=5)"}, EVERY, "normalize_observation and normalize_reward",
     {"normalize_observation": True, "normalize_reward": True}),
    ({"use_sde": True}, ("dqn", "qrdqn", "td3", "ddpg"), "use_sde=false", {"use_sde": False}),
]  # fmt: skip


@pytest.mark.parametrize(("pasted", "algorithms", "advice", "taken"), TAKEN, ids=[str(row[0]) for row in TAKEN])
def test_what_a_pasted_hyperparameter_is_advised_to_be_is_accepted(
    pasted: dict[str, Any], algorithms: tuple[str, ...], advice: str, taken: dict[str, Any]
) -> None:
    for name in algorithms:
        config_class = load_algorithm(name).config_class
        with pytest.raises(UserError, match=re.escape(advice)):
            config_class.parse(pasted, name)
        config_class.parse(taken, name)


def test_no_advice_names_a_setting_that_an_algorithm_lacks() -> None:
    with pytest.raises(UserError) as told:
        load_algorithm("dqn").config_class.parse({"model": {"log_std_init": -2}}, "dqn")
    assert "did you mean" not in str(told.value)


# -- the advice of search spaces

RANGES: list[tuple[str, Any]] = [
    ("n_steps", {"logint": [0, 64]}),
    ("learning_rate", {"loguniform": [0.1, 0]}),
    ("n_epochs", {"int": [10, 1, 2]}),
    ("n_epochs", {"int": [1, 10, 0]}),
    ("gamma", {"quniform": [0.9, 0.99, 0.04]}),
    ("gamma", {"quniform": [0.9, 0.99, 1]}),
    ("gamma", {"complement_loguniform": [1.0, 0.9]}),
    ("gamma", {"complement_loguniform": [0.99995, 1.0]}),
    ("n_steps", {"uniform": [32, 32]}),
    ("max_grad_norm", [None, 0.5]),
    ("normalize_advantage", [True, False]),
]


@pytest.mark.parametrize(("name", "entry"), RANGES, ids=str)
def test_a_range_that_is_refused_is_accepted_as_advised(name: str, entry: Any) -> None:
    def bound(values: Any) -> None:
        space = SearchSpace.from_mapping({name: values, "vf_coef": {"uniform": [0.1, 0.9]}})
        space.validate(load_algorithm("ppo").config_class)

    with pytest.raises(UserError) as told:
        bound(entry)
    written = parse_yaml(str(told.value).rpartition("write ")[2].removesuffix(" (tuneexp describe ppo)"))
    bound(written.get(name, written))


def test_a_log_range_with_steps_is_answered_with_the_range_of_its_type() -> None:
    for domain, told in (
        (tune.qlograndint(16, 64, 16), "tune.lograndint"),
        (tune.qloguniform(1e-4, 0.1, 1e-4), "tune.loguniform"),
    ):
        with pytest.raises(UserError, match=told):
            SearchSpace.from_mapping({"x": domain})


def test_a_space_gets_advice_on_a_name_that_resembles_another() -> None:
    varied = {"vf_coef": {"uniform": [0.1, 0.9]}}
    with pytest.raises(UserError, match=r"'vf_coef'.*constant"):
        SearchSpace.from_mapping({**varied, "initial": [{"vf_coef": 0.5, "ent_coef": 0.01}]})
    with pytest.raises(UserError, match="--wrapper"):
        SearchSpace.from_mapping({**varied, "env_wrapper": "Mine"}).validate(load_algorithm("ppo").config_class)


# -- the advice of hyperparameters

Settings = dict[str, Any]
LSTM = {"model": {"recurrent": "lstm"}}
RULES: list[tuple[str, Settings, str, list[Settings]]] = [
    ("ppo", {**LSTM, "n_steps": 20, "n_envs": 1, "batch_size": 20}, "n_steps=32, or sequence_length=10",
     [{"n_steps": 32}, {"sequence_length": 10}]),
    ("ppo", {**LSTM, "n_steps": 17}, r"n_steps=32$", [{"n_steps": 32}]),
    ("ppo", {"n_steps": 1, "n_envs": 1}, "n_steps=20 or n_envs=8", [{"n_steps": 20}, {"n_envs": 8}]),
    ("dqn", {"buffer_size": 1}, "larger buffer_size", [{"buffer_size": 100}]),
    ("dqn", {"v_min": 10}, "v_min=-10 v_max=10", [{"v_min": -10, "v_max": 10}]),
    ("dqn", {"num_learners": 2}, "num_learners=0", [{"num_learners": 0}]),
    ("tqc", {"n_quantiles": 2}, "1 or less", [{"top_quantiles_to_drop_per_net": 1}]),
    ("a2c", {"n_steps": 1, "n_envs": 1}, "n_steps=20 or n_envs=8", [{"n_steps": 20}, {"n_envs": 8}]),
    ("impala", {"n_steps": 1, "n_envs": 1}, "n_steps=20 or n_envs=8", [{"n_steps": 20}, {"n_envs": 8}]),
    ("impala", {"num_env_runners": 4, "n_envs": 7}, "n_envs=8, or num_env_runners=1",
     [{"n_envs": 8}, {"num_env_runners": 1}]),
    ("ppo", {"model": {"shared": True, "recurrent": "lstm", "vf_hidden_sizes": [8]}},
     "vf_hidden_sizes, or shared and recurrent",
     [{"model": {"shared": True, "recurrent": "lstm"}}, {"model": {"vf_hidden_sizes": [8]}}]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "refused", "advice", "taken"), RULES, ids=[str(row[:2]) for row in RULES])
def test_settings_that_do_not_fit_each_other_do_as_advised(
    name: str, refused: Settings, advice: str, taken: list[Settings]
) -> None:
    config_class = load_algorithm(name).config_class
    with pytest.raises(UserError, match=advice):
        config_class.parse(refused, name)
    for change in taken:
        config_class.parse({**refused, **change}, name)


DECLARED = (
    "float",
    "bool = False",
    "Literal['a'] = 'a'",
    "float | None = None",
    "list[int] = Field(default_factory=list)",
)


@pytest.mark.parametrize("field", [f"mine: {declared}" for declared in DECLARED])
def test_a_hyperparameter_is_declared_as_advised(field: str) -> None:
    def spec_with(declared: str) -> None:
        names: dict[str, Any] = {**vars(config), "PPOConfig": PPOConfig, "Field": Field, "Literal": Literal}
        exec(f"class Mine(PPOConfig):\n    {declared}", names)
        replace(PPO, config_class=names["Mine"])

    with pytest.raises(UserError) as told:
        spec_with(field)
    spec_with(str(told.value).rpartition("write ")[2].partition(", or ")[0])


def test_a_trial_that_is_too_large_fits_as_advised() -> None:
    machine = [{"CPU": 2.0, "GPU": 0.0}]
    asked = {"num_learners": 1, "num_gpus_per_learner": 1}
    with pytest.raises(UserError, match=r"num_gpus_per_learner.*--address"):
        refuse_unmeetable(bundles_of(PPOConfig.parse(asked, "ppo")), machine, "this machine")
    refuse_unmeetable(bundles_of(PPOConfig.parse({**asked, "num_gpus_per_learner": 0}, "ppo")), machine, "this machine")
