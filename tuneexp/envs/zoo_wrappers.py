"""Wrappers of RL Zoo's configurations that gymnasium lacks, equal to those of rl_zoo3, sb3_contrib and
Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, SupportsFloat

import numpy as np
from gymnasium import Env, ObservationWrapper, Wrapper
from gymnasium.spaces import Box
from numpy.typing import NDArray

from tuneexp.errors import UserError

Stepped = tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]
Started = tuple[Any, dict[str, Any]]
Array = NDArray[Any]


def _require_box(wrapper: Wrapper[Any, Any, Any, Any], axes: int | None = None, actions: bool = False) -> Box:
    """Return the wrapped observation space. Raises `UserError` unless it is a Box with `axes` axes."""
    space = wrapper.env.observation_space
    if not isinstance(space, Box) or (axes is not None and len(space.shape) != axes):
        kind = "Box observations" if axes is None else f"Box observations with {axes} axis (axes)"
        raise UserError(f"wrapper {type(wrapper).__name__} needs {kind}, got {space}")
    if actions and not isinstance(wrapper.env.action_space, Box):
        raise UserError(f"wrapper {type(wrapper).__name__} needs Box actions, got {wrapper.env.action_space}")
    return space


class FrameSkip(Wrapper[Any, Any, Any, Any]):
    """Repeat each action for `skip` steps, or to the end of the episode, and sum the rewards. As in rl_zoo3."""

    def __init__(self, env: Env[Any, Any], skip: int = 4) -> None:
        super().__init__(env)
        if skip < 1:
            raise UserError(f"wrapper FrameSkip: skip={skip}; write a number of steps of at least 1")
        self.skip = skip

    def step(self, action: Any) -> Stepped:
        total = 0.0
        for _ in range(self.skip):
            obs, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return obs, total, terminated, truncated, info


class HistoryWrapper(Wrapper[Any, Any, Any, Any]):
    """Observe the last `horizon` observations and actions, flat, oldest first; zeros before the start of the episode.

    As in rl_zoo3. For vector observations and continuous actions."""

    def __init__(self, env: Env[Any, Any], horizon: int = 2) -> None:
        super().__init__(env)
        seen, acts = _require_box(self, axes=1, actions=True), env.action_space
        assert isinstance(acts, Box)
        self._obs = np.zeros((horizon, *seen.shape), seen.dtype)
        self._actions = np.zeros((horizon, int(np.prod(acts.shape))), acts.dtype)
        low, high = (
            np.concatenate([np.tile(of_obs, horizon), np.tile(of_actions.ravel(), horizon)])
            for of_obs, of_actions in ((seen.low, acts.low), (seen.high, acts.high))
        )
        self.observation_space = Box(low.astype(seen.dtype), high.astype(seen.dtype), dtype=seen.dtype.type)

    def reset(self, **kwargs: Any) -> Started:
        obs, info = self.env.reset(**kwargs)
        self._obs[...], self._actions[...] = 0, 0
        self._obs[-1] = obs
        return self._history(), info

    def step(self, action: Any) -> Stepped:
        obs, reward, terminated, truncated, info = self.env.step(action)
        _push(self._obs, obs)
        _push(self._actions, np.ravel(action))
        return self._history(), reward, terminated, truncated, info

    def _history(self) -> Array:
        return np.concatenate([self._obs.ravel(), self._actions.ravel()]).astype(self._obs.dtype)


def _push(history: Array, newest: Array) -> None:
    """Append `newest` and drop the oldest. history: [n, ...], oldest first."""
    history[:-1] = history[1:].copy()
    history[-1] = newest


class MaskVelocityWrapper(ObservationWrapper[Any, Any, Any]):
    """Set the velocities in observations of classic control and LunarLander to 0, so that an agent needs memory.

    As in rl_zoo3, whose ids CartPoleNoVel-v1, PendulumNoVel-v1, ... use this wrapper."""

    velocities: ClassVar[dict[str, tuple[int, ...]]] = {
        "CartPole": (1, 3),
        "MountainCar": (1,),
        "MountainCarContinuous": (1,),
        "Pendulum": (2,),
        "LunarLander": (2, 3, 5),
        "LunarLanderContinuous": (2, 3, 5),
    }

    def __init__(self, env: Env[Any, Any]) -> None:
        super().__init__(env)
        name = env.unwrapped.spec.id.rpartition("-v")[0] if env.unwrapped.spec is not None else ""
        if name not in self.velocities:
            known = ", ".join(self.velocities)
            raise UserError(f"wrapper MaskVelocityWrapper supports {known}; this is {name or env}")
        self._hidden = list(self.velocities[name])

    def observation(self, observation: Array) -> Array:
        masked = np.array(observation)
        masked[self._hidden] = 0.0
        return masked


class TimeFeatureWrapper(Wrapper[Any, Any, Any, Any]):
    """Append the remaining share of the episode's time, from 1 to 0, to the observation. As in sb3_contrib.

    max_steps: maximum length of an episode, if the environment's registration has none."""

    def __init__(self, env: Env[Any, Any], max_steps: int = 1000) -> None:
        super().__init__(env)
        seen = _require_box(self, axes=1)
        low, high = np.append(seen.low, 0.0), np.append(seen.high, 1.0)
        self.observation_space = Box(low.astype(seen.dtype), high.astype(seen.dtype), dtype=seen.dtype.type)
        limit = None if env.spec is None else env.spec.max_episode_steps
        self._max_steps, self._step = limit or max_steps, 0

    def reset(self, **kwargs: Any) -> Started:
        obs, info = self.env.reset(**kwargs)
        self._step = 0
        return self._with_time(obs), info

    def step(self, action: Any) -> Stepped:
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._step += 1
        return self._with_time(obs), reward, terminated, truncated, info

    def _with_time(self, obs: Array) -> Array:
        return np.append(obs, 1.0 - self._step / self._max_steps).astype(self.observation_space.dtype)


