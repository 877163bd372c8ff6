"""SAC, continuous and discrete: hand-computed values of the losses, and the parameters that each part trains."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.algorithms.tables import Choices, Lines, Parameters, column, one_hot, view
from tuneexp.algorithms.sac import SACConfig, sac_act, sac_loss, temperature_part

# Entropy of a standard normal number at its mean, before the tanh: -log density = log(2 pi) / 2.
H = 0.5 * math.log(2.0 * math.pi)


def lines(log_alpha: float = math.log(0.5)) -> Parameters:
    online = {"actor.weight": 0.0, "critic.weight": [3.0, 1.0], "temperature.weight": log_alpha}
    return Parameters(Lines(), online, {**online, "critic.weight": [1.0, 2.0]})


def batch(**more: Tensor) -> dict[str, Tensor]:
    """A transition to an observation of 2, and a terminated one. All noise is 0, so the actions are tanh(0)."""
    zeros = torch.zeros(2, 1)
    return {
        "obs": torch.ones(2, 1), "action": torch.tensor([[0.5], [0.0]]), "reward": column(1.0, 1.0),
        "next_obs": torch.tensor([[2.0], [2.0]]), "discount": column(0.5, 0.0), "action_noise": zeros,
        "next_noise": zeros, **more,
    }  # fmt: skip


def settings(**changes: Any) -> Any:
    return view(**{"ent_coef": 0.5, "target_entropy": None, **changes})


# The smallest target critic of 2 + 0 is 2, and the entropy counts half: 1 + 0.5 * (2 + 0.5 H).
TARGET = 2.0 + 0.25 * H


def test_critics_learn_the_least_target_and_the_entropy_of_what_is_done_next() -> None:
    losses, statistics = sac_loss(lines().nets, batch(), settings())
    # Predictions 4.5 and 1.5; of the terminated row 3 and 1, where the target is the reward, 1.
    rows = [0.5 * ((4.5 - TARGET) ** 2 + (1.5 - TARGET) ** 2), 0.5 * (2.0**2 + 0.0)]
    assert losses["critic"].item() == pytest.approx(sum(rows) / 2, rel=1e-5)
    priorities = [(abs(4.5 - TARGET) + abs(1.5 - TARGET)) / 2, 1.0]
    assert statistics["priority"].tolist() == pytest.approx(priorities, rel=1e-5)
    weighted, again = sac_loss(lines().nets, batch(weight=column(0.5, 1.0)), settings())
    assert weighted["critic"].item() == pytest.approx((0.5 * rows[0] + rows[1]) / 2, rel=1e-5)
    assert weighted["actor"] == losses["actor"]
    assert torch.equal(again["priority"], statistics["priority"])


def test_the_actor_climbs_the_lesser_critic_and_leaves_the_critics_alone() -> None:
    own = lines()
    losses, _ = sac_loss(own.nets, batch(), settings())
    assert losses["actor"].item() == pytest.approx(-0.5 * H - 1.0, rel=1e-5)
    gradients = own.gradients(losses["actor"])
    # tanh has slope 1 at 0, the lesser critic is 1 * (obs + action); the entropy is flat there.
    assert gradients["actor.weight"] == pytest.approx(-1.0, rel=1e-5)
    assert gradients["critic.weight"] == [0.0, 0.0]
    assert gradients["temperature.weight"] == 0.0
    assert own.gradients(losses["critic"])["actor.weight"] == 0.0


def test_the_temperature_falls_while_the_entropy_is_above_its_target() -> None:
    own = lines()
    losses, statistics = sac_loss(own.nets, batch(), settings(ent_coef=None))
    assert statistics["ent_coef"].item() == pytest.approx(0.5)
    # In log alpha, the gradient is the entropy less the target, -1 for one action dimension.
    gradients = own.gradients(losses["temperature"])
    assert gradients["temperature.weight"] == pytest.approx(H + 1.0, rel=1e-5)
    assert gradients["actor.weight"] == 0.0
    assert own.gradients(losses["actor"])["temperature.weight"] == 0.0
    assert own.gradients(losses["critic"])["temperature.weight"] == 0.0
    told, _ = sac_loss(own.nets, batch(), settings(ent_coef=None, target_entropy=2.0))
    assert own.gradients(told["temperature"])["temperature.weight"] == pytest.approx(H - 2.0, rel=1e-5)
    assert "temperature" not in sac_loss(own.nets, batch(), settings())[0]


def test_a_temperature_that_rounds_to_zero_stays_a_number() -> None:
    own = lines(log_alpha=-200.0)
    part = temperature_part(own.nets, torch.ones(2), -1.0, settings(ent_coef=None))["temperature"]
    assert math.isfinite(part.item())
    assert math.isfinite(own.gradients(part)["temperature.weight"])


def test_discrete_actions_are_summed_over() -> None:
    """State 0 leads to state 1; the policy is (1/4, 3/4) in both."""
    logits = [[0.0, math.log(3.0)], [0.0, math.log(3.0)]]
    online = {
        "actor.weight": logits, "critic.weight": [[[1.0, 2.0], [0.0, 0.0]], [[3.0, 0.0], [0.0, 0.0]]],
        "temperature.weight": math.log(0.5),
    }  # fmt: skip
    target = {**online, "critic.weight": [[[0.0, 0.0], [4.0, 2.0]], [[0.0, 0.0], [8.0, 1.0]]]}
    own = Parameters(Choices(), online, target)
    rows = {
        "obs": one_hot(0, n=2), "action": torch.tensor([1]), "reward": column(1.0), "next_obs": one_hot(1, n=2),
        "discount": column(0.5),
    }  # fmt: skip
    losses, statistics = sac_loss(own.nets, rows, settings(ent_coef=None))
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    # The lesser values of state 1 are 4 and 1: 1/4 * 4 + 3/4 * 1 + half of the entropy; predictions 2 and 0.
    expected = 1.0 + 0.5 * (1.75 + 0.5 * entropy)
    assert losses["critic"].item() == pytest.approx(0.5 * ((2.0 - expected) ** 2 + expected**2), rel=1e-5)
    assert statistics["priority"].tolist() == pytest.approx([(abs(2.0 - expected) + expected) / 2], rel=1e-5)
    # The lesser values of state 0 are 1 and 0.
    assert losses["actor"].item() == pytest.approx(-0.5 * entropy - 0.25, rel=1e-5)
    assert own.gradients(losses["actor"])["critic.weight"] == [[[0.0, 0.0], [0.0, 0.0]]] * 2
    aim = 0.98 * math.log(2.0)
    assert own.gradients(losses["temperature"])["temperature.weight"] == pytest.approx(entropy - aim, abs=1e-5)


class Bounded(Lines):
    """Environment with actions between -2 and 2."""

    def to_env(self, action: Tensor) -> Tensor:
        return 2.0 * action

    def random_action(self, noise: Tensor) -> Tensor:
        return 2.0 * noise - 1.0


@pytest.mark.parametrize(
    ("explore", "env_steps", "expected"),
    [(True, 99.0, -0.5), (True, 100.0, math.tanh(1.5)), (False, 99.0, math.tanh(0.5))],
)
def test_actions_are_random_at_first_then_sampled_and_in_evaluation_the_mode(
    explore: bool, env_steps: float, expected: float
) -> None:
    own = Parameters(Bounded(), {"actor.weight": 0.5, "critic.weight": [1.0], "temperature.weight": 0.0}, {})
    noise = {"action": torch.ones(1, 1), "random": torch.full((1, 1), 0.25)}
    cfg = view(env_steps=env_steps, learning_starts=100)
    action, columns, _ = sac_act(own.nets, torch.ones(1, 1), None, noise, cfg, torch.tensor(explore))
    assert columns["network_action"].item() == pytest.approx(expected, rel=1e-5)
    assert action.item() == pytest.approx(2.0 * expected, rel=1e-5), "the environment's scale"


def test_defaults_are_those_of_stable_baselines3() -> None:
    cfg = SACConfig()
    assert (cfg.learning_rate, cfg.buffer_size, cfg.learning_starts, cfg.batch_size) == (3e-4, 1_000_000, 100, 256)
    assert (cfg.tau, cfg.gamma, cfg.train_freq, cfg.gradient_steps, cfg.n_critics) == (0.005, 0.99, 1, 1, 2)
    assert (cfg.ent_coef, cfg.initial_ent_coef, cfg.target_entropy, cfg.target_update_interval) == (None, 1.0, None, 1)
    assert (cfg.model.hidden_sizes, cfg.model.activation) == (None, "relu")
