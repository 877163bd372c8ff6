"""State-dependent exploration (gSDE) in trials: when weights are sampled, and that it learns."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.algorithms.trials import trial_of
from tuneexp.algorithms.preflight import check_environment
from tuneexp.algorithms.registry import load_algorithm
from tuneexp.errors import UserError
from tuneexp.testing import saving_facts, seed_facts
from tuneexp.testing.config_facts import traced_equals_eager
from tuneexp.testing.suite import subject_of

HERE = f"{__file__}:"
OFF_POLICY = {"train_freq": 12, "learning_starts": 0, "batch_size": 8}


class Alternates(gym.Env[Any, Any]):
    """Two alternating observations, independent of the actions; the episode never ends."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Box(-1.0, 1.0, (2,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._t = 0
        return self._obs(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._t += 1
        return self._obs(), 0.0, False, False, {}

    def _obs(self) -> Any:
        return np.array([[0.9, 0.2], [-0.3, 0.8]][self._t % 2], np.float32)


class Persistence(gym.Env[Any, Any]):
    """Reward 1 after 16 steps if the mean action is at least 1.5.

    A policy with mean 0 and independent noise of standard deviation 1 reaches it once in a million episodes; with noise
    that is held, in one of ten."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Box(-5.0, 5.0, (1,))
    STEPS: ClassVar[int] = 16

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._t, self._sum = 0, 0.0
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._t, self._sum = self._t + 1, self._sum + float(action[0])
        over = self._t == self.STEPS
        return np.ones(1, np.float32), float(over and self._sum / self.STEPS >= 1.5), over, False, {}


def explored(algorithm: str, **changes: Any) -> tuple[Any, list[Tensor]]:
    """The trial, and the noise that was added to the policy's mean in two fragments of 12 steps, [T, S, N, A] each."""
    settings = {"n_envs": 3, "use_sde": True, **changes}
    trial = trial_of(algorithm, f"{HERE}Alternates", seeds=(0, 1), budget_env_steps=10_000, **settings)
    try:
        found = []
        for _ in range(2):
            fragment = trial.group.sample(12)
            obs = fragment["obs"]
            mean = trial.learner.nets().frozen.dist(obs).mode()
            for row, expected in zip(obs, mean, strict=True):
                evaluated = trial.group.policy.exploit(row).action
                torch.testing.assert_close(evaluated, expected, msg="evaluation is noisy")
            chosen = fragment["network_action"].atanh() if algorithm in ("sac", "tqc") else fragment["action"]
            found.append(chosen - (mean.atanh() if algorithm in ("sac", "tqc") else mean))
        return trial, found
    finally:
        trial.close()


def held(noise: Tensor, first: int, second: int) -> bool:
    """True if the noise [T, S, N, A] is equal at both steps, up to rounding of the mean. Else all of it must differ."""
    apart = (noise[first] - noise[second]).abs()
    assert apart.max() < 1e-5 or apart.min() > 1e-5
    return bool(apart.max() < 1e-5)


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "impala", "appo", "sac", "tqc"])
@pytest.mark.parametrize("every", [4, -1])
def test_weights_are_held_for_so_many_steps_and_each_environment_has_its_own(algorithm: str, every: int) -> None:
    shared: dict[str, Any] = {"n_steps": 12} if algorithm not in ("sac", "tqc") else OFF_POLICY
    trial, (noise, later) = explored(algorithm, sde_sample_freq=every, **shared)
    span = 12 if every == -1 else every
    for step in range(2, 12):
        assert held(noise, step - 2, step) == (step // span == (step - 2) // span)
    assert not held(noise, 0, 1), "another state, other noise"
    assert not held(torch.stack([noise[0], later[0]]), 0, 1), "drawn anew for each fragment"
    columns = noise[0].flatten(0, 1)  # [S * N, A]
    assert torch.pdist(columns).min() > 1e-4, "each seed and environment has its own"
    (drawn, *_) = trial.group.policy.draw_noise(12, trial.group.generators)
    assert drawn.shape == (-(-12 // span), 2, 3, 8, 2), "held draws are stored once"


@pytest.mark.parametrize(("warm", "uniform"), [(False, True), (True, False)])
def test_before_learning_starts_actions_are_uniform_unless_it_explores_then_too(warm: bool, uniform: bool) -> None:
    settings = {**OFF_POLICY, "learning_starts": 100, "use_sde_at_warmup": warm}
    _, (noise, _) = explored("sac", **settings)
    assert held(noise, 0, 2) == (not uniform)


def test_the_density_that_is_learned_from_is_that_of_the_action_taken() -> None:
    trial = trial_of("ppo", f"{HERE}Alternates", seeds=(0, 1), use_sde=True, n_steps=12)
    try:
        fragment = trial.group.sample(12)
        dist = trial.learner.nets().online.dist(fragment["obs"])
        torch.testing.assert_close(dist.log_prob(fragment["action"]), fragment["log_prob"])
    finally:
        trial.close()


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_seeds_and_checkpoints_keep_what_they_keep_without_it(algorithm: str) -> None:
    small: dict[str, Any] = {"n_envs": 2, "use_sde": True, "sde_sample_freq": 3, "model": {"hidden_sizes": [8]}}
    on = {"n_steps": 8, "batch_size": 8, "n_epochs": 1}
    off = {"train_freq": 4, "gradient_steps": 2, "batch_size": 8, "buffer_size": 200, "learning_starts": 8}
    subject = subject_of(algorithm, {**small, **(on if algorithm == "ppo" else off)}, action_kinds=["continuous"])
    for n_seeds in (2, 5):
        seed_facts.at_once_are_single_runs(subject, n_seeds=n_seeds)
    saving_facts.goes_on_bit_for_bit(subject)
    traced_equals_eager(subject)


def test_a_recurrent_policy_explores_by_the_output_of_its_cell() -> None:
    model = {"hidden_sizes": [8], "recurrent": "lstm", "recurrent_size": 5}
    trial = trial_of(
        "ppo", f"{HERE}Alternates", seeds=(0, 1), use_sde=True, n_steps=16, sequence_length=8, batch_size=16,
        model=model,
    )  # fmt: skip
    try:
        assert trial.learner.model.exploration_shape == (5, 2)
        trial.training_step()
        assert not trial.learner.failed.any()
    finally:
        trial.close()


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("ppo", {"model": "mine.py:Net"}, "built-in networks"),
    ("ppo", {"use_sde": False, "model": {"squash_output": True}}, "use_sde=true"),
    ("ppo", {"sde_sample_freq": -2}, "sde_sample_freq"),
    ("td3", {}, "use_sde"),
]


@pytest.mark.parametrize(("algorithm", "changes", "says"), REFUSED)
def test_what_it_does_not_fit_is_reported(algorithm: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_algorithm(algorithm).config_class.parse({"use_sde": True, **changes}, algorithm)


def test_choices_have_no_state_dependent_noise() -> None:
    config = load_algorithm("ppo").config_class.parse({"use_sde": True}, "ppo")
    with pytest.raises(UserError, match="use_sde=false"):
        check_environment("ppo", "CartPole-v1", {}, [], "auto", configurations=[config])
    with pytest.raises(UserError, match="use_sde=false"):
        trial_of("sac", "CartPole-v1", (0,), use_sde=True)


def returns_of(**changes: Any) -> list[float]:
    """Returns of eight seeds, whose final policies are evaluated without noise."""
    model = {"hidden_sizes": [16], "log_std_init": 0.0}
    trial = trial_of(
        "ppo", f"{HERE}Persistence", seeds=range(8), budget_env_steps=4352, n_envs=32, n_steps=17, batch_size=272,
        n_epochs=4, learning_rate=2e-2, gamma=1.0, gae_lambda=1.0, model=model, **changes,
    )  # fmt: skip
    try:
        return list(trial.advance()["return_per_seed"])
    finally:
        trial.close()


def test_held_noise_finds_what_noise_of_each_step_does_not() -> None:
    assert returns_of(use_sde=True) == [1.0] * 8
    assert returns_of(use_sde=True, sde_sample_freq=1) == [0.0] * 8
