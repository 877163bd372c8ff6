"""QR-DQN: hand-computed values of the loss."""

from __future__ import annotations

import torch

from tests.algorithms.tables import Parameters, QTable, column, one_hot, view
from tuneexp.algorithms.qrdqn import QRDQNConfig, qrdqn_loss

# Three states, two actions, two quantiles. In state 2 both networks prefer action 0 by its mean, 2.5 against 2.
TABLE = [[[0.0, 0.0], [0.0, 2.0]], [[0.0, 2.0], [0.0, 0.0]], [[0.0, 5.0], [2.0, 2.0]]]


def test_the_quantiles_are_drawn_to_those_of_the_best_next_action() -> None:
    own = Parameters(QTable(), {"table": TABLE}, {"table": [*TABLE[:2], [[0.0, 6.0], [2.0, 2.0]]]})
    batch = {
        "obs": one_hot(0, 1, n=3), "action": torch.tensor([1, 0]), "reward": column(1.0, 1.0),
        "next_obs": one_hot(2, 2, n=3), "discount": column(0.5, 0.0),
    }  # fmt: skip
    loss, statistics = qrdqn_loss(own.nets, batch, view(double=False))
    # First row: quantiles 0, 2 against 1 + 0.5 * (0, 6) = 1, 4: 1.125 (tests/rl/test_distributional.py).
    # Terminated: 0, 2 against 1, 1: 0.25 * 0.5 for the error 1, 0.25 * 0.5 for -1.
    assert statistics["priority"].tolist() == [1.125, 0.25]
    assert loss.item() == (1.125 + 0.25) / 2
    weighted, _ = qrdqn_loss(own.nets, batch | {"weight": column(0.5, 1.0)}, view(double=False))
    assert weighted.item() == (0.5 * 1.125 + 0.25) / 2
    gradient = own.gradients(loss)["table"]
    # Quantile 0: -0.25 for both errors above it; quantile 2: 0.25 for -1, -0.75 for 2, averaged. Halved: two rows.
    assert gradient[0] == [[0.0, 0.0], [-0.125, -0.125]]
    assert gradient[1] == [[-0.125, 0.125], [0.0, 0.0]]
    assert gradient[2] == [[0.0, 0.0], [0.0, 0.0]]


def test_with_double_the_online_network_chooses() -> None:
    online = [*TABLE[:2], [[0.0, 0.0], [2.0, 2.0]]]  # prefers action 1, whose quantiles are 2, 2
    own = Parameters(QTable(), {"table": online}, {"table": TABLE})
    batch = {
        "obs": one_hot(1, n=3), "action": torch.tensor([0]), "reward": column(0.0), "next_obs": one_hot(2, n=3),
        "discount": column(0.5),
    }  # fmt: skip
    # 0, 2 against 1, 1: as the terminated row above; without double 0, 2 against 0, 2.5.
    assert qrdqn_loss(own.nets, batch, view(double=True))[0].item() == 0.25
    # Quantile 0: errors 0, 2.5: 0.25 * 2 / 2. Quantile 2: errors -2, 0.5: (0.25 * 1.5 + 0.75 * 0.125) / 2.
    assert qrdqn_loss(own.nets, batch, view(double=False))[0].item() == 0.25 + 0.234375


def test_defaults_are_those_of_sb3_contrib() -> None:
    cfg = QRDQNConfig()
    assert (cfg.learning_rate, cfg.n_quantiles, cfg.batch_size, cfg.max_grad_norm) == (5e-5, 200, 32, None)
    assert (cfg.exploration_fraction, cfg.exploration_final_eps, cfg.target_update_interval) == (0.005, 0.01, 10_000)
