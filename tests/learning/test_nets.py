"""Networks as functions of their parameters, of one seed and of all."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from torch import Tensor

from tests.small import small_trial
from tuneexp.learning.nets import Nets
from tuneexp.rl.distributions import Distribution, action_head
from tuneexp.rl.squashed import SquashedGaussian


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_nets_over_all_seeds_are_the_models_of_each(seeds: list[int], env: str) -> None:
    trial = small_trial(seeds, env=env)
    obs = torch.randn(5, len(seeds), 4, *(trial.group.runners.runner.envs.observation_space.shape or ()))
    together = trial.learner.nets().frozen(obs)
    for index in range(len(seeds)):
        trial.learner.model.load_state_dict({name: leaf[index] for name, leaf in trial.learner.parameters.items()})
        alone = trial.learner.model(obs[:, index])
        torch.testing.assert_close(together.policy[:, index], alone.policy)
        torch.testing.assert_close(together.value[:, index], alone.value)
        assert (together.log_std is None) == (alone.log_std is None)
    torch.testing.assert_close(trial.learner.nets().frozen.value(obs), together.value)


class Actor(torch.nn.Module):
    """A policy that is a distribution; its head decides if the spread depends on the observation."""

    def __init__(self, space: gym.Space[Any]) -> None:
        super().__init__()
        self.head = action_head(space)
        self.layer = torch.nn.Linear(4, self.head.size)
        self.log_std = torch.nn.Parameter(torch.randn(self.head.size))

    def dist(self, obs: Tensor) -> Distribution:
        return self.head.dist(self.layer(obs), self.log_std if self.head.has_log_std else None)

    def squashed(self, obs: Tensor) -> SquashedGaussian:
        return SquashedGaussian(self.layer(obs), self.log_std)


@pytest.mark.parametrize("n_seeds", [1, 3])
@pytest.mark.parametrize("method", ["dist", "squashed"])
@pytest.mark.parametrize("space", [Discrete(3), MultiDiscrete([2, 3]), Box(-1, 1, (2,)), Box(-1, 1, (2, 3))], ids=str)
def test_a_distribution_over_all_seeds_is_that_of_each(space: gym.Space[Any], method: str, n_seeds: int) -> None:
    actors = [Actor(space) for _ in range(n_seeds)]
    parameters = {name: torch.stack([dict(a.named_parameters())[name] for a in actors]).detach()
                  for name, _ in actors[0].named_parameters()}  # fmt: skip
    obs = torch.randn(5, n_seeds, 7, 4)
    together = getattr(Nets.of_all_seeds(actors[0], parameters).frozen, method)(obs)
    action = together.mode()
    assert action.shape[:3] == (5, n_seeds, 7)
    for seed, actor in enumerate(actors):
        alone = getattr(actor, method)(obs[:, seed])
        torch.testing.assert_close(action[:, seed], alone.mode())
        torch.testing.assert_close(together.log_prob(action)[:, seed], alone.log_prob(alone.mode()))


def test_initial_parameters_of_a_seed_do_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(0)
    first = small_trial([3, 5]).learner.parameters
    torch.manual_seed(1)
    second = small_trial([5]).learner.parameters
    assert all(torch.equal(leaf[1], second[name][0]) for name, leaf in first.items())


def test_building_networks_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    small_trial([3, 5]).training_step()
    assert torch.equal(torch.rand(3), expected)


class Tied(torch.nn.Module):
    """One matrix used in two submodules, and a head that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, obs: Tensor) -> Tensor:
        return self.second(self.first(obs))

    def broken(self, obs: Tensor) -> Tensor:
        raise ArithmeticError("lost")


def test_a_tied_parameter_is_replaced_wherever_it_is_used() -> None:
    model, twice = Tied(), {"first.weight": 2.0 * torch.eye(3)}
    bound = Nets.of_one_seed(model, twice).online
    assert torch.equal(bound(torch.ones(3)), 4.0 * torch.ones(3))
    expected = torch.func.functional_call(model, twice, (torch.ones(3),))
    assert torch.equal(bound(torch.ones(3)), expected)


def test_a_model_has_its_own_parameters_again_also_after_an_error() -> None:
    model = Tied()
    own = model.first.weight
    bound = Nets.of_one_seed(model, {"first.weight": torch.zeros(3, 3)}).online
    with pytest.raises(ArithmeticError):
        bound.broken(torch.ones(3))
    assert model.first.weight is own
    assert model.second.weight is own
