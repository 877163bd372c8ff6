"""How a runner acts: the built acting program, its parameters, and its noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tuneexp.learning.act import Act
from tuneexp.learning.compile.program import Program
from tuneexp.learning.devices import CPU
from tuneexp.learning.hyper import CLOCK
from tuneexp.learning.noise import Noise, by_step, draw_all
from tuneexp.sampling.shards import Shard


class Acted(NamedTuple):
    """action: [S, N, ...]; state: [S, N, state_size] of a recurrent model, else None; columns: [S, N, ...] each."""

    action: Tensor
    state: Tensor | None
    columns: list[Tensor]


class Policy:
    """Acts for all seeds at once, `n_envs` environments a call. It computes where its parameters are; what goes in and
    what comes out is on the CPU, where environments are."""

    def __init__(self, act: Act, program: Program, hyper: Tensor, parameters: Mapping[str, Tensor],
                 noise: Mapping[str, Noise], n_envs: int, state_size: int = 0,
                 clock_step: Tensor | None = None) -> None:  # fmt: skip
        """clock_step: [H], by how much `hyper` grows with each step of all environments: what counts time."""
        self._clock_step = clock_step
        self._act, self._program, self.hyper = act, program, hyper
        self.n_envs, self.state_size = n_envs, state_size
        self._noise = noise
        self._device = hyper.device
        self._explore, self._exploit = (torch.tensor(explore).to(self._device) for explore in (True, False))
        self.set_parameters(parameters)

    def set_parameters(self, parameters: Mapping[str, Tensor]) -> None:
        """parameters: name -> [S, ...]; used in place, not copied."""
        self.named_parameters = dict(parameters)
        self._parameters = list(parameters.values())
        self.n_seeds = self._parameters[0].shape[0]
        self._no_noise = [noise.zeros(self.n_seeds, self.n_envs) for noise in self._noise.values()]

    @property
    def column_names(self) -> list[str]:
        return self._act.column_names

    def initial_state(self, n_envs: int) -> Tensor | None:
        """[S, n_envs, state_size] of zeros, for a recurrent model; else None."""
        return torch.zeros(self.n_seeds, n_envs, self.state_size) if self.state_size else None

    def draw_noise(
        self, n_steps: int, generators: Sequence[torch.Generator], n_envs: int | None = None
    ) -> list[Tensor]:
        """What `explore` needs for `n_steps` steps in `n_envs` environments a seed, all by default: columns
        [D, S, N, ...], or [D, S, ...] of one draw for all environments. D: the steps, fewer where draws are held."""
        return draw_all(self._noise, n_steps, n_envs or self.n_envs, generators)

    @property
    def noise_kinds(self) -> Mapping[str, Noise]:
        """Specifications of the columns of `draw_noise`."""
        return self._noise

    def noise_of(self, columns: Sequence[Tensor], shard: Shard) -> list[Tensor]:
        """The part of the columns of `draw_noise` that a runner acts with."""
        kinds = self._noise.values()
        return [shard.of(column, kind.per == "row") for column, kind in zip(columns, kinds, strict=True)]

    def by_step(self, columns: Sequence[Tensor], n_steps: int) -> list[list[Tensor]]:
        """The columns of `draw_noise`, or a runner's part of them, as the draws of each step, [S, ...] each."""
        return by_step(self._noise, columns, n_steps)

    def clock(self, n_steps: int) -> list[Tensor | None]:
        """`hyper` at each of the coming steps, where acting reads the clock: exploration falls with each step and not
        with each rollout only. Else None, for what it is now."""
        if self._clock_step is None or self._act.reads.isdisjoint(CLOCK):
            return [None] * n_steps
        return [self.hyper + step * self._clock_step for step in range(n_steps)]

    def explore(self, obs: Tensor, state: Tensor | None, noise: list[Tensor], hyper: Tensor | None = None) -> Acted:
        """obs: [S, N, ...]; noise: the draws of one step, [S, ...] each; hyper: of that step, from `clock`."""
        return self._run(self._explore, obs, state, noise, hyper)

    def exploit(self, obs: Tensor, state: Tensor | None = None) -> Acted:
        """obs: [S, E, ...] for any E; state: [S, E, state_size]. The deterministic action [S, E, ...].

        The one program serves training and evaluation: environments are filled up to its width."""
        envs = obs.shape[1]
        parts = self._chunks(obs)
        states: Sequence[Tensor | None] = [None] * len(parts) if state is None else self._chunks(state)
        acted = [self._run(self._exploit, *pair, self._no_noise) for pair in zip(parts, states, strict=True)]
        action = torch.cat([part.action for part in acted], dim=1)[:, :envs]
        if state is not None:
            state = torch.cat([part.state for part in acted if part.state is not None], dim=1)[:, :envs]
        return Acted(action, state, [])

    def _chunks(self, envs: Tensor) -> list[Tensor]:
        """[S, E, ...] -> parts [S, n_envs, ...], the last one filled up with its first environment."""
        missing = -envs.shape[1] % self.n_envs
        if missing:
            envs = torch.cat([envs, envs[:, :1].expand(-1, missing, *envs.shape[2:])], dim=1)
        return [part.contiguous() for part in envs.split(self.n_envs, dim=1)]

    def _run(
        self, explore: Tensor, obs: Tensor, state: Tensor | None, noise: list[Tensor], hyper: Tensor | None = None
    ) -> Acted:
        states = [] if state is None else [state]
        given = [obs, *states, *noise]
        if self._device != CPU:
            given = [tensor.to(self._device, non_blocking=True) for tensor in given]
        numbers = self.hyper if hyper is None else hyper
        outputs = self._program.run([numbers, explore, *given, *self._parameters])
        action, *rest = outputs if self._device == CPU else [output.cpu() for output in outputs]
        return Acted(_finite(action), rest[0] if states else None, rest[len(states) :])


def _finite(action: Tensor) -> Tensor:
    """A diverged seed acts with zeros until its loss is seen to be NaN: its environments, which other seeds
    share a process with, must not be fed NaN."""
    if action.is_floating_point() and not math.isfinite(action.sum().item()):
        return action.nan_to_num(0.0, 0.0, 0.0)
    return action
