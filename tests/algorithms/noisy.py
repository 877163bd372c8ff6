"""Small trials of TD3 and DDPG with Ornstein-Uhlenbeck exploration noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tests.algorithms.trials import trial_of
from tuneexp.trial import Trial

STD, N_STEPS = 0.5, 24
# Episodes of 7 steps, so that several end within a fragment.
SHORT: dict[str, Any] = {"wrappers": [{"TimeLimit": {"max_episode_steps": 7}}]}


def noisy_trial(seeds: Sequence[int], algorithm: str = "td3", **changes: Any) -> Trial:
    settings = {"noise_type": "ornstein-uhlenbeck", "noise_std": STD, "learning_starts": 0, "n_envs": 2, **SHORT}
    return trial_of(algorithm, "Pendulum-v1", seeds, **{**settings, **changes})


def sampled(trial: Trial) -> dict[str, Tensor]:
    try:
        return dict(trial.group.sample(N_STEPS))
    finally:
        trial.close()
