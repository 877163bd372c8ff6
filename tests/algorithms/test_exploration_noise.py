"""Ornstein-Uhlenbeck noise of TD3 and DDPG equals that of Stable-Baselines3, per seed and environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.algorithms.noisy import N_STEPS, STD, noisy_trial, sampled

pytestmark = pytest.mark.usefixtures("untraced")


def stable_baselines3(draws: NDArray[Any], starts: NDArray[np.bool_]) -> NDArray[Any]:
    """Samples of `OrnsteinUhlenbeckActionNoise` with sigma=STD from the given standard normal numbers [T, S, N, 1].

    It is reset where `starts` is True."""
    theta, dt, mean = 0.15, 1e-2, 0.0
    process, previous = np.zeros_like(draws), np.zeros_like(draws[0])
    for t, draw in enumerate(draws):
        previous = np.where(starts[t][..., None], 0.0, previous)
        previous = previous + theta * (mean - previous) * dt + STD * np.sqrt(dt) * draw
        process[t] = previous
    return process


@pytest.mark.parametrize("algorithm", ["td3", "ddpg"])
def test_the_noise_is_that_of_stable_baselines3_and_starts_anew_with_each_episode(algorithm: str) -> None:
    trial = noisy_trial([3, 5], algorithm)
    column = list(trial.trainer.shapes.act_noise).index(
        next(one for one in trial.trainer.shapes.act_noise if one[0] == "action")
    )
    twins = [torch.Generator() for _ in trial.group.generators]
    for twin, own in zip(twins, trial.group.generators, strict=True):
        twin.set_state(own.get_state())
    draws = trial.group.policy.draw_noise(N_STEPS, twins)[column].double().numpy()
    nets, fragment = trial.learner.nets(), sampled(trial)
    valid, starts = fragment["valid"], fragment["start"].numpy()
    assert starts.sum() > 8
    expected = torch.from_numpy(stable_baselines3(draws, starts)).float()
    torch.testing.assert_close(fragment["next_state"][valid], expected[valid], rtol=0, atol=1e-6)
    with torch.no_grad():
        greedy = nets.online.act(fragment["obs"])
    acted = (greedy + expected).clamp(-1.0, 1.0)
    torch.testing.assert_close(fragment["network_action"][valid], acted[valid], rtol=0, atol=1e-5)


def test_a_seed_explores_as_it_does_alone() -> None:
    alone, beside = sampled(noisy_trial([5])), sampled(noisy_trial([3, 5]))
    for name in ("next_state", "action"):
        torch.testing.assert_close(alone[name][:, 0], beside[name][:, 1], rtol=0, atol=1e-6)


def test_a_checkpoint_holds_the_process() -> None:
    trial, again = noisy_trial([3, 5]), noisy_trial([3, 5])
    trial.group.sample(5)
    again.load_state_dict(trial.state_dict())
    expected, restored = sampled(trial), sampled(again)
    assert expected["state"][0].abs().min() > 0
    for name, column in expected.items():
        torch.testing.assert_close(restored[name], column, rtol=0, atol=1e-6, msg=name)


def test_evaluation_is_without_noise() -> None:
    trial = noisy_trial([3], noise_std=100.0)
    quiet = noisy_trial([3], noise_type="normal", noise_std=0.0)
    assert trial.evaluate(2, 7) == pytest.approx(quiet.evaluate(2, 7))
    trial.close()
    quiet.close()
