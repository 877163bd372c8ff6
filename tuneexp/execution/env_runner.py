"""The env runner: a policy plus vectorised environments."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch
from tuneexp.envs.episode_stats import EpisodeTracker
from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.seed_envs import SeedEnvs, Step
from tuneexp.execution.policy import Acted, Policy
from tuneexp.learning.randomness import generator

log = logging.getLogger(__name__)


class EnvRunner:
    """`sample(n_steps)` gives a fragment of fixed length, so one long episode stalls nobody.

    `keep_raw`: fragments hold observations and rewards as the environment gave them (a replay buffer stores these and
    scales them when they are drawn); the policy sees them scaled all the same."""

    def __init__(
        self, envs: SeedEnvs, policy: Policy, normaliser: RunningNormaliser | None = None, keep_raw: bool = False
    ) -> None:
        self.envs, self.policy, self.normaliser, self._keep_raw = envs, policy, normaliser, keep_raw
        self.episodes = EpisodeTracker(envs.n_seeds, envs.n_envs)
        self.generators = [generator(seed, "runner") for seed in envs.seeds]
        self.transitions, self.env_steps, self._times_restored = 0, 0, 0
        self._start_episodes(envs.reset())

    def _start_episodes(self, raw: NDArray[Any]) -> None:
        """All environments are at the first observation of an episode, `raw`."""
        self._raw = raw
        self._obs = raw if self.normaliser is None else self.normaliser.observe(raw)
        self._state = self.policy.initial_state(self.envs.n_envs)
        self._starts = np.ones((self.envs.n_seeds, self.envs.n_envs), np.bool_)

    def sample(self, n_steps: int) -> SampleBatch:
        """A fragment, columns [T, S, N, ...]: obs (as the policy saw it, unless `keep_raw`), next_obs (the true next
        observation), action, what `act_fn` kept, reward, terminated, truncated, and valid (False for reset rows).
        With a recurrent policy also state and next_state (before and after acting) and start (True where obs is the
        first of an episode, at which the state is zero)."""
        noise = self.policy.draw_noise(n_steps, self.generators)
        fragment = _Fragment(n_steps, self._raw if self._keep_raw else self._obs)
        for t in range(n_steps):
            acted = self._act(fragment, t, noise[t])
            step = self.envs.step(acted.action.numpy())
            fragment.add(t, acted, step)
            self._raw = step.obs
            if self.normaliser is None:
                self._obs = step.obs
            else:
                self._normalise(self.normaliser, fragment, t, step)
            if self._state is not None:
                self._carry_state(fragment, t, acted, step)
        fragment.obs[n_steps] = self._raw if self._keep_raw else self._obs
        self.episodes.update(*fragment.episode_columns())
        self.transitions += fragment.n_transitions()
        self.env_steps += n_steps * self.envs.n_envs
        return fragment.batch(self.policy.column_names)

    def _act(self, fragment: _Fragment, t: int, noise: list[Tensor]) -> Acted:
        fragment.obs[t] = self._raw if self._keep_raw else self._obs
        seen = torch.from_numpy(self._obs) if self._keep_raw else fragment.obs_tensor[t]
        return self.policy.explore(seen, self._state, noise)

    def _carry_state(self, fragment: _Fragment, t: int, acted: Acted, step: Step) -> None:
        """The state goes on with the episode; at the first observation of the next one it is zero."""
        assert self._state is not None
        assert acted.state is not None
        fragment.add_state(self._state, acted.state, self._starts)
        ended = step.terminated | step.truncated
        # In NEXT_STEP mode the step after an end only resets: the episode starts behind it.
        self._starts = ~step.valid | (ended & ~self.envs.resets_next)
        self._state = acted.state.masked_fill(torch.from_numpy(self._starts)[..., None], 0.0)

    def _normalise(self, normaliser: RunningNormaliser, fragment: _Fragment, t: int, step: Step) -> None:
        """Learn statistics from what happened and hand out scaled values; a final observation, on which
        nothing is decided, is scaled but not learned from."""
        self._obs = normaliser.observe(step.obs, ~self.envs.resets_next)
        reward = normaliser.reward(step.reward, step.terminated, step.truncated, step.valid)
        if self._keep_raw:
            return
        moved_on = step.next_obs is not step.obs
        fragment.add_normalised(reward, t, normaliser.normalise(step.next_obs) if moved_on else None)

    def state_dict(self) -> dict[str, Any]:
        return {
            "envs": self.envs.get_state(),
            "times_restored": self._times_restored,
            "obs": self._obs,
            "raw": self._raw,
            "state": self._state,
            "starts": self._starts,
            "episodes": self.episodes.state_dict(),
            "generators": [own.get_state() for own in self.generators],
            "normaliser": None if self.normaliser is None else self.normaliser.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Where the environments' state could not be saved, fresh episodes start; all else is restored."""
        for own, saved in zip(self.generators, state["generators"], strict=True):
            own.set_state(saved)
        self.episodes.load_state_dict(state["episodes"])
        if self.normaliser is not None:
            self.normaliser.load_state_dict(state["normaliser"])
        self._times_restored = int(state["times_restored"])
        if state["envs"] is not None:
            self.envs.set_state(state["envs"])
            self._obs, self._raw = np.array(state["obs"]), np.array(state["raw"])
            self._state, self._starts = state["state"], np.array(state["starts"])
            return
        log.warning("the state of %s can't be saved: fresh episodes start from here", self.envs.name)
        self.episodes.drop_open_episodes()
        if self.normaliser is not None:
            self.normaliser.restart_returns()
        self._times_restored += 1
        self._start_episodes(self.envs.reset_fresh(self._times_restored))


