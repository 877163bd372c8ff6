"""IMPALA: hand-computed values of the loss, and minibatches of whole fragments."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.algorithms.tables import Parameters, PolicyTable, column, one_hot, view
from tests.algorithms.trials import trial_of
from tuneexp.algorithms.impala import IMPALAConfig, impala_loss
from tuneexp.errors import UserError


def batch(**changes: Tensor) -> dict[str, Tensor]:
    """One fragment [L, B] = [2, 1]: state 0, action 1, state 1, action 0, state 1.

    The behaviour policy had probabilities 3/8 and 1 for these actions."""
    columns = {
        "obs": one_hot(0, 1, n=2), "next_obs": one_hot(1, 1, n=2), "action": torch.tensor([1, 0]),
        "log_prob": column(3 / 8, 1.0).log(), "reward": column(1.0, 2.0),
        "terminated": torch.tensor([False, False]), "truncated": torch.tensor([False, False]),
        "mask": torch.tensor([True, True]),
    }  # fmt: skip
    return {name: values.unsqueeze(1) for name, values in {**columns, **changes}.items()}


def parameters() -> Parameters:
    """The current policy has probabilities 3/4 and 1/2 for these actions."""
    return Parameters(PolicyTable(), {"policy": [[0.0, math.log(3.0)], [0.0, 0.0]], "value_of": [4.0, 2.0]}, {})


def settings(**changes: Any) -> Any:
    numbers = {"gamma": 0.5, "gae_lambda": 1.0, "clip_rho": 1.0, "clip_c": 1.0, "vf_coef": 0.5, "ent_coef": 0.0}
    return view(**{**numbers, **changes})


def test_the_loss_is_the_policy_gradient_on_vtrace_with_value_and_entropy() -> None:
    loss, statistics = impala_loss(parameters().nets, batch(), settings(ent_coef=0.1))
    # rho = (1, 1/2): delta = (1 + 2/2 - 4, (2 + 2/2 - 2)/2); errors (-2 + 0.5/2, 0.5); the advantages are these here.
    policy = -(-1.75 * math.log(0.75) + 0.5 * math.log(0.5)) / 2
    entropy = (-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) + math.log(2.0)) / 2
    assert statistics["policy_loss"].item() == pytest.approx(policy, rel=1e-5)
    assert statistics["value_loss"].item() == pytest.approx((1.75**2 + 0.5**2) / 2, rel=1e-5)
    assert statistics["entropy"].item() == pytest.approx(entropy, rel=1e-5)
    assert loss.item() == pytest.approx(policy + 0.5 * (1.75**2 + 0.5**2) / 2 - 0.1 * entropy, rel=1e-5)


def test_vtrace_itself_has_no_gradient() -> None:
    own = parameters()
    gradients = own.gradients(impala_loss(own.nets, batch(), settings())[0])
    # d log p(a) / d logits = one hot - p, times -advantage / 2 steps.
    torch.testing.assert_close(
        torch.tensor(gradients["policy"]), torch.tensor([[-1.75 / 8, 1.75 / 8], [-0.125, 0.125]])
    )
    assert gradients["value_of"] == pytest.approx([0.5 * 1.75, -0.5 * 0.5])  # vf_coef * 2 * error / 2 steps


@pytest.mark.parametrize(
    ("flag", "step", "errors"),
    [
        ("terminated", 1, (-2.0, 0.0)),  # no bootstrap: (2 - 2)/2
        ("truncated", 1, (-1.75, 0.5)),  # the fragment ends there in any case
        ("truncated", 0, (-2.0, 0.5)),  # nothing of the next episode
        ("terminated", 0, (-3.0, 0.5)),  # nor the value of its end
    ],
)
def test_an_end_zeroes_the_bootstrap_or_only_cuts(flag: str, step: int, errors: tuple[float, float]) -> None:
    ended = torch.zeros(2, dtype=torch.bool)
    ended[step] = True
    _, statistics = impala_loss(parameters().nets, batch(**{flag: ended}), settings())
    assert statistics["value_loss"].item() == pytest.approx((errors[0] ** 2 + errors[1] ** 2) / 2, rel=1e-5)
    policy = -(errors[0] * math.log(0.75) + errors[1] * math.log(0.5)) / 2
    assert statistics["policy_loss"].item() == pytest.approx(policy, rel=1e-5)


def test_a_reset_row_counts_in_no_term() -> None:
    spoiled = batch(mask=torch.tensor([True, False]), reward=column(1.0, 99.0), log_prob=column(3 / 8, 0.1).log())
    _, statistics = impala_loss(parameters().nets, spoiled, settings())
    assert statistics["value_loss"].item() == pytest.approx(4.0)
    assert statistics["policy_loss"].item() == pytest.approx(2.0 * math.log(0.75), rel=1e-5)


def test_the_bounds_of_the_ratios_are_hyperparameters() -> None:
    _, statistics = impala_loss(parameters().nets, batch(), settings(clip_rho=2.0, clip_c=0.0))
    # rho = (2, 1/2), nothing is carried back: errors (-4, 0.5).
    assert statistics["value_loss"].item() == pytest.approx((16 + 0.25) / 2, rel=1e-5)
    # The advantage looks one step ahead all the same: 2 (1 + 2.5/2 - 4).
    assert statistics["policy_loss"].item() == pytest.approx(-(-3.5 * math.log(0.75) + 0.5 * math.log(0.5)) / 2)


def test_each_rollout_is_used_once_as_whole_fragments() -> None:
    trial = trial_of("impala", "CartPole-v1", [0, 1], n_envs=2, n_steps=40, budget_env_steps=160)
    assert trial.advance()["update/updates"] == 2
    assert (trial.trainer.shapes.minibatch_rows, trial.trainer.shapes.sequence_length) == (2, 40)


def test_a_network_with_memory_learns_from_its_sequences() -> None:
    trial = trial_of(
        "impala", "CartPole-v1", [0, 1], model={"hidden_sizes": [8], "recurrent": "gru"}, sequence_length=8
    )
    before = {name: leaf.clone() for name, leaf in trial.learner.parameters.items()}
    assert trial.advance()["failed_seeds"] == []
    assert (trial.trainer.shapes.minibatch_rows, trial.trainer.shapes.sequence_length) == (4, 8)
    assert all(not torch.equal(leaf, before[name]) for name, leaf in trial.learner.parameters.items())


def test_one_row_a_rollout_is_refused() -> None:
    with pytest.raises(UserError, match="n_steps=20"):
        IMPALAConfig.parse({"n_envs": 1, "n_steps": 1}, "impala")


def test_the_ratios_are_one_where_the_policy_has_not_changed() -> None:
    """Rows are learned from at once, with a recurrent network, too: wrong log-probabilities or states would show."""
    for model in ({"hidden_sizes": [8]}, {"hidden_sizes": [8], "recurrent": "lstm"}):
        trial = trial_of("impala", "CartPole-v1", [0, 1], model=model, sequence_length=8)
        for _ in range(3):
            trial.training_step()
            statistics, _ = trial.learner.log.latest()
            assert statistics["approx_kl"].abs().max() < 1e-5
