"""Evaluation of several deterministic policies together: separate environments, fixed seeds, frozen statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuneexp.envs.multi_agent.envs import MultiAgentEnvs
from tuneexp.envs.multi_agent.policy_spaces import PolicySpaces, PolicyStep
from tuneexp.sampling.evaluation import steps_of
from tuneexp.sampling.seat_runner import SeatRunner

Returns = dict[str, NDArray[np.float64]]


def evaluate_jointly(
    runners: Mapping[str, SeatRunner], envs: MultiAgentEnvs, max_steps: int
) -> tuple[Returns, NDArray[np.bool_], int]:
    """Play the first episode of each environment.

    Args:
        runners: seat runners of the policies that are not scripted.
        envs: E environments per seed.
        max_steps: steps after which an episode is stopped.

    Returns:
        Returns [S, E] of each policy: the mean over its agents, NaN without an agent in the environment. And [S, E]
        bool, the episodes that were stopped before their end. And the number of steps.
    """
    players = {name: _Player(runners[name], envs.spaces[name]) for name in runners}
    steps = envs.reset()
    scores = {name: np.zeros(spaces.lead) for name, spaces in envs.spaces.items()}
    running = np.ones((len(envs.seeds), envs.n_envs), np.bool_)
    taken = 0
    for _ in steps_of(envs.name, running, max_steps):
        taken += 1
        actions = {name: player.act(steps[name]) for name, player in players.items()}
        steps, over = envs.step(actions)
        for name, step in steps.items():
            scores[name] += np.where(running[:, _env_of(envs.spaces[name])], step.score, 0.0)
        running &= ~over
        if not running.any():
            break
    returns = {name: _mean_over_agents(score, envs.spaces[name], envs.n_envs) for name, score in scores.items()}
    return returns, running, taken


class _Player:
    """Deterministic policy on its seats."""

    def __init__(self, runner: SeatRunner, spaces: PolicySpaces) -> None:
        self._policy, self._normaliser = runner.policy, runner.normaliser
        self._state = self._policy.initial_state(spaces.n_envs)

    def act(self, step: PolicyStep) -> NDArray[Any]:
        seen = step.obs if self._normaliser is None else self._normaliser.normalise(step.obs)
        if self._state is not None:
            # The next episode of a seat that ended in the step before starts from zeros.
            self._state = self._state.masked_fill(torch.from_numpy(step.ended)[..., None], 0.0)
        acted = self._policy.exploit(torch.from_numpy(seen), self._state)
        if self._state is not None and acted.state is not None:
            acting = torch.from_numpy(step.acting)[..., None]
            self._state = torch.where(acting, acted.state, self._state)
        return acted.action.numpy()


def _env_of(spaces: PolicySpaces) -> NDArray[np.int64]:
    """Return the environment of each seat, [L]."""
    return np.array([index for index, _ in spaces.seats])


def _mean_over_agents(score: NDArray[np.float64], spaces: PolicySpaces, n_envs: int) -> NDArray[np.float64]:
    """Return means [S, E] over the agents of each environment. score: [S, L]."""
    own = _env_of(spaces)[:, None] == np.arange(n_envs)
    with np.errstate(invalid="ignore"):
        return (score @ own) / own.sum(0)
