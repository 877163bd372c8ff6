"""Tensor environments as one vector environment of gymnasium, stepped through Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.envs.env_rng import env_seeds
from tuneexp.envs.tensor.noise_streams import NoiseStreams
from tuneexp.envs.tensor.program import Running, TensorProgram
from tuneexp.envs.tensor.trees import leaves, map_tree, with_leaves

Infos = dict[str, Any]


class TensorVec(VectorEnv[Any, NDArray[Any], NDArray[Any]]):
    """S * N tensor environments, seed-major. A new episode starts in the step that ends one (SAME_STEP).

    Args:
        program: The environment.
        seeds: Random seeds.
        indices: Environments of each seed.
        device: Device of state and computation. Random numbers are drawn on the CPU.
    """

    def __init__(
        self, program: TensorProgram, seeds: Sequence[int], indices: range, device: torch.device | str = "cpu"
    ) -> None:
        env = program.env
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space, self.single_action_space = env.observation_space, env.action_space
        self._lead, self._device = (len(seeds), len(indices)), torch.device(device)
        self.num_envs = len(seeds) * len(indices)
        self.observation_space = batch_space(env.observation_space, self.num_envs)
        self.action_space = batch_space(env.action_space, self.num_envs)
        self.program = program.on(self._device)
        noises = {**env.reset_noise, **env.step_noise}
        self.streams = NoiseStreams(noises, self._lead, partial(env_seeds, seeds, indices))
        self._running: Running | None = None

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, Infos]:
        """Start a new episode in each environment. `streams.restart` sets the random sequences, not `seed`."""
        with torch.no_grad():
            self._running, obs = self.program.start(self._noise())
        return self._rows(obs), {}

    def step(self, actions: NDArray[Any]) -> tuple[Any, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        assert self._running is not None, "reset() comes before step()"
        action = torch.from_numpy(np.ascontiguousarray(actions)).to(self._device)
        noise = self._noise()
        with torch.no_grad():
            running, outcome = self.program.take(self._running, action.reshape(*self._lead, *action.shape[1:]), noise)
            if bool((outcome.terminated | outcome.truncated).any()):
                running, outcome = self.program.restart(running, outcome, noise)
        self._running = running
        obs, next_obs, reward, terminated, truncated = self._rows(outcome)
        return obs, reward, terminated, truncated, {"final_obs": next_obs}

    @property
    def running(self) -> list[Tensor]:
        """Leaves of the open episodes, [S, N, ...] on the device."""
        assert self._running is not None, "reset() comes before the first step"
        return leaves(self._running)

    @running.setter
    def running(self, new: Sequence[Tensor]) -> None:
        self._running = with_leaves(self._running, new)

    def _noise(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(drawn).to(self._device) for name, drawn in self.streams.next().items()}

    def _rows(self, tree: Any) -> Any:
        """[S, N, ...] on the device -> arrays [S * N, ...]."""
        return map_tree(lambda one: one.cpu().numpy().reshape(self.num_envs, *one.shape[2:]), tree)

    def get_state(self) -> dict[str, Any]:
        """Return open episodes and random generators, as arrays and numbers."""
        assert self._running is not None
        running = [leaf.cpu().numpy().copy() for leaf in leaves(self._running)]
        return {"running": running, "noise": self.streams.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state, after a reset. Raises ValueError for a state of other shapes or types."""
        own = leaves(self._running)
        saved = [torch.from_numpy(np.array(leaf)) for leaf in state["running"]]
        if [(leaf.shape, leaf.dtype) for leaf in own] != [(leaf.shape, leaf.dtype) for leaf in saved]:
            raise ValueError("the saved environments have a state of another form")
        self._running = with_leaves(self._running, [leaf.to(self._device) for leaf in saved])
        self.streams.set_state(state["noise"])
