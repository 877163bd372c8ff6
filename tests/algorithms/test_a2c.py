"""A2C: hand-computed values of the loss, and one update per rollout."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, optim

from tests.algorithms.tables import Parameters, PolicyTable, column, one_hot, view
from tests.algorithms.trials import trial_of
from tuneexp.algorithms.a2c import A2CConfig, a2c_loss
from tuneexp.rl.distributions import Categorical


def batch() -> dict[str, Tensor]:
    """Action 1 in state 0, with probabilities (1/4, 3/4); action 0 in state 1, with (1/2, 1/2)."""
    return {
        "obs": one_hot(0, 1, n=2), "action": torch.tensor([1, 0]), "advantage": column(2.0, -1.0),
        "value": column(1.0, 0.0), "value_target": column(3.0, -1.0),
    }  # fmt: skip


def parameters() -> Parameters:
    return Parameters(PolicyTable(), {"policy": [[0.0, math.log(3.0)], [0.0, 0.0]], "value_of": [1.0, 0.0]}, {})


def settings(**changes: Any) -> Any:
    return view(**{"vf_coef": 0.5, "ent_coef": 0.0, "normalize_advantage": False, **changes})


def test_the_loss_is_the_policy_gradient_with_value_and_entropy() -> None:
    loss, statistics = a2c_loss(parameters().nets, batch(), settings(ent_coef=0.1))
    policy = -(2.0 * math.log(0.75) - math.log(0.5)) / 2
    entropy = (-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) + math.log(2.0)) / 2
    assert statistics["policy_loss"].item() == pytest.approx(policy, rel=1e-5)
    assert statistics["value_loss"].item() == 2.5  # (2^2 + 1^2) / 2
    assert statistics["entropy"].item() == pytest.approx(entropy, rel=1e-5)
    assert loss.item() == pytest.approx(policy + 0.5 * 2.5 - 0.1 * entropy, rel=1e-5)


def test_the_gradient_is_the_advantage_times_that_of_the_log_probability() -> None:
    own = parameters()
    gradients = own.gradients(a2c_loss(own.nets, batch(), settings())[0])
    # d log p(a) / d logits = one hot - p, times -advantage / 2 rows.
    torch.testing.assert_close(torch.tensor(gradients["policy"]), torch.tensor([[0.25, -0.25], [0.25, -0.25]]))
    # vf_coef * 2 * error / 2 rows.
    assert gradients["value_of"] == [-1.0, 0.5]


def test_normalised_advantages_have_mean_0_and_deviation_1() -> None:
    _, statistics = a2c_loss(parameters().nets, batch(), settings(normalize_advantage=True))
    # 2 and -1: mean 0.5, deviation (over n - 1) 3 / sqrt(2).
    z = 1.5 / (3.0 / math.sqrt(2.0))
    assert statistics["policy_loss"].item() == pytest.approx(-(z * math.log(0.75) - z * math.log(0.5)) / 2, rel=1e-4)


def test_steps_of_sequences_that_do_not_count_change_nothing() -> None:
    """Sequences [L, B] = [2, 1] of a recurrent network whose `unroll` treats each step alone."""

    class Steps(PolicyTable):
        def unroll(self, obs: Tensor, state: Tensor, start: Tensor) -> tuple[Categorical, Tensor]:
            return self.dist_and_value(obs)

    values = {name: leaf.tolist() for name, leaf in parameters().online.items()}
    rows = {name: values.unsqueeze(1) for name, values in batch().items()}
    sequences = rows | {"state": torch.zeros(1, 1, 3), "start": torch.zeros(2, 1, dtype=torch.bool)}
    for reset in (0.0, float("nan")):
        one = sequences | {"mask": torch.tensor([[True], [False]]), "advantage": torch.tensor([[2.0], [reset]])}
        loss, _ = a2c_loss(Parameters(Steps(), values, {}).nets, one, settings())
        assert loss.item() == pytest.approx(-2.0 * math.log(0.75) + 0.5 * 4.0, rel=1e-5)


def test_each_rollout_is_used_once_and_whole() -> None:
    trial = trial_of("a2c", "CartPole-v1", [0, 1], n_envs=2, n_steps=16)
    assert trial.advance()["update/updates"] == 128 // 32
    assert trial.trainer.shapes.minibatch_rows == 32


def test_a_network_with_memory_trains_on_sequences() -> None:
    trial = trial_of("a2c", "CartPole-v1", [0, 1], model={"hidden_sizes": [8], "recurrent": "gru"}, sequence_length=8)
    before = {name: leaf.clone() for name, leaf in trial.learner.parameters.items()}
    assert trial.advance()["failed_seeds"] == []
    assert trial.trainer.shapes.minibatch_rows == 4
    assert all(not torch.equal(leaf, before[name]) for name, leaf in trial.learner.parameters.items())


@pytest.mark.parametrize(("use_rms_prop", "kind"), [(True, optim.RMSprop), (False, optim.Adam)])
def test_the_optimizer_can_be_chosen(use_rms_prop: bool, kind: type) -> None:
    trial = trial_of("a2c", "CartPole-v1", [0], use_rms_prop=use_rms_prop)
    optimizer = trial.learner.optimizer.optimizer
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["eps"] == pytest.approx(1e-5)


def test_defaults_are_those_of_stable_baselines3() -> None:
    cfg = A2CConfig()
    assert (cfg.learning_rate, cfg.n_steps, cfg.gamma, cfg.gae_lambda, cfg.ent_coef) == (7e-4, 5, 0.99, 1.0, 0.0)
    assert (cfg.vf_coef, cfg.max_grad_norm, cfg.rms_prop_eps, cfg.use_rms_prop) == (0.5, 0.5, 1e-5, True)
    assert (cfg.normalize_advantage, cfg.model.hidden_sizes, cfg.model.activation) == (False, None, "tanh")
