"""PPO's functions against hand-computed values and other implementations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.small import minibatch_of, parameters_of, rollout_batch, same, small_trial, training_steps
from tuneexp.algorithms.ppo import PPO, ppo_loss
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.trial import Trial


def loss_at(trial: Trial, minibatch: dict[str, Any], **changes: Any) -> tuple[float, dict[str, float]]:
    """Loss of seed 0, with its hyperparameters as 0-d tensors."""
    numbers = {"clip_range": 0.2, "vf_coef": 0.5, "ent_coef": 0.01, "clip_range_vf": None, "target_kl": None, **changes}
    view = CfgView(
        {
            "normalize_advantage": False,
            **{name: torch.tensor(v) if isinstance(v, float) else v for name, v in numbers.items()},
        }
    )
    nets = Nets.of_one_seed(trial.learner.model, {name: leaf[0] for name, leaf in trial.learner.parameters.items()})
    loss, statistics = ppo_loss(nets, {name: column[0] for name, column in minibatch.items()}, view)
    return float(loss), {name: float(value) for name, value in statistics.items()}


@pytest.fixture
def trial() -> Trial:
    return small_trial([0])


def test_at_the_old_policy_the_loss_is_the_policy_gradient_with_value_and_entropy(trial: Trial) -> None:
    minibatch = minibatch_of(rollout_batch(trial))
    loss, statistics = loss_at(trial, minibatch)
    advantage, value, target = (minibatch[name][0] for name in ("advantage", "value", "value_target"))
    assert statistics["policy_loss"] == pytest.approx(-float(advantage.mean()), rel=1e-4)
    assert statistics["value_loss"] == pytest.approx(float((value - target).square().mean()), rel=1e-4)
    assert statistics["approx_kl"] == pytest.approx(0.0, abs=1e-6)
    assert statistics["clip_fraction"] == 0.0
    # The last policy layer starts small: nearly ln 2 for two actions.
    assert statistics["entropy"] == pytest.approx(0.693, abs=0.01)
    parts = statistics["policy_loss"] + 0.5 * statistics["value_loss"] - 0.01 * statistics["entropy"]
    assert loss == pytest.approx(parts, rel=1e-4)


def test_ratios_beyond_the_clip_range_count_at_its_edge(trial: Trial) -> None:
    minibatch = minibatch_of(rollout_batch(trial))
    minibatch["log_prob"] = minibatch["log_prob"] - 1.0  # the new policy is e times as likely
    minibatch["advantage"] = torch.ones_like(minibatch["advantage"])
    _, up = loss_at(trial, minibatch)
    assert up["policy_loss"] == pytest.approx(-1.2, rel=1e-4)
    assert up["clip_fraction"] == 1.0
    assert up["approx_kl"] == pytest.approx(torch.e - 1 - 1, rel=1e-3)
    minibatch["advantage"] = -minibatch["advantage"]
    _, down = loss_at(trial, minibatch)
    assert down["policy_loss"] == pytest.approx(torch.e, rel=1e-3), "the pessimistic bound is not clipped"


def test_value_clipping_holds_the_prediction_near_the_old_one(trial: Trial) -> None:
    minibatch = minibatch_of(rollout_batch(trial))
    minibatch["value"] = minibatch["value"] - 1.0
    minibatch["value_target"] = minibatch["value"] + 3.0
    _, free = loss_at(trial, minibatch)
    _, clipped = loss_at(trial, minibatch, clip_range_vf=0.5)
    assert free["value_loss"] == pytest.approx(4.0, rel=1e-3)  # (3 - 1)^2
    assert clipped["value_loss"] == pytest.approx(6.25, rel=1e-3)  # (3 - 0.5)^2


def test_updates_stop_beyond_one_and_a_half_times_the_target_kl(trial: Trial) -> None:
    minibatch = minibatch_of(rollout_batch(trial))
    minibatch["log_prob"] = minibatch["log_prob"] - 0.2  # k3: e^0.2 - 1 - 0.2 = 0.0214
    assert loss_at(trial, minibatch, target_kl=0.0150)[1]["skip_update"] <= 0.0
    assert loss_at(trial, minibatch, target_kl=0.0140)[1]["skip_update"] > 0.0
    assert "skip_update" not in loss_at(trial, minibatch)[1]


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("shared", [False, True])
def test_separate_and_shared_networks_train(env: str, shared: bool) -> None:
    trial = small_trial([0, 1], env=env, model={"hidden_sizes": [8], "shared": shared})
    assert any(name.startswith("trunk") for name in trial.learner.parameters) is shared
    before = {name: leaf.clone() for name, leaf in trial.learner.parameters.items()}
    metrics = trial.advance()
    assert metrics["failed_seeds"] == []
    assert all(not torch.equal(leaf, before[name]) for name, leaf in trial.learner.parameters.items())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cartpole_is_learned_on_five_of_five_seeds() -> None:
    """Published hyperparameters: a mean return of at least 475 over 20 episodes after 100,000 steps per seed."""
    algo = PPO.build(
        env="CartPole-v1", seeds=[0, 1, 2, 3, 4], budget_env_steps=100_000, n_envs=8, n_steps=32, batch_size=256,
        n_epochs=20, gamma=0.98, gae_lambda=0.8, learning_rate="linear:0.001", clip_range="linear:0.2",
        report_every_env_steps=50_000, compile="on",  # a compilation beside training takes twice as long
    )  # fmt: skip
    result = algo.train()
    while not result["done"]:
        result = algo.train()
    assert min(result["return_per_seed"]) >= 475
    assert result["failed_seeds"] == []
    assert result["compiled"]
    algo.stop()


def test_a_batch_above_the_rollout_is_the_rollout_and_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    exact, above = small_trial(batch_size=64), small_trial(batch_size=4096)
    small_trial(batch_size=4096)
    assert [record.message for record in caplog.records if "batch_size=4096" in record.message] == [
        "ppo: batch_size=4096 is more than the n_envs * n_steps=64 rows of a rollout: each minibatch is the whole "
        "rollout, as in Stable-Baselines3"
    ]
    assert training_steps(exact, 2) == training_steps(above, 2) == [[2, 2], [2, 2]]
    assert same(parameters_of(exact), parameters_of(above))
