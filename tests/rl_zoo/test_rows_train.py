"""Rows of RL Zoo's files train: one per algorithm and feature for 1,000 steps here, all for 2,000 in `make zoo`.

Image environments, and those that are not installed, are replaced by stand-ins with the same spaces. Rollouts, warm-ups
and replay buffers that need more steps are shrunk."""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np
import pytest

from tests.rl_zoo.published import Published, folder, of_other_packages, rows
from tests.rl_zoo.stand_in import address_of
from tuneexp.algorithms.registry import load_algorithm
from tuneexp.envs.atari import is_atari

folder()  # skips what follows where the package isn't installed
EVERY = os.environ.get("TUNEEXP_ZOO") == "all"  # make zoo
STEPS = 2000 if EVERY else 1000
# What each is there for.
CHOSEN = {
    Published("ppo", "Pendulum-v1"): "use_sde, sde_sample_freq",
    Published("ppo", "MountainCarContinuous-v0"): "batch above the rollout, log_std_init",
    Published("ppo", "CarRacing-v3"): "FrameSkip, AreaResize, FrameStack, normalize as a text, gelu",
    Published("ppo", "MiniGrid-Empty-Random-5x5-v0"): "bytes as a vector, normalised",
    Published("a2c", "atari"): "RMSpropTFLike, images",
    Published("a2c", "Pendulum-v1"): "use_sde, use_rms_prop, ortho_init",
    Published("dqn", "MountainCar-v0"): "net_arch",
    Published("qrdqn", "CartPole-v1"): "n_quantiles",
    Published("sac", "MountainCarContinuous-v0"): "use_expln",
    Published("sac", "donkey-generated-track-v0"): "train_freq of an episode, use_sde_at_warmup",
    Published("td3", "MountainCarContinuous-v0"): "Ornstein-Uhlenbeck noise",
    Published("ddpg", "Pendulum-v1"): "noise, gradient_steps",
    Published("tqc", "Hopper-v4"): "top_quantiles_to_drop_per_net",
    Published("ppo_lstm", "CartPoleNoVel-v1"): "a memory, MaskVelocityWrapper",
}
HER = "HerReplayBuffer"


def trained() -> list[Published]:
    return [row for row in rows() if row.content().get("replay_buffer_class") != HER] if EVERY else list(CHOSEN)


def shrunk(values: dict[str, Any]) -> dict[str, Any]:
    """The same row with at least three update phases in `STEPS`."""
    small = dict(values)
    if "n_steps" in values:
        small["n_steps"] = min(values["n_steps"], max(STEPS // 2 // values["n_envs"] // 16 * 16, 16))
    if "buffer_size" in values:
        small["buffer_size"] = min(values["buffer_size"], 10_000)
    if values.get("learning_starts", 0) > STEPS // 2:
        small["learning_starts"] = STEPS // 2
    return small


def in_images(published: Published) -> bool:
    return str(published.content()["policy"]).startswith("Cnn")


def settings_of(published: Published) -> dict[str, Any]:
    settings = published.read().settings
    if of_other_packages(settings) or not (settings["env"] in gymnasium.registry or is_atari(settings["env"])):
        settings["env"], settings["env_kwargs"] = address_of(published.name)
        settings.pop("wrappers", None)
    values = shrunk(settings.pop("hyperparameters"))
    if in_images(published) and "n_epochs" in values:
        values["n_epochs"] = 1  # convolutions on one core
    evaluation = {"episodes": 1, "final_episodes": 1, "max_steps": 20}
    return {**settings, "budget_env_steps": STEPS, "hyperparameters": values, "evaluation": evaluation}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # gymnasium's, of -v4
@pytest.mark.parametrize("published", trained(), ids=lambda row: f"{row.file} {row.name}")
def test_a_published_row_trains(published: Published) -> None:
    algo = load_algorithm(published.algorithm).build(compile="off", seeds=[0], **settings_of(published))
    try:
        updates, done = 0, False
        while not done:
            result = algo.train()
            updates, done = updates + any(name.startswith("update/") for name in result), result["done"]
    finally:
        algo.stop()
    assert updates
    assert result["env_steps"] >= STEPS
    assert not result["failed_seeds"]
    assert np.isfinite(result["return_mean"])


def test_each_feature_of_the_rows_is_trained_here() -> None:
    """A key, or a name in policy_kwargs, that no row in `CHOSEN` has would be trained in `make zoo` only."""
    chosen = {key for row in CHOSEN for key in row.content()}
    rare = {"replay_buffer_class", "replay_buffer_kwargs"}
    without_effect = {"optimize_memory_usage"}
    assert {key for row in rows() for key in row.content()} <= chosen | rare | without_effect
