"""Env runner: the columns of a fragment."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.sampling.envs import Clockwork
from tests.small import small_trial
from tuneexp.algorithms.dqn import DQN
from tuneexp.algorithms.spec import replace
from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.rl.exploration import linear_epsilon
from tuneexp.sampling.env_runner import EnvRunner
from tuneexp.sampling.group import EnvRunnerGroup
from tuneexp.sampling.runners import LocalRunners
from tuneexp.training.training_ops import postprocess
from tuneexp.trial import Trial

STEPS = 61


def runner_of(trial: Trial, autoreset: Literal["next_step", "same_step", "disabled"]) -> EnvRunnerGroup:
    envs = SeedEnvs(Clockwork, trial.config.seeds, 2, autoreset=autoreset)
    return EnvRunnerGroup(
        trial.trainer.new_policy(), LocalRunners(EnvRunner(envs, trial.trainer.new_policy())), trial.config.seeds
    )


def valid_columns(trial: Trial, autoreset: Literal["next_step", "same_step", "disabled"]) -> dict[str, Tensor]:
    """Columns of the valid transitions of seed 1, environment 0, in time order."""
    fragment = runner_of(trial, autoreset).sample(STEPS)
    batch = postprocess(trial.spec.postprocess_fn, trial.learner, fragment, trial.trainer.training.view)
    mine = {name: column[:, 1, 0] for name, column in batch.items()}
    return {name: column[mine["valid"]] for name, column in mine.items()}


@pytest.fixture
def trial() -> Trial:
    return small_trial(env=Clockwork, gamma=0.9, gae_lambda=0.7)


@pytest.mark.parametrize("autoreset", ["same_step", "disabled"])
def test_every_autoreset_mode_gives_the_same_advantages(
    autoreset: Literal["same_step", "disabled"], trial: Trial
) -> None:
    """Reset rows of NEXT_STEP contribute nothing, and each truncation bootstraps from its true final observation."""
    next_step, other = valid_columns(trial, "next_step"), valid_columns(trial, autoreset)
    whole = 5 + 5 + 3 + 5 + 5 + 3 + 5 + 5  # transitions of complete episodes that both fragments hold
    assert whole < next_step["advantage"].shape[0] < other["advantage"].shape[0] == STEPS
    for name in ("obs", "advantage", "value_target", "value"):
        torch.testing.assert_close(next_step[name][:whole], other[name][:whole])


@pytest.mark.parametrize("autoreset", ["next_step", "same_step"])
def test_truncation_bootstraps_from_the_final_observation_and_termination_does_not(
    autoreset: Literal["next_step", "same_step"], trial: Trial
) -> None:
    columns = valid_columns(trial, autoreset)

    def value(time: int, episode: int) -> float:
        obs = torch.tensor([[time / 5, episode / 3]]).expand(1, 2, -1)[:, :, None]
        return float(trial.learner.nets().frozen.value(obs)[0, 1, 0])

    truncated, terminated = 4, 5 + 5 + 2  # the last rows of the first and the third episode
    assert float(columns["advantage"][truncated]) == pytest.approx(5 + 0.9 * value(5, 0) - value(4, 0), abs=1e-5)
    assert float(columns["advantage"][terminated]) == pytest.approx(3 - value(2, 2), abs=1e-5)


def test_a_fragment_continues_where_the_last_one_stopped(trial: Trial) -> None:
    """One fragment of 60 steps equals three of 20, except for the sampled actions."""
    whole = runner_of(trial, "next_step").sample(60)
    runner = runner_of(trial, "next_step")
    parts = [runner.sample(20) for _ in range(3)]
    for name in ("obs", "next_obs", "reward", "terminated", "truncated", "valid"):
        assert torch.equal(whole[name], torch.cat([part[name] for part in parts])), name


def test_the_next_observation_is_the_one_acted_on_next_but_at_an_end(trial: Trial) -> None:
    for autoreset in ("next_step", "same_step"):
        fragment = runner_of(trial, autoreset).sample(40)  # type: ignore[arg-type]
        moved_on = (fragment["next_obs"][:-1] == fragment["obs"][1:]).all(-1)
        ended = (fragment["terminated"] | fragment["truncated"])[:-1]
        assert moved_on[~ended].all()
        assert moved_on[ended].all() == (autoreset == "next_step")


def test_the_log_probability_is_of_the_action_that_was_taken(trial: Trial) -> None:
    fragment = runner_of(trial, "next_step").sample(8)
    for seed in range(2):
        one = small_trial([trial.config.seeds[seed]], env=Clockwork)
        probabilities = one.learner.nets().frozen(fragment["obs"][:, seed : seed + 1]).policy.log_softmax(-1)
        action = fragment["action"][:, seed : seed + 1]
        expected = probabilities.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(fragment["log_prob"][:, seed : seed + 1], expected)


def test_actions_follow_the_policys_probabilities() -> None:
    trial = small_trial(env=Clockwork, n_steps=128)
    trial.learner.parameters["policy_net.layers.2.bias"].copy_(torch.tensor([[0.0, 2.0], [2.0, 0.0]]))
    fragment = trial.group.sample(2000)
    share = fragment["action"].float().mean(dim=(0, 2))
    assert float(share[0]) == pytest.approx(0.88, abs=0.03)
    assert float(share[1]) == pytest.approx(0.12, abs=0.03)


def test_normalised_observations_are_learned_from_and_frozen_in_evaluation() -> None:
    trial = small_trial(normalize_observation=True, normalize_reward=True, clip_obs=1.5, clip_reward=0.0625)
    trial.group.sample(200)
    normaliser = trial.trainer.normaliser
    assert normaliser is not None
    before = normaliser.state_dict()
    trial.evaluate(3, 0)
    after = normaliser.state_dict()
    assert all((before[name] == after[name]).all() for name in before)
    fragment = trial.group.sample(200)
    assert fragment["obs"].mean(dim=(0, 1, 2)).abs().max() < 1.0
    assert (fragment["obs"].abs().max(), fragment["reward"].abs().max()) == (1.5, 0.0625), "bounds of the configuration"
    assert (normaliser.state_dict()["obs_count"] > before["obs_count"]).all()
    assert not (normaliser.state_dict()["obs_mean"][0] == normaliser.state_dict()["obs_mean"][1]).all(), "per seed"


@pytest.mark.parametrize("autoreset", ["same_step", "disabled"])
def test_a_final_observation_is_scaled_like_the_others(
    autoreset: Literal["same_step", "disabled"], trial: Trial
) -> None:
    """It is not part of the next row there; without scaling, a truncation would bootstrap from a wrong input."""
    envs = SeedEnvs(Clockwork, trial.config.seeds, 2, autoreset=autoreset)
    normaliser = RunningNormaliser(2, envs.observation_space, norm_reward=False)
    runners = LocalRunners(EnvRunner(envs, trial.trainer.new_policy(), normaliser))
    group = EnvRunnerGroup(trial.trainer.new_policy(), runners, trial.config.seeds, normaliser)
    group.sample(39)
    expected = {time: normaliser.normalise(np.full((2, 2, 2), time / 5, np.float32))[0, 0, 0] for time in (3, 5)}
    assert abs(expected[5] - 1.0) > 0.1
    fragment = group.sample(39)
    for flag, time in (("truncated", 5), ("terminated", 3)):
        final = fragment["next_obs"][fragment[flag]]
        assert len(final) > 0
        torch.testing.assert_close(final[:, 0], torch.full((len(final),), float(expected[time])))


def test_training_returns_are_of_unscaled_rewards() -> None:
    trial = small_trial(env=Clockwork, normalize_reward=True, n_steps=64)
    metrics = trial.advance()
    # Episodes of 5, 5, 3, ... steps: rewards 1 + 2 + ... of each.
    assert metrics["train/return_mean"] == pytest.approx((15 + 15 + 6) / 3, abs=0.8)
    assert metrics["train/episode_length_mean"] == pytest.approx(13 / 3, abs=0.3)


@pytest.mark.parametrize("n_envs", [1, 4])
def test_exploration_falls_with_each_step_and_not_with_each_rollout(n_envs: int) -> None:
    """As in Stable-Baselines3: epsilon of a step depends on the clock before it, which counts all environments."""

    def act(nets: Any, obs: Any, state: Any, noise: Any, cfg: Any, explore: Any) -> Any:
        share = linear_epsilon(cfg.progress, cfg.exploration_fraction, 1.0, cfg.exploration_final_eps)
        columns = {"share": share.expand(len(obs)), "time": cfg.env_steps.expand(len(obs))}
        return torch.zeros(len(obs), dtype=torch.int64), columns, state

    settings = {"n_envs": n_envs, "train_freq": 25, "learning_starts": 10, "exploration_fraction": 0.5}
    trial = small_trial((0, 1), spec=replace(DQN, name="told", act_fn=act), hyperparameters=settings,
                        budget_env_steps=100 * n_envs)  # fmt: skip
    seen = []
    for _ in range(4):
        trial.learner.start_rollout(trial.progress, trial.env_steps)
        seen.append(trial.group.sample(25))

    steps = torch.arange(100.0).view(-1, 1, 1).expand(-1, 2, n_envs)
    assert torch.equal(torch.cat([each["time"] for each in seen]), steps * n_envs)
    expected = (1.0 - 0.95 * steps / 50).clamp(min=0.05)
    torch.testing.assert_close(torch.cat([each["share"] for each in seen]), expected)