class _Fragment:
    """The columns while they fill. One observation more than steps: the last is the next of the last row."""

    def __init__(self, n_steps: int, first_obs: NDArray[Any]) -> None:
        self.obs = np.empty((n_steps + 1, *first_obs.shape), first_obs.dtype)
        self.obs_tensor = torch.from_numpy(self.obs)
        lead = (n_steps, *first_obs.shape[:2])
        self._reward, self._score = np.empty(lead, np.float32), np.empty(lead, np.float32)
        self._scaled: list[NDArray[np.float32]] = []
        self._terminated, self._truncated, self._valid = (np.empty(lead, np.bool_) for _ in range(3))
        self._acted: list[list[Tensor]] = []
        self._states: list[tuple[Tensor, Tensor, Tensor]] = []
        # Steps whose true next observation isn't what the policy acts on next (SAME_STEP, DISABLED).
        self._true_next: dict[int, NDArray[Any]] = {}

    def add(self, t: int, acted: Acted, step: Step) -> None:
        self._acted.append([acted.action, *acted.columns])
        self._reward[t], self._score[t] = step.reward, step.score
        self._terminated[t], self._truncated[t], self._valid[t] = step.terminated, step.truncated, step.valid
        if step.next_obs is not step.obs:
            self._true_next[t] = step.next_obs

    def add_state(self, state: Tensor, next_state: Tensor, starts: NDArray[np.bool_]) -> None:
        self._states.append((state, next_state, torch.from_numpy(starts)))

    def add_normalised(self, reward: NDArray[np.float32], t: int, true_next_obs: NDArray[Any] | None) -> None:
        self._scaled.append(reward)
        if true_next_obs is not None:
            self._true_next[t] = true_next_obs

    def n_transitions(self) -> int:
        """Steps of all seeds that were more than a reset."""
        return int(self._valid.sum())

    def episode_columns(self) -> tuple[NDArray[Any], ...]:
        """score, terminated, truncated, valid: [T, S, N]."""
        return self._score, self._terminated, self._truncated, self._valid

    def batch(self, names: Sequence[str]) -> SampleBatch:
        next_obs = self.obs[1:]
        if self._true_next:
            next_obs = next_obs.copy()
            for t, true_next in self._true_next.items():
                next_obs[t] = true_next
        acted = [torch.stack(column) for column in zip(*self._acted, strict=True)]
        columns = {
            "obs": self.obs_tensor[:-1],
            "next_obs": next_obs,
            **dict(zip(("action", *names), acted, strict=True)),
            "reward": np.stack(self._scaled) if self._scaled else self._reward,
            "terminated": self._terminated,
            "truncated": self._truncated,
            "valid": self._valid,
        }
        if self._states:
            states = (torch.stack(column) for column in zip(*self._states, strict=True))
            columns |= dict(zip(("state", "next_state", "start"), states, strict=True))
        return SampleBatch(columns, FRAGMENT_AXES)
