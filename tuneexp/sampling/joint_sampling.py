"""Sampling of several policies from the same environments, each on its own seats."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from tuneexp.data.multi_agent_batch import MultiAgentBatch
from tuneexp.envs.episode_stats import EpisodeTracker
from tuneexp.envs.multi_agent.envs import MultiAgentEnvs
from tuneexp.envs.multi_agent.policy_spaces import PolicyStep
from tuneexp.sampling.seat_runner import SeatRunner

log = logging.getLogger(__name__)


class JointRunner:
    """Env runner of several policies in the same environments.

    Attributes:
        env_steps: environment steps per seed.
        transitions: rows of all seeds and policies.
        episodes: policy -> returns and lengths of its agents' episodes.

    Args:
        envs: N environments per seed.
        runners: of the policies that are not scripted, by name.
    """

    def __init__(self, envs: MultiAgentEnvs, runners: Mapping[str, SeatRunner]) -> None:
        self.envs, self.runners = envs, dict(runners)
        self.episodes = {name: EpisodeTracker(of.n_seeds, of.n_envs) for name, of in envs.spaces.items()}
        self._before_acting = {name: np.zeros(of.lead, np.float32) for name, of in envs.spaces.items()}
        self.env_steps, self.transitions, self._times_restored = 0, 0, 0
        first = envs.reset()
        for name, runner in self.runners.items():
            runner.start(first[name])

    def sample(self, n_steps: int) -> MultiAgentBatch:
        """Step every environment `n_steps` times. Returns fragments of the policies whose rollout is complete."""
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
        complete = {name: taken for name, runner in self.runners.items() if (taken := runner.take()) is not None}
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

    def load_state_dict(self, state: Mapping[str, Any]) -> bool:
        """Restore the state. New episodes start if the state of the environments was not saved.

        Returns:
            True if the environments continue their episodes.
        """
        self._times_restored = int(state["times_restored"])
        fresh = None
        if state["envs"] is not None:
            self.envs.set_state(state["envs"])
        else:
            if not state.get("branched"):  # a copy of another trial
                log.warning("the state of %s can't be saved: new episodes start", self.envs.name)
            self._times_restored += 1
            fresh = self.envs.reset(self._times_restored)
        for name, runner in self.runners.items():
            runner.load_state_dict(state["policies"][name], None if fresh is None else fresh[name])
        for name, tracker in self.episodes.items():
            tracker.load_state_dict(state["episodes"][name])
            self._before_acting[name][:] = state["before_acting"][name] if fresh is None else 0.0
            if fresh is not None:
                tracker.drop_open_episodes()
        return fresh is None
