"""The env runner: a policy plus vectorised environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch
from tuneexp.envs.normalise import DiscountedReturns, Learned, RunningNormaliser, moments_of
from tuneexp.envs.seed_envs import SeedEnvs, Step
from tuneexp.sampling.policy import Acted, Policy


class Sampled(NamedTuple):
    """A fragment, and what is said of it beside its columns. score: [T, S, N], what statistics of episodes count;
    learned: for the statistics of a normaliser; None without one."""

    batch: SampleBatch
    score: NDArray[np.float64]
    learned: Learned | None


class EnvRunner:
    """`sample(n_steps, noise)` gives a fragment of fixed length, so one long episode stalls nobody.

    normaliser: what the policy sees is scaled by it; it moves between fragments only. gamma: of the discounted return
    that rewards are scaled by; None where they aren't. `keep_raw`: fragments hold observations as the environment gave
    them (a replay buffer stores these and scales them when they are drawn)."""

    def __init__(
        self,
        envs: SeedEnvs,
        policy: Policy,
        normaliser: RunningNormaliser | None = None,
        keep_raw: bool = False,
        gamma: float = 1.0,
    ) -> None:
        self.envs, self.policy, self.normaliser, self._keep_raw = envs, policy, normaliser, keep_raw
        self._returns = DiscountedReturns(envs.n_seeds, envs.n_envs, gamma)
        self._start_episodes(envs.reset())

    def _start_episodes(self, raw: NDArray[Any]) -> None:
        """All environments are at the first observation of an episode, `raw`."""
        self._raw = raw
        self._state = self.policy.initial_state(self.envs.n_envs)
        self._starts = np.ones((self.envs.n_seeds, self.envs.n_envs), np.bool_)

    def sample(self, n_steps: int, noise: Sequence[Tensor]) -> Sampled:
        """noise: the columns of `Policy.draw_noise`, of this runner's seeds and environments.

        The fragment has columns [T, S, N, ...]: obs (as the policy saw it, unless `keep_raw`), next_obs (the true next
        observation), action, what `act_fn` kept, reward (as the environment gave it), terminated, truncated, and valid
        (False for reset rows). With a recurrent policy also state and next_state (before and after acting) and start
        (True where obs is the first of an episode, at which the state is zero)."""
        raw = _Observations(n_steps, self._raw)
        seen = raw if self.normaliser is None else _Observations(n_steps, self._seen(self._raw))
        fragment = _Fragment(n_steps, raw if self._keep_raw else seen)
        for t, (draws, hyper) in enumerate(
            zip(self.policy.by_step(noise, n_steps), self.policy.clock(n_steps), strict=True)
        ):
            acted = self.policy.explore(seen.tensor[t], self._state, draws, hyper)
            step = self.envs.step(acted.action.numpy())
            fragment.add(t, acted, step)
            raw.add(t, step, step.obs, step.next_obs)
            if self.normaliser is not None:
                obs = self._seen(step.obs)
                seen.add(t, step, obs, obs if step.next_obs is step.obs else self._seen(step.next_obs))
            if self._state is not None:
                self._carry_state(fragment, acted, step)
        self._raw = step.obs
        return Sampled(fragment.batch(self.policy.column_names), fragment.score, self._learned(raw, fragment))

    def _seen(self, raw: NDArray[Any]) -> NDArray[Any]:
        return raw if self.normaliser is None else self.normaliser.normalise(raw)

    def _carry_state(self, fragment: _Fragment, acted: Acted, step: Step) -> None:
        """The state goes on with the episode; at the first observation of the next one it is zero."""
        assert self._state is not None
        assert acted.state is not None
        fragment.add_state(self._state, acted.state, self._starts)
        ended = step.terminated | step.truncated
        # In NEXT_STEP mode the step after an end only resets: the episode starts behind it.
        self._starts = ~step.valid | (ended & ~self.envs.resets_next)
        self._state = acted.state.masked_fill(torch.from_numpy(self._starts)[..., None], 0.0)

    def _learned(self, raw: _Observations, fragment: _Fragment) -> Learned | None:
        if self.normaliser is None:
            return None
        discounted = None
        if self.normaliser.norm_reward:
            followed = self._returns.follow(fragment.reward, fragment.terminated, fragment.truncated, fragment.valid)
            discounted = moments_of(followed, fragment.valid)
        return Learned(self.normaliser.moments(raw.array[:-1], fragment.valid), discounted)

    def state_dict(self) -> dict[str, Any]:
        """`envs` is None where their state can't be saved."""
        return {
            "envs": self.envs.get_state(),
            "raw": self._raw,
            "state": self._state,
            "starts": self._starts,
            "discounted_return": self._returns.running.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises `CheckpointError` where the state is of other environments."""
        self.envs.set_state(state["envs"])
        self._raw, self._starts = np.array(state["raw"], self.envs.obs_dtype), np.array(state["starts"])
        self._state = state["state"]
        self._returns.running = np.array(state["discounted_return"], np.float64)

    def start_fresh(self, times_restored: int) -> None:
        """Other episodes than those that were met before: the new start that has this number."""
        self._returns.restart()
        self._start_episodes(self.envs.reset_fresh(times_restored))

    def close(self) -> None:
        self.envs.close()


class _Observations:
    """A column of observations while it fills. One more than steps: the last is the next of the last row."""

    def __init__(self, n_steps: int, first: NDArray[Any]) -> None:
        self.array = np.empty((n_steps + 1, *first.shape), first.dtype)
        self.tensor = torch.from_numpy(self.array)
        self.array[0] = first
        # Steps whose true next observation isn't what the policy acts on next (SAME_STEP, DISABLED).
        self._true_next: dict[int, NDArray[Any]] = {}

    def add(self, t: int, step: Step, obs: NDArray[Any], next_obs: NDArray[Any]) -> None:
        self.array[t + 1] = obs
        if step.next_obs is not step.obs:
            self._true_next[t] = next_obs

    def following(self) -> NDArray[Any]:
        """The true next observation of each row, [T, S, N, ...]."""
        next_obs = self.array[1:]
        if self._true_next:
            next_obs = next_obs.copy()
            for t, true_next in self._true_next.items():
                next_obs[t] = true_next
        return next_obs


class _Fragment:
    """The columns while they fill."""

    def __init__(self, n_steps: int, observations: _Observations) -> None:
        self._observations = observations
        lead = (n_steps, *observations.array.shape[1:3])
        self.reward, self.score = np.empty(lead, np.float32), np.empty(lead, np.float64)
        self.terminated, self.truncated, self.valid = (np.empty(lead, np.bool_) for _ in range(3))
        self._acted: list[list[Tensor]] = []
        self._states: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, t: int, acted: Acted, step: Step) -> None:
        self._acted.append([acted.action, *acted.columns])
        self.reward[t], self.score[t] = step.reward, step.score
        self.terminated[t], self.truncated[t], self.valid[t] = step.terminated, step.truncated, step.valid

    def add_state(self, state: Tensor, next_state: Tensor, starts: NDArray[np.bool_]) -> None:
        self._states.append((state, next_state, torch.from_numpy(starts)))

    def batch(self, names: Sequence[str]) -> SampleBatch:
        acted = [torch.stack(column) for column in zip(*self._acted, strict=True)]
        columns = {
            "obs": self._observations.tensor[:-1],
            "next_obs": self._observations.following(),
            **dict(zip(("action", *names), acted, strict=True)),
            "reward": self.reward,
            "terminated": self.terminated,
            "truncated": self.truncated,
            "valid": self.valid,
        }
        if self._states:
            states = (torch.stack(column) for column in zip(*self._states, strict=True))
            columns |= dict(zip(("state", "next_state", "start"), states, strict=True))
        return SampleBatch(columns, FRAGMENT_AXES)
