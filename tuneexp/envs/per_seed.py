"""One vector environment per seed, combined into one vector environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from tuneexp.envs.env_faults import raised
from tuneexp.envs.observations import join, some_rows

Infos = dict[str, Any]


class PerSeedVectorEnv(VectorEnv[Any, NDArray[Any], NDArray[Any]]):
    """Vector environment of one vector environment per seed, for backends whose sub-environments share a generator.

    Rows are seed-major, [S * N, ...]; observations are arrays or nested dictionaries of arrays."""

    def __init__(self, parts: Sequence[VectorEnv[Any, Any, Any]], name: str, seeds: Sequence[int]) -> None:
        self._parts, self._name, self._seeds = list(parts), name, list(seeds)
        first = self._parts[0]
        self.metadata = dict(first.metadata)
        self.frame_stack: int | None = getattr(first, "frame_stack", None)
        self.num_envs = sum(part.num_envs for part in self._parts)
        self._width = first.num_envs
        self.single_observation_space = first.single_observation_space
        self.single_action_space = first.single_action_space
        self.observation_space = batch_space(first.single_observation_space, self.num_envs)
        self.action_space = batch_space(first.single_action_space, self.num_envs)
        self._obs: Any = None

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, Infos]:
        """Reset. seed: one per part; None continues the random sequences. `options["reset_mask"]`: bool [S * N]."""
        mask = None if options is None else options.get("reset_mask")
        rows = []
        for i, part in enumerate(self._parts):
            own = slice(i * self._width, (i + 1) * self._width)
            try:
                if mask is None:
                    rows.append(part.reset(seed=None if seed is None else seed[i])[0])
                elif mask[own].any():
                    rows.append(part.reset(options={"reset_mask": mask[own]})[0])
                else:
                    rows.append(some_rows(self._obs, own))
            except BaseException as error:
                raise raised(self._name, f"seed {self._seeds[i]}", "reset", error) from error
        self._obs = join(rows)
        return self._obs, {}

    def step(self, actions: NDArray[Any]) -> tuple[Any, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        results = []
        for i, part in enumerate(self._parts):
            try:
                results.append(part.step(actions[i * self._width : (i + 1) * self._width]))
            except BaseException as error:
                raise raised(self._name, f"seed {self._seeds[i]}", "step", error) from error
        obs, reward, terminated, truncated, infos = zip(*results, strict=True)
        self._obs = join(obs)
        final = self._merge_final(infos)
        return self._obs, np.concatenate(reward), np.concatenate(terminated), np.concatenate(truncated), final

    def _merge_final(self, infos: Sequence[Infos]) -> Infos:
        if not any("final_obs" in info for info in infos):
            return {}
        merged = np.full(self.num_envs, None, dtype=object)
        for i, info in enumerate(infos):
            for j, final in enumerate(info.get("final_obs", ())):
                merged[i * self._width + j] = final
        return {"final_obs": merged}

    def close_extras(self, **kwargs: Any) -> None:
        for part in self._parts:
            part.close()
