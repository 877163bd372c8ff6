"""search_spaces/ has one space per algorithm; its first point is the published configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.algorithms import own
from tuneexp.algorithms.registry import ALGORITHMS, load_spec
from tuneexp.errors import UserError
from tuneexp.sweep import Sweep
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.space.default import FOLDER, default_space

optuna.logging.set_verbosity(optuna.logging.WARNING)

# RL Zoo's hyperparams/*.yml: CartPole-v1 for discrete actions, Pendulum-v1 for continuous ones. It lacks impala and
# appo: RLlib's defaults, whose value loss is half of the squared error.
PUBLISHED: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "ent_coef": 0.0, "clip_range": 0.2},
    "a2c": {"n_envs": 8, "ent_coef": 0.0},
    "impala": {
        "learning_rate": 5e-4, "n_steps": 50, "gae_lambda": 1.0, "ent_coef": 0.01, "vf_coef": 0.25,
        "max_grad_norm": 40.0,
    },
    "appo": {
        "learning_rate": 5e-4, "n_steps": 50, "batch_size": 400, "n_epochs": 2, "gae_lambda": 1.0, "clip_range": 0.4,
        "ent_coef": 0.01, "vf_coef": 0.25, "max_grad_norm": 40.0, "normalize_advantage": False,
    },
    "dqn": {
        "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100000, "learning_starts": 1000, "gamma": 0.99,
        "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128, "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04, "model": {"hidden_sizes": [256, 256]},
    },
    "qrdqn": {
        "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100000, "learning_starts": 1000, "gamma": 0.99,
        "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128, "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04, "model": {"hidden_sizes": [256, 256]}, "n_quantiles": 10,
    },
    "sac": {"learning_rate": 1e-3, "model": {"hidden_sizes": [256, 256]}},
    "tqc": {"learning_rate": 1e-3, "model": {"hidden_sizes": [256, 256]}},
    "td3": {
        "gamma": 0.98, "buffer_size": 200000, "learning_starts": 10000, "noise_std": 0.1, "gradient_steps": 1,
        "train_freq": 1, "learning_rate": 1e-3, "model": {"hidden_sizes": [400, 300]},
    },
    "ddpg": {
        "gamma": 0.98, "buffer_size": 200000, "learning_starts": 10000, "noise_std": 0.1, "gradient_steps": 1,
        "train_freq": 1, "learning_rate": 1e-3, "model": {"hidden_sizes": [400, 300]},
    },
}  # fmt: skip


def test_a_built_in_specification_names_the_space_that_its_name_leads_to() -> None:
    assert {name: load_spec(name).default_space for name in ALGORITHMS} == {name: name for name in ALGORITHMS}


def test_a_variant_of_an_algorithm_has_its_default_space() -> None:
    assert default_space(f"{own.__file__}:MyPPO") == default_space("ppo") == FOLDER / "ppo.yaml"


def test_an_algorithm_without_a_default_space_is_refused_with_the_ways_to_give_one() -> None:
    with pytest.raises(UserError, match=r"--space.*Sweep\(space=.*default_space") as refusal:
        default_space(f"{own.__file__}:WithoutSpace")
    assert "\n" not in str(refusal.value)


def test_an_algorithm_of_a_users_own_brings_a_default_space(tmp_path: Path) -> None:
    sweep = Sweep(f"{own.__file__}:WithSpace", "CartPole-v1", storage=tmp_path)
    assert sweep.space.names == ["learning_rate"]


def space_of(algorithm: str, fixed: dict[str, Any] | None = None) -> SearchSpace:
    config = load_spec(algorithm).config_class
    return SearchSpace.load(FOLDER / f"{algorithm}.yaml").validate(config, fixed or {}, algorithm)


def test_every_algorithm_has_one() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(ALGORITHMS) == set(PUBLISHED)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_first_point_is_the_published_configuration(algorithm: str) -> None:
    """Hyperparameters that the published one lacks have their defaults; PPO's schedules are left out."""
    space, config = space_of(algorithm), load_spec(algorithm).config_class
    study = optuna.create_study()
    study.enqueue_trial(space.initial_params()[0])
    first = config.parse(space.suggest(study.ask()), algorithm).model_dump()
    expected = config.parse(PUBLISHED[algorithm], algorithm).model_dump()
    if algorithm == "ppo":
        for name in ("learning_rate", "n_epochs"):
            first.pop(name), expected.pop(name)
    assert first == expected


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_suggestion_is_valid_and_varies(algorithm: str) -> None:
    space, config = space_of(algorithm), load_spec(algorithm).config_class
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = [config.parse(space.suggest(study.ask()), algorithm) for _ in range(50)]
    assert len({str(cfg) for cfg in seen}) == 50


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_hyperparameter_has_its_reason(algorithm: str) -> None:
    """A comment in the lines before it, or before the hyperparameter directly above."""
    lines = (FOLDER / f"{algorithm}.yaml").read_text().split("initial:")[0].splitlines()
    unexplained, explained = [], False
    for line in lines:
        text = line.strip()
        explained = text.startswith("#") or (explained and bool(text))
        if text and not text.startswith("#") and text != "model:" and not explained:
            unexplained.append(text)
    assert not unexplained
