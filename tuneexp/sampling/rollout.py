"""Rollouts in tensor environments: a program takes each step of acting and of the environments, without Python between
the parts of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.tensor.env_step import EnvStep
from tuneexp.learning.compile.program import Program
from tuneexp.learning.compile.stepping import LEAST_ROWS
from tuneexp.sampling.rollout_step import Open, RolloutStep, Scaling


class Numbers(NamedTuple):
    """Inputs of all steps of a rollout.

    Args:
        hyper: [S, H], numbers of the configuration at its first step.
        clock_step: [S, H], their growth per step.
        explore: 0-d bool.
        parameters: of the networks, [S, ...] each.
        scaling: None: observations are not normalised.
    """

    hyper: Tensor
    clock_step: Tensor
    explore: Tensor
    parameters: Sequence[Tensor]
    scaling: Scaling | None


class RolloutProgram(NamedTuple):
    """Program of a step of a rollout.

    Args:
        step: the function.
        program: built from it.
        rows: its results of one step, [S, N, ...], for their shapes and types.
    """

    step: RolloutStep
    program: Program
    rows: Sequence[Tensor]


class Rollout:
    """Steps of acting and of tensor environments by one program.

    Args:
        built: the program. Trials whose environments differ in numbers only share it.
        env: the environments of this trial.
        device: of environments and networks.
    """

    def __init__(self, built: RolloutProgram, env: EnvStep, device: torch.device) -> None:
        self.step, self._program, self._rows = built
        self.env, self.device, self._numbers = env, device, env.numbers(device)

    def buffers(self, n_steps: int) -> list[Tensor]:
        """Return tensors for the results of up to `n_steps` steps; none if the program has results of its own."""
        if not self._program.in_place:
            return []
        n_rows = max(n_steps, LEAST_ROWS)
        return [torch.empty((n_rows, *row.shape), dtype=row.dtype, device=self.device) for row in self._rows]

    def take(
        self, numbers: Numbers, state: Open, draws: Sequence[Tensor], n_steps: int, buffers: Sequence[Tensor]
    ) -> tuple[Open, dict[str, Tensor]]:
        """Take steps.

        Args:
            numbers: inputs of all steps.
            state: before the first step. Its tensors are changed, if the program is in place.
            draws: columns [D, S, ...] of acting and of the environments.
            n_steps: number of steps.
            buffers: from `buffers`; results are views of them.

        Returns:
            The state after the last step, and results [T, S, N, ...] by name.
        """
        scaling = [] if numbers.scaling is None else list(numbers.scaling)
        fixed = [
            numbers.hyper, numbers.clock_step, numbers.explore, *scaling, *self._numbers, *numbers.parameters,
        ]  # fmt: skip
        taken = self._in_place if self._program.in_place else self._one_by_one
        after, results = taken(fixed, state, draws, n_steps, buffers)
        return after, dict(zip(self.step.result_names, results, strict=True))

    def _in_place(
        self, fixed: Sequence[Tensor], state: Open, draws: Sequence[Tensor], n_steps: int, buffers: Sequence[Tensor]
    ) -> tuple[Open, list[Tensor]]:
        columns = [
            column if every == -1 or len(column) >= LEAST_ROWS else column.expand(LEAST_ROWS, *column.shape[1:])
            for column, every in zip(draws, self.step.held, strict=True)
        ]
        index = torch.zeros((), dtype=torch.int64)
        # Compiled code reads the strides of its example.
        inputs = [index, *fixed, *state.tensors(), *(column.contiguous() for column in columns), *buffers]
        run = self._program.run
        for _ in range(n_steps):
            run(inputs)
        return state, [buffer[:n_steps] for buffer in buffers]

    def _one_by_one(
        self, fixed: Sequence[Tensor], state: Open, draws: Sequence[Tensor], n_steps: int, buffers: Sequence[Tensor]
    ) -> tuple[Open, list[Tensor]]:
        index = torch.zeros((), dtype=torch.int64, device=state.obs.device)
        current, rows = state.tensors(), []
        for step in range(n_steps):
            given = [
                column[0 if every == -1 else step // every] for column, every in zip(draws, self.step.held, strict=True)
            ]
            with torch.no_grad():
                outputs = self._program.run([index, *fixed, *current, *given])
                index = index + 1
            current, results = outputs[: self.step.n_state], outputs[self.step.n_state :]
            rows.append(results)
        return self.step.opened(current), [torch.stack(column) for column in zip(*rows, strict=True)]


def scaling_of(normaliser: RunningNormaliser | None, obs_shape: Sequence[int], device: torch.device) -> Scaling | None:
    """Return the present normalisation of observations; None if they are not normalised."""
    if normaliser is None or not normaliser.norm_obs:
        return None
    columns, mean, inverse_std, clip = normaliser.scaling()
    if columns is None:
        bound = np.full(tuple(obs_shape), clip)
    else:  # of a packed Dict; the other numbers stay as they are
        whole = {"mean": np.zeros, "std": np.ones}
        means, stds = (make((mean.shape[0], *obs_shape)) for make in whole.values())
        means[:, columns], stds[:, columns] = mean, inverse_std
        mean, inverse_std, bound = means, stds, np.full(tuple(obs_shape), np.inf)
        bound[columns] = clip
    tensors = [torch.from_numpy(np.array(one)).to(device) for one in (mean[:, None], inverse_std[:, None], bound)]
    return Scaling(*tensors)


def drawn(draws: Mapping[str, np.ndarray], device: torch.device) -> list[Tensor]:
    """Return the draws of a tensor environment as tensors."""
    return [torch.from_numpy(one).to(device) for one in draws.values()]
