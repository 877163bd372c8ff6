"""Evaluation in tensor environments, by the program of rollouts: its environments are slots for the episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.envs.env_faults import require_finite_steps
from tuneexp.envs.env_rng import env_seeds
from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.tensor.noise_streams import NoiseStreams
from tuneexp.sampling.evaluation import DEFAULT_MAX_STEPS, Evaluation, warn_of_long, warn_of_stopped
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.rollout import Rollout, drawn, scaling_of
from tuneexp.sampling.rollout_step import Open

# Steps between two checks of the ends of episodes. A check costs about as much as two steps.
CHUNK_STEPS = 50


class Played(NamedTuple):
    """Result of some episodes, [S, n]: returns, and the number of steps; 0 for an episode without an end."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]


def evaluate_in_slots(
    policy: Policy,
    rollout: Rollout,
    episodes: int,
    seed: int,
    normaliser: RunningNormaliser | None = None,
    max_steps: int = DEFAULT_MAX_STEPS,
) -> Evaluation:
    """Evaluate as `evaluate` does: episode i of each seed is the first one of environment i.

    Args:
        policy: policy of all seeds.
        rollout: its program.
        episodes: episodes per seed (E), played in groups of the environments of the program.
        seed: seed of the environments.
        normaliser: running statistics, which stay as they are; None: observations are not normalised.
        max_steps: steps after which an episode is stopped.

    Returns:
        Returns [S, E].
    """
    slots = _Slots(policy, rollout, seed, normaliser)
    groups = [slots.play(first, max_steps) for first in range(0, episodes, policy.n_envs)]
    returns, lengths = (np.concatenate(parts, axis=1)[:, :episodes] for parts in zip(*groups, strict=True))
    partial_ = lengths == 0
    warn_of_stopped(rollout.env.program.name, partial_, max_steps)
    return Evaluation(returns, partial_, steps=max_steps if partial_.any() else int(lengths.max()))


class _Slots:
    """Environments of a policy's program that play one episode each."""

    def __init__(self, policy: Policy, rollout: Rollout, seed: int, normaliser: RunningNormaliser | None) -> None:
        self._policy, self._rollout, self._seed = policy, rollout, seed
        program = rollout.env.program
        self._name = program.name
        shape = rollout.env.reader.shape
        self._numbers = policy.numbers(False, scaling_of(normaliser, shape, rollout.device))
        self._act_noise = [column.to(rollout.device) for column in policy.no_noise(CHUNK_STEPS)]
        self._buffers = rollout.buffers(CHUNK_STEPS)

    def play(self, first: int, max_steps: int) -> Played:
        """Play the episodes from number `first` on, one in each slot."""
        policy, rollout = self._policy, self._rollout
        indices = range(first, first + policy.n_envs)
        streams = NoiseStreams(rollout.env.noises, (1, policy.n_envs), partial(env_seeds, [self._seed], indices))
        start = self._of_all_seeds(streams.take(1))
        running, obs = rollout.env.start([column[0] for column in start], rollout.device)
        state = Open(running, obs, self._carried())
        returns = np.zeros((policy.n_seeds, policy.n_envs))
        lengths = np.zeros(returns.shape, np.int64)
        done = 0
        while done < max_steps and not lengths.all():
            n_steps = min(CHUNK_STEPS, max_steps - done)
            # Without noise of its own, the draws of a step only start episodes that nothing counts.
            noise = self._of_all_seeds(streams.take(CHUNK_STEPS)) if rollout.env.program.env.step_noise else start
            state, results = self._stepped(state, noise, n_steps)
            self._check(results, indices)
            returns, lengths = _counted(results, returns, lengths, done)
            warn_of_long(self._name, done, n_steps, lengths == 0, max_steps)
            done += n_steps
        return Played(returns, lengths)

    def _stepped(
        self, state: Open, noise: Sequence[Tensor], n_steps: int
    ) -> tuple[Open, dict[str, NDArray[np.float32]]]:
        """Take steps. Returns the state, and results as arrays [T, S, N, ...]."""
        long = [column.expand(CHUNK_STEPS, *column.shape[1:]) if len(column) == 1 else column for column in noise]
        # Whole columns, also for fewer steps: the program reads those that it needs.
        draws = [*self._act_noise, *long]
        state, results = self._rollout.take(self._numbers, state, draws, n_steps, self._buffers)
        needed = ("next_obs", "action", "reward", "terminated", "truncated")
        return state, {name: results[name].cpu().numpy() for name in needed}

    def _of_all_seeds(self, draws: Mapping[str, NDArray[np.float32]]) -> list[Tensor]:
        """[T, 1, N, ...] of the one seed of the environments -> [T, S, N, ...]."""
        n_seeds = self._policy.n_seeds
        columns = drawn(draws, self._rollout.device)
        return [column.expand(-1, n_seeds, *column.shape[2:]).contiguous() for column in columns]

    def _carried(self) -> list[Tensor]:
        state = self._policy.initial_state(self._policy.n_envs)
        if state is None:
            return []
        return [one.to(self._rollout.device) for one in (state, torch.ones(state.shape[:2], dtype=torch.bool))]

    def _check(self, results: Mapping[str, NDArray[np.float32]], indices: range) -> None:
        def who(row: int) -> str:
            return f"seed {self._seed}, index {indices[row % len(indices)]}"

        obs, reward, action = (results[name] for name in ("next_obs", "reward", "action"))
        require_finite_steps(self._name, who, obs, reward, action)


def _counted(
    results: Mapping[str, NDArray[np.float32]], returns: NDArray[np.float64], lengths: NDArray[np.int64], done: int
) -> Played:
    """Count steps of the first episode of each slot.

    Args:
        results: of the steps, [T, S, N].
        returns: so far, [S, N].
        lengths: 0 where the first episode has not ended before these steps.
        done: steps before.
    """
    ended = (results["terminated"] != 0) | (results["truncated"] != 0)
    n_steps = len(ended)
    last = np.where(ended.any(axis=0), ended.argmax(axis=0), n_steps)
    counts = (np.arange(n_steps)[:, None, None] <= last) & (lengths == 0)
    rewards = np.where(counts, results["reward"], 0.0).astype(np.float64)
    # One after another, as they would be added step by step.
    total = np.concatenate([returns[None], rewards]).sum(axis=0)
    return Played(total, np.where((lengths == 0) & (last < n_steps), done + last + 1, lengths))
