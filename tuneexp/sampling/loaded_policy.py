"""Policy after training: from an observation to an action, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Dict
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.observations import ObsReader
from tuneexp.errors import UserError
from tuneexp.learning.arithmetic import use_avx512
from tuneexp.learning.rng_streams import generator
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.policy_module import PolicyModule
from tuneexp.spaces.batches import rows_of
from tuneexp.spaces.packing import layout
from tuneexp.spaces.zero_based import action_conversion


@dataclass(frozen=True)
class PolicyParts:
    """Parts of the policy of one seed.

    Args:
        build: number of environments (N) -> policy for that number.
        spaces: of observations and actions, as the environment declares them.
        normaliser: running statistics of the observations, frozen; None: they are not normalised.
        mask: name of the observation's part that is the action mask; None: there is none.
        make_env: builds the environment that the policy was evaluated in.
    """

    build: Callable[[int], Policy]
    spaces: tuple[Space[Any], Space[Any]]
    normaliser: RunningNormaliser | None
    mask: str | None
    make_env: Callable[..., Any]


@dataclass(frozen=True)
class PolicyFacts:
    """Origin of a policy.

    Attributes:
        algorithm: Name or address of the algorithm.
        env: Name of the environment.
        seed: Seed that it was trained on.
        seeds: All seeds of the checkpoint.
        env_steps: Environment steps of its training, per seed.
        hyperparameters: Hyperparameters of its training.
        returns: Mean return of the last evaluation by seed; empty before the first.
        policy: Its name among several policies; None: it is the only one.
    """

    algorithm: str
    env: str
    seed: int
    seeds: list[int]
    env_steps: int
    hyperparameters: Mapping[str, Any]
    returns: Mapping[int, float] = field(default_factory=dict)
    policy: str | None = None


class LoadedPolicy:
    """Policy of a checkpoint, made by `load_policy`.

    `policy(obs)` returns the action for one observation, or the actions for a batch. It normalises observations with
    the statistics of training, keeps the state of a recurrent network, and returns actions as the environment takes
    them.

    Args:
        facts: Origin of the policy.
        parts: Its networks, spaces and statistics.

    Attributes:
        facts: Origin of the policy: `algorithm`, `env`, `seed`, `seeds`, `env_steps`, `hyperparameters`, `returns` and
            `policy`.
        observation_space: Space of one observation.
        action_space: Space of one action.
        recurrent: True if actions depend on earlier observations. Call `reset()` when an episode starts.

    Example:
        from tuneexp import load_policy

        policy = load_policy("first")
        env = policy.make_env()
        obs, _ = env.reset()
        action = policy(obs)
    """

    def __init__(self, facts: PolicyFacts, parts: PolicyParts) -> None:
        use_avx512()  # as in training
        self.facts, self._parts = facts, parts
        self.observation_space, self.action_space = parts.spaces
        normaliser = parts.normaliser
        self._reader = ObsReader(self.observation_space, exact=normaliser is not None and normaliser.norm_obs)
        self._to_env = action_conversion(self.action_space)
        self._policy = lru_cache(maxsize=8)(parts.build)
        self.recurrent = self._policy(1).state_size > 0
        self.reset(seed=facts.seed)

    def __call__(self, obs: Any, mask: Any = None, explore: bool = False) -> Any:
        """Return the action for an observation, or the actions for a batch.

        Args:
            obs: One observation as the environment returns it, or a batch [B, ...] of them. Of a Dict space, a mapping.
            mask: Valid actions, one number for each (0: not valid), [K] or [B, K]; None: the mask is in `obs`.
            explore: Sample the action as in training; False: the deterministic action, as in evaluation.

        Returns:
            The action, in the form of the action space, or an array [B, ...].

        Raises:
            UserError: The observation has another shape, a mask does not fit, or the size of the batch changed without
                `reset()`.
        """
        obs = self._with_mask(obs, mask)
        rows = rows_of(obs, self.observation_space)
        acted = self._act(self._seen(obs, rows or 1), explore)
        action = self._to_env(acted.numpy()[0])
        return action[0] if rows is None else action

    def reset(self, where: Any = None, seed: int | None = None) -> None:
        """Start new episodes: forget the state of a recurrent network and held exploration noise.

        Args:
            where: [B] bool, the rows of the batch whose episodes start; None: all.
            seed: Seed of the exploration from now on; None: it continues.

        Raises:
            UserError: `where` has not the size of the batch.
        """
        if seed is not None:
            self._generator = generator(seed, "runner")
        if where is None:
            self._state: Tensor | None = None
            self._noise: list[Tensor] = []
            self._noise_rows = self._steps = 0
        elif self._state is not None:
            rows = torch.as_tensor(np.asarray(where, bool))
            if rows.shape != self._state.shape[1:2]:
                raise UserError(f"reset(where) has {list(rows.shape)}, the batch has {self._state.shape[1]} rows")
            self._state = self._state.masked_fill(rows[None, :, None], 0.0)

    def module(self) -> PolicyModule:
        """Return the deterministic policy as a PyTorch module, from observations to actions as the environment takes
        them.

        Returns:
            The module, which keeps no state: `module(obs)` with a batch of observations [B, ...], a tensor or for a
            Dict space nested dictionaries; for recurrent networks `action, state = module(obs, state)` with the state
            [B, module.state_size], zeros at the start of an episode.
        """
        return PolicyModule(self._policy(1), self._parts.spaces, self._parts.normaliser)

    def make_env(self, **changes: Any) -> Any:
        """Build the environment that the policy was evaluated in, with its wrappers.

        Args:
            changes: Arguments of the environment to add or change, such as `render_mode="human"`.

        Returns:
            A gymnasium environment; of several policies a PettingZoo environment.

        Raises:
            UserError: It can't be built.
        """
        return self._parts.make_env(**changes)

    def __repr__(self) -> str:
        facts = self.facts
        own = "" if facts.policy is None else f" {facts.policy!r}"
        return f"<policy{own} of {facts.algorithm} on {facts.env}, seed {facts.seed}, {facts.env_steps} env steps>"

    def _seen(self, obs: Any, rows: int) -> Tensor:
        """Return what the networks see, [1, rows, ...]."""
        raw: NDArray[Any] = self._reader.batch(obs, rows)[None]
        if self._reader.floating and not math.isfinite(raw.sum()) and not np.isfinite(raw).all():
            raise UserError("the observation is not finite: it has NaN or infinity")
        normaliser = self._parts.normaliser
        return torch.from_numpy(raw if normaliser is None else normaliser.normalise(raw))

    def _act(self, seen: Tensor, explore: bool) -> Tensor:
        rows = seen.shape[1]
        policy = self._policy(rows)
        if self.recurrent and self._state is None:
            self._state = policy.initial_state(rows)
        if self._state is not None and self._state.shape[1] != rows:
            raise UserError(
                f"the policy has the state of {self._state.shape[1]} episode(s), and acts on {rows} observation(s); "
                "call policy.reset() first"
            )
        noise = self._next_noise(policy, rows) if explore else None
        acted = policy.exploit(seen, self._state) if noise is None else policy.explore(seen, self._state, noise)
        self._state = acted.state
        return acted.action

    def _next_noise(self, policy: Policy, rows: int) -> list[Tensor]:
        """Return the noise of the next step, [1, ...] each. A column that is held for several steps stays the same."""
        kinds = list(policy.noise_kinds.values())
        fresh = [column[0] for column in policy.draw_noise(1, [self._generator])]
        if self._noise and self._noise_rows == rows:
            held = [kind.at(self._steps) == kind.at(self._steps - 1) for kind in kinds]
            fresh = [old if keep else new for old, new, keep in zip(self._noise, fresh, held, strict=True)]
        self._noise, self._noise_rows, self._steps = fresh, rows, self._steps + 1
        return fresh

    def _with_mask(self, obs: Any, mask: Any) -> Any:
        """Put an action mask into an observation."""
        if mask is None:
            return obs
        key = self._parts.mask
        if key is None or not isinstance(self.observation_space, Dict):
            raise UserError("this policy has no action mask (hyperparameter action_mask); leave out mask")
        if not isinstance(obs, Mapping):
            others = [leaf.name for leaf in layout(self.observation_space) if leaf.name != key]
            if len(others) != 1 or "/" in key + others[0]:
                return obs  # refused with the parts that are missing
            obs = {others[0]: obs}
        return _replaced(obs, key.split("/"), mask)


def _replaced(tree: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    first, *rest = path
    return {**tree, first: _replaced(tree.get(first, {}), rest, value) if rest else value}
