"""APPO: hand-computed values of the loss, its target network, and PPO as its on-policy limit."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.algorithms.tables import Parameters, PolicyTable, column, view
from tests.algorithms.test_impala import batch
from tests.algorithms.trials import trial_of
from tuneexp.algorithms.appo import APPOConfig, appo_loss


def parameters() -> Parameters:
    """Probabilities of the actions: 3/4 and 1/2 (policy), 1/2 each (target network), 1/4 and 1 (behaviour policy)."""
    online = {"policy": [[0.0, math.log(3.0)], [0.0, 0.0]], "value_of": [1.0, 0.0]}
    return Parameters(PolicyTable(), online, {"policy": [[0.0, 0.0], [0.0, 0.0]], "value_of": [4.0, 2.0]})


def settings(**changes: Any) -> Any:
    numbers = {"gamma": 0.5, "gae_lambda": 1.0, "clip_rho": 1.0, "clip_c": 1.0, "vf_coef": 0.5, "ent_coef": 0.0}
    own = {"clip_range": 0.2, "clip_worker": 2.0, "normalize_advantage": False}
    return view(**{**numbers, **own, **changes})


ACTED = column(0.25, 1.0).log()


def test_the_surrogate_is_around_the_target_and_vtrace_judges_the_target() -> None:
    loss, statistics = appo_loss(parameters().nets, batch(log_prob=ACTED), settings())
    # V-trace by the target's values 4, 2 and its ratios 2 and 1/2: errors and advantages -1.75, 0.5 (test_impala).
    # Ratios to the target: 3/2, clipped to 1.2 where that is worse, and 1.
    policy = -(min(1.5 * -1.75, 1.2 * -1.75) + 0.5) / 2
    value = ((1.0 - 2.25) ** 2 + (0.0 - 2.5) ** 2) / 2
    assert statistics["policy_loss"].item() == pytest.approx(policy, rel=1e-5)
    assert statistics["value_loss"].item() == pytest.approx(value, rel=1e-5)
    assert statistics["clip_fraction"].item() == 0.5
    assert loss.item() == pytest.approx(policy + 0.5 * value, rel=1e-5)


def test_the_lag_of_the_policy_that_acted_is_bounded() -> None:
    _, statistics = appo_loss(parameters().nets, batch(log_prob=ACTED), settings(clip_worker=1.0))
    # Step 1: acted to target 2, bounded to 1, times 1/2; below 0.8, and not clipped as 0.25 is the lesser.
    assert statistics["policy_loss"].item() == pytest.approx(-(1.5 * -1.75 + 0.5 * 0.5) / 2, rel=1e-5)


def test_only_the_policy_and_the_value_that_learn_have_gradients() -> None:
    own = parameters()
    gradients = own.gradients(appo_loss(own.nets, batch(log_prob=ACTED), settings())[0])
    # -advantage * ratio * (one hot - p) / 2 steps; vf_coef * 2 * error / 2 steps.
    expected = [[1.75 * 1.5 * -0.25 / 2, 1.75 * 1.5 * 0.25 / 2], [-0.5 * 0.5 / 2, 0.5 * 0.5 / 2]]
    torch.testing.assert_close(torch.tensor(gradients["policy"]), torch.tensor(expected))
    assert gradients["value_of"] == pytest.approx([-0.5 * 1.25, -0.5 * 2.5])


def test_a_reset_row_counts_in_no_term() -> None:
    spoiled = batch(mask=torch.tensor([True, False]), reward=column(1.0, 99.0), log_prob=column(0.25, 0.1).log())
    _, statistics = appo_loss(parameters().nets, spoiled, settings())
    assert statistics["policy_loss"].item() == pytest.approx(1.5 * 2.0)  # its advantage is 1 + 2/2 - 4
    assert statistics["value_loss"].item() == pytest.approx(1.0)


def test_where_the_target_is_the_policy_that_acted_it_is_ppo() -> None:
    """Three rollouts of Pendulum without an end of an episode: every row counts, minibatches are whole rollouts."""
    changes: dict[str, Any] = {
        "n_envs": 2, "n_steps": 16, "batch_size": 32, "n_epochs": 3, "gae_lambda": 0.9, "ent_coef": 0.01,
        "learning_rate": 1e-3, "budget_env_steps": 96,
    }  # fmt: skip
    trials = [trial_of(name, "Pendulum-v1", [0, 1], **changes) for name in ("ppo", "appo")]
    for trial in trials:
        trial.advance()
    ppo, appo = trials
    assert ppo.learner.n_updates == appo.learner.n_updates == 9
    for name, leaf in ppo.learner.parameters.items():
        torch.testing.assert_close(appo.learner.parameters[name], leaf, rtol=1e-3, atol=1e-4)


def test_the_target_is_what_acts_unless_its_interval_is_longer() -> None:
    trial = trial_of("appo", "CartPole-v1", [0, 1], batch_size=32, n_epochs=2, target_update_interval=64)
    first = trial.learner.stack.flat.clone()
    target = trial.learner.target
    assert target is not None
    seen = []
    for _ in range(4):
        before = trial.learner.stack.flat.clone()
        trial.training_step()
        seen.append((torch.equal(target.flat, before), torch.equal(target.flat, first)))
    # Rollouts of 32 steps: the target moves before the second and the fourth.
    assert seen == [(True, True), (True, False), (False, False), (True, False)]


def test_minibatches_are_whole_fragments() -> None:
    cfg = APPOConfig(n_envs=8, n_steps=50, batch_size=120, n_epochs=3)
    assert cfg.minibatch_rows() == 2
    assert cfg.updates_per_rollout() == 3 * 4
    above = APPOConfig(n_envs=8, n_steps=50, batch_size=401)
    assert above.minibatch_rows() == 8, "the whole rollout"


def test_a_network_with_memory_has_a_target_with_memory() -> None:
    model = {"hidden_sizes": [8], "recurrent": "gru"}
    trial = trial_of("appo", "CartPole-v1", [0, 1], model=model, sequence_length=8, batch_size=16, n_epochs=2)
    before = {name: leaf.clone() for name, leaf in trial.learner.parameters.items()}
    assert trial.advance()["failed_seeds"] == []
    assert trial.trainer.shapes.minibatch_rows == 2
    assert all(not torch.equal(leaf, before[name]) for name, leaf in trial.learner.parameters.items())
