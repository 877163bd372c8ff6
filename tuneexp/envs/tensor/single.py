"""One tensor environment as a `gymnasium.Env`, for drawing, for wrappers and for loops of the user."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.envs.tensor.noise_streams import NoiseStreams
from tuneexp.envs.tensor.program import TensorProgram
from tuneexp.envs.tensor.tensor_env import TensorEnv
from tuneexp.envs.tensor.trees import map_tree


class SingleTensorEnv(gymnasium.Env[Any, Any]):
    """One environment of a tensor program, on the CPU.

    Args:
        program: The environment.
        render_mode: "rgb_array" if it defines `render`.
    """

    def __init__(self, program: TensorProgram, render_mode: str | None = None) -> None:
        self._program, env = program, program.env
        self.observation_space, self.action_space = env.observation_space, env.action_space
        draws = type(env).render is not TensorEnv.render
        self.metadata = {"render_modes": ["rgb_array"] if draws else [], "render_fps": env.render_fps}
        self.render_mode = render_mode
        self._noises = {**env.reset_noise, **env.step_noise}
        self._streams: NoiseStreams | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode. seed: as of `np.random.default_rng`; None: the next episode of the random sequence."""
        if seed is not None or self._streams is None:
            super().reset(seed=seed)
            first = seed if seed is not None else int(self.np_random.integers(2**31))
            self._streams = NoiseStreams(self._noises, (1, 1), lambda restored: [first])
        with torch.no_grad():
            self._running, obs = self._program.start(self._noise())
        return _array(obs), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        sent = torch.from_numpy(np.array(action, self.action_space.dtype)).reshape(self.action_space.shape or ())
        with torch.no_grad():
            self._running, outcome = self._program.take(self._running, sent, self._noise())
        ends = bool(outcome.terminated), bool(outcome.truncated)
        return _array(outcome.obs), float(outcome.reward), *ends, {}

    def _noise(self) -> dict[str, Tensor]:
        assert self._streams is not None, "reset() comes before step()"
        return {name: torch.from_numpy(drawn)[0, 0] for name, drawn in self._streams.next().items()}

    def render(self) -> NDArray[Any] | None:
        if self.render_mode is None:
            return None
        return self._program.env.render(self._running.state, self._program.params)


def _array(obs: Any) -> Any:
    return map_tree(lambda one: one.numpy().copy(), obs)
