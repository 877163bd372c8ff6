"""Small deterministic PettingZoo environments that can save their state."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from pettingzoo import AECEnv, ParallelEnv

Obs = np.ndarray
SPACE = Box(-1000.0, 1000.0, (2,), np.float32)


class Savable:
    """Saves and restores the attributes in `kept`: numbers, lists and dictionaries."""

    kept: tuple[str, ...] = ()

    def get_state(self) -> dict[str, Any]:
        return {name: _copied(getattr(self, name)) for name in self.kept}

    def set_state(self, state: dict[str, Any]) -> None:
        for name in self.kept:
            setattr(self, name, _copied(state[name]))


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list) else value


class Differ(Savable, ParallelEnv):
    """Two agents with equal observations; both get 1 if the first chooses 0 and the second 1, else 0.

    Truncated after five steps. One shared deterministic policy always gets 0."""

    metadata = {"name": "differ"}
    kept = ("agents", "steps")

    def __init__(self, length: int = 5) -> None:
        self.possible_agents, self.length = ["red", "blue"], length
        self.agents: list[str] = []

    def observation_space(self, agent: str) -> Box:
        return SPACE

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Obs], dict[str, Any]]:
        self.agents, self.steps = list(self.possible_agents), 0
        return self._seen(), {agent: {} for agent in self.agents}

    def _seen(self) -> dict[str, Obs]:
        return {agent: np.array([1.0, self.steps / 10], np.float32) for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        self.steps += 1
        reward = float(actions["red"] == 0 and actions["blue"] == 1)
        over = self.steps >= self.length
        gave = (
            self._seen(), dict.fromkeys(self.agents, reward), dict.fromkeys(self.agents, False),
            dict.fromkeys(self.agents, over), {agent: {} for agent in self.agents},
        )  # fmt: skip
        self.agents = [] if over else self.agents
        return gave


class ComingAndGoing(Savable, ParallelEnv):
    """`stays` is there for 6 steps and truncated, `leaves` is terminated in step 1 to 4 at random, `comes` enters after
    step 2.

    An agent observes (a number that never repeats in an environment, its previous action)."""

    metadata = {"name": "coming_and_going"}
    kept = ("agents", "steps", "number", "end", "last")

    def __init__(self) -> None:
        self.possible_agents = ["stays", "leaves", "comes"]
        self.agents: list[str] = []
        self.number = 0

    def observation_space(self, agent: str) -> Box:
        return SPACE

    def action_space(self, agent: str) -> Discrete:
        return Discrete(3)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Obs], dict[str, Any]]:
        self.agents, self.steps = ["stays", "leaves"], 0
        self.end = int(np.random.default_rng(seed).integers(1, 5))
        self.last = dict.fromkeys(self.possible_agents, 0)
        return {agent: self._seen(agent) for agent in self.agents}, {agent: {} for agent in self.agents}

    def _seen(self, agent: str) -> Obs:
        self.number += 1
        return np.array([self.number % 997, self.last[agent]], np.float32)

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        assert set(actions) == set(self.agents)
        self.steps += 1
        self.last.update({agent: int(action) for agent, action in actions.items()})
        acted = list(self.agents)
        rewards = {agent: 10.0 * self.steps + int(actions[agent]) for agent in acted}
        terminations = {agent: agent == "leaves" and self.steps >= self.end for agent in acted}
        truncations = dict.fromkeys(acted, self.steps >= 6)
        obs = {agent: self._seen(agent) for agent in acted}
        self.agents = [agent for agent in acted if not (terminations[agent] or truncations[agent])]
        if self.steps == 2:
            self.agents.append("comes")
            obs["comes"] = self._seen("comes")
        return obs, rewards, terminations, truncations, {agent: {} for agent in obs}


class OutOfTurn(Savable, AECEnv):
    """Three agents in turn. An action of agent i gives the others 1 + action, and itself -1.

    So most rewards of an agent arrive during the turns of others. `third` is terminated after its second turn; the
    others are truncated after 9 actions."""

    metadata = {"name": "out_of_turn"}
    kept = (
        "agents", "turn", "acted", "number", "rewards", "_cumulative_rewards", "terminations", "truncations", "infos",
        "agent_selection",
    )  # fmt: skip

    def __init__(self) -> None:
        self.possible_agents = ["first", "second", "third"]
        self.agents: list[str] = []
        self.number = 0

    def observation_space(self, agent: str) -> Box:
        return SPACE

    def action_space(self, agent: str) -> Discrete:
        return Discrete(3)

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        self.agents = list(self.possible_agents)
        self.rewards, self._cumulative_rewards = (dict.fromkeys(self.agents, 0.0) for _ in range(2))
        self.terminations, self.truncations = (dict.fromkeys(self.agents, False) for _ in range(2))
        self.infos: dict[str, Any] = {agent: {} for agent in self.agents}
        self.turn, self.acted, self.agent_selection = 0, dict.fromkeys(self.agents, 0), "first"
        self.number += 1

    def observe(self, agent: str) -> Obs:
        return np.array([(self.number * 31 + self.turn) % 997, self.acted[agent]], np.float32)

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        order = list(self.agents)
        self._cumulative_rewards[agent] = 0.0
        self.rewards = {other: -1.0 if other == agent else 1.0 + int(action) for other in self.agents}
        self.turn += 1
        self.acted[agent] += 1
        if agent == "third" and self.acted[agent] == 2:
            self.terminations[agent] = True
        if self.turn == 9:
            self.truncations = {other: not self.terminations[other] for other in self.agents}
        living = [other for other in order if not self.terminations[other]]
        later = order[order.index(agent) + 1 :] + order
        self.agent_selection = next(other for other in later if other in living)
        self._accumulate_rewards()
        self._deads_step_first()
