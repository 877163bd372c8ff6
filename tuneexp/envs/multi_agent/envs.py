"""S x N multi-agent environments as arrays [S, L, ...]. A seat is an agent of a policy in an environment."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneexp.envs.env_faults import raised
from tuneexp.envs.env_rng import env_seed, env_seeds
from tuneexp.envs.multi_agent.drivers import Driver, Turn
from tuneexp.envs.multi_agent.multi_agent_factory import MultiAgentEnvFactory, Spaces
from tuneexp.envs.multi_agent.policy_spaces import PolicyStep, policy_spaces
from tuneexp.errors import CheckpointError, UserError

# A scripted policy: observation of the environment, generator of (seed, index) -> action.
Scripted = Callable[[Any, np.random.Generator], Any]


class MultiAgentEnvs:
    """N environments for each of S seeds. The randomness of environment i of seed s depends on (s, i) only.

    Args:
        factory: makes the environments.
        agents: spaces by agent.
        assignment: for each environment index, agent -> policy.
        policies: names of all policies.
        seeds: of the trial.
        scripted: functions of the policies that are not acted for by `step`.
        exact: policies that keep float64 observations, as they are normalised.

    Attributes:
        spaces: policy -> its seats and spaces.

    Raises:
        UserError: a policy has no seat, or its agents have different spaces.
    """

    def __init__(
        self,
        factory: MultiAgentEnvFactory,
        agents: Mapping[str, Spaces],
        assignment: Sequence[Mapping[str, str]],
        policies: Sequence[str],
        seeds: Sequence[int],
        scripted: Mapping[str, Scripted] | None = None,
        exact: Collection[str] = (),
    ) -> None:
        self.name, self.seeds, self.n_envs = factory.name, [int(seed) for seed in seeds], len(assignment)
        self.spaces = policy_spaces(factory.name, agents, assignment, policies, seeds, exact)
        self._seat = {
            key: (name, seat) for name, spaces in self.spaces.items() for seat, key in enumerate(spaces.seats)
        }
        self._scripted = dict(scripted or {})
        self._acted = {name: np.zeros(spaces.lead, np.bool_) for name, spaces in self.spaces.items()}
        self._drivers: list[list[Driver]] = []
        self._random = self._generators(0)
        for seed in self.seeds:
            self._drivers.append([])
            for index in range(self.n_envs):
                who = f"seed {seed}, index {index}"
                self._drivers[-1].append(factory.driver(who, self._episode_seeds(seed, index, 0)))

    def _episode_seeds(self, seed: int, index: int, restored: int) -> np.random.Generator:
        return np.random.default_rng(env_seed(seed, index, restored))

    def _generators(self, restored: int) -> dict[str, list[list[np.random.Generator]]]:
        """Return generators of the scripted policies, one per environment, separate from the environment's own."""

        def own(seed: int) -> list[int]:
            return env_seeds([seed], range(self.n_envs), restored)

        return {
            name: [
                [np.random.default_rng((number, zlib.crc32(name.encode()))) for number in own(seed)]
                for seed in self.seeds
            ]
            for name in self._scripted
        }

    def _each(self) -> Iterator[tuple[int, int, Driver]]:
        for seed, drivers in enumerate(self._drivers):
            for index, driver in enumerate(drivers):
                yield seed, index, driver

    def reset(self, times_restored: int = 0) -> dict[str, PolicyStep]:
        """Start a new episode in every environment.

        Args:
            times_restored: number of restores; each starts other random sequences.

        Returns:
            A step of each policy with `obs` and `acting`; its other fields are empty.
        """
        self._random = self._generators(times_restored)
        for seed, index, driver in self._each():
            driver.reset(self._episode_seeds(self.seeds[seed], index, times_restored))
        for acted in self._acted.values():
            acted[:] = False
        return self._seen_next(self._blank())

    def step(self, actions: Mapping[str, NDArray[Any]]) -> tuple[dict[str, PolicyStep], NDArray[np.bool_]]:
        """Step all environments.

        Args:
            actions: [S, L, ...] of each policy that is not scripted. Those of seats that are not acting are ignored.

        Returns:
            The results for each policy, and [S, N] bool, the environments whose episode ended. They are reset already.
        """
        sent = {name: self.spaces[name].converted(action) for name, action in actions.items()}
        steps, over = self._blank(), np.zeros((len(self.seeds), self.n_envs), np.bool_)
        for seed, index, driver in self._each():
            joint = {agent: self._action(sent, seed, index, agent, obs) for agent, obs in driver.to_act.items()}
            turns, over[seed, index] = driver.step(joint)
            for turn in turns:
                self._record(steps, seed, index, turn, driver)
            if over[seed, index]:
                self._require_no_open_transition(seed, index, driver)
        return self._seen_next(steps), over

    def _blank(self) -> dict[str, PolicyStep]:
        return {name: spaces.nothing_yet() for name, spaces in self.spaces.items()}

    def _action(self, sent: Mapping[str, NDArray[Any]], seed: int, index: int, agent: str, obs: Any) -> Any:
        policy, seat = self._seat_of(index, agent)
        self._acted[policy][seed, seat] = True
        if policy in self._scripted:
            try:
                return self._scripted[policy](obs, self._random[policy][seed][index])
            except BaseException as error:
                who = f"seed {self.seeds[seed]}, index {index}, agent {agent}"
                raise raised(self.name, who, f"the scripted policy {policy!r}", error) from error
        action = sent[policy][seed, seat]
        return action.item() if action.ndim == 0 else action

    def _seat_of(self, index: int, agent: str) -> tuple[str, int]:
        seat = self._seat.get((index, agent))
        if seat is None:
            raise UserError(f"environment {self.name}: agent {agent!r} is none of its possible_agents; name it there")
        return seat

    def _record(self, steps: Mapping[str, PolicyStep], seed: int, index: int, turn: Turn, driver: Driver) -> None:
        policy, seat = self._seat_of(index, turn.agent)
        step, at = steps[policy], (seed, seat)
        if not math.isfinite(turn.reward):
            raise driver.fault(f"the reward is not finite: {turn.reward}", turn.agent)
        step.score[at] += turn.reward
        ended = turn.terminated or turn.truncated
        step.ended[at] |= ended
        if not self._acted[policy][at]:
            return
        step.valid[at], step.reward[at] = True, turn.reward
        step.terminated[at], step.truncated[at] = turn.terminated, turn.truncated
        step.next_obs[at] = self._read(policy, turn.agent, turn.obs, driver)
        self._acted[policy][at] = False

    def _seen_next(self, steps: dict[str, PolicyStep]) -> dict[str, PolicyStep]:
        """Fill in the seats that act next, and their observations."""
        for seed, index, driver in self._each():
            for agent, obs in driver.to_act.items():
                policy, seat = self._seat_of(index, agent)
                steps[policy].acting[seed, seat] = True
                steps[policy].obs[seed, seat] = self._read(policy, agent, obs, driver)
        return steps

    def _read(self, policy: str, agent: str, raw: Any, driver: Driver) -> NDArray[Any]:
        reader = self.spaces[policy].reader
        obs = reader.batch(raw, 1)[0]
        if reader.floating and not np.isfinite(obs).all():
            raise driver.fault(f"the observation is not finite: {np.array2string(obs, threshold=8)}", agent)
        return obs

    def _require_no_open_transition(self, seed: int, index: int, driver: Driver) -> None:
        for (where, agent), (policy, seat) in self._seat.items():
            if where == index and self._acted[policy][seed, seat]:
                raise driver.fault("the episode ended without a termination or truncation of it", agent)

    def get_state(self) -> dict[str, Any] | None:
        """Return the exact state of every environment, without pickled objects; None if one can't be saved."""
        states = [driver.get_state() for _, _, driver in self._each()]
        if any(state is None for state in states):
            return None
        return {
            "env": self.name, "seeds": list(self.seeds), "n_envs": self.n_envs, "drivers": states,
            "acted": {name: acted.copy() for name, acted in self._acted.items()},
            "random": {name: [[dict(own.bit_generator.state) for own in row] for row in rows]
                       for name, rows in self._random.items()},
        }  # fmt: skip

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore the exact state. Raises `CheckpointError` if it is of other environments."""
        for key, own in {"env": self.name, "seeds": list(self.seeds), "n_envs": self.n_envs}.items():
            if state[key] != own:
                raise CheckpointError(f"the saved environments have {key} {state[key]!r}, here it is {own!r}")
        for (_, _, driver), saved in zip(self._each(), state["drivers"], strict=True):
            driver.set_state(saved)
        for name, acted in self._acted.items():
            acted[:] = state["acted"][name]
        for name, rows in self._random.items():
            for row, saved_row in zip(rows, state["random"][name], strict=True):
                for own, saved in zip(row, saved_row, strict=True):
                    own.bit_generator.state = saved

    def close(self) -> None:
        for _, _, driver in self._each():
            driver.close()
