"""Random inputs of tensor environments: a stream of draws for each seed, environment and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneexp.rl.noise import Noise

Floats = NDArray[np.float32]
Draws = dict[str, Floats]

# Steps that are drawn together: a call of a generator costs as much as a hundred numbers.
BLOCK = 64
_BELOW_ONE = np.nextafter(np.float32(1.0), np.float32(0.0))


class NoiseStreams:
    """Draws of S x N environments. Each step takes one draw of each name, whether it is used or not.

    So a draw depends on (seed, environment index, name, step) only, and not on how many steps are taken at once. The
    stream of the first name is that of `np.random.default_rng(seed of the environment)`: gymnasium's own environment
    with this seed draws the same numbers, so its first episode has the same start.

    Args:
        noises: By name.
        lead: Seeds and environments, (S, N).
        seeds_after: Function from the number of restores to the seeds of the S * N environments, seed-major.
    """

    def __init__(
        self, noises: Mapping[str, Noise], lead: tuple[int, int], seeds_after: Callable[[int], list[int]]
    ) -> None:
        self._noises, self._lead, self._seeds_after = dict(noises), lead, seeds_after
        self.restart()

    def restart(self, restored: int = 0) -> None:
        """Restart all streams, with other ones after each restore."""
        seeds = self._seeds_after(restored)
        # Of one name for all environments, then of the next.
        self._generators = [
            np.random.default_rng(seed if number == 0 else (seed, number))
            for number in range(len(self._noises))
            for seed in seeds
        ]
        self._start_block(0)

    def _start_block(self, taken: int) -> None:
        """Draw the next block. taken: steps of it that were taken before."""
        self._before = [dict(generator.bit_generator.state) for generator in self._generators]
        self._ahead = self._drawn(BLOCK)
        self._taken = taken

    def _drawn(self, n_steps: int) -> Draws:
        width = self._lead[0] * self._lead[1]
        draws = {}
        for number, (name, noise) in enumerate(self._noises.items()):
            own = self._generators[number * width : (number + 1) * width]
            rows = np.stack([_of_one(noise, generator, n_steps) for generator in own], axis=1)
            draws[name] = rows.reshape(n_steps, *self._lead, *noise.shape)
        return draws

    def next(self) -> Draws:
        """Return the draws of one step by name, each [S, N, *shape]."""
        if self._taken == BLOCK:
            self._start_block(0)
        self._taken += 1
        return {name: block[self._taken - 1] for name, block in self._ahead.items()}

    def take(self, n_steps: int) -> Draws:
        """Return the draws of several steps by name, each [n_steps, S, N, *shape]."""
        parts: dict[str, list[Floats]] = {name: [] for name in self._noises}
        while n_steps:
            if self._taken == BLOCK:
                self._start_block(0)
            stop = min(self._taken + n_steps, BLOCK)
            for name, block in self._ahead.items():
                parts[name].append(block[self._taken : stop])
            n_steps, self._taken = n_steps - (stop - self._taken), stop
        return {name: np.concatenate(blocks) for name, blocks in parts.items()}

    def get_state(self) -> dict[str, Any]:
        """Return the state of the generators before the current block, and the steps of the block that were taken."""
        return {"generators": [dict(state) for state in self._before], "taken": self._taken}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state. Raises ValueError for another number of generators."""
        for generator, own in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = own
        self._start_block(int(state["taken"]))


def _of_one(noise: Noise, generator: np.random.Generator, n_steps: int) -> Floats:
    """Return draws [n_steps, *shape] of one environment."""
    size = (n_steps, *noise.shape)
    if noise.kind == "normal":
        return generator.standard_normal(size).astype(np.float32)
    return np.minimum(generator.random(size).astype(np.float32), _BELOW_ONE)
