"""Optimizer over stacked parameters."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn, optim

from tests.small import parameters_of, same, small_trial
from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.spec import replace
from tuneexp.errors import CheckpointError, UserError
from tuneexp.learning.flat_parameters import FlatStack
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.optimizer import StackedOptimizer
from tuneexp.learning.optimizers import RMSpropTFLike

CFG = CfgView({"learning_rate": 0.01})


def fresh_stack(n_seeds: int = 3) -> FlatStack:
    generator = torch.Generator().manual_seed(0)
    shapes = {"weight": (n_seeds, 4, 5), "bias": (n_seeds, 4), "scale": (n_seeds,)}
    return FlatStack({name: torch.randn(shape, generator=generator) for name, shape in shapes.items()})


def gradients(stack: FlatStack, steps: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(stack.flat.shape, generator=generator) for _ in range(steps)]


def two_groups(named: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    """Optimizer with two groups: the learning rate of the bias is ten times larger."""
    slow = [value for name, value in named.items() if name != "bias"]
    return optim.Adam(
        [{"params": slow}, {"params": [named["bias"]], "lr": 10 * cfg.learning_rate}], lr=cfg.learning_rate
    )


OPTIMIZERS = {
    "adam": lambda named, cfg: optim.Adam(named.values(), lr=cfg.learning_rate, eps=1e-5, fused=True),
    "adamw": lambda named, cfg: optim.AdamW(named.values(), lr=cfg.learning_rate, amsgrad=True),
    "rmsprop": lambda named, cfg: optim.RMSprop(named.values(), lr=cfg.learning_rate, centered=True),
    "sgd": lambda named, cfg: optim.SGD(named.values(), lr=cfg.learning_rate, momentum=0.9),
    "rmsprop, as TensorFlow": lambda named, cfg: RMSpropTFLike(named.values(), lr=cfg.learning_rate, momentum=0.9),
    "adam, named": lambda named, cfg: optim.Adam(named.items(), lr=cfg.learning_rate),
    "two groups": two_groups,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stacked_steps_are_the_optimizers_own(name: str) -> None:
    """Bit for bit, although a single group is stepped as one flat tensor."""
    stack, plain = fresh_stack(), fresh_stack()
    stacked = StackedOptimizer(stack, OPTIMIZERS[name], CFG)
    leaves = {key: nn.Parameter(value.clone()) for key, value in plain.leaves.items()}
    optimizer = OPTIMIZERS[name](leaves, CFG)
    for gradient in gradients(stack):
        stacked.step(gradient)
        for key, part in plain.split(gradient).items():
            leaves[key].grad = part.clone()
        optimizer.step()
    assert same(stack.leaves, {key: leaf.detach() for key, leaf in leaves.items()})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_seed_that_does_not_proceed_keeps_parameters_and_moments(name: str) -> None:
    stack = fresh_stack()
    optimizer = StackedOptimizer(stack, OPTIMIZERS[name], CFG)
    first, *rest = gradients(stack)
    optimizer.step(first)
    before, proceed = {key: leaf.clone() for key, leaf in stack.leaves.items()}, torch.tensor([True, False, True])
    blocks = optimizer.blocks
    states = [{key: value.clone() for key, value in optimizer._moments(b.parameter).items()} for b in blocks]
    for gradient in rest:
        optimizer.step(gradient, proceed)
    for key, leaf in stack.leaves.items():
        assert torch.equal(leaf[1], before[key][1])
        assert not torch.equal(leaf[0], before[key][0])
        assert not torch.equal(leaf[2], before[key][2])
    assert any(states)
    for block, moments in zip(blocks, states, strict=True):
        kept = ~stack.per_element(proceed)[block.span]
        for key, old in moments.items():
            assert torch.equal(optimizer._moments(block.parameter)[key][kept], old[kept])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_optimizer_continues_bit_for_bit(name: str) -> None:
    stack, other = fresh_stack(), fresh_stack()
    optimizer, restored = StackedOptimizer(stack, OPTIMIZERS[name], CFG), StackedOptimizer(other, OPTIMIZERS[name], CFG)
    *first, last = gradients(stack)
    for gradient in first:
        optimizer.step(gradient)
    other.flat.copy_(stack.flat)
    restored.load_state_dict(optimizer.state_dict())
    optimizer.step(last)
    restored.step(last)
    assert same(stack.leaves, other.leaves)


def test_the_configuration_decides_the_learning_rate_of_a_restored_optimizer() -> None:
    """A trial may continue from a checkpoint with another configuration (population-based training)."""
    stack = fresh_stack()
    optimizer = StackedOptimizer(stack, OPTIMIZERS["adam"], CFG)
    optimizer.step(gradients(stack)[0])
    faster = StackedOptimizer(fresh_stack(), OPTIMIZERS["adam"], CfgView({"learning_rate": 0.5}))
    faster.load_state_dict(optimizer.state_dict())
    faster.set_learning_rate_factor(1.0)
    assert faster.optimizer.param_groups[0]["lr"] == 0.5


def test_the_state_of_another_optimizer_is_refused() -> None:
    stack = fresh_stack()
    optimizer = StackedOptimizer(stack, two_groups, CFG)
    optimizer.step(gradients(stack)[0])
    with pytest.raises(CheckpointError, match="optimizer"):
        StackedOptimizer(fresh_stack(), OPTIMIZERS["adam"], CFG).load_state_dict(optimizer.state_dict())


def test_every_group_follows_the_schedule_from_its_own_first_rate() -> None:
    optimizer = StackedOptimizer(fresh_stack(), two_groups, CFG)
    optimizer.set_learning_rate_factor(0.25)
    assert [group["lr"] for group in optimizer.optimizer.param_groups] == pytest.approx([0.0025, 0.025])


def test_an_optimizer_that_mixes_seeds_is_refused() -> None:
    with pytest.raises(UserError, match="elementwise"):
        StackedOptimizer(fresh_stack(), lambda named, cfg: optim.LBFGS(named.values()), CFG)


def test_a_specs_own_optimizer_trains() -> None:
    def value_faster(named: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
        value = [leaf for name, leaf in named.items() if name.startswith("value")]
        policy = [leaf for name, leaf in named.items() if not name.startswith("value")]
        return optim.Adam([{"params": policy, "lr": 0.0}, {"params": value}], lr=cfg.learning_rate)

    trial = small_trial(spec=replace(PPO, name="frozen_policy", optimizer_fn=value_faster))
    before = parameters_of(trial)
    trial.training_step()
    moved = {name for name, leaf in trial.learner.parameters.items() if not torch.equal(leaf, before[name])}
    assert moved == {name for name in before if name.startswith("value")}
