"""S x N environments of several agents, as arrays with seats: one for each agent of a policy in each environment."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

from tuneexp.envs.env_faults import raised
from tuneexp.envs.env_rng import env_seed, env_seeds
from tuneexp.envs.multi_agent.drivers import Driver, Turn
from tuneexp.envs.multi_agent.multi_agent_factory import MultiAgentEnvFactory, Spaces
from tuneexp.envs.observations import ObsReader
from tuneexp.envs.seed_envs import EnvFacts
from tuneexp.errors import CheckpointError, UserError
from tuneexp.spaces.zero_based import action_conversion, zero_based

# A scripted policy: the agent's observation as the environment gives it, and a generator of (seed, index) -> action.
Scripted = Callable[[Any, np.random.Generator], Any]


class PolicyStep(NamedTuple):
    """What one step is for one policy; every field [S, L, ...].

    A transition is complete (`valid`) when its agent may act again or has ended: in turn-based environments `reward`
    is what was gained from one own turn to the next. Seats that aren't `acting` have no observation to act on."""

    obs: NDArray[Any]
    acting: NDArray[np.bool_]
    next_obs: NDArray[Any]
    """The true next observation of a transition: the final one at an episode's end."""
    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    score: NDArray[np.float32]
    """As `reward`, and what an agent gained before it ever acted, which nothing is learned from."""
    ended: NDArray[np.bool_]
    """The agent's episode is over, also where it never acted in it."""


class PolicySpaces:
    """What one policy sees and does: its seats, the same for all seeds, and its spaces (plain, as `SeedEnvs` has them).

    seats: (environment index, agent) of each seat. Raises `UserError` where agents differ in their spaces."""

    def __init__(
        self, policy: str, env: str, seeds: Sequence[int], seats: Sequence[tuple[int, str]],
        agents: Mapping[str, Spaces], exact: bool = False,
    ) -> None:  # fmt: skip
        if not seats:
            raise UserError(f"policy {policy!r} has no agent in {env} ({', '.join(agents)}); leave it out, or map one")
        self.policy, self.name, self.seeds = policy, env, [int(seed) for seed in seeds]
        self.n_seeds, self.n_envs, self.seats = len(self.seeds), len(seats), list(seats)
        first = seats[0][1]
        for _, agent in seats:
            for what, own, other in zip(("observation", "action"), agents[first], agents[agent], strict=True):
                if own != other:
                    raise UserError(
                        f"agents {first} and {agent} share the policy {policy!r}, but their {what} spaces differ: "
                        f"{own} and {other}; give each a policy of its own"
                    )
        raw_obs, raw_action = agents[first]
        self.reader = ObsReader(raw_obs, exact)
        self.observation_space: Space[Any] = self.reader.space
        self.obs_shape, self.obs_dtype = self.reader.shape, self.reader.dtype
        self.action_space: Space[Any] = zero_based(raw_action)
        self._to_env, self._action_shape = action_conversion(raw_action), tuple(raw_action.shape or ())

    @property
    def facts(self) -> EnvFacts:
        return EnvFacts(
            self.name, self.observation_space, self.action_space, self.obs_shape, self.obs_dtype, apart=True
        )

    @property
    def lead(self) -> tuple[int, int]:
        return self.n_seeds, self.n_envs

    def converted(self, action: NDArray[Any]) -> NDArray[Any]:
        """Plain actions [S, L, ...] as the environment takes them."""
        flat = self._to_env(action.reshape(-1, *self._action_shape))
        return flat.reshape(*self.lead, *self._action_shape)

    def nothing_yet(self, obs: NDArray[Any]) -> PolicyStep:
        """Arrays to fill, [S, L, ...]."""
        acting, terminated, truncated, valid, ended = (np.zeros(self.lead, np.bool_) for _ in range(5))
        reward, score = np.zeros(self.lead, np.float32), np.zeros(self.lead, np.float32)
        return PolicyStep(obs.copy(), acting, obs.copy(), reward, terminated, truncated, valid, score, ended)


def policy_spaces(
    env: str, agents: Mapping[str, Spaces], assignment: Sequence[Mapping[str, str]], policies: Sequence[str],
    seeds: Sequence[int], exact: Collection[str] = (),
) -> dict[str, PolicySpaces]:  # fmt: skip
    """Of every policy; assignment: for each environment index, agent -> policy. Raises `UserError`."""
    seats = {
        name: [(index, agent) for index, of in enumerate(assignment) for agent in agents if of[agent] == name]
        for name in policies
    }
    return {name: PolicySpaces(name, env, seeds, seats[name], agents, name in exact) for name in policies}


class MultiAgentEnvs:
    """`n_envs` environments for each of `seeds`. Environment i of seed s draws its randomness from (s, i) alone.

    assignment: for each environment index, agent -> policy. scripted: policies that act by themselves; all others are
    acted for by `step`. exact: policies whose observations of float64 stay so, as they are normalised. `spaces`: policy
    -> its seats and spaces."""

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
        """Of the scripted policies: one for each environment, apart from what the environment itself draws."""

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
        """Start every environment on a fresh episode; each restore (from 1) starts other random sequences. Of the
        steps returned only `obs` and `acting` mean something."""
        self._random = self._generators(times_restored)
        for seed, index, driver in self._each():
            driver.reset(self._episode_seeds(self.seeds[seed], index, times_restored))
        for acted in self._acted.values():
            acted[:] = False
        return self._seen_next(self._blank())

    def step(self, actions: Mapping[str, NDArray[Any]]) -> tuple[dict[str, PolicyStep], NDArray[np.bool_]]:
        """actions: policy -> [S, L, ...], for all that aren't scripted; those of seats that aren't acting are ignored.
        Returns policy -> what happened, and which episodes ended, [S, N]; these have started anew."""
        sent = {name: self.spaces[name].converted(action) for name, action in actions.items()}
        steps, over = self._blank(), np.zeros((len(self.seeds), self.n_envs), np.bool_)
        for seed, index, driver in self._each():
            joint = {agent: self._action(sent, seed, index, agent, obs) for agent, obs in driver.to_act.items()}
            turns, over[seed, index] = driver.step(joint)
            for turn in turns:
                self._tell(steps, seed, index, turn, driver)
            if over[seed, index]:
                self._require_nobody_open(seed, index, driver)
        return self._seen_next(steps), over

    def _blank(self) -> dict[str, PolicyStep]:
        return {
            name: spaces.nothing_yet(np.zeros((*spaces.lead, *spaces.obs_shape), spaces.obs_dtype))
            for name, spaces in self.spaces.items()
        }

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

    def _tell(self, steps: Mapping[str, PolicyStep], seed: int, index: int, turn: Turn, driver: Driver) -> None:
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
        """Fills in who acts on what next."""
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

    def _require_nobody_open(self, seed: int, index: int, driver: Driver) -> None:
        for (where, agent), (policy, seat) in self._seat.items():
            if where == index and self._acted[policy][seed, seat]:
                raise driver.fault("the episode ended without a termination or truncation of it", agent)

    def get_state(self) -> dict[str, Any] | None:
        """Exact state of every environment, without pickled objects; None where one can't be saved."""
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
        """Go on exactly where `get_state` left. Raises `CheckpointError` for the state of other environments."""
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
