"""TQC: hand-computed values of the loss."""

from __future__ import annotations

import math

import pytest
import torch

from tests.algorithms.tables import Lines, Parameters, column, view
from tuneexp.algorithms.tqc import TQCConfig, tqc_loss

H = 0.5 * math.log(2.0 * math.pi)  # entropy of a standard normal number at its mean


def test_the_largest_target_quantiles_are_dropped_and_the_others_learned_by_each_critic() -> None:
    online = {"actor.weight": 0.0, "critic.weight": [[0.0, 2.0], [1.0, 1.0]], "temperature.weight": 0.0}
    own = Parameters(Lines(), online, {**online, "critic.weight": [[0.0, 50.0], [3.0, 100.0]]})
    zeros = torch.zeros(1, 1)
    batch = {
        "obs": torch.ones(1, 1), "action": zeros, "reward": column(1.0), "next_obs": 2.0 * torch.ones(1, 1),
        "discount": column(0.5), "action_noise": zeros, "next_noise": zeros,
    }  # fmt: skip
    cfg = view(ent_coef=0.0, target_entropy=None, n_quantiles=2, top_quantiles_to_drop_per_net=1)
    losses, statistics = tqc_loss(own.nets, batch, cfg)
    # Twice 0, 3, 50, 100 without the two largest: targets 1 + 0.5 * (0, 6) = 1, 4.
    # Critic one, quantiles 0, 2: 1.125 (tests/rl/test_distributional.py). Critic two, 1 and 1: 0.25 * 2.5 / 2 for the
    # lower, 0.75 * 2.5 / 2 for the upper. Each is a mean over its two quantiles.
    expected = 1.125 / 2 + (0.3125 + 0.9375) / 2
    assert losses["critic"].item() == pytest.approx(expected)
    assert statistics["priority"].tolist() == pytest.approx([expected])
    weighted, _ = tqc_loss(own.nets, batch | {"weight": column(0.5)}, cfg)
    assert weighted["critic"].item() == pytest.approx(expected / 2)
    # The actor climbs the mean of all quantiles, 1, and leaves the critics alone.
    assert losses["actor"].item() == pytest.approx(-1.0)
    gradients = own.gradients(losses["actor"])
    assert gradients["actor.weight"] == pytest.approx(-1.0)
    assert gradients["critic.weight"] == [[0.0, 0.0], [0.0, 0.0]]
    assert own.gradients(losses["critic"])["actor.weight"] == 0.0


def test_the_entropy_raises_every_target_quantile() -> None:
    online = {"actor.weight": 0.0, "critic.weight": [[5.0, 5.0]], "temperature.weight": math.log(0.5)}
    own = Parameters(Lines(), online, {**online, "critic.weight": [[0.0, 3.0]]})
    zeros = torch.zeros(1, 1)
    batch = {
        "obs": torch.ones(1, 1), "action": zeros, "reward": column(1.0), "next_obs": 2.0 * torch.ones(1, 1),
        "discount": column(0.5), "action_noise": zeros, "next_noise": zeros,
    }  # fmt: skip
    cfg = view(ent_coef=None, target_entropy=None, n_quantiles=2, top_quantiles_to_drop_per_net=0)
    losses, statistics = tqc_loss(own.nets, batch, cfg)
    assert statistics["q_mean"].item() == pytest.approx(1.0 + 0.5 * (3.0 + 0.5 * H))
    assert own.gradients(losses["temperature"])["temperature.weight"] == pytest.approx(H + 1.0, rel=1e-5)


def test_defaults_are_those_of_sb3_contrib() -> None:
    cfg = TQCConfig()
    assert (cfg.n_quantiles, cfg.top_quantiles_to_drop_per_net, cfg.n_critics) == (25, 2, 2)
    assert (cfg.learning_rate, cfg.batch_size, cfg.tau, cfg.ent_coef) == (3e-4, 256, 0.005, None)
