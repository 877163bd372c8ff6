"""Training after whole episodes: per seed, with as many updates as in Stable-Baselines3."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from tests.algorithms.trials import trial_of
from tests.small import parameters_of
from tuneexp.algorithms.configs.sac import SACConfig
from tuneexp.errors import UserError
from tuneexp.trial import Trial

pytestmark = pytest.mark.usefixtures("untraced")


class Lengths(gymnasium.Env[Any, Any]):
    """Episodes of 3 to 9 steps from the environment's own generator; the reward is the action."""

    observation_space = Box(-1.0, 1.0, (2,), np.float32)
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.length, self.time = int(self.np_random.integers(3, 10)), 0
        return self._obs(), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return self._obs(), float(action[0]), self.time == self.length, False, {}

    def _obs(self) -> Any:
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)


ENV = f"{Lengths.__module__}:{Lengths.__name__}"


def episodic(seeds: Sequence[int], algorithm: str = "sac", env: str = ENV, **changes: Any) -> Trial:
    settings = {"train_freq": [1, "episode"], "gradient_steps": -1, "learning_starts": 0, "batch_size": 4}
    return trial_of(algorithm, env, seeds, **{**settings, "budget_env_steps": 1000, **changes})


def followed(trial: Trial, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and ends of episodes of each seed in each training step, [T, S, 2], and its updates, [T, S]."""
    seen: list[np.ndarray] = []
    sample = trial.group.sample

    def noted(n: int) -> Any:
        fragment = sample(n)
        valid, ends = fragment["valid"], fragment["terminated"] | fragment["truncated"]
        seen.append(np.stack([valid.sum((0, 2)), (valid & ends).sum((0, 2))], axis=-1))
        return fragment

    trial.group.sample = noted  # type: ignore[method-assign]
    taken = np.array(updates_in(trial, n_steps))
    return np.array(seen), taken


def updates_in(trial: Trial, n_steps: int) -> list[list[int]]:
    """Updates of each seed in each training step, mostly 0."""
    log, taken = trial.learner.log, []
    for _ in range(n_steps):
        log.summary()
        trial.training_step()
        taken.append(log.updates_per_seed().tolist() if log._updates else [0] * len(trial.config.seeds))
    return taken


def expected_updates(seen: np.ndarray, episodes: int, gradient_steps: int) -> np.ndarray:
    """Updates as in Stable-Baselines3's `learn`: collect whole episodes, then train."""
    updates = np.zeros(seen.shape[:2], int)
    for seed in range(seen.shape[1]):
        steps = ended = 0
        for t, (valid, ends) in enumerate(seen[:, seed]):
            steps, ended = steps + valid, ended + ends
            if ended >= episodes:
                updates[t, seed] = steps if gradient_steps == -1 else gradient_steps
                steps = ended = 0
    return updates


@pytest.mark.parametrize(
    ("seeds", "episodes", "gradient_steps"), [([3], 1, -1), ([3, 5], 2, 3), ([1, 2, 3, 4, 5], 1, -1)]
)
def test_a_seed_learns_after_its_own_episodes(seeds: list[int], episodes: int, gradient_steps: int) -> None:
    trial = episodic(seeds, train_freq=[episodes, "episode"], gradient_steps=gradient_steps)
    seen, taken = followed(trial, 40)
    trial.close()
    assert np.array_equal(taken, expected_updates(seen, episodes, gradient_steps))
    assert (taken > 0).sum(0).min() >= 2
    if len(seeds) > 1:
        assert (taken[:, 0] != taken[:, 1]).any(), "their episodes end at different steps"


def test_episodes_before_learning_starts_are_collected_only() -> None:
    trial = episodic([3], learning_starts=20)
    seen, taken = followed(trial, 40)
    trial.close()
    expected = expected_updates(seen, 1, -1)
    assert not taken[:19].any()
    assert np.array_equal(taken[20:], expected[20:])


def test_what_a_seed_learns_is_what_it_learns_alone() -> None:
    """Up to rounding, with an optimizer without a step counter."""
    settings = {"optimizer_class": "SGD", "learning_rate": 1e-2}
    alone, beside = episodic([5], **settings), episodic([3, 5], **settings)
    updates_in(alone, 40)
    updates_in(beside, 40)
    mine, theirs = parameters_of(alone), parameters_of(beside)
    alone.close()
    beside.close()
    for name, leaf in mine.items():
        torch.testing.assert_close(theirs[name][1], leaf[0], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("algorithm", "changes"), [("td3", {"prioritized": True}), ("sac", {"use_sde": True, "sde_sample_freq": 4})]
)
def test_a_checkpoint_within_an_episode_continues(algorithm: str, changes: dict[str, Any]) -> None:
    settings = {"env": "Pendulum-v1", "wrappers": [{"TimeLimit": {"max_episode_steps": 7}}], **changes}
    trial, again = episodic([3, 5], algorithm, **settings), episodic([3, 5], algorithm, **settings)
    updates_in(trial, 11)
    again.load_state_dict(trial.state_dict())
    assert updates_in(trial, 12) == updates_in(again, 12)
    for name, leaf in parameters_of(trial).items():
        torch.testing.assert_close(parameters_of(again)[name], leaf, rtol=0, atol=0, msg=name)
    trial.close()
    again.close()


@pytest.mark.parametrize("freq", [2, -1])
def test_exploration_weights_are_held_from_the_start_of_a_seeds_phase(freq: int) -> None:
    """As in Stable-Baselines3: sampled at the start of collection, and every `sde_sample_freq` steps."""
    trial = episodic([3, 5], use_sde=True, sde_sample_freq=freq)
    place = list(trial.group.policy.noise_kinds).index("action")
    sample, seen = trial.group.runners.sample, []

    def noted(requests: Any) -> Any:
        fragments = sample(requests)
        batch = fragments[0].sampled.batch
        ends = (batch["terminated"] | batch["truncated"])[0, :, 0]
        seen.append((requests[0].noise[place][0].clone(), batch["valid"][0, :, 0], ends))
        return fragments

    trial.group.runners.sample = noted  # type: ignore[method-assign]
    updates_in(trial, 40)
    trial.close()
    for seed in range(2):
        own = [(weights[seed], bool(ends[seed])) for weights, valid, ends in seen if valid[seed]]
        in_phase, changes = 0, []
        for (weights, ended), (following, _) in itertools.pairwise(own):
            in_phase = 0 if ended else in_phase + 1
            due = in_phase == 0 or (freq > 0 and in_phase % freq == 0)
            changes.append((not torch.equal(weights, following), due))
        assert all(changed == due for changed, due in changes)
        assert {due for _, due in changes} == {True, False}


@pytest.mark.parametrize("written", [[4, "step"], 4])
def test_steps_may_be_named(written: Any) -> None:
    assert SACConfig.parse({"train_freq": written}, "sac").train_freq == 4


@pytest.mark.parametrize("written", [[1, "week"], [1], "episode", [0, "episode"], 0, [1, "episode", 2]])
def test_other_train_freqs_are_refused(written: Any) -> None:
    with pytest.raises(UserError, match="train_freq"):
        SACConfig.parse({"train_freq": written}, "sac")


def test_what_was_parsed_is_parsed_again() -> None:
    cfg = SACConfig.parse({"train_freq": [2, "episode"]}, "sac")
    assert SACConfig.parse(cfg.model_dump(mode="json"), "sac") == cfg
