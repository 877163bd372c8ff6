"""EnvPool backend: environments in C++ threads, by EnvPool's own ids (`env_backend: envpool`).

One pool holds all S x N environments; each has its own random seed. EnvPool starts a new episode on the step after an
end and ignores that action: gymnasium's NEXT_STEP. Atari follows `atari.py` as far as EnvPool allows: training uses the
sign of the reward, and `episodic_life` (off by default) applies in training only; sticky actions are off unless
`repeat_action_probability` is set.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from tuneexp.errors import UserError, unknown_name

# Settings of a pool that are set here and can't be changed.
_SETTLED = {"num_envs", "batch_size", "max_num_players", "thread_affinity_offset", "base_path", "seed", "env_seed",
            "gym_reset_return_info", "task", "reward_threshold"}  # fmt: skip


@dataclass(frozen=True)
class Pool:
    """An EnvPool environment. options: its arguments; clip_reward: train on the sign of the reward."""

    name: str
    clip_reward: bool
    options: dict[str, Any] = field(default_factory=dict)

    def vector(self, num_envs: int) -> PoolVec:
        return PoolVec(self, num_envs)


def pool(name: str, env_kwargs: Mapping[str, Any], training: bool) -> Pool:
    """Look up an EnvPool environment. Raises `UserError`: EnvPool is not installed, or unknown id or argument."""
    envpool = _envpool()
    known = envpool.list_all_envs()
    if name not in known:
        raise unknown_name(
            "EnvPool environment", name, known, "its ids differ from gymnasium's; or another env_backend"
        )
    with _quiet():
        settings = envpool.make_spec(name).config
    if settings.max_num_players > 1:
        raise UserError(f"EnvPool environment {name} has {settings.max_num_players} players; only one is supported")
    names = set(settings._fields) - _SETTLED
    for argument in env_kwargs:
        if argument not in names:
            raise unknown_name(f"argument of EnvPool's {name}", argument, names, "env_kwargs")
    options, clip = {"num_threads": 1, **env_kwargs}, False
    if "reward_clip" in names:
        clip = bool(options.pop("reward_clip", True)) and training
    if "episodic_life" in names:
        options["episodic_life"] = bool(options.get("episodic_life", False)) and training
    return Pool(name, clip, options)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings of gymnasium about the precision of EnvPool's spaces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _envpool() -> Any:
    try:
        with _quiet():
            return importlib.import_module("envpool")
    except ImportError as error:
        raise UserError("env_backend envpool needs another package: pip install 'tuneexp[envpool]'") from error


class PoolVec(VectorEnv[Any, NDArray[Any], NDArray[Any]]):
    """One pool as gymnasium's vector environment."""

    def __init__(self, source: Pool, num_envs: int) -> None:
        self._source, self.num_envs = source, num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self._pool = self._make([0] * num_envs)
        self.frame_stack: int | None = getattr(self._pool.spec.config, "stack_num", None)
        with _quiet():
            self.single_observation_space = self._pool.observation_space
            self.single_action_space = self._pool.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def _make(self, seeds: Sequence[int]) -> Any:
        with _quiet():
            made = _envpool().make(
                self._source.name,
                env_type="gymnasium",
                num_envs=self.num_envs,
                seed=list(seeds),
                **self._source.options,
            )
            _ = made.observation_space, made.action_space  # created on first access, with warnings
        return made

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset. seed: one per environment, which creates a new pool, as it is seeded at creation only; None: new
        episodes.
        """
        if seed is not None:
            self._pool = self._make(seed)
        obs, _ = self._pool.reset()
        return obs, {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Any, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        obs, reward, terminated, truncated, _ = self._pool.step(actions)
        return obs, reward, terminated, truncated, {}

    def close_extras(self, **kwargs: Any) -> None:
        self._pool = None  # its threads end with it
