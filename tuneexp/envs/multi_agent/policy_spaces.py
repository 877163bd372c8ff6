"""Seats and spaces of one policy, and the results of a step for its seats."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneexp.envs.multi_agent.multi_agent_factory import Spaces
from tuneexp.envs.observations import ObsReader
from tuneexp.envs.seed_envs import EnvFacts
from tuneexp.errors import UserError
from tuneexp.spaces.zero_based import action_conversion, zero_based


class PolicyStep(NamedTuple):
    """Result of one step for the seats of one policy; every field is [S, L, ...].

    A transition is complete (`valid`) when its agent may act again or has ended. In turn-based environments `reward` is
    the sum from one turn of the agent to its next. Seats that are not `acting` have no observation to act on."""

    obs: NDArray[Any]
    acting: NDArray[np.bool_]
    next_obs: NDArray[Any]
    """True next observation of a transition, the final one at the end of an episode."""
    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    score: NDArray[np.float32]
    """`reward`, and rewards before the first action of an agent, which are not learned from."""
    ended: NDArray[np.bool_]
    """The agent's episode has ended, even if it never acted in it."""


class PolicySpaces:
    """Seats of one policy, the same for all seeds, and its spaces, converted as in `SeedEnvs`.

    Args:
        policy: its name.
        env: name of the environment.
        seeds: of the trial.
        seats: environment index and agent of each seat.
        agents: spaces by agent.
        exact: keep float64 observations, as they are normalised.

    Raises:
        UserError: the policy has no seat, or its agents have different spaces.
    """

    def __init__(
        self, policy: str, env: str, seeds: Sequence[int], seats: Sequence[tuple[int, str]],
        agents: Mapping[str, Spaces], exact: bool = False,
    ) -> None:  # fmt: skip
        if not seats:
            raise UserError(f"policy {policy!r} has no agent in {env} ({', '.join(agents)}); leave it out, or map one")
        self.policy, self.n_seeds, self.n_envs, self.seats = policy, len(seeds), len(seats), list(seats)
        first = seats[0][1]
        for _, agent in seats:
            for what, own, other in zip(("observation", "action"), agents[first], agents[agent], strict=True):
                if own != other:
                    raise UserError(
                        f"agents {first} and {agent} share the policy {policy!r}, but their {what} spaces differ: "
                        f"{own} and {other}; give each a policy of its own"
                    )
        raw_obs, raw_action = agents[first]
        self.reader = reader = ObsReader(raw_obs, exact)
        self.facts = EnvFacts(env, reader.space, zero_based(raw_action), reader.shape, reader.dtype, apart=True)
        self._to_env, self._action_shape = action_conversion(raw_action), tuple(raw_action.shape or ())

    @property
    def lead(self) -> tuple[int, int]:
        """Sizes of the first axes, S and L."""
        return self.n_seeds, self.n_envs

    def converted(self, action: NDArray[Any]) -> NDArray[Any]:
        """Convert actions [S, L, ...] of the policy to those of the environment."""
        flat = self._to_env(action.reshape(-1, *self._action_shape))
        return flat.reshape(*self.lead, *self._action_shape)

    def nothing_yet(self) -> PolicyStep:
        """Return a step without results, to be filled in."""
        obs = np.zeros((*self.lead, *self.facts.obs_shape), self.facts.obs_dtype)
        acting, terminated, truncated, valid, ended = (np.zeros(self.lead, np.bool_) for _ in range(5))
        reward, score = np.zeros(self.lead, np.float32), np.zeros(self.lead, np.float32)
        return PolicyStep(obs, acting, obs.copy(), reward, terminated, truncated, valid, score, ended)


def policy_spaces(
    env: str, agents: Mapping[str, Spaces], assignment: Sequence[Mapping[str, str]], policies: Sequence[str],
    seeds: Sequence[int], exact: Collection[str] = (),
) -> dict[str, PolicySpaces]:  # fmt: skip
    """Return the spaces of each policy. assignment: for each environment index, agent -> policy. Raises `UserError`."""
    seats = {
        name: [(index, agent) for index, of in enumerate(assignment) for agent in agents if of[agent] == name]
        for name in policies
    }
    return {name: PolicySpaces(name, env, seeds, seats[name], agents, name in exact) for name in policies}
