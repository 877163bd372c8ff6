"""Returns and lengths of completed episodes per seed, from unnormalised rewards."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class EpisodeSummary(NamedTuple):
    """Statistics of completed episodes; every field [S]. A mean over no episode is NaN."""

    return_mean: Floats
    """Mean return of the last `window` episodes."""
    length_mean: Floats
    """Mean length of the last `window` episodes, in steps."""
    new_episodes: NDArray[np.int64]
    """Episodes that ended since the last summary."""
    new_return_mean: Floats
    """Mean return of these."""


class EpisodeTracker:
    """Sums rewards and steps of S x N environments over fragments of any length; episodes may span fragments."""

    def __init__(self, n_seeds: int, n_envs: int, window: int = 100) -> None:
        self._shape, self._window = (n_seeds, n_envs), window
        self._open_return = np.zeros(n_seeds * n_envs)
        self._open_length = np.zeros(n_seeds * n_envs)
        # NaN marks places that no episode fills yet; the newest episode is the last.
        self._returns = np.full((n_seeds, window), np.nan)
        self._lengths = np.full((n_seeds, window), np.nan)
        self._new_count = np.zeros(n_seeds, np.int64)
        self._new_return = np.zeros(n_seeds)
        self.total_episodes = np.zeros(n_seeds, np.int64)

    def update(
        self,
        reward: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        valid: NDArray[np.bool_],
        seeds: slice = slice(None),
        envs: slice = slice(None),
    ) -> None:
        """Add the steps of a fragment [T, S, N], or one step [S, N]. seeds, envs: the environments that they are from.

        Rows with valid False only reset their environment: they belong to no episode."""
        steps = reward.shape[0] if reward.ndim == 3 else 1
        if steps == 1 and not (terminated | truncated).any():
            self._open_return.reshape(self._shape)[seeds, envs] += np.where(valid, reward, 0.0).reshape(
                valid.shape[-2:]
            )
            self._open_length.reshape(self._shape)[seeds, envs] += valid.reshape(valid.shape[-2:])
            return
        own = self._places(seeds, envs)
        gains = _columns(np.where(valid, reward, 0.0).astype(np.float64), steps)
        counted = _columns(valid, steps).astype(np.float64)
        ended = _columns(terminated | truncated, steps)
        if not ended.any():
            self._open_return[own] += gains.reshape(-1, steps).sum(axis=1)
            self._open_length[own] += counted.reshape(-1, steps).sum(axis=1)
            return
        self._close_episodes(own, gains, counted, ended, steps)

    def _places(self, seeds: slice, envs: slice) -> NDArray[np.int64]:
        """Return the indices of these environments among all S * N."""
        return np.arange(len(self._open_return)).reshape(self._shape)[seeds, envs].reshape(-1)

    def _close_episodes(
        self, own: NDArray[np.int64], gains: Floats, counted: Floats, ended: NDArray[np.bool_], steps: int
    ) -> None:
        """Split each column after every end of an episode, sum the pieces, and store the completed episodes.

        own: indices [C] of the columns; gains, counted, ended: [C * T], time is the fastest axis."""
        column_starts = np.arange(0, len(ended), steps)
        after_ends = ended.nonzero()[0] + 1
        starts = np.union1d(column_starts, after_ends[after_ends < len(ended)])
        column = own[starts // steps]
        returns, lengths = np.add.reduceat(gains, starts), np.add.reduceat(counted, starts)
        first = starts % steps == 0
        returns[first] += self._open_return[own]
        lengths[first] += self._open_length[own]
        last_row = np.append(starts[1:], len(ended)) - 1
        done = ended[last_row]
        self._open_return[own], self._open_length[own] = 0.0, 0.0
        self._open_return[column[~done]] = returns[~done]
        self._open_length[column[~done]] = lengths[~done]
        in_time_order = np.argsort(last_row[done] % steps, kind="stable")
        self._file(*(part[done][in_time_order] for part in (column, returns, lengths)))

    def _file(self, column: NDArray[np.int64], returns: Floats, lengths: Floats) -> None:
        seeds = column // self._shape[1]
        for seed in np.unique(seeds).tolist():
            own = seeds == seed
            self._returns[seed] = np.append(self._returns[seed], returns[own])[-self._window :]
            self._lengths[seed] = np.append(self._lengths[seed], lengths[own])[-self._window :]
            self._new_count[seed] += own.sum()
            self._new_return[seed] += returns[own].sum()
            self.total_episodes[seed] += own.sum()

    def summary(self) -> EpisodeSummary:
        """Return the statistics so far, and reset the count of `new_episodes`."""
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # a mean over no episode is NaN, as promised
            result = EpisodeSummary(
                np.nanmean(self._returns, axis=1),
                np.nanmean(self._lengths, axis=1),
                self._new_count.copy(),
                self._new_return / self._new_count,
            )
        self._new_count[:], self._new_return[:] = 0, 0.0
        return result

    def drop_open_episodes(self, seeds: slice = slice(None), envs: slice = slice(None)) -> None:
        """Discard open episodes of environments that were restarted."""
        own = self._places(seeds, envs)
        self._open_return[own], self._open_length[own] = 0.0, 0.0

    def state_dict(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, attribute).copy() for name, attribute in _STATE.items()}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state. Raises ValueError for another number of seeds or environments, or another window."""
        for name, attribute in _STATE.items():
            own: NDArray[Any] = getattr(self, attribute)
            given = np.asarray(state[name])
            if given.shape != own.shape:
                raise ValueError(f"episode statistics: {name} has shape {given.shape}, here it is {own.shape}")
            own[...] = given


_STATE = {
    "open_return": "_open_return",
    "open_length": "_open_length",
    "returns": "_returns",
    "lengths": "_lengths",
    "new_count": "_new_count",
    "new_return": "_new_return",
    "total_episodes": "total_episodes",
}


def _columns(rows: NDArray[Any], steps: int) -> NDArray[Any]:
    """[T, S, N] or [S, N] -> [S * N * T]; time is the fastest axis."""
    return rows.reshape(steps, -1).T.reshape(-1)


def mean_of_known(values: NDArray[np.float64]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