class FrameStack(Wrapper[Any, Any, Any, Any]):
    """Concatenate the last `n_stack` observations along the channels; zeros before the start of the episode.

    Channels are the last axis, or the first one of channels-first images. This is VecFrameStack of Stable-Baselines3,
    which RL Zoo's key frame_stack means. gymnasium's FrameStackObservation adds a new axis instead."""

    def __init__(self, env: Env[Any, Any], n_stack: int) -> None:
        super().__init__(env)
        seen = _require_box(self)
        first = len(seen.shape) == 3 and seen.shape[0] < min(seen.shape[1:])
        self._axis, self._size = (0 if first else -1), seen.shape[0 if first else -1]
        self.observation_space = Box(
            np.repeat(seen.low, n_stack, self._axis), np.repeat(seen.high, n_stack, self._axis), dtype=seen.dtype.type
        )
        self._stacked = np.zeros(self.observation_space.shape, seen.dtype)

    def reset(self, **kwargs: Any) -> Started:
        obs, info = self.env.reset(**kwargs)
        self._stacked[...] = 0
        return self._with(obs), info

    def step(self, action: Any) -> Stepped:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._with(obs), reward, terminated, truncated, info

    def _with(self, obs: Array) -> Array:
        self._stacked = np.roll(self._stacked, -self._size, self._axis)
        np.moveaxis(self._stacked, self._axis, 0)[-self._size :] = np.moveaxis(obs, self._axis, 0)
        return self._stacked.copy()


class AreaResize(ObservationWrapper[Any, Any, Any]):
    """Shrink uint8 images [height, width] or [height, width, channels] to `shape` by averages over areas.

    Equal to OpenCV's INTER_AREA, as in gymnasium's ResizeObservation, without OpenCV."""

    def __init__(self, env: Env[Any, Any], shape: Sequence[int]) -> None:
        super().__init__(env)
        seen, (height, width) = _require_box(self), tuple(shape)
        if len(seen.shape) not in (2, 3) or seen.dtype != np.uint8 or (height, width) > seen.shape[:2]:
            raise UserError(f"wrapper AreaResize shrinks uint8 images; it can't resize {seen} to {tuple(shape)}")
        self._rows, self._columns = _coverage(seen.shape[0], height), _coverage(seen.shape[1], width)
        self.observation_space = Box(0, 255, (height, width, *seen.shape[2:]), np.uint8)

    def observation(self, observation: Array) -> Array:
        mean = np.einsum("hH,HW...,wW->hw...", self._rows, observation.astype(np.float32), self._columns, optimize=True)
        return np.rint(mean).astype(np.uint8)


def _coverage(size: int, new_size: int) -> NDArray[np.float32]:
    """Return weights [new_size, size]: the share of each new pixel that each old pixel covers."""
    edges = np.arange(new_size + 1) * size / new_size
    pixel = np.arange(size)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.maximum(covered, 0.0) * new_size / size).astype(np.float32)


ZOO_WRAPPERS = {
    wrapper.__name__: wrapper
    for wrapper in (FrameSkip, HistoryWrapper, MaskVelocityWrapper, TimeFeatureWrapper, FrameStack, AreaResize)
}
