"""Evaluation: separate environments, fixed seeds, the deterministic policy, frozen statistics."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.envs.sources import EnvLike
from tuneexp.execution.policy import Policy

log = logging.getLogger(__name__)

# An environment of one's own may have no time limit, and a policy that never ends an episode.
MOST_STEPS = 30_000


def evaluate(
    policy: Policy,
    env: EnvLike,
    env_settings: Mapping[str, Any],
    episodes: int,
    seed: int,
    normaliser: RunningNormaliser | None = None,
) -> NDArray[np.float64]:
    """Returns of one episode in each of `episodes` environments, [S, E]; every seed meets the same episodes.
    env_settings: `env_kwargs`, `wrappers` and `backend` of `SeedEnvs`."""
    if env_settings.get("backend") == "async":
        env_settings = {**env_settings, "backend": "sync"}  # the same episodes, without a process for each
    envs = SeedEnvs(env, [seed] * policy.n_seeds, episodes, distinct_seeds=False, training=False, **env_settings)
    try:
        return _first_episodes(policy, envs, normaliser)
    finally:
        envs.close()


def _first_episodes(policy: Policy, envs: SeedEnvs, normaliser: RunningNormaliser | None) -> NDArray[np.float64]:
    obs, state = envs.reset(), policy.initial_state(envs.n_envs)
    returns = np.zeros((envs.n_seeds, envs.n_envs))
    running = np.ones_like(returns, dtype=np.bool_)
    for _ in range(MOST_STEPS):
        seen = obs if normaliser is None else normaliser.normalise(obs)
        action, state, _ = policy.exploit(torch.from_numpy(seen), state)
        step = envs.step(action.numpy())
        returns += np.where(running, step.reward, 0.0)
        running &= ~(step.terminated | step.truncated)
        obs = step.obs
        if not running.any():
            return returns
    log.warning(
        "%s: an evaluation episode had no end after %d steps; its return so far counts. "
        "Give the environment a time limit (gymnasium.wrappers.TimeLimit)", envs.name, MOST_STEPS,
    )  # fmt: skip
    return returns


def aggregate(per_seed: Sequence[float], how: str) -> float:
    """`mean`, `median`, `min` or `iqm` (interquartile mean, Agarwal et al. 2021) of the seeds' values."""
    values = np.sort(np.asarray(per_seed, dtype=np.float64))
    if values.size == 0:
        return float("nan")
    if how == "iqm":
        from scipy.stats import trim_mean

        return float(trim_mean(values, 0.25))
    if how == "median":
        return float(np.median(values))
    return float(np.min(values) if how == "min" else np.mean(values))
