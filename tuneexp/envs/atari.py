"""Atari with the standard preprocessing, by the emulator's own vector environment (ale-py).

Standard (Mnih et al. 2015, doi:10.1038/nature14236; Machado et al. 2018, arXiv:1709.06009): actions are repeated for 4
frames, of which the last two are merged by their maximum; frames are resized to 84 x 84 grey; the observation is the
last 4, uint8 [4, 84, 84]; an episode starts with up to 30 no-op frames and, in games that need it, with FIRE; it is
truncated after 108,000 frames (half an hour).

- `ALE/Pong-v5` follows Machado et al.: sticky actions with probability 0.25; losing a life ends nothing.
- `PongNoFrameskip-v4` follows Mnih et al.: no sticky actions; in training, losing a life terminates the episode.

Training and evaluation differ in two things only: training uses the sign of the reward (episode statistics use the true
score), and only training may end episodes at a lost life. Evaluation plays whole games. `env_kwargs` changes any of it:
`episodic_life`, `reward_clipping`, `repeat_action_probability`, `frameskip`, `stack_num`, `img_height`, `img_width`,
`grayscale`, `noop_max`, `use_fire_reset`, `max_num_frames_per_episode`, `full_action_space`, `num_threads` (1: trials
run in parallel), ...

Differences of the emulator: no-op frames count towards the limit. Its reset after a lost life would restart the game,
so a lost life only reports `terminated` here and the game continues, without a reset and without the no-op action of
other packages. For raw frames use the emulator's single environment, `ale_py.env:AtariEnv` with `env_kwargs` {"game":
"pong"}.
"""

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
# Arguments of the emulator's vector environment that are set here and can't be changed.
_SETTLED = {"self", "game", "num_envs", "batch_size", "thread_affinity_offset", "autoreset_mode", "life_loss_info"}


def is_atari(env_id: str) -> bool:
    return env_id.startswith("ALE/") or _LEGACY_ID.fullmatch(env_id) is not None


def register() -> None:
    """Register Atari's ids with gymnasium. Raises ImportError if the emulator is not installed."""
    gymnasium.register_envs(importlib.import_module("ale_py"))


@dataclass(frozen=True)
class Atari:
    """One game. options: arguments of the vector environment; clip_reward: train on the sign of the reward."""

    game: str
    clip_reward: bool
    options: dict[str, Any] = field(default_factory=dict)

    def vector(self, num_envs: int) -> AtariVec:
        return AtariVec(self.game, num_envs, self.options)

    def single(self) -> AtariSingle:
        return AtariSingle(self.vector(1))


def atari(env_id: str, env_kwargs: Mapping[str, Any], training: bool) -> Atari:
    """Look up the game of a registered id. Raises `UserError` for an unknown argument, with the nearest one."""
    registered = gymnasium.registry[env_id].kwargs
    given = dict(env_kwargs)
    if given.get("render_mode") == "rgb_array":  # it draws in any case
        del given["render_mode"]
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
        # Rewards are clipped in `SeedEnvs`, which keeps the score, and lost lives are handled in `AtariVec`.
        "reward_clipping": False,
        "life_loss_info": life and training,
    }
    return Atari(registered["game"], clip and training, options)


def _vector_class() -> Any:
    return importlib.import_module("ale_py.vector_env").AtariVectorEnv


class AtariVec(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """The emulator's vector environment; `info["goes_on"]` [n] marks lost lives, after which the game continues without
    a reset.
    """

    def __init__(self, game: str, num_envs: int, options: Mapping[str, Any]) -> None:
        self._ale: Any = _vector_class()(game, num_envs, autoreset_mode=AutoresetMode.NEXT_STEP, **options)
        self.num_envs, self.metadata = num_envs, dict(self._ale.metadata)
        self.frame_stack = int(self._ale.single_observation_space.shape[0])
        self.single_observation_space = self._ale.single_observation_space
        self.single_action_space = self._ale.single_action_space
        self.observation_space, self.action_space = self._ale.observation_space, self._ale.action_space

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[NDArray[Any], dict[str, Any]]:
        """Reset. seed: random seed of each environment; None continues their random sequences."""
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
    """Single game with the same preprocessing, for wrappers and the sync and async backends.

    `render()` returns the last preprocessed frame: the emulator's vector environment has no other picture."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(self, vec: AtariVec) -> None:
        self._vec, self.frame_stack = vec, vec.frame_stack
        self.observation_space, self.action_space = vec.single_observation_space, vec.single_action_space
        self._after_life: NDArray[Any] | None = None
        self._last: NDArray[Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start a new game; after a lost life, continue the game."""
        super().reset(seed=seed)
        goes_on, self._after_life = self._after_life, None
        if goes_on is not None and seed is None:
            return goes_on, {}
        obs, _ = self._vec.reset(seed=None if seed is None else [seed])
        self._last = np.array(obs[0])
        return self._last, {}

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        actions = np.asarray(action)[None]
        obs, reward, terminated, truncated, info = self._vec.step(actions)
        own = self._last = np.array(obs[0])
        self._after_life = own if info["goes_on"][0] else None
        return own, float(reward[0]), bool(terminated[0]), bool(truncated[0]), {"lives": int(info["lives"][0])}

    def render(self) -> Any:
        return None if self._last is None else self._last[-1]

    def close(self) -> None:
        self._vec.close()


def missing(env_id: str) -> UserError:
    return UserError(f"environment {env_id} needs Atari's emulator: pip install 'tuneexp[atari]'")
