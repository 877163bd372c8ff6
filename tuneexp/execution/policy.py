"""How a runner acts: the built acting program, its parameters, and its noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tuneexp.learning.gradient import Act
from tuneexp.learning.program import Program


@dataclass(frozen=True)
class Noise:
    """What acting draws for each environment and step. kind: "uniform" in [0, 1) or "normal"."""

    kind: str
    shape: tuple[int, ...]

    def draw(self, n_steps: int, n_envs: int, generators: Sequence[torch.Generator]) -> Tensor:
        """[T, S, N, *shape], each seed's part from its own generator."""
        sample = torch.rand if self.kind == "uniform" else torch.randn
        return torch.stack([sample(n_steps, n_envs, *self.shape, generator=g) for g in generators], dim=1)


class Policy:
    """Acts for all seeds at once, `n_envs` environments a call."""

    def __init__(self, act: Act, program: Program, hyper: Tensor, parameters: Mapping[str, Tensor], noise: Noise,
                 n_envs: int) -> None:  # fmt: skip
        self._act, self._program, self._hyper = act, program, hyper
        self.noise, self.n_envs = noise, n_envs
        self._explore, self._exploit = torch.tensor(True), torch.tensor(False)
        self.set_parameters(parameters)

    def set_parameters(self, parameters: Mapping[str, Tensor]) -> None:
        """parameters: name -> [S, ...]; used in place, not copied."""
        self._parameters = list(parameters.values())
        self.n_seeds = self._parameters[0].shape[0]
        self._no_noise = torch.zeros(self.n_seeds, self.n_envs, *self.noise.shape)

    @property
    def column_names(self) -> list[str]:
        return self._act.column_names

    def explore(self, obs: Tensor, noise: Tensor) -> list[Tensor]:
        """obs, noise: [S, N, ...]. Returns [action, *columns], each [S, N, ...]."""
        action, *columns = self._program.run([self._hyper, self._explore, noise, obs, *self._parameters])
        return [_finite(action), *columns]

    def exploit(self, obs: Tensor) -> Tensor:
        """obs: [S, E, ...] for any E. The deterministic action [S, E, ...].

        The one program serves training and evaluation: lanes are filled up to its width."""
        lanes, missing = obs.shape[1], -obs.shape[1] % self.n_envs
        if missing:
            obs = torch.cat([obs, obs[:, :1].expand(-1, missing, *obs.shape[2:])], dim=1)
        parts = [
            self._program.run([self._hyper, self._exploit, self._no_noise, part.contiguous(), *self._parameters])[0]
            for part in obs.split(self.n_envs, dim=1)
        ]
        actions = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return _finite(actions[:, :lanes])


def _finite(action: Tensor) -> Tensor:
    """A diverged seed acts with zeros until its loss is seen to be NaN: its environments, which other seeds
    share a process with, must not be fed NaN."""
    if action.is_floating_point() and not math.isfinite(action.sum().item()):
        return action.nan_to_num(0.0, 0.0, 0.0)
    return action
