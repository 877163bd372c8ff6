"""Optimizers by name, and RMSprop of TensorFlow."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn, optim

from tests.algorithms.trials import trial_of
from tests.small import small_trial, training_steps
from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.spec import replace
from tuneexp.errors import CheckpointError, UserError
from tuneexp.learning.flat_parameters import FlatStack
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.optimizer import StackedOptimizer
from tuneexp.learning.optimizers import RMSpropTFLike


def optimizer_in(algorithm: str, **changes: Any) -> optim.Optimizer:
    env = "CartPole-v1" if algorithm in ("ppo", "a2c", "dqn", "qrdqn") else "Pendulum-v1"
    trial = trial_of(algorithm, env, [0], **changes)
    trial.close()
    return trial.learner.optimizer.optimizer


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "dqn", "qrdqn", "sac", "td3", "ddpg", "tqc", "impala"])
def test_every_algorithm_takes_an_optimizer_and_its_arguments(algorithm: str) -> None:
    made = optimizer_in(algorithm, optimizer_class="AdamW", optimizer_kwargs={"eps": 1e-4, "weight_decay": 0.1})
    assert type(made) is optim.AdamW
    assert (made.defaults["eps"], made.defaults["weight_decay"]) == (1e-4, 0.1)


def test_arguments_alone_are_those_of_the_algorithms_own_optimizer() -> None:
    """As in Stable-Baselines3, they replace all arguments: the algorithm's own epsilon is dropped."""
    assert optimizer_in("ppo").defaults["eps"] == 1e-5
    assert optimizer_in("ppo", optimizer_kwargs={"weight_decay": 0.1}).defaults["eps"] == 1e-8
    assert type(optimizer_in("a2c", optimizer_kwargs={"eps": 0.1})) is optim.RMSprop


def test_tensorflows_rmsprop_starts_at_one_with_epsilon_under_the_root() -> None:
    leaf = nn.Parameter(torch.tensor([1.0]))
    optimizer = RMSpropTFLike([leaf], lr=0.1, alpha=0.9, eps=0.5)
    value, square = 1.0, 1.0
    for gradient in (2.0, -3.0):
        leaf.grad = torch.tensor([gradient])
        optimizer.step()
        square = 0.9 * square + 0.1 * gradient**2
        value -= 0.1 * gradient / (square + 0.5) ** 0.5
        assert leaf.item() == pytest.approx(value, rel=1e-6)


def test_a_seed_that_is_skipped_in_the_first_step_starts_at_one_later() -> None:
    def stack() -> FlatStack:
        return FlatStack({"weight": torch.ones(2, 3)})

    def made(own: FlatStack) -> StackedOptimizer:
        return StackedOptimizer(own, lambda named, cfg: RMSpropTFLike(named.values(), lr=0.1), CfgView({}))

    gradient, rested, fresh = torch.full((6,), 2.0), stack(), stack()
    optimizer = made(rested)
    optimizer.step(gradient, torch.tensor([True, False]))
    optimizer.step(gradient)
    made(fresh).step(gradient)
    assert torch.equal(rested.leaves["weight"][1], fresh.leaves["weight"][1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer_class": "Adm"}, "RMSpropTFLike"),
        ({"optimizer_class": "SGD", "optimizer_kwargs": {"epps": 0.1}}, "'epps'.*weight_decay"),
        ({"optimizer_kwargs": {"lr": 0.1}}, "Adam"),
        ({"optimizer_kwargs": {"eps": -1.0}}, "Adam"),
    ],
)
def test_what_no_optimizer_takes_is_reported(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        optimizer_in("ppo", **changes)


def test_an_optimizer_fn_that_chooses_for_itself_refuses_another_choice() -> None:
    def own(named: Any, cfg: CfgView) -> optim.Optimizer:
        return optim.SGD(named.values(), lr=cfg.learning_rate)

    with pytest.raises(UserError, match="optimizer_class: own"):
        small_trial([0], spec=replace(PPO, name="mine", optimizer_fn=own), optimizer_class="Adam")


def test_a_checkpoint_of_another_optimizer_is_refused() -> None:
    adam, other = small_trial([0]), small_trial([0], optimizer_class="RMSpropTFLike")
    training_steps(adam, 1)
    with pytest.raises(CheckpointError, match="optimizer_class"):
        other.load_state_dict(adam.state_dict())
