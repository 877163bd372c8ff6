"""Learners that take whole updates by an in-place program, and their comparison with others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tuneexp.learning.compile.build import InPlaceSpec
from tuneexp.learning.compile.program import Program
from tuneexp.learning.learner import Learner
from tuneexp.trial import Trial


class Called(nn.Module):
    """A function of a list as a module."""

    def __init__(self, fn: Callable[[Sequence[Tensor]], list[Tensor]]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        return self.fn(list(inputs))


def use_whole_updates(trial: Trial) -> bool:
    """Let the learner take whole updates by an in-place program, which is not compiled: it runs line by line."""
    learner, programs = trial.learner, trial.trainer.programs
    minibatch = trial.trainer.shapes.minibatch(len(learner.seeds), programs.columns)
    steps = {}
    for omitted, (step, _) in programs.steps.items():
        spec = learner.in_place_spec(step, minibatch)
        if spec is None:
            return False
        steps[omitted] = (step, _line_by_line(spec))
    learner.use_programs(steps)
    return True


def _line_by_line(spec: InPlaceSpec) -> Program:
    module = spec.layout.around(Called(spec.fn))  # type: ignore[arg-type]

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            return list(module(*inputs))

    return Program(run, compiled=False, in_place=True)


def require_equal(one: Learner, other: Learner) -> None:
    """Both have equal parameters, moments, flags and metrics."""
    states = one.state_dict(), other.state_dict()
    assert torch.equal(one.failed, other.failed)
    assert torch.equal(one.skipped, other.skipped)
    assert (one.n_updates, one.all_skipped) == (other.n_updates, other.all_skipped)
    for part in ("parameters", "target", "optimizer"):
        for (name, value), (other_name, expected) in zip(
            *(sorted(_tensors(state[part])) for state in states), strict=True
        ):
            assert name == other_name
            torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6, equal_nan=True, msg=name)
    for update, expected_update in zip(one.log.drain(), other.log.drain(), strict=True):
        assert update.names == expected_update.names
        assert torch.equal(update.proceed, expected_update.proceed)
        torch.testing.assert_close(
            update.metrics, expected_update.metrics, rtol=1e-3, atol=1e-4, equal_nan=True, check_stride=False
        )


def _tensors(state: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(state, Mapping):
        return [found for key, value in state.items() for found in _tensors(value, f"{name}.{key}")]
    return [(name, state)] if isinstance(state, Tensor) else []
