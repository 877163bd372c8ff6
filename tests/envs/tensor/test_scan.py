"""Many steps in one program: the step of the platform is the body of a loop in a graph (`scan`)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from tuneexp.envs.env_factory import resolve
from tuneexp.envs.tensor.program import TensorProgram, advance

LEAD, STEPS = (2, 3), 6


def inputs(program: TensorProgram) -> tuple[Any, Any]:
    """Noise and actions of STEPS steps."""
    torch.manual_seed(0)
    noises = {**program.env.reset_noise, **program.env.step_noise}
    noise = {name: torch.rand(STEPS, *LEAD, *one.shape) for name, one in noises.items()}
    return noise, torch.randint(0, 2, (STEPS, *LEAD, *(program.env.action_space.shape or ())))


def looped(program: TensorProgram, forms: Any, counts: tuple[int, int]) -> Any:
    """Function of flat tensors: the open episodes after STEPS steps, and the outcomes [STEPS, ...]."""
    of_running, of_inputs, of_numbers = forms

    def run(*flat: Tensor) -> list[Tensor]:
        running, given, numbers = flat[: counts[0]], flat[counts[0] : sum(counts)], flat[sum(counts) :]
        params, limit = tree_unflatten(list(numbers), of_numbers)

        def body(carry: list[Tensor], xs: list[Tensor]) -> Any:
            noise, action = tree_unflatten(list(xs), of_inputs)
            step = advance(program.env, tree_unflatten(list(carry), of_running), action, noise, params, limit)
            return tuple([leaf.clone() for leaf in tree_flatten(part)[0]] for part in step)

        return list(tree_flatten(scan(body, list(running), list(given)))[0])

    return run


@pytest.mark.parametrize("env", ["CartPole-v1", "tests.envs.tensor.programs:Mixed"])
def test_steps_in_one_graph_are_steps_one_by_one(env: str) -> None:
    program = resolve(env, backend="tensor").make_tensor()
    noise, actions = inputs(program)
    running, _ = program.start({name: drawn[0] for name, drawn in noise.items()})
    trees = [running, (noise, actions), (program.params, program.limit)]
    flat = [tree_flatten(tree) for tree in trees]
    run = looped(program, [form for _, form in flat], (len(flat[0][0]), len(flat[1][0])))
    leaves = [leaf for own, _ in flat for leaf in own]
    graph = make_fx(run, tracing_mode="fake")(*leaves)
    outcomes = []
    for t in range(STEPS):
        running, outcome = program.advance(running, actions[t], {name: drawn[t] for name, drawn in noise.items()})
        outcomes.append(tree_flatten(outcome)[0])
    expected = tree_flatten(running)[0] + [torch.stack(column) for column in zip(*outcomes, strict=True)]
    for one, other in zip(expected, graph(*leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
