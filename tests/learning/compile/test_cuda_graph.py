"""Captured programs, with a recorder on the CPU: inputs and outputs are copied as on a GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from tuneexp.learning.compile import build
from tuneexp.learning.compile.build import ProgramSpec
from tuneexp.learning.compile.cuda_graph import Replay, captured
from tuneexp.learning.compile.program import trace


def on_the_cpu(call: Callable[[], list[Tensor]], device: torch.device) -> tuple[Replay, list[Tensor]]:
    """A `Record` on the CPU: every replay writes its results to the same tensors, as on a GPU."""
    results = call()

    def replay() -> None:
        for place, value in zip(results, call(), strict=True):
            place.copy_(value)

    return replay, results


def function(tensors: Sequence[Tensor]) -> list[Tensor]:
    scale, rows, flags = tensors
    return [scale * rows, flags.sum(0), scale]


def inputs(seed: int) -> list[Tensor]:
    own = torch.Generator().manual_seed(seed)
    return [torch.rand((), generator=own), torch.randn(2, 3, generator=own), torch.rand(4, 2, generator=own) > 0.5]


def test_a_captured_program_computes_what_the_function_does_on_every_new_input() -> None:
    program = captured(trace(function, inputs(0)), inputs(0), on_the_cpu)
    for seed in range(3):
        for got, expected in zip(program.run(inputs(seed)), function(inputs(seed)), strict=True):
            assert torch.equal(got, expected)


def test_results_outlive_the_next_run() -> None:
    program = captured(trace(function, inputs(0)), inputs(0), on_the_cpu)
    first = program.run(inputs(1))
    program.run(inputs(2))
    for got, expected in zip(first, function(inputs(1)), strict=True):
        assert torch.equal(got, expected)


def test_parameters_that_changed_in_place_since_the_recording_count() -> None:
    live = inputs(0)
    program = captured(trace(function, live), live, on_the_cpu)
    live[0].fill_(100.0)
    assert program.run(live)[2].item() == 100.0


def test_a_captured_program_is_not_called_compiled() -> None:
    program = captured(trace(function, inputs(0)), inputs(0), on_the_cpu)
    assert (program.compiled, program.captured) == (False, True)


@pytest.mark.parametrize("reads_a_value", [True, False])
def test_what_can_not_be_captured_runs_eagerly_and_logs_why(
    reads_a_value: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reading(tensors: Sequence[Tensor]) -> list[Tensor]:
        return [tensors[1] * float(tensors[0])]

    def fails(call: Callable[[], list[Tensor]], device: torch.device) -> tuple[Replay, list[Tensor]]:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(build, "_TOLD", set())
    chosen = reading if reads_a_value else function
    with caplog.at_level(logging.WARNING):
        program = build._captured(ProgramSpec(chosen, inputs(0)), "auto", on_the_cpu if reads_a_value else fails)
    assert not program.captured
    assert torch.equal(program.run(inputs(1))[0], chosen(inputs(1))[0])
    told = "reads a value" if reads_a_value else "not permitted when stream is capturing"
    assert any("not captured" in message and told in message for message in caplog.messages)
