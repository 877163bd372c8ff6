"""Env runner: a policy and the vectorised environments that it acts in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch
from tuneexp.envs.normalise import DiscountedReturns, Learned, RunningNormaliser
from tuneexp.envs.seed_envs import SeedEnvs, Step
from tuneexp.learning.devices import CPU
from tuneexp.sampling.policy import Acted, Policy
from tuneexp.sampling.rollout import Rollout, drawn, scaling_of
from tuneexp.sampling.rollout_step import Open

if TYPE_CHECKING:
    from tuneexp.envs.tensor.vector import TensorVec


class Sampled(NamedTuple):
    """Fragment of one env runner, and what is not learned from.

    Args:
        batch: columns [T, S, N, ...].
        score: [T, S, N], rewards that episode returns are summed from.
        learned: moments for the running statistics; None without a normaliser.
    """

    batch: SampleBatch
    score: NDArray[np.float64]
    learned: Learned | None


class EnvRunner:
    """Policy and vectorised environments, which collect fragments of a fixed number of steps.

    Args:
        envs: environments of all seeds.
        policy: acts in them.
        normaliser: running statistics that observations are normalised by. They change between fragments only.
        keep_raw: fragments hold observations before normalisation. A replay buffer normalises them when it samples.
        gamma: discount of the returns that rewards are scaled by.
    """

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
        """Set up the start of an episode in every environment. raw: the first observations, [S, N, ...]."""
        self._raw = raw
        self._state = self.policy.initial_state(self.envs.n_envs)
        self._starts = np.ones((self.envs.n_seeds, self.envs.n_envs), np.bool_)

    def sample(self, n_steps: int, noise: Sequence[Tensor]) -> Sampled:
        """Collect a fragment.

        Args:
            n_steps: steps in each environment (T).
            noise: columns of `Policy.draw_noise` for the seeds and environments of this runner.

        Returns:
            The fragment. Its columns [T, S, N, ...] are `obs` (normalised, unless `keep_raw`), `next_obs` (the true
            next observation), `action`, the columns of `act_fn`, `reward` (not scaled), `terminated`, `truncated`, and
            `valid` (False for rows that only reset). A recurrent policy adds `state` and `next_state` (before and after
            the action) and `start` (True if `obs` is the first of an episode; the state is zero there).
        """
        if self.policy.rollout is not None and self.envs.tensor is not None:
            return self._sample_by_program(self.policy.rollout, self.envs.tensor, n_steps, noise)
        raw, normaliser = _Observations(n_steps, self._raw), self.normaliser
        seen = raw if normaliser is None else _Observations(n_steps, normaliser.normalise(self._raw))
        fragment = _FragmentColumns(n_steps, raw if self._keep_raw else seen)
        for t, (draws, hyper) in enumerate(
            zip(self.policy.by_step(noise, n_steps), self.policy.clock(n_steps), strict=True)
        ):
            acted = self.policy.explore(seen.tensor[t], self._state, draws, hyper)
            step = self.envs.step(acted.action.numpy())
            fragment.add(t, acted, step)
            raw.add(t, step, step.obs, step.next_obs)
            if normaliser is not None:
                obs = normaliser.normalise(step.obs)
                seen.add(t, step, obs, obs if step.next_obs is step.obs else normaliser.normalise(step.next_obs))
            if self._state is not None:
                self._carry_state(fragment, acted, step)
        self._raw = step.obs
        batch = fragment.batch(self.policy.column_names)
        return Sampled(batch, fragment.score, self._learned(raw.array[:-1], batch))

    def _sample_by_program(self, rollout: Rollout, vec: TensorVec, n_steps: int, noise: Sequence[Tensor]) -> Sampled:
        """As `sample`, in tensor environments."""
        device = rollout.device
        carried = [] if self._state is None else [self._state.clone(), torch.from_numpy(self._starts.copy())]
        opened = Open(
            [leaf.clone() for leaf in vec.running], torch.from_numpy(self._raw.copy()).to(device),
            [one.to(device) for one in carried],
        )  # fmt: skip
        draws = [*(column.to(device) for column in noise), *drawn(vec.streams.take(n_steps), device)]
        numbers = self.policy.numbers(True, scaling_of(self.normaliser, self.envs.obs_shape, device))
        after, results = rollout.take(numbers, opened, draws, n_steps, rollout.buffers(n_steps))
        columns = results if device == CPU else {name: column.cpu() for name, column in results.items()}
        self._continue_from(vec, after)
        self.envs.check_steps(*(columns[name].numpy() for name in ("next_obs", "reward", "action")))
        raw = columns.pop("raw")
        seen = columns.pop("obs", raw)
        columns = {"obs": raw if self._keep_raw else seen, **columns}
        columns["valid"] = torch.ones(columns["reward"].shape, dtype=torch.bool)
        batch = SampleBatch(columns, FRAGMENT_AXES)
        return Sampled(batch, columns["reward"].numpy().astype(np.float64), self._learned(raw.numpy(), batch))

    def _continue_from(self, vec: TensorVec, after: Open) -> None:
        vec.running = after.running
        self._raw = self.envs.obs = after.obs.cpu().numpy()
        if after.carried:
            self._state, self._starts = after.carried[0].cpu(), after.carried[1].cpu().numpy()

    def _carry_state(self, fragment: _FragmentColumns, acted: Acted, step: Step) -> None:
        """Carry the recurrent state to the next step. It is zero at the first observation of an episode."""
        assert self._state is not None
        assert acted.state is not None
        fragment.add_state(self._state, acted.state, self._starts)
        ended = step.terminated | step.truncated
        # In NEXT_STEP mode the step after an end only resets: the next episode starts after that step.
        self._starts = ~step.valid | (ended & ~self.envs.resets_next)
        self._state = acted.state.masked_fill(torch.from_numpy(self._starts)[..., None], 0.0)

    def _learned(self, raw: NDArray[Any], batch: SampleBatch) -> Learned | None:
        """Return the moments of a fragment. raw: observations that were acted on, [T, S, N, ...]."""
        if self.normaliser is None:
            return None
        reward, terminated, truncated, valid = (
            batch[name].numpy() for name in ("reward", "terminated", "truncated", "valid")
        )
        return self.normaliser.learned_from(raw, reward, terminated, truncated, valid, self._returns)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of environments and policy. `envs` is None if theirs can't be saved."""
        return {
            "envs": self.envs.get_state(),
            "raw": self._raw,
            "state": self._state,
            "starts": self._starts,
            "discounted_return": self._returns.running.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state. Raises `CheckpointError` if it is of other environments."""
        self.envs.set_state(state["envs"])
        self._raw, self._starts = np.array(state["raw"], self.envs.obs_dtype), np.array(state["starts"])
        self._state = state["state"]
        self._returns.running = np.array(state["discounted_return"], np.float64)

    def start_fresh(self, times_restored: int) -> None:
        """Start new episodes, of another random sequence for each `times_restored`."""
        self._returns.restart()
        self._start_episodes(self.envs.reset_fresh(times_restored))

    def close(self) -> None:
        self.envs.close()


class _Observations:
    """Column of observations under construction. It has T + 1 rows: the last is the next observation of row T."""

    def __init__(self, n_steps: int, first: NDArray[Any]) -> None:
        self.array = np.empty((n_steps + 1, *first.shape), first.dtype)
        self.tensor = torch.from_numpy(self.array)
        self.array[0] = first
        # Steps whose true next observation is not the one that the policy acts on next (SAME_STEP, DISABLED).
        self._true_next: dict[int, NDArray[Any]] = {}

    def add(self, t: int, step: Step, obs: NDArray[Any], next_obs: NDArray[Any]) -> None:
        self.array[t + 1] = obs
        if step.next_obs is not step.obs:
            self._true_next[t] = next_obs

    def following(self) -> NDArray[Any]:
        """Return the true next observation of each row, [T, S, N, ...]."""
        next_obs = self.array[1:]
        if self._true_next:
            next_obs = next_obs.copy()
            for t, true_next in self._true_next.items():
                next_obs[t] = true_next
        return next_obs


class _FragmentColumns:
    """Columns of a fragment under construction."""

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
