"""Running normalisation of observations and rewards, with statistics per seed.

As VecNormalize of Stable-Baselines3: observations by mean and standard deviation, rewards by the standard deviation of
the running discounted return (Engstrom et al. 2020, arXiv:2005.12729); both clipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from tuneexp.errors import UserError
from tuneexp.spaces.kinds import is_image
from tuneexp.spaces.packing import layout

Floats = NDArray[np.float64]

EPSILON = 1e-8
# Weight of the initial variance of 1: negligible against one row.
FIRST_COUNT = 1e-4
CLIP = 10.0


class Moments(NamedTuple):
    """Moments of each environment's rows: weight [S, N] (number of rows), mean [S, N, ...], squares [S, N, ...] (sum of
    squared deviations).

    Merged in the order of environments, the result does not depend on the assignment to runners.
    """

    weight: Floats
    mean: Floats
    squares: Floats


def moments_of(values: NDArray[Any], valid: NDArray[np.bool_]) -> Moments:
    """Return the moments of rows. values: [T, S, N, ...]; valid: [T, S, N], the rows that count."""
    rows = values.astype(np.float64, copy=False)
    count = valid.sum(axis=0).astype(np.float64)
    divisor = _wide(np.maximum(count, 1.0), rows.ndim - 1)
    if valid.all():
        mean = rows.sum(axis=0) / divisor
        return Moments(count, mean, np.square(rows - mean).sum(axis=0))
    weight = _wide(valid, rows.ndim)
    mean = (rows * weight).sum(axis=0) / divisor
    return Moments(count, mean, (np.square(rows - mean) * weight).sum(axis=0))


class RunningMoments:
    """Running mean and variance per seed: mean, var [S, ...], count [S]. Chan et al. 1979, in float64."""

    def __init__(self, n_seeds: int, shape: tuple[int, ...] = ()) -> None:
        self.mean: Floats = np.zeros((n_seeds, *shape))
        self.var: Floats = np.ones((n_seeds, *shape))
        self.count: Floats = np.full(n_seeds, FIRST_COUNT)

    def update(self, new: Moments) -> None:
        """Merge new moments; a seed without rows is unchanged."""
        count = new.weight.sum(axis=1)
        share = _wide(new.weight / np.maximum(count, 1.0)[:, None], new.mean.ndim)
        mean = (new.mean * share).sum(axis=1)
        apart = np.square(new.mean - mean[:, None]) * _wide(new.weight, new.mean.ndim)
        self._merge(mean, (new.squares + apart).sum(axis=1), count)

    def _merge(self, mean: Floats, squares: Floats, count: Floats) -> None:
        """Merge mean [S, ...], squares (sum of squared deviations) [S, ...] and count [S]."""
        # The first rows set the mean: even with a negligible weight, 0 would add the square of a large mean to var.
        first = _wide((self.count == FIRST_COUNT) & (count > 0), mean.ndim)
        self.mean = np.where(first, mean, self.mean)
        total = self.count + count
        share = _wide(count / total, mean.ndim)
        delta = mean - self.mean
        self.mean = self.mean + delta * share
        own = _wide(self.count, mean.ndim)
        self.var = (self.var * own + squares + np.square(delta) * own * share) / _wide(total, mean.ndim)
        self.count = total


def _wide(leading: NDArray[Any], ndim: int) -> NDArray[Any]:
    return leading.reshape(leading.shape + (1,) * (ndim - leading.ndim))


class Learned(NamedTuple):
    """Moments that a fragment contributes; None for a kind that is not normalised."""

    obs: Moments | None
    discounted_return: Moments | None


class DiscountedReturns:
    """Running discounted returns [S, N] of a runner's environments."""

    def __init__(self, n_seeds: int, n_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.running: Floats = np.zeros((n_seeds, n_envs))

    def follow(
        self, reward: NDArray[Any], terminated: NDArray[np.bool_], truncated: NDArray[np.bool_],
        valid: NDArray[np.bool_],
    ) -> Floats:  # fmt: skip
        """Return the discounted return after each row. All arguments [T, S, N].

        Termination and truncation reset it to zero. A row that isn't valid adds nothing."""
        ended = terminated | truncated
        after = np.empty(reward.shape)
        for t in range(len(reward)):
            grown = self.running * self.gamma + reward[t]
            after[t] = self.running = np.where(valid[t], grown, self.running)
            self.running = np.where(ended[t], 0.0, self.running)
        return after

    def restart(self) -> None:
        """Discard the running returns of environments that were restarted."""
        self.running[:] = 0.0


class RunningNormaliser:
    """Normalisation of observations and rewards by the statistics of each seed.

    The statistics change between fragments only: acting uses those at the start of the fragment, and `learn` merges the
    moments of all runners after it, so results do not depend on the number of runners. With `norm_obs` (`norm_reward`)
    False observations (rewards) are unchanged. Of a packed Dict (`observations.py`) only floating point Box leaves are
    scaled, no choices, images or action masks.

    Raises:
        UserError: observations without a mean (Discrete), or images, which networks scale.
    """

    def __init__(
        self, n_seeds: int, observation_space: Space[Any], norm_obs: bool = True, norm_reward: bool = True,
        clip_obs: float = CLIP, clip_reward: float = CLIP,
    ) -> None:  # fmt: skip
        self._clip_obs, self._clip_reward = clip_obs, clip_reward
        self.norm_obs, self.norm_reward = norm_obs, norm_reward
        # None: all numbers of an observation. Else the columns of a packed dictionary that are scaled.
        self._columns = _scaled_columns(observation_space) if norm_obs else None
        shape = observation_space.shape or () if self._columns is None else (len(self._columns),)
        self._obs = RunningMoments(n_seeds, shape)
        self._return = RunningMoments(n_seeds)
        self._refresh()

    def moments(self, obs: NDArray[Any], valid: NDArray[np.bool_]) -> Moments | None:
        """Moments of the raw observations [T, S, N, ...] that were acted on; rows that are not `valid` [T, S, N] are
        excluded.
        """
        if not self.norm_obs:
            return None
        return moments_of(obs if self._columns is None else obs[..., self._columns], valid)

    def learned_from(
        self, obs: NDArray[Any], reward: NDArray[Any], terminated: NDArray[np.bool_], truncated: NDArray[np.bool_],
        valid: NDArray[np.bool_], returns: DiscountedReturns,
    ) -> Learned:  # fmt: skip
        """Moments of one fragment, for `learn`.

        Args:
            obs: Raw observations that were acted on, [T, S, N, ...].
            reward: Raw rewards, [T, S, N].
            terminated: [T, S, N].
            truncated: [T, S, N].
            valid: [T, S, N]; other rows are excluded.
            returns: Discounted returns of these environments, which follow the rewards.
        """
        discounted = None
        if self.norm_reward:
            discounted = moments_of(returns.follow(reward, terminated, truncated, valid), valid)
        return Learned(self.moments(obs, valid), discounted)

    def copy_rows(self, source: NDArray[np.int64]) -> None:
        """Copy the statistics between seeds. source: [S], the row for each seed."""
        for own in (self._obs, self._return):
            own.mean, own.var, own.count = own.mean[source], own.var[source], own.count[source]
        self._refresh()

    def learn(self, new: Learned) -> None:
        """Update the statistics. new: moments of all environments, in their order."""
        if new.obs is not None:
            self._obs.update(new.obs)
            self._refresh()
        if new.discounted_return is not None:
            self._return.update(new.discounted_return)

    def normalise(self, obs: NDArray[Any]) -> NDArray[Any]:
        """Standardise and clip observations [S, ..., *observation] to float32, without updating the statistics."""
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
        return np.minimum(np.maximum(scaled, -self._clip_obs), self._clip_obs).astype(np.float32)

    def scaling(self) -> tuple[NDArray[np.int64] | None, Floats, Floats, float]:
        """Return what `normalise` applies: columns of a packed Dict (None: all), mean [S, ...], the inverse of the
        standard deviation [S, ...], and the bound of the result."""
        return self._columns, self._obs.mean, self._inverse_std, self._clip_obs

    def scale_rewards(self, reward: NDArray[Any]) -> NDArray[Any]:
        """Scale and clip rewards [S, ...] by the present statistics, without updating them."""
        if not self.norm_reward:
            return reward
        scaled = reward / np.sqrt(self._return.var + EPSILON).reshape(-1, *(1,) * (reward.ndim - 1))
        return np.minimum(np.maximum(scaled, -self._clip_reward), self._clip_reward).astype(np.float32)

    def _refresh(self) -> None:
        self._inverse_std = 1.0 / np.sqrt(self._obs.var + EPSILON)

    def state_dict(self, seeds: slice = slice(None)) -> dict[str, NDArray[Any]]:
        """Return the state of `seeds`; by default of all."""
        return {
            f"{prefix}_{name}": getattr(moments, name)[seeds].copy()
            for prefix, moments in (("obs", self._obs), ("return", self._return))
            for name in ("mean", "var", "count")
        }

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state. Raises ValueError if a shape differs."""
        for name, own in self.state_dict().items():
            if np.shape(state[name]) != own.shape:
                raise ValueError(f"normaliser: {name} has shape {np.shape(state[name])}, here it is {own.shape}")
        for moments, prefix in ((self._obs, "obs"), (self._return, "return")):
            for name in ("mean", "var", "count"):
                setattr(moments, name, np.array(state[f"{prefix}_{name}"], np.float64))
        self._refresh()


def _scaled_columns(space: Space[Any]) -> NDArray[np.int64] | None:
    """Columns of a packed Dict that are scaled; None for a Box, which is scaled whole. Raises `UserError`."""
    if isinstance(space, Box) and not is_image(space):
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
            "leaves of a Dict: write normalize_observation=false"
        )
    return np.concatenate(columns)
