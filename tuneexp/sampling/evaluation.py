"""Evaluation of the deterministic policy: separate environments, fixed seeds, frozen statistics."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tuneexp.envs.env_factory import EnvLike
from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.sampling.policy import Policy

log = logging.getLogger(__name__)

# For environments without a time limit and policies that never end an episode. The longest Atari games take 27,000
# steps.
DEFAULT_MAX_STEPS = 30_000
# Steps without the end of any episode after which a warning is logged.
LONG_STEPS = 5_000


class Evaluation(NamedTuple):
    """Returns of an evaluation.

    Args:
        returns: [S, E], for the objective. With several policies, the mean over the policies of the objective.
        partial: [S, E] bool, episodes that were stopped before their end. Their returns are sums up to there.
        by_policy: returns [S, E] of each of several policies; NaN in an episode without an agent of the policy.
        steps: number of steps, which all episodes take at the same time.
    """

    returns: NDArray[np.float64]
    partial: NDArray[np.bool_]
    by_policy: Mapping[str, NDArray[np.float64]] = {}
    steps: int = 0


def evaluate(
    policy: Policy,
    env: EnvLike,
    env_settings: Mapping[str, Any],
    episodes: int,
    seed: int,
    normaliser: RunningNormaliser | None = None,
    max_steps: int = DEFAULT_MAX_STEPS,
) -> Evaluation:
    """Evaluate the deterministic policy of each seed on the same episodes.

    Args:
        policy: policy of all seeds.
        env: environment of `SeedEnvs`.
        env_settings: `env_kwargs`, `wrappers`, `backend` and `device` of `SeedEnvs`.
        episodes: episodes per seed (E), one environment each.
        seed: seed of the environments.
        normaliser: running statistics, which stay as they are; None: observations are not normalised.
        max_steps: steps after which an episode is stopped.

    Returns:
        Returns [S, E].
    """
    if env_settings.get("backend") == "async":
        env_settings = {**env_settings, "backend": "sync"}  # the same episodes, without a process for each
    exact = normaliser is not None and normaliser.norm_obs
    envs = SeedEnvs(
        env, [seed] * policy.n_seeds, episodes, distinct_seeds=False, training=False, exact=exact, **env_settings
    )
    try:
        return _first_episodes(policy, envs, normaliser, max_steps)
    finally:
        envs.close()


def _first_episodes(policy: Policy, envs: SeedEnvs, normaliser: RunningNormaliser | None, max_steps: int) -> Evaluation:
    obs, state = envs.reset(), policy.initial_state(envs.n_envs)
    returns = np.zeros((envs.n_seeds, envs.n_envs))
    running = np.ones_like(returns, dtype=np.bool_)
    steps = 0
    for _ in steps_of(envs.name, running, max_steps):
        steps += 1
        seen = obs if normaliser is None else normaliser.normalise(obs)
        action, state, _ = policy.exploit(torch.from_numpy(seen), state)
        step = envs.step(action.numpy())
        returns += np.where(running, step.score, 0.0)
        running &= ~(step.terminated | step.truncated)
        obs = step.obs
        if not running.any():
            break
    return Evaluation(returns, running, steps=steps)


def steps_of(name: str, running: NDArray[np.bool_], max_steps: int) -> Iterator[int]:
    """Yield the steps of an evaluation, with a warning if it takes long and if episodes are stopped.

    Args:
        name: of the environment, for the log.
        running: [S, E] bool, episodes that have not ended, updated in place by the caller.
        max_steps: number of steps.
    """
    for step in range(max_steps):
        warn_of_long(name, step, 1, running, max_steps)
        yield step
    warn_of_stopped(name, running, max_steps)


def warn_of_long(name: str, done: int, n_steps: int, running: NDArray[np.bool_], max_steps: int) -> None:
    """Log a warning if no episode has ended in `LONG_STEPS` steps. done, n_steps: steps before, and steps since."""
    if done <= LONG_STEPS < done + n_steps and running.all():
        log.warning(
            "%s: no evaluation episode has ended in %d steps; they are stopped after %d (evaluation.max_steps)",
            name, LONG_STEPS, max_steps,
        )  # fmt: skip


def warn_of_stopped(name: str, running: NDArray[np.bool_], max_steps: int) -> None:
    """Log a warning if episodes were stopped before their end."""
    if running.any():
        log.warning(
            "%s: %d of %d evaluation episodes had no end after %d steps (evaluation.max_steps); their returns so far "
            "are used. Give the environment a time limit: the wrapper TimeLimit, or truncated=True",
            name, running.sum(), running.size, max_steps,
        )  # fmt: skip
