"""Random seeds per (seed, environment index), independent of the number of seeds in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


def env_seed(seed: int, index: int, restored: int = 0) -> int:
    """Random seed of one environment; 31 bits, as some environments refuse more.

    Args:
        seed: Seed of the trial.
        index: Index of the environment.
        restored: Number of restarts without a saved state; each gives another random sequence.

    Returns:
        The seed.
    """
    entropy = (seed, index, restored) if restored else (seed, index)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)


def env_seeds(seeds: Sequence[int], indices: range, restored: int = 0) -> list[int]:
    """Random seeds of all environments, seed-major; indices: environments of each seed."""
    return [env_seed(seed, index, restored) for seed in seeds for index in indices]


class HasPrevDone(Protocol):
    prev_done: NDArray[np.bool_]


class UniformPerEnv:
    """Replacement of the single generator of gymnasium's native CartPole: one generator per environment.

    CartPole calls `uniform(low, high, size=(4, k))` for the k environments that `prev_done` marks, or for all at a full
    reset; one column belongs to one environment.
    """

    def __init__(self, env: HasPrevDone, seeds: Sequence[int], indices: range) -> None:
        self._env, self._seeds, self._indices = env, seeds, indices
        self.restart()

    def restart(self, restored: int = 0) -> None:
        """Restart all random sequences, with other ones after each restore (see `env_seed`)."""
        self._generators = [np.random.default_rng(s) for s in env_seeds(self._seeds, self._indices, restored)]

    def uniform(self, low: float, high: float, size: tuple[int, int]) -> NDArray[np.float64]:
        rows, columns = size
        drawn = np.empty((columns, rows))
        if columns:
            full_reset = columns == len(self._generators)
            indices = range(columns) if full_reset else self._env.prev_done.nonzero()[0].tolist()
            for row, index in zip(drawn, indices, strict=True):
                self._generators[index].random(out=row)
            drawn *= high - low
            drawn += low
        return drawn.T

    def get_state(self) -> list[dict[str, Any]]:
        return [dict(g.bit_generator.state) for g in self._generators]

    def set_state(self, states: Sequence[dict[str, Any]]) -> None:
        for generator, state in zip(self._generators, states, strict=True):
            generator.bit_generator.state = state
