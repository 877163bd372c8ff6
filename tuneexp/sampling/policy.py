"""Policy of an env runner: the acting program, its parameters and its noise."""

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
from tuneexp.learning.noise import by_step, draw_all
from tuneexp.rl.noise import Noise
from tuneexp.sampling.env_shards import EnvShard
from tuneexp.sampling.rollout import Numbers, Rollout
from tuneexp.sampling.rollout_step import Scaling


class Acted(NamedTuple):
    """Actions of one step.

    Args:
        action: [S, N, ...].
        state: [S, N, state_size], next state of a recurrent model; else None.
        columns: further columns of `act_fn`, [S, N, ...] each.
    """

    action: Tensor
    state: Tensor | None
    columns: list[Tensor]


class Policy:
    """Policy of all seeds, called for `n_envs` environments at once.

    It computes on the device of its parameters. Observations and actions are on the CPU, as the environments are.

    Args:
        act: the acting function.
        program: built from `act`.
        hyper: [S, H], numbers of the configuration.
        parameters: name -> [S, ...], used in place.
        noise: columns of random numbers by name.
        n_envs: environments per seed.
        state_size: size of the recurrent state; 0: none.
        clock_step: [S, H], growth of `hyper` per step of all environments: `progress` and `env_steps` grow. None:
            `hyper` is constant within a fragment.
        rollout: acts in tensor environments and steps them; None: they are not.
    """

    def __init__(self, act: Act, program: Program, hyper: Tensor, parameters: Mapping[str, Tensor],
                 noise: Mapping[str, Noise], n_envs: int, state_size: int = 0,
                 clock_step: Tensor | None = None, rollout: Rollout | None = None) -> None:  # fmt: skip
        self._clock_step, self.rollout = clock_step, rollout
        self._act, self._program, self.hyper = act, program, hyper
        self.n_envs, self.state_size = n_envs, state_size
        self._noise = noise
        self._device = hyper.device
        self._explore, self._exploit = (torch.tensor(explore).to(self._device) for explore in (True, False))
        self.n_seeds, self._parameters = 0, list[Tensor]()
        self.set_parameters(parameters)

    def set_parameters(self, parameters: Mapping[str, Tensor]) -> None:
        """Use other parameters, in place. parameters: name -> [S, ...]."""
        new = list(parameters.values())
        if len(new) == len(self._parameters) and all(one is own for one, own in zip(new, self._parameters)):
            return  # a local runner shares the storage of the learner
        self.named_parameters, self._parameters = dict(parameters), new
        n_seeds = self._parameters[0].shape[0]
        if n_seeds != self.n_seeds:
            self.n_seeds = n_seeds
            self._no_noise = [noise.zeros(n_seeds, self.n_envs) for noise in self._noise.values()]

    @property
    def act(self) -> Act:
        """The acting function, of whose program the actions are."""
        return self._act

    @property
    def column_names(self) -> list[str]:
        return self._act.column_names

    def initial_state(self, n_envs: int) -> Tensor | None:
        """Return zeros [S, n_envs, state_size] for a recurrent model, else None."""
        return torch.zeros(self.n_seeds, n_envs, self.state_size) if self.state_size else None

    def draw_noise(
        self, n_steps: int, generators: Sequence[torch.Generator], n_envs: int | None = None
    ) -> list[Tensor]:
        """Draw the noise of a fragment.

        Args:
            n_steps: steps of the fragment.
            generators: one per seed.
            n_envs: environments per seed (N); None: all.

        Returns:
            Columns [D, S, N, ...], or [D, S, ...] for one draw for all environments. D is the number of steps, or fewer
            if draws are held.
        """
        return draw_all(self._noise, n_steps, n_envs or self.n_envs, generators)

    @property
    def noise_kinds(self) -> Mapping[str, Noise]:
        """Columns of `draw_noise` by name."""
        return self._noise

    def noise_of(self, columns: Sequence[Tensor], shard: EnvShard) -> list[Tensor]:
        """Return the part of a shard of the columns of `draw_noise`."""
        kinds = self._noise.values()
        return [shard.of(column, kind.per == "row") for column, kind in zip(columns, kinds, strict=True)]

    def by_step(self, columns: Sequence[Tensor], n_steps: int) -> list[list[Tensor]]:
        """Return the draws [S, ...] of each step, from columns of `draw_noise` or `noise_of`."""
        return by_step(self._noise, columns, n_steps)

    def clock(self, n_steps: int) -> list[Tensor | None]:
        """Return `hyper` at each of the next `n_steps` steps, or None for each step if it is constant.

        It changes if `act_fn` reads a field that counts time: exploration is annealed per step, not per rollout."""
        if self._clock_step is None or self._act.reads.isdisjoint(CLOCK):
            return [None] * n_steps
        return [self.hyper + step * self._clock_step for step in range(n_steps)]

    def numbers(self, explore: bool, scaling: Scaling | None) -> Numbers:
        """Return the inputs of a rollout. explore: False for the deterministic policy, with `hyper` as it is now."""
        constant = self._clock_step is None or not explore
        clock_step = torch.zeros_like(self.hyper) if constant else self._clock_step
        assert clock_step is not None
        chosen = self._explore if explore else self._exploit
        return Numbers(self.hyper, clock_step, chosen, self._parameters, scaling)

    def no_noise(self, n_steps: int) -> list[Tensor]:
        """Return columns of zeros, as `draw_noise` draws them for `n_steps` steps."""
        return [
            column.new_zeros(1 + noise.at(n_steps - 1), *column.shape)
            for noise, column in zip(self._noise.values(), self._no_noise, strict=True)
        ]

    def explore(self, obs: Tensor, state: Tensor | None, noise: list[Tensor], hyper: Tensor | None = None) -> Acted:
        """Return exploring actions.

        Args:
            obs: [S, N, ...].
            state: [S, N, state_size], or None.
            noise: draws of one step, [S, ...] each.
            hyper: of that step, from `clock`; None: as it is now.
        """
        return self._run(self._explore, obs, state, noise, hyper)

    def exploit(self, obs: Tensor, state: Tensor | None = None) -> Acted:
        """Return deterministic actions [S, E, ...].

        The program is built for N environments. It is called in chunks of N, and the last chunk is padded.

        Args:
            obs: [S, E, ...] for any E.
            state: [S, E, state_size], or None.
        """
        envs = obs.shape[1]
        parts = self._chunks(obs)
        states: Sequence[Tensor | None] = [None] * len(parts) if state is None else self._chunks(state)
        acted = [self._run(self._exploit, *pair, self._no_noise) for pair in zip(parts, states, strict=True)]
        action = torch.cat([part.action for part in acted], dim=1)[:, :envs]
        if state is not None:
            state = torch.cat([part.state for part in acted if part.state is not None], dim=1)[:, :envs]
        return Acted(action, state, [])

    def _chunks(self, envs: Tensor) -> list[Tensor]:
        """Split [S, E, ...] into chunks [S, n_envs, ...]. The last one is padded with the first environment."""
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
    """Replace NaN and infinity by zeros.

    A seed that diverged acts until its loss is found to be NaN. A NaN action may crash environments of other seeds in
    the same process."""
    if action.is_floating_point() and not math.isfinite(action.sum().item()):
        return action.nan_to_num(0.0, 0.0, 0.0)
    return action
