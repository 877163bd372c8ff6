"""One interface for both PettingZoo APIs, parallel and turn-based (AEC)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tuneexp.envs.env_faults import fault, raised
from tuneexp.errors import EnvironmentFault


class Turn(NamedTuple):
    """Result of an agent's last action, available when it may act again or has ended.

    Args:
        agent: its name.
        obs: the true next observation; the final one at the end of its episode.
        reward: sum since its last action, with rewards that it got during the turns of others.
        terminated: its episode was terminated.
        truncated: its episode was truncated.
    """

    agent: str
    obs: Any
    reward: float
    terminated: bool
    truncated: bool


class Driver(ABC):
    """One environment, which resets itself in the step that ends an episode.

    Each episode is reset with its own seed, drawn from `episode_seeds`. So episodes depend on (seed, index) only, even
    if an environment loses its generator at a reset. PettingZoo can't save environments. One with `get_state()` (a tree
    of arrays, numbers and texts) and `set_state(state)` is saved exactly.

    Args:
        env: a PettingZoo environment.
        name: of the environment, for messages.
        who: seed and index, for messages.
        episode_seeds: generator of the seeds of episodes.

    Attributes:
        to_act: observations of the agents that act next, by agent.
    """

    def __init__(self, env: Any, name: str, who: str, episode_seeds: np.random.Generator) -> None:
        self._env, self._name, self._who, self._episode_seeds = env, name, who, episode_seeds
        self.to_act: dict[str, Any] = {}

    def reset(self, episode_seeds: np.random.Generator | None = None) -> None:
        """Start an episode. episode_seeds: another generator of seeds; None: the present one."""
        self._episode_seeds = episode_seeds or self._episode_seeds
        try:
            self.to_act = self._start(int(self._episode_seeds.integers(2**31)))
        except EnvironmentFault:
            raise
        except BaseException as error:
            raise raised(self._name, self._who, "reset", error) from error
        if not self.to_act:
            raise self.fault("reset left no agent that could act")

    def step(self, actions: Mapping[str, Any]) -> tuple[list[Turn], bool]:
        """Step the environment.

        Args:
            actions: of all agents in `to_act`.

        Returns:
            Results of earlier actions that are now complete, and True if the episode ended.

        Raises:
            EnvironmentFault: the environment failed, or broke the rules of PettingZoo.
        """
        try:
            turns, self.to_act = self._step(actions)
        except EnvironmentFault:
            raise
        except BaseException as error:
            whose = f"{self._who}, agent {', '.join(actions)}"
            raise raised(self._name, whose, "step", error) from error
        over = not self.to_act
        if over:
            self.reset()
        return turns, over

    def fault(self, reason: str, agent: str | None = None) -> EnvironmentFault:
        """Return an error of this environment, or of one of its agents."""
        return fault(self._name, self._who if agent is None else f"{self._who}, agent {agent}", reason)

    @abstractmethod
    def _start(self, seed: int) -> dict[str, Any]:
        """Reset the environment. Returns the observations of the agents that act first."""

    @abstractmethod
    def _step(self, actions: Mapping[str, Any]) -> tuple[list[Turn], dict[str, Any]]:
        """Step the environment. Returns complete results, and observations of the agents that act next."""

    def get_state(self) -> dict[str, Any] | None:
        """Return the state, or None if the environment can't be saved."""
        # Methods of the class itself: a wrapper forwards those of its environment, without the wrapper's own state.
        if not (hasattr(type(self._env), "get_state") and hasattr(type(self._env), "set_state")):
            return None
        return {
            "env": self._env.get_state(),
            "to_act": dict(self.to_act),
            "episode_seeds": dict(self._episode_seeds.bit_generator.state),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.reset()
        self._env.set_state(state["env"])
        self.to_act = dict(state["to_act"])
        self._episode_seeds.bit_generator.state = state["episode_seeds"]

    def close(self) -> None:
        self._env.close()


class ParallelDriver(Driver):
    """Environment of the parallel API: all present agents act at the same time."""

    def _start(self, seed: int) -> dict[str, Any]:
        obs, _ = self._env.reset(seed=seed)
        return {agent: obs[agent] for agent in self._env.agents}

    def _step(self, actions: Mapping[str, Any]) -> tuple[list[Turn], dict[str, Any]]:
        obs, rewards, terminations, truncations, _ = self._env.step(dict(actions))
        present = set(self._env.agents)
        turns = []
        for agent in dict.fromkeys([*actions, *rewards]):
            terminated, truncated = bool(terminations.get(agent, False)), bool(truncations.get(agent, False))
            if agent not in present and not (terminated or truncated):
                raise self.fault("it was removed without a termination or truncation", agent)
            present -= {agent} if terminated or truncated else set()
            seen = obs.get(agent)
            if seen is None:
                if not terminated and agent in actions:
                    raise self.fault("step returned no observation of it", agent)
                seen = self.to_act.get(agent)  # placeholder: it is not used after a termination
            turns.append(Turn(agent, seen, float(rewards.get(agent, 0.0)), terminated, truncated))
        return turns, {agent: obs[agent] for agent in self._env.agents if agent in present}


class TurnBasedDriver(Driver):
    """Environment of the AEC API. A step is one action of one agent; agents that have ended are removed in between."""

    def _start(self, seed: int) -> dict[str, Any]:
        self._env.reset(seed=seed)
        return self._until_someone_acts()[1]

    def _step(self, actions: Mapping[str, Any]) -> tuple[list[Turn], dict[str, Any]]:
        (action,) = actions.values()
        self._env.step(action)
        return self._until_someone_acts()

    def _until_someone_acts(self) -> tuple[list[Turn], dict[str, Any]]:
        turns: list[Turn] = []
        while self._env.agents:
            agent = self._env.agent_selection
            obs, reward, terminated, truncated, _ = self._env.last()
            turns.append(Turn(agent, obs, float(reward), bool(terminated), bool(truncated)))
            if not (terminated or truncated):
                return turns, {agent: obs}
            if len(turns) > len(self._env.possible_agents):
                raise self.fault("it has ended and is selected again and again", agent)
            self._env.step(None)
        return turns, {}
