"""The two programs of a trial, acting and the gradient step, built for its shapes and kept for the next trial."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor

from tuneexp.execution.policy import Noise
from tuneexp.learning.compilation import CompileMode, Request, Workload, build_programs
from tuneexp.learning.gradient import Act, GradientStep
from tuneexp.learning.hyper import CfgView, view_at
from tuneexp.learning.learner import Learner
from tuneexp.learning.program import Program
from tuneexp.learning.rules import ActFn, PostprocessFn


@dataclass(frozen=True)
class TrialPrograms:
    act: Act
    act_program: Program
    step: GradientStep
    step_program: Program
    read: Mapping[str, Any]

    @property
    def compiled(self) -> bool:
        return self.step_program.compiled

    def fits(self, static: Mapping[str, Any]) -> bool:
        """Whether a configuration agrees on every structural field that the programs' functions looked at."""
        return all(static[name] == value for name, value in self.read.items())


# Actors are reused: a trial of the same shapes takes over the programs of the one before.
_BUILT: dict[Hashable, list[TrialPrograms]] = {}


def programs_for(
    learner: Learner,
    act_fn: ActFn,
    postprocess_fn: PostprocessFn,
    observation_space: Space[Any],
    noise: Noise,
    n_envs: int,
    minibatch_rows: int,
    mode: CompileMode,
    workload: Workload,
) -> TrialPrograms:
    """Built once for the functions, the shapes and the structural fields that were looked at."""
    example = _ActExample(learner, observation_space, noise, n_envs)
    key = (
        act_fn, learner.loss_fn, postprocess_fn, type(learner.cfg), learner.numeric, str(observation_space), noise,
        example.obs_dtype, n_envs, minibatch_rows,
        tuple((name, leaf.shape) for name, leaf in learner.parameters.items()), mode, workload.repays_compiling(),
    )  # fmt: skip
    built = _BUILT.setdefault(key, [])
    for programs in built:
        if programs.fits(learner.static):
            return programs
    built.append(_build(learner, act_fn, postprocess_fn, example, minibatch_rows, mode, workload))
    return built[-1]


@dataclass(frozen=True)
class _ActExample:
    learner: Learner
    observation_space: Space[Any]
    noise: Noise
    n_envs: int

    @property
    def obs_dtype(self) -> torch.dtype:
        """What the policy sees: floating point also where whole numbers are normalised."""
        scaled = getattr(self.learner.cfg, "normalize_observation", False)
        return torch.float32 if scaled else _torch_dtype(self.observation_space)

    def inputs(self) -> list[Tensor]:
        lead = (len(self.learner.seeds), self.n_envs)
        obs = torch.zeros(*lead, *(self.observation_space.shape or ()), dtype=self.obs_dtype)
        noise = torch.full((*lead, *self.noise.shape), 0.5)
        return [self.learner.hyper, torch.tensor(True), noise, obs, *self.learner.parameters.values()]


def _torch_dtype(space: Space[Any]) -> torch.dtype:
    name = str(space.dtype)
    return torch.float32 if name.startswith("float") else getattr(torch, name)


def _build(
    learner: Learner, act_fn: ActFn, postprocess_fn: PostprocessFn, example: _ActExample, minibatch_rows: int,
    mode: CompileMode, workload: Workload,
) -> TrialPrograms:  # fmt: skip
    act = Act(learner.model, act_fn, tuple(learner.parameters), learner.numeric, learner.static)
    inputs = example.inputs()
    acted = act(inputs)
    columns = _example_columns(
        learner, postprocess_fn, inputs[3], acted, act.column_names, view_at(learner.cfg, 0.0, act.reads)
    )
    step = learner.gradient_step(list(columns))
    minibatch = [_rows_like(column, minibatch_rows) for column in columns.values()]
    step_inputs = [learner.hyper, *learner.parameters.values(), *minibatch]
    # At one seed an ordinary step beats its own trace, and nothing of the compiler need be loaded.
    trace = len(learner.seeds) > 1
    one_by_one = replace(step, one_by_one=True)
    step_request = Request(step, step_inputs, trace, untraceable=one_by_one)
    act_program, step_program = build_programs([Request(act, inputs, trace), step_request], mode, workload)
    if not step.statistics_names:
        one_by_one(step_inputs)  # no trace went through the whole loss: see what it reads
    reads = learner.model_reads | act.reads | step.reads
    read = {name: learner.static[name] for name in reads if name in learner.static}
    return TrialPrograms(act, act_program, step, step_program, read)


def _example_columns(
    learner: Learner, postprocess_fn: PostprocessFn, obs: Tensor, acted: list[Tensor], names: list[str], view: CfgView
) -> Mapping[str, Tensor]:
    """What `postprocess_fn` makes of a fragment of two steps: the columns that the loss will get, [2, S, N, ...]."""

    def twice(row: Tensor) -> Tensor:
        return torch.stack([row, row])

    flags = torch.zeros(obs.shape[:2], dtype=torch.bool)
    fragment = {
        "obs": obs, "next_obs": obs, **dict(zip(("action", *names), acted, strict=True)),
        "reward": torch.zeros(obs.shape[:2]), "terminated": flags, "truncated": flags, "valid": ~flags,
    }  # fmt: skip
    with torch.no_grad():
        columns = postprocess_fn(learner.nets(), {name: twice(row) for name, row in fragment.items()}, view)
    return {name: column for name, column in columns.items() if name != "valid"}


def _rows_like(column: Tensor, rows: int) -> Tensor:
    """[2, S, N, ...] -> [S, B, ...] of the same type."""
    return column.new_zeros(column.shape[1], rows, *column.shape[3:])
