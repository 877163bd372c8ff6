"""Networks as functions of their parameters, of one seed and of all."""

from __future__ import annotations

import pytest
import torch

from tests.small import small_trial


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_nets_over_all_seeds_are_the_models_of_each(seeds: list[int], env: str) -> None:
    trial = small_trial(seeds, env=env)
    obs = torch.randn(5, len(seeds), 4, *(trial.group.local_runner.envs.observation_space.shape or ()))
    together = trial.learner.nets().frozen(obs)
    for index in range(len(seeds)):
        trial.learner.model.load_state_dict({name: leaf[index] for name, leaf in trial.learner.parameters.items()})
        alone = trial.learner.model(obs[:, index])
        torch.testing.assert_close(together.policy[:, index], alone.policy)
        torch.testing.assert_close(together.value[:, index], alone.value)
        assert (together.log_std is None) == (alone.log_std is None)
    torch.testing.assert_close(trial.learner.nets().frozen.value(obs), together.value)


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
    small_trial([3, 5])._training_step()
    assert torch.equal(torch.rand(3), expected)
