"""One step of a rollout, acting and tensor environments, as a function of a flat list of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tuneexp.envs.tensor.env_step import EnvStep
from tuneexp.learning.act import Act
from tuneexp.learning.compile.build import InPlaceSpec
from tuneexp.learning.compile.stepping import StepLayout
from tuneexp.learning.hyper import CLOCK
from tuneexp.rl.noise import Noise


class Scaling(NamedTuple):
    """Normalisation of observations, float64: mean, inverse of the standard deviation [S, 1, *shape], bound [*shape] of
    the result."""

    mean: Tensor
    inverse_std: Tensor
    bound: Tensor

    def of(self, obs: Tensor) -> Tensor:
        """Return observations [S, N, *shape] as `RunningNormaliser.normalise` does."""
        scaled = (obs.to(torch.float64) - self.mean) * self.inverse_std
        return torch.minimum(torch.maximum(scaled, -self.bound), self.bound).to(torch.float32)


class Open(NamedTuple):
    """State between two steps.

    Args:
        running: leaves of the open episodes of the environments, [S, N, ...].
        obs: observations to act on next, not normalised, [S, N, ...].
        carried: recurrent state [S, N, state_size], and bool [S, N], True where `obs` is the first of an episode; empty
            without recurrence.
    """

    running: list[Tensor]
    obs: Tensor
    carried: list[Tensor]

    def tensors(self) -> list[Tensor]:
        return [*self.running, self.obs, *self.carried]


@dataclass(frozen=True)
class RolloutStep:
    """One step of acting and of the environments of all seeds.

    Inputs: [index, hyper [S, H], clock_step [S, H], explore, *scaling, *numbers of the environment, *parameters
    [S, ...], *state, *draws [S, ...]]: the state is `Open.tensors`; the draws are those of acting, then those of the
    environment.
    Outputs: [*state, *results [S, N, ...]]; `result_names` are known after the first call.

    Args:
        act: acting function.
        act_noise: its random inputs.
        env: the environments.
        scaled: observations are normalised.
        keep_raw: `next_obs` is not normalised.
    """

    act: Act
    act_noise: tuple[tuple[str, Noise], ...]
    env: EnvStep
    scaled: bool
    keep_raw: bool

    @property
    def result_names(self) -> list[str]:
        """Names of the results. `raw`: observations that were acted on, before normalisation; `obs`: the same after it,
        with normalisation only."""
        seen = ["obs"] if self.scaled else []
        recurrent = ["state", "next_state", "start"] if self.act.recurrent else []
        flags = ["reward", "terminated", "truncated"]
        return ["raw", *seen, "next_obs", "action", *self.act.column_names, *flags, *recurrent]

    @property
    def held(self) -> tuple[int, ...]:
        """Steps that use the same draw, for each of the draws."""
        return (*(noise.every for _, noise in self.act_noise), *(1 for _ in self.env.noises))

    @property
    def n_fixed(self) -> int:
        scaling = len(Scaling._fields) if self.scaled else 0
        return 3 + scaling + len(self.env.program.params) + 1 + len(self.act.parameter_names)

    @property
    def n_state(self) -> int:
        return self.n_running + 1 + 2 * int(self.act.recurrent)

    @property
    def n_running(self) -> int:
        return len(self.env.running_leaves)

    def opened(self, tensors: Sequence[Tensor]) -> Open:
        """Return the state from its tensors."""
        return Open(list(tensors[: self.n_running]), tensors[self.n_running], list(tensors[self.n_running + 1 :]))

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        index, hyper, clock_step, explore, *fixed = inputs[: 1 + self.n_fixed]
        state = self.opened(inputs[1 + self.n_fixed : 1 + self.n_fixed + self.n_state])
        draws = inputs[1 + self.n_fixed + self.n_state :]
        scaling = Scaling(*fixed[:3]) if self.scaled else None
        n_params, n_draws = len(self.act.parameter_names), len(self.act_noise)
        numbers, parameters = fixed[3 if self.scaled else 0 : -n_params], fixed[-n_params:]
        if not self.act.reads.isdisjoint(CLOCK):
            hyper = hyper + index.to(hyper.dtype) * clock_step
        seen = state.obs if scaling is None else scaling.of(state.obs)
        acted = self.act([hyper, explore, seen, *state.carried[:1], *draws[:n_draws], *parameters])
        action, *columns = acted
        if action.is_floating_point():  # a seed that diverged acts until its loss is found to be NaN
            action = action.nan_to_num(0.0, 0.0, 0.0)
        running, outcome = self.env(state.running, action, draws[n_draws:], numbers)
        next_obs = outcome.next_obs if scaling is None or self.keep_raw else scaling.of(outcome.next_obs)
        carried, recurrent = self._carried(state, columns, outcome.terminated | outcome.truncated)
        results = [
            state.obs, *([] if scaling is None else [seen]), next_obs, action, *columns[len(carried) // 2 :],
            outcome.reward, outcome.terminated, outcome.truncated, *recurrent,
        ]  # fmt: skip
        return [*running, outcome.obs, *carried, *results]

    def _carried(self, state: Open, acted: Sequence[Tensor], ended: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the recurrent state after the step, and the results of it; both are empty without recurrence."""
        if not self.act.recurrent:
            return [], []
        before, starts = state.carried
        return [acted[0].masked_fill(ended.unsqueeze(-1), 0.0), ended], [before, acted[0], starts]

    def in_place_spec(self, example: Sequence[Tensor]) -> InPlaceSpec:
        """Return the program that takes a step in place. example: inputs of the step."""
        return InPlaceSpec(self, example, StepLayout(self.n_fixed, self.n_state, self.held))

    def example(self, act_inputs: Sequence[Tensor], n_envs: int) -> list[Tensor]:
        """Return example inputs of zeros.

        Args:
            act_inputs: example inputs of `Act`.
            n_envs: environments per seed.
        """
        hyper, explore, obs, *rest = act_inputs
        n_seeds, device = obs.shape[0], hyper.device
        carried = (
            [rest.pop(0), torch.zeros(n_seeds, n_envs, dtype=torch.bool, device=device)] if self.act.recurrent else []
        )
        noise, parameters = rest[: len(self.act_noise)], rest[len(self.act_noise) :]
        draws = [one.zeros(n_seeds, n_envs, device) for one in self.env.noises.values()]
        running, first = self.env.start(draws, device)
        scaling = [torch.zeros(size, dtype=torch.float64, device=device) for size in self._scaling_sizes(first)]
        # Clones: tracing takes one tensor in two places, such as a draw that is a part of the state, for one input.
        state = [one.clone() for one in Open(running, first, carried).tensors()]
        return [
            torch.zeros((), dtype=torch.int64, device=device), hyper, torch.zeros_like(hyper), explore, *scaling,
            *self.env.numbers(device), *parameters, *state, *noise, *draws,
        ]  # fmt: skip

    def _scaling_sizes(self, obs: Tensor) -> list[tuple[int, ...]]:
        if not self.scaled:
            return []
        per_seed = (obs.shape[0], 1, *obs.shape[2:])
        return [per_seed, per_seed, tuple(obs.shape[2:])]
