"""Sampling of one policy on its seats in shared environments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.data.sample_batch import SampleBatch
from tuneexp.envs.multi_agent.policy_spaces import PolicySpaces, PolicyStep
from tuneexp.envs.normalise import DiscountedReturns, RunningNormaliser
from tuneexp.errors import UserError
from tuneexp.learning.rng_streams import generator
from tuneexp.learning.user_functions import name_of
from tuneexp.sampling.group import with_scaled_rewards
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.seat_fragment import SeatFragment

RAW = "raw_obs"
"""Column of observations before normalisation, which the running statistics are computed from."""


class SeatRunner:
    """Sampling of one policy on its seats: it acts, collects rows, and is the group of the policy's training step.

    The transition of an agent is open from its action until it may act again or has ended. A transition that is open at
    the end of a fragment becomes a row of the next fragment.

    Args:
        spaces: seats and spaces of the policy.
        policy: acts on all seats.
        seeds: of the exploration noise, one per seed of the trial.
        normaliser: running statistics of observations and rewards; None: nothing is normalised.
        keep_raw: fragments hold observations and rewards before normalisation, for a replay buffer.
        gamma: discount of the returns that rewards are scaled by.
        fragment: the fragment to fill; None for a policy that is not trained, whose statistics are frozen.
    """

    def __init__(
        self,
        spaces: PolicySpaces,
        policy: Policy,
        seeds: Sequence[int],
        normaliser: RunningNormaliser | None = None,
        keep_raw: bool = False,
        gamma: float = 1.0,
        fragment: SeatFragment | None = None,
    ) -> None:
        self.policy, self.normaliser, self.fragment = policy, normaliser, fragment
        self.name, self._keep_raw, self._n_seats = spaces.policy, keep_raw, spaces.n_envs
        self._returns = DiscountedReturns(spaces.n_seeds, spaces.n_envs, gamma)
        self.generators = [generator(seed, "runner") for seed in seeds]
        self._open: dict[str, Tensor] = {}
        self._offered: SampleBatch | None = None

    def start(self, step: PolicyStep) -> None:
        """Set up the start of an episode in every environment."""
        self._state = self.policy.initial_state(self._n_seats)
        self._starts = torch.ones(step.acting.shape, dtype=torch.bool)
        self._open = {}
        self._raw, self._acting = step.obs, step.acting

    def _seen(self, raw: NDArray[Any]) -> NDArray[Any]:
        return raw if self.normaliser is None else self.normaliser.normalise(raw)

    def act(self, noise: list[Tensor]) -> NDArray[Any]:
        """Return actions [S, L, ...] and open the transitions of the acting seats.

        Args:
            noise: of one step, from `Policy.by_step`.
        """
        if self._open and not self._acting.any():
            return self._open["action"].numpy()
        acting, seen = torch.from_numpy(self._acting), torch.from_numpy(self._seen(self._raw))
        acted = self.policy.explore(seen, self._state, noise)
        columns = {"action": acted.action, **dict(zip(self.policy.column_names, acted.columns, strict=True))}
        columns["obs"] = torch.from_numpy(self._raw) if self._keep_raw else seen
        if self.normaliser is not None:
            columns[RAW] = torch.from_numpy(self._raw)
        if self._state is not None and acted.state is not None:
            columns |= {"state": self._state, "next_state": acted.state, "start": self._starts}
            self._state = _where(acting, acted.state, self._state)
            self._starts = self._starts & ~acting
        self._open = {
            name: _where(acting, column, self._open[name]) if self._open else column.clone()
            for name, column in columns.items()
        }
        return acted.action.numpy()

    def add(self, step: PolicyStep) -> None:
        """Add the result of the actions. Complete transitions become rows of the fragment."""
        self._raw, self._acting = step.obs, step.acting
        if self._state is not None:
            ended = torch.from_numpy(step.ended)
            self._state, self._starts = self._state.masked_fill(ended[..., None], 0.0), self._starts | ended
        if self.fragment is None:
            return
        next_obs = step.next_obs if self._keep_raw else self._seen(step.next_obs)
        rows = {
            **self._open,
            "next_obs": torch.from_numpy(next_obs),
            "reward": torch.from_numpy(step.reward),
            "terminated": torch.from_numpy(step.terminated),
            "truncated": torch.from_numpy(step.truncated),
        }
        self.fragment.add(rows, torch.from_numpy(step.valid))

    def take(self) -> SampleBatch | None:
        """Return the fragment if it is complete, else None.

        Running statistics are updated here, between fragments. Rewards are scaled by the updated ones, as in
        `EnvRunnerGroup`."""
        if self.fragment is None or not self.fragment.complete:
            return None
        batch = self.fragment.take()
        if self.normaliser is None:
            return batch
        valid, reward = batch["valid"].numpy(), batch["reward"].numpy()
        ended = batch["terminated"].numpy(), batch["truncated"].numpy()
        self.normaliser.learn(self.normaliser.learned_from(batch[RAW].numpy(), reward, *ended, valid, self._returns))
        batch = batch.drop(RAW)
        return batch if self._keep_raw else with_scaled_rewards(batch, self.normaliser)

    def offer(self, fragment: SampleBatch) -> None:
        """Make `fragment`, from `take`, the result of the next `sample`."""
        self._offered = fragment

    def sample(self, n_steps: int) -> SampleBatch:
        """Return the fragment of this rollout, columns [T, S, L, ...].

        Args:
            n_steps: steps in each environment (T).

        Raises:
            UserError: `n_steps` is not the length of the rollout, or its fragment was sampled before.
        """
        fragment, self._offered = self._offered, None
        if fragment is None or fragment.size("time") != n_steps:
            left = "none is left" if fragment is None else f"{fragment.size('time')} were collected"
            raise UserError(
                f"policy {self.name!r}: its training_step samples {n_steps} steps, but {left}\n"
                "among several policies, sample once: rollout_env_steps() / n_envs steps"
            )
        return fragment

    def require_sampled(self, training_step: Callable[..., None]) -> None:
        """Raise `UserError` if `training_step` did not sample the offered fragment."""
        if self._offered is not None:
            raise UserError(
                f"policy {self.name!r}: training_step {name_of(training_step)} sampled nothing; "
                f"write synchronous_parallel_sample(training.group, {self._offered.size('time')})"
            )

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None:
        self.policy.set_parameters(parameters)

    def use_policy(self, policy: Policy) -> None:
        self.policy = policy

    def state_dict(self) -> dict[str, Any]:
        return {
            "raw": self._raw,
            "discounted_return": self._returns.running.copy(),
            "acting": self._acting,
            "state": self._state,
            "starts": self._starts,
            "open": dict(self._open),
            "generators": [own.get_state() for own in self.generators],
            "normaliser": None if self.normaliser is None else self.normaliser.state_dict(),
            "fragment": None if self.fragment is None else self.fragment.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], fresh: PolicyStep | None) -> None:
        """Restore the state.

        Args:
            state: from `state_dict`.
            fresh: first observations if the environments start new episodes: open transitions are dropped. None: they
                continue.
        """
        for own, saved in zip(self.generators, state["generators"], strict=True):
            own.set_state(saved)
        if self.normaliser is not None:
            self.normaliser.load_state_dict(state["normaliser"])
        if self.fragment is not None:
            self.fragment.load_state_dict(state["fragment"])
        if fresh is None:
            self._raw, self._acting = np.array(state["raw"]), np.array(state["acting"])
            self._returns.running = np.array(state["discounted_return"], np.float64)
            self._state, self._starts = state["state"], state["starts"]
            self._open = dict(state["open"])
            return
        if self.fragment is not None:
            self.fragment.cut()
        self._returns.restart()
        self.start(fresh)


def _where(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    """Return `torch.where` with a mask [S, L] for tensors [S, L, ...]."""
    return torch.where(mask.view(*mask.shape, *(1,) * (chosen.dim() - 2)), chosen, other)
