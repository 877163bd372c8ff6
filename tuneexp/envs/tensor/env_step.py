"""Step of a tensor environment between what a policy gives and sees, as a function of a flat list of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from torch import Tensor

from tuneexp.envs.observations import ObsReader, leaf_starts, leaf_values
from tuneexp.envs.tensor.program import Outcome, Running, TensorProgram, advance
from tuneexp.envs.tensor.trees import leaves, with_leaves
from tuneexp.rl.noise import Noise
from tuneexp.spaces.zero_based import start_of


@dataclass(frozen=True)
class EnvStep:
    """Step of S x N tensor environments.

    Args:
        program: the environment.
        reader: of its observations.
        running: open episodes of any number of environments, for the form of the tree.
    """

    program: TensorProgram
    reader: ObsReader
    running: Running

    @cached_property
    def noises(self) -> dict[str, Noise]:
        """Random inputs by name."""
        return {**self.program.env.reset_noise, **self.program.env.step_noise}

    @cached_property
    def running_leaves(self) -> list[Tensor]:
        return leaves(self.running)

    def numbers(self, device: torch.device) -> list[Tensor]:
        """Return the numbers of the environment and its episode limit."""
        here = self.program.on(device)
        return [*(here.params[name] for name in sorted(here.params)), here.limit]

    def __call__(
        self, running: Sequence[Tensor], action: Tensor, draws: Sequence[Tensor], numbers: Sequence[Tensor]
    ) -> tuple[list[Tensor], Outcome]:
        """Take a step with automatic reset.

        Args:
            running: leaves of the open episodes, [S, N, ...].
            action: zero-based, [S, N, ...].
            draws: of `noises`, [S, N, ...] each.
            numbers: from `numbers`.

        Returns:
            The leaves after the step, and the result with observations as policies see them.
        """
        env, (*params, limit) = self.program.env, numbers
        noise = dict(zip(self.noises, draws, strict=True))
        named = dict(zip(sorted(self.program.params), params, strict=True))
        sent = _sent(env.action_space, action)
        after, outcome = advance(env, with_leaves(self.running, running), sent, noise, named, limit)
        return leaves(after), outcome._replace(obs=self.seen(outcome.obs), next_obs=self.seen(outcome.next_obs))

    def start(self, draws: Sequence[Tensor], device: torch.device) -> tuple[list[Tensor], Tensor]:
        """Start an episode in each environment. Returns the leaves of the open episodes and the observations."""
        with torch.no_grad():
            running, obs = self.program.on(device).start(dict(zip(self.noises, draws, strict=True)))
            return leaves(running), self.seen(obs)

    def seen(self, obs: Any) -> Tensor:
        """Return observations of the environment as `ObsReader` does: zero-based, a Dict as one flat axis."""
        space = self.program.env.observation_space
        if not isinstance(space, Dict):
            start = start_of(space)
            return obs if start is None else obs - torch.as_tensor(start, dtype=obs.dtype, device=obs.device)
        dtype: torch.dtype = getattr(torch, str(self.reader.dtype))
        parts = []
        for value, start, leaf in zip(leaf_values(obs, space), leaf_starts(space), self.reader.leaves, strict=True):
            shifted = value if start is None else value - torch.as_tensor(start, dtype=value.dtype, device=value.device)
            parts.append(shifted.reshape(*value.shape[: value.dim() - len(leaf.shape)], leaf.size).to(dtype))
        return torch.cat(parts, -1)


def _sent(space: Space[Any], action: Tensor) -> Tensor:
    """Return zero-based actions as those of the environment; those of a Box are clipped to its bounds."""
    dtype: torch.dtype = getattr(torch, str(space.dtype))
    if isinstance(space, Box):
        low, high = (torch.as_tensor(np.array(bound), device=action.device) for bound in (space.low, space.high))
        return torch.minimum(torch.maximum(action, low), high).to(dtype)
    start = start_of(space)
    whole = action.to(dtype)
    return whole if start is None else whole + torch.as_tensor(start, dtype=dtype, device=action.device)


def env_step(program: TensorProgram) -> EnvStep:
    """Return the step of an environment."""
    env = program.env
    device = program.limit.device
    noise = {name: one.zeros(1, 1, device) for name, one in {**env.reset_noise, **env.step_noise}.items()}
    with torch.no_grad():
        running, _ = program.start(noise)
    return EnvStep(program, ObsReader(env.observation_space), running)
