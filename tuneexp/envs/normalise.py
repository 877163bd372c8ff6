"""Running normalisation of observations and rewards, with statistics of each seed's own.

As Stable-Baselines3's VecNormalize: observations by mean and standard deviation, rewards by the standard
deviation of the running discounted return (Engstrom et al. 2020, appendix A.2); both clipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from tuneexp.errors import UserError
from tuneexp.rl.packing import layout

Floats = NDArray[np.float64]

EPSILON = 1e-8
CLIP = 10.0


class RunningMoments:
    """Mean and variance over rows, per seed: mean, var [S, ...], count [S]. Chan et al. 1979, in float64."""

    def __init__(self, n_seeds: int, shape: tuple[int, ...] = ()) -> None:
        self.mean: Floats = np.zeros((n_seeds, *shape))
        self.var: Floats = np.ones((n_seeds, *shape))
        # Nearly nothing, so that the first real rows outweigh the (0, 1) that stands in before them.
        self.count: Floats = np.full(n_seeds, 1e-4)

    def update(self, values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> None:
        """values: [S, N, ...]; valid: [S, N] or None for all. A seed without valid rows is left as it is."""
        rows = values.astype(np.float64, copy=False)
        if valid is None or valid.all():
            count: Any = float(rows.shape[1])
            mean = rows.sum(axis=1) / count
            squares = np.square(rows - mean[:, None]).sum(axis=1)
        else:
            weight = self._wide(valid, rows.ndim)
            count = valid.sum(axis=1).astype(np.float64)
            mean = (rows * weight).sum(axis=1) / self._wide(np.maximum(count, 1.0), rows.ndim - 1)
            squares = (np.square(rows - mean[:, None]) * weight).sum(axis=1)
        self._merge(mean, squares, count)

    def _merge(self, mean: Floats, squares: Floats, count: Any) -> None:
        """mean, squares (sum of squared deviations): [S, ...]; count: [S] or one number for all."""
        total = self.count + count
        share = self._wide(count / total, mean.ndim)
        delta = mean - self.mean
        self.mean = self.mean + delta * share
        own = self._wide(self.count, mean.ndim)
        self.var = (self.var * own + squares + np.square(delta) * own * share) / self._wide(total, mean.ndim)
        self.count = total

    @staticmethod
    def _wide(per_seed: NDArray[Any], ndim: int) -> NDArray[Any]:
        return per_seed.reshape(per_seed.shape + (1,) * (ndim - per_seed.ndim))


class RunningNormaliser:
    """Observations and rewards of S x N environments, each seed by its own statistics.

    `observe` and `reward` learn from what they see; `normalise` only applies what was learned (for the
    true next observations, for replayed ones, and for evaluation, where statistics are frozen).
    Where `norm_obs` (`norm_reward`) is False the observation (reward) passes through untouched.

    Of a packed dictionary (`observations.py`) only its floating point Box leaves are scaled: choices, images and
    action masks pass as they are.

    Raises `UserError` for observations that have no mean (Discrete) and for images, which networks scale."""

    def __init__(
        self,
        n_seeds: int,
        n_envs: int,
        observation_space: Space[Any],
        gamma: float,
        norm_obs: bool = True,
        norm_reward: bool = True,
    ) -> None:
        self.norm_obs, self.norm_reward, self.gamma = norm_obs, norm_reward, gamma
        # None: all numbers of an observation. Else the columns of a packed dictionary that are scaled.
        self._columns = _scaled_columns(observation_space) if norm_obs else None
        shape = observation_space.shape or () if self._columns is None else (len(self._columns),)
        self._obs = RunningMoments(n_seeds, shape)
        self._return = RunningMoments(n_seeds)
        self._running_return: Floats = np.zeros((n_seeds, n_envs))
        self._refresh()

    def observe(self, obs: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Learn from obs [S, N, ...] that the policy is about to act on, and return it normalised (float32).

        `valid` [S, N] is False where the coming step only resets (`~SeedEnvs.resets_next`): such a row,
        the final observation of an episode, is normalised but not learned from."""
        if self.norm_obs:
            self._obs.update(obs if self._columns is None else obs[..., self._columns], valid)
            self._refresh()
        return self.normalise(obs)

    def normalise(self, obs: NDArray[Any]) -> NDArray[Any]:
        """obs [S, ..., *observation] -> the same shape, float32. Changes nothing here."""
        if not self.norm_obs:
            return obs
        if self._columns is None:
            return self._scaled(obs)
        whole = obs.astype(np.float32)
        whole[..., self._columns] = self._scaled(obs[..., self._columns])
        return whole

    def _scaled(self, values: NDArray[Any]) -> NDArray[np.float32]:
        between = (1,) * (values.ndim - self._obs.mean.ndim)
        shape = (values.shape[0], *between, *self._obs.mean.shape[1:])
        scaled = (values - self._obs.mean.reshape(shape)) * self._inverse_std.reshape(shape)
        return np.minimum(np.maximum(scaled, -CLIP), CLIP).astype(np.float32)

    def reward(
        self,
        reward: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        valid: NDArray[np.bool_],
    ) -> NDArray[Any]:
        """All [S, N], one step in time order. Learn from the rewards and return them normalised (float32)."""
        if not self.norm_reward:
            return reward
        self._running_return = np.where(valid, self._running_return * self.gamma + reward, self._running_return)
        self._return.update(self._running_return, valid)
        self._running_return[terminated | truncated] = 0.0
        return self.scale_rewards(reward)

    def scale_rewards(self, reward: NDArray[Any]) -> NDArray[Any]:
        """reward: [S, ...] -> the same shape, scaled by the statistics of now. Changes nothing here."""
        if not self.norm_reward:
            return reward
        scaled = reward / np.sqrt(self._return.var + EPSILON).reshape(-1, *(1,) * (reward.ndim - 1))
        return np.minimum(np.maximum(scaled, -CLIP), CLIP).astype(np.float32)

    def restart_returns(self) -> None:
        """Forget the discounted returns under way: their environments were started afresh."""
        self._running_return[:] = 0.0

    def _refresh(self) -> None:
        self._inverse_std = 1.0 / np.sqrt(self._obs.var + EPSILON)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        return {
            "obs_mean": self._obs.mean.copy(),
            "obs_var": self._obs.var.copy(),
            "obs_count": self._obs.count.copy(),
            "return_mean": self._return.mean.copy(),
            "return_var": self._return.var.copy(),
            "return_count": self._return.count.copy(),
            "running_return": self._running_return.copy(),
        }

    def load_state_dict(self, state: Mapping[str, NDArray[Any]], statistics_only: bool = False) -> None:
        """`statistics_only` leaves the returns under way alone (for an evaluator with another number of
        environments). Raises ValueError where a shape differs."""
        for name, own in self.state_dict().items():
            if np.shape(state[name]) != own.shape and not (statistics_only and name == "running_return"):
                raise ValueError(f"normaliser: {name} has shape {np.shape(state[name])}, here it is {own.shape}")
        for moments, prefix in ((self._obs, "obs"), (self._return, "return")):
            moments.mean = np.array(state[f"{prefix}_mean"], np.float64)
            moments.var = np.array(state[f"{prefix}_var"], np.float64)
            moments.count = np.array(state[f"{prefix}_count"], np.float64)
        if not statistics_only:
            self._running_return = np.array(state["running_return"], np.float64)
        self._refresh()


def _scaled_columns(space: Space[Any]) -> NDArray[np.int64] | None:
    """Which columns of a packed dictionary are scaled; None for a Box, all of which is. Raises `UserError`."""
    if isinstance(space, Box) and not (space.dtype == np.uint8 and len(space.shape) == 3):
        return None
    leaves = layout(space) if isinstance(space, Dict) else []
    columns = [
        np.arange(leaf.start, leaf.start + leaf.size)
        for leaf in leaves
        if np.issubdtype(leaf.space.dtype, np.floating) and leaf.name.rpartition("/")[2] != "action_mask"
    ]
    if not columns:
        what = "images" if isinstance(space, Box) else type(space).__name__
        raise UserError(
            f"observations of {what} can't be normalised; only Box observations can, and floating point "
            "leaves of a Dict: leave observation normalisation off"
        )
    return np.concatenate(columns)
