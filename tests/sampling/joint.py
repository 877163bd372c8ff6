"""Joint sampling without networks: actions are a function of the observation, so every row can be predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuneexp.envs.env_rng import env_seed
from tuneexp.envs.multi_agent.envs import MultiAgentEnvs
from tuneexp.envs.multi_agent.multi_agent_factory import MultiAgentEnvFactory
from tuneexp.sampling.joint_sampling import JointRunner
from tuneexp.sampling.policy import Acted
from tuneexp.sampling.seat_fragment import SeatFragment
from tuneexp.sampling.seat_runner import SeatRunner

Row = tuple[float, int, float, float, bool, bool]  # obs, action, reward, next obs, terminated, truncated


def chosen(obs: float) -> int:
    return int(obs * 7) % 3


class Reflex:
    """Stand-in for a `Policy`: the action is the first number of the observation. With `memory`, its state counts its
    steps."""

    column_names = ["extra"]

    def __init__(self, memory: bool = False) -> None:
        self.memory = memory

    def initial_state(self, seats: int) -> Tensor | None:
        return torch.zeros(2, seats, 1) if self.memory else None

    def draw_noise(self, n_steps: int, generators: Any) -> list[Tensor]:
        return []

    def by_step(self, columns: list[Tensor], n_steps: int) -> list[list[Tensor]]:
        return [[]] * n_steps

    def explore(self, obs: Tensor, state: Tensor | None, noise: Any) -> Acted:
        action = (obs[..., 0] * 7).long() % 3
        return Acted(action, None if state is None else state + 1.0, [obs[..., 0] + 0.5])


def joint_runner(
    env: Any, mapping: Mapping[str, str], n_steps: Mapping[str, int], seeds: Sequence[int] = (3, 4), n_envs: int = 2,
    memory: bool = False,
) -> JointRunner:  # fmt: skip
    """n_steps: policy -> steps of its rollout."""
    factory = MultiAgentEnvFactory("test", env)
    envs = MultiAgentEnvs(factory, factory.agents(), [mapping] * n_envs, list(n_steps), seeds)
    runners = {}
    for name, steps in n_steps.items():
        fragment = SeatFragment(steps, *envs.spaces[name].lead)
        policy: Any = Reflex(memory)
        runners[name] = SeatRunner(envs.spaces[name], policy, seeds, fragment=fragment)
    return JointRunner(envs, runners)


def rows_of(runner: JointRunner, unit: int, times: int) -> dict[tuple[str, int, int], list[Row]]:
    """(agent, seed number, index) -> rows of `times` samplings of `unit` steps."""
    rows: dict[tuple[str, int, int], list[Row]] = {}
    for _ in range(times):
        for policy, fragment in runner.sample(unit).items():
            columns = fragment.numpy()
            for seat, (index, agent) in enumerate(runner.envs.spaces[policy].seats):
                for seed in range(len(runner.envs.seeds)):
                    valid = columns["valid"][:, seed, seat]
                    assert (valid[:-1] >= valid[1:]).all(), "rows are not compacted"
                    assert np.allclose(columns["extra"][valid, seed, seat], columns["obs"][valid, seed, seat, 0] + 0.5)
                    own = rows.setdefault((agent, seed, index), [])
                    for t in valid.nonzero()[0]:
                        at = (t, seed, seat)
                        own.append(
                            (
                                float(columns["obs"][*at, 0]), int(columns["action"][at]), float(columns["reward"][at]),
                                float(columns["next_obs"][*at, 0]), bool(columns["terminated"][at]),
                                bool(columns["truncated"][at]),
                            )
                        )  # fmt: skip
    return rows


class Reference:
    """Transitions of one environment by agent, over its first steps, from PettingZoo's own loops."""

    def __init__(self, env: Any, seed: int, index: int) -> None:
        self.env, self.random = env, np.random.default_rng(env_seed(seed, index))
        self.rows: dict[str, list[Row]] = {agent: [] for agent in env.possible_agents}
        self.open: dict[str, tuple[float, int]] = {}

    def _seed(self) -> int:
        return int(self.random.integers(2**31))

    def close(self, agent: str, reward: float, obs: Any, terminated: bool, truncated: bool) -> None:
        if agent in self.open:
            seen, action = self.open.pop(agent)
            self.rows[agent].append((seen, action, float(reward), float(obs[0]), bool(terminated), bool(truncated)))

    def turn_based(self, n_steps: int) -> dict[str, list[Row]]:
        steps = 0
        self.env.reset(seed=self._seed())
        while True:
            for agent in self.env.agent_iter():
                obs, reward, terminated, truncated, _ = self.env.last()
                self.close(agent, reward, obs, terminated, truncated)
                if terminated or truncated:
                    self.env.step(None)
                elif steps == n_steps:
                    return self.rows
                else:
                    self.open[agent] = (float(obs[0]), chosen(float(obs[0])))
                    self.env.step(chosen(float(obs[0])))
                    steps += 1
            self.env.reset(seed=self._seed())

    def parallel(self, n_steps: int) -> dict[str, list[Row]]:
        seen, _ = self.env.reset(seed=self._seed())
        for _ in range(n_steps):
            self.open = {a: (float(seen[a][0]), chosen(float(seen[a][0]))) for a in self.env.agents}
            seen, rewards, terminated, truncated, _ = self.env.step({a: action for a, (_, action) in self.open.items()})
            for agent in list(self.open):
                self.close(agent, rewards[agent], seen[agent], terminated[agent], truncated[agent])
            if not self.env.agents:
                seen, _ = self.env.reset(seed=self._seed())
        return self.rows
