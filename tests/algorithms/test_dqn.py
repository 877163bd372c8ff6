"""DQN: hand-computed values of the loss with each of its options, and epsilon-greedy exploration."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.algorithms.tables import Parameters, QTable, column, one_hot, view
from tuneexp.algorithms.dqn import DQN, DQNConfig, choose, dqn_loss
from tuneexp.errors import UserError

# Three states, two actions. In state 2 the online network prefers action 0, the target network action 1.
ONLINE = [[1.0, 2.0], [0.0, 0.0], [5.0, 3.0]]
TARGET = [[0.0, 0.0], [0.0, 0.0], [4.0, 8.0]]


def batch(**more: Tensor) -> dict[str, Tensor]:
    """Action 1 in state 0 leads to state 2; action 0 in state 1 terminates."""
    return {
        "obs": one_hot(0, 1, n=3), "action": torch.tensor([1, 0]), "reward": column(1.0, 0.5),
        "next_obs": one_hot(2, 2, n=3), "discount": column(0.5, 0.0), **more,
    }  # fmt: skip


def settings(**changes: Any) -> Any:
    plain = {"double": False, "distributional": False, "n_atoms": 3, "v_min": -1.0, "v_max": 1.0}
    return view(**{**plain, **changes})


def parameters(online: Any = ONLINE, target: Any = TARGET) -> Parameters:
    return Parameters(QTable(), {"table": online}, {"table": target})


def test_the_target_is_reward_plus_the_best_next_value_and_a_terminated_row_has_none() -> None:
    # Targets 1 + 0.5 * 8 = 5 and 0.5; errors 2 - 5 = -3 and 0 - 0.5. Huber: 2.5 and 0.125; their mean.
    loss, statistics = dqn_loss(parameters().nets, batch(), settings())
    assert loss.item() == 1.3125
    assert statistics["priority"].tolist() == [3.0, 0.5]


def test_with_double_the_online_network_chooses_and_the_target_network_values() -> None:
    # Action 0 is chosen: 1 + 0.5 * 4 = 3; the error is -1, its Huber loss 0.5.
    loss, statistics = dqn_loss(parameters().nets, batch(), settings(double=True))
    assert loss.item() == (0.5 + 0.125) / 2
    assert statistics["priority"].tolist() == [1.0, 0.5]


def test_importance_weights_weigh_the_loss_and_not_the_priority() -> None:
    loss, statistics = dqn_loss(parameters().nets, batch(weight=column(0.5, 1.0)), settings())
    assert loss.item() == (0.5 * 2.5 + 0.125) / 2
    assert statistics["priority"].tolist() == [3.0, 0.5]


@pytest.mark.parametrize("double", [False, True])
def test_only_the_value_of_the_action_taken_is_learned(double: bool) -> None:
    own = parameters()
    loss, _ = dqn_loss(own.nets, batch(), settings(double=double))
    gradient = own.gradients(loss)["table"]
    # Half of the Huber slopes, -1 and -0.5; next states get none, also where the online network chooses.
    assert gradient == [[0.0, -0.5], [-0.25, 0.0], [0.0, 0.0]]


def test_a_distributional_target_is_projected_and_its_cross_entropy_learned() -> None:
    log3 = math.log(3.0)
    even, sure = [0.0, 0.0, 0.0], [0.0, 0.0, 50.0]
    online = [[even, [log3, 0.0, 0.0]], [even, even], [sure, even]]  # action 1 of state 0: 0.6, 0.2, 0.2
    own = parameters(online, [[even, even], [even, even], [sure, even]])
    # State 2, action 0 (value 1 against 0): all mass at 1, moved to 0 + 0.5 * 1: half at 0, half at 1.
    # Terminated: all mass at 0.5, again half and half.
    rows = batch() | {"reward": column(0.0, 0.5)}
    loss, statistics = dqn_loss(own.nets, rows, settings(distributional=True))
    entropies = [-math.log(0.2), -math.log(1 / 3)]
    assert loss.item() == pytest.approx(sum(entropies) / 2, rel=1e-5)
    # The divergence: the target's own entropy, log 2, is no error.
    assert statistics["priority"].tolist() == pytest.approx([e - math.log(2.0) for e in entropies], rel=1e-5)
    assert statistics["q_mean"].item() == pytest.approx((0.2 - 0.6 + 0.0) / 2, abs=1e-6)


def test_double_in_the_distributional_form_chooses_by_expected_values_of_the_online_network() -> None:
    even, low, high = [0.0, 0.0, 0.0], [50.0, 0.0, 0.0], [0.0, 0.0, 50.0]
    own = parameters([[even, even], [even, even], [low, high]], [[even, even], [even, even], [high, low]])
    rows = {name: values[:1] for name, values in batch().items()} | {"reward": column(0.0), "discount": column(1.0)}
    plain = dqn_loss(own.nets, rows, settings(distributional=True))[0]
    double = dqn_loss(own.nets, rows, settings(distributional=True, double=True))[0]
    # The prediction is even, so both cost log 3; where the mass lies shows in the gradient.
    assert own.gradients(plain)["table"][0][1] == pytest.approx([1 / 3, 1 / 3, 1 / 3 - 1], abs=1e-5)
    assert own.gradients(double)["table"][0][1] == pytest.approx([1 / 3 - 1, 1 / 3, 1 / 3], abs=1e-5)


# -- acting


def actions(noise: list[list[float]], explore: bool = True, **changes: Any) -> list[int]:
    plain = {
        "progress": 0.5, "env_steps": 1000.0, "learning_starts": 100, "exploration_fraction": 0.5,
        "exploration_initial_eps": 1.0, "exploration_final_eps": 0.1, "noisy": False,
    }  # fmt: skip
    values = torch.tensor([[0.0, 1.0]]).expand(len(noise), 2)
    cfg = view(**{**plain, **changes})
    return choose(values, {"explore": torch.tensor(noise)}, cfg, torch.tensor(explore)).tolist()


def test_a_share_of_actions_is_random() -> None:
    assert actions([[0.05, 0.0], [0.15, 0.0]]) == [0, 1]
    assert actions([[0.05, 0.0], [0.15, 0.0]], progress=0.0) == [0, 0]


def test_all_are_random_until_learning_starts() -> None:
    assert actions([[0.9, 0.0]], env_steps=99.0) == [0]
    assert actions([[0.9, 0.0]], env_steps=100.0) == [1]
    assert actions([[0.9, 0.0]], env_steps=99.0, noisy=True) == [0]


def test_a_noisy_network_explores_by_its_weights_alone() -> None:
    assert actions([[0.0, 0.0]], noisy=True, progress=0.0) == [1]


def test_nothing_is_random_in_evaluation() -> None:
    assert actions([[0.0, 0.0]], explore=False) == [1]
    assert actions([[0.0, 0.0]], explore=False, env_steps=0.0) == [1]


# -- configuration


def test_defaults_are_those_of_stable_baselines3() -> None:
    cfg = DQNConfig()
    assert (cfg.learning_rate, cfg.buffer_size, cfg.learning_starts, cfg.batch_size) == (1e-4, 1_000_000, 100, 32)
    assert (cfg.tau, cfg.gamma, cfg.train_freq, cfg.gradient_steps, cfg.n_envs) == (1.0, 0.99, 4, 1, 1)
    assert (cfg.target_update_interval, cfg.max_grad_norm) == (10_000, 10.0)
    assert (cfg.exploration_fraction, cfg.exploration_initial_eps, cfg.exploration_final_eps) == (0.1, 1.0, 0.05)
    assert not any([cfg.double, cfg.dueling, cfg.noisy, cfg.prioritized, cfg.distributional])
    assert (cfg.model.hidden_sizes, cfg.model.activation, cfg.n_step) == (None, "relu", 1)


def test_a_range_of_returns_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match=r"v_min=5 .*v_max=5"):
        DQNConfig.parse({"v_min": 5.0, "v_max": 5.0}, DQN.name)
