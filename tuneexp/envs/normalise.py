"""Running normalisation of observations and rewards, with statistics of each seed's own.

As Stable-Baselines3's VecNormalize: observations by mean and standard deviation, rewards by the standard
deviation of the running discounted return (Engstrom et al. 2020, appendix A.2); both clipped."""

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
# What the variance of 1 weighs that stands in before the first rows: nearly nothing.
FIRST_COUNT = 1e-4
CLIP = 10.0


class Moments(NamedTuple):
    """Of the rows that each environment gave: weight [S, N], how many; mean [S, N, ...]; squares [S, N, ...], the sum
    of squared deviations. Merged in the order of environments, it is the same whichever runner had them."""

    weight: Floats
    mean: Floats
    squares: Floats


def moments_of(values: NDArray[Any], valid: NDArray[np.bool_]) -> Moments:
    """values: [T, S, N, ...]; valid: [T, S, N], the rows that count."""
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
    """Mean and variance over rows, per seed: mean, var [S, ...], count [S]. Chan et al. 1979, in float64."""

    def __init__(self, n_seeds: int, shape: tuple[int, ...] = ()) -> None:
        self.mean: Floats = np.zeros((n_seeds, *shape))
        self.var: Floats = np.ones((n_seeds, *shape))
        self.count: Floats = np.full(n_seeds, FIRST_COUNT)

    def update(self, new: Moments) -> None:
        """A seed without rows is left as it is."""
        count = new.weight.sum(axis=1)
        share = _wide(new.weight / np.maximum(count, 1.0)[:, None], new.mean.ndim)
        mean = (new.mean * share).sum(axis=1)
        apart = np.square(new.mean - mean[:, None]) * _wide(new.weight, new.mean.ndim)
        self._merge(mean, (new.squares + apart).sum(axis=1), count)

    def _merge(self, mean: Floats, squares: Floats, count: Floats) -> None:
        """mean, squares (sum of squared deviations): [S, ...]; count: [S]."""
        # The first rows say where the mean is: however little 0 weighs, the square of a large mean outweighs it.
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
    """What a fragment has to say to the statistics; None where nothing of that kind is normalised."""

    obs: Moments | None
    discounted_return: Moments | None


class DiscountedReturns:
    """The running discounted returns [S, N] of a runner's own environments."""

    def __init__(self, n_seeds: int, n_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.running: Floats = np.zeros((n_seeds, n_envs))

    def follow(
        self, reward: NDArray[Any], terminated: NDArray[np.bool_], truncated: NDArray[np.bool_],
        valid: NDArray[np.bool_],
    ) -> Floats:  # fmt: skip
        """All [T, S, N]. Returns the discounted return after each row. Either end starts it anew; a row that isn't
        valid adds nothing."""
        ended = terminated | truncated
        after = np.empty(reward.shape)
        for t in range(len(reward)):
            grown = self.running * self.gamma + reward[t]
            after[t] = self.running = np.where(valid[t], grown, self.running)
            self.running = np.where(ended[t], 0.0, self.running)
        return after

    def restart(self) -> None:
        """Forget the returns under way: their environments were started afresh."""
        self.running[:] = 0.0


class RunningNormaliser:
    """Observations and rewards, each seed's by its own statistics.

    The statistics move between fragments only: whoever acts scales by what was known when the fragment began, and
    `learn` takes what all runners saw in it. So it doesn't matter how many runners there are. `normalise` and
    `scale_rewards` change nothing. Where `norm_obs` (`norm_reward`) is False the observation (reward) passes untouched.

    Of a packed dictionary (`observations.py`) only its floating point Box leaves are scaled: choices, images and
    action masks pass as they are.

    Raises `UserError` for observations that have no mean (Discrete) and for images, which networks scale."""

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
        """Of the raw observations [T, S, N, ...] that were acted on. Rows that aren't `valid` [T, S, N] don't count:
        on the final observation of an episode nothing was decided."""
        if not self.norm_obs:
            return None
        return moments_of(obs if self._columns is None else obs[..., self._columns], valid)

    def learn(self, new: Learned) -> None:
        """new: of all environments, in their order."""
        if new.obs is not None:
            self._obs.update(new.obs)
            self._refresh()
        if new.discounted_return is not None:
            self._return.update(new.discounted_return)

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
        return np.minimum(np.maximum(scaled, -self._clip_obs), self._clip_obs).astype(np.float32)

    def scale_rewards(self, reward: NDArray[Any]) -> NDArray[Any]:
        """reward: [S, ...] -> the same shape, scaled by the statistics of now. Changes nothing here."""
        if not self.norm_reward:
            return reward
        scaled = reward / np.sqrt(self._return.var + EPSILON).reshape(-1, *(1,) * (reward.ndim - 1))
        return np.minimum(np.maximum(scaled, -self._clip_reward), self._clip_reward).astype(np.float32)

    def _refresh(self) -> None:
        self._inverse_std = 1.0 / np.sqrt(self._obs.var + EPSILON)

    def state_dict(self, seeds: slice = slice(None)) -> dict[str, NDArray[Any]]:
        """seeds: of which; all by default."""
        return {
            f"{prefix}_{name}": getattr(moments, name)[seeds].copy()
            for prefix, moments in (("obs", self._obs), ("return", self._return))
            for name in ("mean", "var", "count")
        }

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Raises ValueError where a shape differs."""
        for name, own in self.state_dict().items():
            if np.shape(state[name]) != own.shape:
                raise ValueError(f"normaliser: {name} has shape {np.shape(state[name])}, here it is {own.shape}")
        for moments, prefix in ((self._obs, "obs"), (self._return, "return")):
            for name in ("mean", "var", "count"):
                setattr(moments, name, np.array(state[f"{prefix}_{name}"], np.float64))
        self._refresh()


def _scaled_columns(space: Space[Any]) -> NDArray[np.int64] | None:
    """Which columns of a packed dictionary are scaled; None for a Box, all of which is. Raises `UserError`."""
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
            "leaves of a Dict: leave observation normalisation off"
        )
    return np.concatenate(columns)
