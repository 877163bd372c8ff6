"""Several policies sample from the same environments, each on seats of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.data.multi_agent_batch import MultiAgentBatch
from tuneexp.data.sample_batch import SampleBatch
from tuneexp.envs.episode_stats import EpisodeTracker
from tuneexp.envs.multi_agent.envs import MultiAgentEnvs, PolicySpaces, PolicyStep
from tuneexp.envs.normalise import DiscountedReturns, Learned, RunningNormaliser, moments_of
from tuneexp.errors import UserError
from tuneexp.learning.rng_streams import generator
from tuneexp.learning.user_functions import name_of
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.seats import SeatFragment

log = logging.getLogger(__name__)

RAW = "raw_obs"
"""What the environment gave, beside what the policy saw: statistics learn from it."""


class SeatRunner:
    """Acts for one policy on its seats, collects the rows, and is the group from which its training step samples.

    An agent's transition is open from when it acts until it may act again or has ended; what is open at a fragment's
    end goes into the next one. fragment: None for a policy that isn't trained: its statistics are frozen, too.
    seeds: of its noise, one a seed of the trial."""

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

    @property
    def fragment_steps(self) -> int:
        """Steps that the rollout under way has."""
        return 0 if self.fragment is None else self.fragment.steps

    def start(self, step: PolicyStep) -> None:
        """All environments are at the start of an episode."""
        self._state = self.policy.initial_state(self._n_seats)
        self._starts = torch.ones(step.acting.shape, dtype=torch.bool)
        self._open = {}
        self._see(step)

    def _see(self, step: PolicyStep) -> None:
        self._raw, self._acting = step.obs, step.acting

    def _seen(self, raw: NDArray[Any]) -> NDArray[Any]:
        return raw if self.normaliser is None else self.normaliser.normalise(raw)

    def act(self, noise: list[Tensor]) -> NDArray[Any]:
        """Actions [S, L, ...]; noise: of one step, from `Policy.draw_noise`. They open transitions where it acts."""
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
        """What came of it: complete transitions become rows."""
        self._see(step)
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
        """The fragment, where it is complete. Statistics move here, between fragments, and rewards are scaled by what
        they are then, as a group of runners has it."""
        if self.fragment is None or not self.fragment.complete:
            return None
        batch = self.fragment.take()
        if self.normaliser is None:
            return batch
        valid, reward = batch["valid"].numpy(), batch["reward"].numpy()
        discounted = None
        if self.normaliser.norm_reward:
            ended = batch["terminated"].numpy(), batch["truncated"].numpy()
            discounted = moments_of(self._returns.follow(reward, *ended, valid), valid)
        self.normaliser.learn(Learned(self.normaliser.moments(batch[RAW].numpy(), valid), discounted))
        batch = batch.drop(RAW)
        if self._keep_raw:
            return batch
        scaled = self.normaliser.scale_rewards(reward.swapaxes(0, 1))
        return batch.with_columns({"reward": torch.from_numpy(scaled).transpose(0, 1)})

    def offer(self, fragment: SampleBatch) -> None:
        """Hand out `fragment`, from `take`, at the next `sample`."""
        self._offered = fragment

    def sample(self, n_steps: int) -> SampleBatch:
        """The fragment of this rollout, columns [T, S, L, ...]. `UserError` for another length, or a second one."""
        fragment, self._offered = self._offered, None
        if fragment is None or fragment.size("time") != n_steps:
            left = "none is left" if fragment is None else f"{fragment.size('time')} were collected"
            raise UserError(
                f"policy {self.name!r}: its training step asks for {n_steps} steps and {left}\n"
                "beside other policies it samples once, as many steps as rollout_env_steps() / n_envs"
            )
        return fragment

    def require_sampled(self, training_step: Callable[..., None]) -> None:
        """Raises `UserError` where `training_step` left the fragment that it was offered."""
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
        """fresh: where the environments start anew, what is seen there: open transitions are given up."""
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


class JointRunner:
    """All policies in the same environments. `env_steps`: per seed; `transitions`: of all seeds and policies.

    runners: of policies that aren't scripted. `episodes`: policy -> statistics of its agents' episodes."""

    def __init__(self, envs: MultiAgentEnvs, runners: Mapping[str, SeatRunner]) -> None:
        self.envs, self.runners = envs, dict(runners)
        self.episodes = {name: EpisodeTracker(of.n_seeds, of.n_envs) for name, of in envs.spaces.items()}
        self._before_acting = {name: np.zeros(of.lead, np.float32) for name, of in envs.spaces.items()}
        self.env_steps, self.transitions, self._times_restored = 0, 0, 0
        first = envs.reset()
        for name, runner in self.runners.items():
            runner.start(first[name])

    def sample(self, n_steps: int) -> MultiAgentBatch:
        """`n_steps` steps in every environment. Returns the fragments of the policies whose rollout is complete."""
        noise = {
            name: runner.policy.by_step(runner.policy.draw_noise(n_steps, runner.generators), n_steps)
            for name, runner in self.runners.items()
        }
        for t in range(n_steps):
            steps, _ = self.envs.step({name: runner.act(noise[name][t]) for name, runner in self.runners.items()})
            for name, step in steps.items():
                self._count(name, step)
                if name in self.runners:
                    self.runners[name].add(step)
        self.env_steps += n_steps * self.envs.n_envs
        taken = {name: runner.take() for name, runner in self.runners.items()}
        complete = {name: fragment for name, fragment in taken.items() if fragment is not None}
        return MultiAgentBatch(complete, n_steps * self.envs.n_envs)

    def _count(self, name: str, step: PolicyStep) -> None:
        self.transitions += int(step.valid.sum())
        waiting = self._before_acting[name]
        waiting += step.score
        counts = step.valid | step.ended
        self.episodes[name].update(waiting, step.ended, np.zeros_like(step.ended), counts)
        waiting[counts] = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {
            "envs": self.envs.get_state(),
            "times_restored": self._times_restored,
            "policies": {name: runner.state_dict() for name, runner in self.runners.items()},
            "episodes": {name: tracker.state_dict() for name, tracker in self.episodes.items()},
            "before_acting": dict(self._before_acting),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Where the environments' state could not be saved, fresh episodes start; all else is restored."""
        self._times_restored = int(state["times_restored"])
        fresh = None
        if state["envs"] is not None:
            self.envs.set_state(state["envs"])
        else:
            log.warning("the state of %s can't be saved: fresh episodes start from here", self.envs.name)
            self._times_restored += 1
            fresh = self.envs.reset(self._times_restored)
        for name, runner in self.runners.items():
            runner.load_state_dict(state["policies"][name], None if fresh is None else fresh[name])
        for name, tracker in self.episodes.items():
            tracker.load_state_dict(state["episodes"][name])
            self._before_acting[name][:] = state["before_acting"][name] if fresh is None else 0.0
            if fresh is not None:
                tracker.drop_open_episodes()

    def close(self) -> None:
        self.envs.close()


def _where(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    """mask: [S, L]; the others [S, L, ...]."""
    return torch.where(mask.view(*mask.shape, *(1,) * (chosen.dim() - 2)), chosen, other)
