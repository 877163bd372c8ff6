"""Stand-ins with the spaces of environments that RL Zoo's rows name and that are not installed."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Space

# Numbers in an observation, and in an action; after the wrappers of the row. As in pybullet_envs_gymnasium.
VECTORS = {
    "AntBulletEnv": (28, 8),
    "HalfCheetahBulletEnv": (26, 6),
    "HopperBulletEnv": (15, 3),
    "HumanoidBulletEnv": (44, 17),
    "InvertedDoublePendulumBulletEnv": (9, 1),
    "InvertedPendulumBulletEnv": (5, 1),
    "InvertedPendulumSwingupBulletEnv": (5, 1),
    "MinitaurBulletEnv": (28, 8),
    "MinitaurBulletDuckEnv": (28, 8),
    "ReacherBulletEnv": (9, 2),
    "Walker2DBulletEnv": (22, 6),
    # Robots and simulators whose spaces depend on how they are set up: some vectors.
    "A1Walking": (28, 12),
    "CarRacing": (2 * (32 + 3), 3),  # behind an autoencoder and HistoryWrapper
    "NeckEnvRelative": (2 * (9 + 4), 4),
    "RocketLander": (2 * (8 + 3), 3),
    "donkey-generated-track": (5 * (32 + 2), 2),
}
MINIGRID = (2835, 7)  # bytes of FlatObsWrapper, and choices
EPISODE_STEPS = 50


class StandIn(gymnasium.Env[Any, Any]):
    """Random observations and rewards; every second episode is truncated."""

    def __init__(self, name: str) -> None:
        self.observation_space, self.action_space = spaces_of(name)
        self._step, self._episode = 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._step, self._episode = 0, self._episode + 1
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self._step += 1
        over, cut = self._step == EPISODE_STEPS, self._episode % 2 == 0
        return self._observation(), float(self.np_random.normal()), over and not cut, over and cut, {}

    def _observation(self) -> Any:
        space = self.observation_space
        if space.dtype == np.uint8:
            return self.np_random.integers(0, 255, space.shape, np.uint8)
        return self.np_random.normal(size=space.shape).astype(np.float32)


def spaces_of(name: str) -> tuple[Space[Any], Space[Any]]:
    """Spaces of the environment within the wrappers of its row. KeyError for an unknown one."""
    if name.startswith("MiniGrid-"):
        return Box(0, 255, MINIGRID[:1], np.uint8), Discrete(MINIGRID[1])
    observations, actions = VECTORS[name.rpartition("-v")[0]]
    return Box(-np.inf, np.inf, (observations,), np.float32), Box(-1.0, 1.0, (actions,), np.float32)


def address_of(name: str) -> tuple[str, dict[str, Any]]:
    """(environment, its arguments)."""
    return f"{__file__}:{StandIn.__name__}", {"name": name}
