"""Atari with the standard preprocessing, by the emulator's own vector environment (ale-py).

Standard (Mnih et al. 2015; Machado et al. 2018): an action is repeated for 4 frames, the last two of them are merged by
their maximum, frames become 84 x 84 grey, the observation is the last 4, uint8 [4, 84, 84]; an episode starts with up
to 30 idle frames and, in games that wait for it, with FIRE; it ends after 108,000 frames (half an hour).

- `ALE/Pong-v5` follows Machado et al.: with probability 0.25 the emulator repeats the last action ("sticky"), and
  losing a life ends nothing.
- `PongNoFrameskip-v4` follows Mnih et al.: no sticky actions; while training, losing a life terminates the episode.

Training and evaluation differ in two things only: training learns from the sign of the reward (statistics of training
episodes are of the true score), and only training may end episodes with a life. Evaluation plays whole games for their
score. `env_kwargs` changes any of it: `episodic_life`, `reward_clipping`, `repeat_action_probability`, `frameskip`,
`stack_num`, `img_height`, `img_width`, `grayscale`, `noop_max`, `use_fire_reset`, `max_num_frames_per_episode`,
`full_action_space`, `num_threads` (1: trials run side by side), ...

What the emulator does in its own way: idle frames count towards the limit; its reset after a lost life would start
the whole game anew, so that here a lost life only reports `terminated` and the game goes on, without a reset and
without the idle action that other packages put there. For raw frames name the emulator's single environment,
`ale_py.env:AtariEnv` with `env_kwargs` {"game": "pong"}."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import Env
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from tuneexp.errors import UserError, unknown_name

_LEGACY_ID = re.compile(r"[A-Z]\w*NoFrameskip-v[04]")
# Arguments of the emulator's vector environment that are settled here.
_SETTLED = {"self", "game", "num_envs", "batch_size", "thread_affinity_offset", "autoreset_mode", "life_loss_info"}


def is_atari(env_id: str) -> bool:
    return env_id.startswith("ALE/") or _LEGACY_ID.fullmatch(env_id) is not None


def register() -> None:
    """gymnasium knows Atari's ids once the emulator is imported. Raises ImportError where it isn't installed."""
    gymnasium.register_envs(importlib.import_module("ale_py"))


@dataclass(frozen=True)
class Atari:
    """One game. options: of the emulator's vector environment. clip_reward: learn from the sign of the reward."""

    game: str
    clip_reward: bool
    options: dict[str, Any] = field(default_factory=dict)

    def vector(self, num_envs: int) -> AtariVec:
        return AtariVec(self.game, num_envs, self.options)

    def single(self) -> AtariSingle:
        return AtariSingle(self.vector(1))


def atari(env_id: str, env_kwargs: Mapping[str, Any], training: bool) -> Atari:
    """The game that a registered id names. Raises `UserError` for an argument that isn't one, with the nearest."""
    registered = gymnasium.registry[env_id].kwargs
    given = dict(env_kwargs)
    known = inspect.signature(_vector_class().__init__).parameters.keys() - _SETTLED
    for name in given:
        if name not in known:
            raise unknown_name(f"argument of {env_id}", name, known, "env_kwargs")
    clip = bool(given.pop("reward_clipping", True))
    life = bool(given.pop("episodic_life", not env_id.startswith("ALE/")))
    options = {
        "repeat_action_probability": registered["repeat_action_probability"],
        "full_action_space": registered["full_action_space"],
        "max_num_frames_per_episode": registered["max_num_frames_per_episode"],
        "num_threads": 1,
        **given,
        # Clipped where the score is counted, and lives as the module says: neither is left to the emulator.
        "reward_clipping": False,
        "life_loss_info": life and training,
    }
    return Atari(registered["game"], clip and training, options)


def _vector_class() -> Any:
    return importlib.import_module("ale_py.vector_env").AtariVectorEnv


class AtariVec(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """The emulator's vector environment; `info["goes_on"]` [n] marks ends (lost lives) that no reset follows."""

    def __init__(self, game: str, num_envs: int, options: Mapping[str, Any]) -> None:
        self._ale: Any = _vector_class()(game, num_envs, autoreset_mode=AutoresetMode.NEXT_STEP, **options)
        self.num_envs, self.metadata = num_envs, dict(self._ale.metadata)
        self.frame_stack = int(self._ale.single_observation_space.shape[0])
        self.single_observation_space = self._ale.single_observation_space
        self.single_action_space = self._ale.single_action_space
        self.observation_space, self.action_space = self._ale.observation_space, self._ale.action_space

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[NDArray[Any], dict[str, Any]]:
        """seed: one for each environment, which draws everything from it alone; None goes on."""
        seeds = None if seed is None else np.asarray(seed, np.int64)
        return self._ale.reset(seed=seeds, options=options)

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        obs, reward, terminated, truncated, info = self._ale.step(actions)
        # The emulator reports no lives once a game is over.
        info["goes_on"] = terminated & ~truncated & (info["lives"] > 0)
        return obs, reward, terminated, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        self._ale = None  # its threads end with it


class AtariSingle(Env[NDArray[Any], Any]):
    """One game with the same preprocessing, for wrappers and for the sync and async backends."""

    def __init__(self, vec: AtariVec) -> None:
        self._vec, self.frame_stack = vec, vec.frame_stack
        self.observation_space, self.action_space = vec.single_observation_space, vec.single_action_space
        self._after_life: NDArray[Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """After a lost life the game goes on where it is; else a new game."""
        super().reset(seed=seed)
        goes_on, self._after_life = self._after_life, None
        if goes_on is not None and seed is None:
            return goes_on, {}
        obs, _ = self._vec.reset(seed=None if seed is None else [seed])
        return np.array(obs[0]), {}

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        actions = np.asarray(action)[None]
        obs, reward, terminated, truncated, info = self._vec.step(actions)
        own = np.array(obs[0])
        self._after_life = own if info["goes_on"][0] else None
        return own, float(reward[0]), bool(terminated[0]), bool(truncated[0]), {"lives": int(info["lives"][0])}

    def close(self) -> None:
        self._vec.close()


def missing(env_id: str) -> UserError:
    return UserError(f"environment {env_id} needs Atari's emulator: pip install 'tuneexp[atari]'")
