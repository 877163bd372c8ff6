"""One PettingZoo environment of either API, stepped in the same way: who acts, and what each learns of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tuneexp.envs.env_faults import fault, raised
from tuneexp.errors import EnvironmentFault


class Turn(NamedTuple):
    """What one agent is told once it may act again, or never will.

    `reward` is what it gained since it acted last, out of turn too; `obs` the true observation after that: at the end
    of its episode the final one."""

    agent: str
    obs: Any
    reward: float
    terminated: bool
    truncated: bool


class Driver(ABC):
    """`to_act`: agent -> observation of everybody who acts next. An episode that ends is followed by the next one in
    the same step. Each episode is reset with a seed of its own, drawn from `episode_seeds`, so that what happens
    depends on (seed, index) also where an environment shares randomness or forgets it at a reset.

    An environment that has `get_state()` (a tree of arrays, numbers and texts) and `set_state(state)` is saved
    exactly; PettingZoo itself has no such thing."""

    def __init__(self, env: Any, name: str, who: str, episode_seeds: np.random.Generator) -> None:
        self._env, self._name, self._who, self._episode_seeds = env, name, who, episode_seeds
        self.to_act: dict[str, Any] = {}

    def reset(self, episode_seeds: np.random.Generator | None = None) -> None:
        """Start an episode; with `episode_seeds` another sequence of them."""
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
        """actions: of everybody in `to_act`. Returns what agents were told, and whether the episode ended."""
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
        return fault(self._name, self._who if agent is None else f"{self._who}, agent {agent}", reason)

    @abstractmethod
    def _start(self, seed: int) -> dict[str, Any]:
        """Reset; who acts first."""

    @abstractmethod
    def _step(self, actions: Mapping[str, Any]) -> tuple[list[Turn], dict[str, Any]]:
        """What agents were told, and who acts next: nobody at an episode's end."""

    def get_state(self) -> dict[str, Any] | None:
        """None where the environment can't be saved."""
        # Of its own class: a wrapper hands on the method of what it wraps, and has a state that this wouldn't hold.
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
    """Everybody who is there acts at once."""

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
                raise self.fault("it left without a termination or truncation", agent)
            present -= {agent} if terminated or truncated else set()
            seen = obs.get(agent)
            if seen is None:
                if not terminated and agent in actions:
                    raise self.fault("step gave no observation of it", agent)
                seen = self.to_act.get(agent)  # stands in: nothing is asked of it behind a termination
            turns.append(Turn(agent, seen, float(rewards.get(agent, 0.0)), terminated, truncated))
        return turns, {agent: obs[agent] for agent in self._env.agents if agent in present}


class TurnBasedDriver(Driver):
    """One agent after another (AEC). A step is one action of one agent; agents that have ended are told in between."""

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
