"""Training from a replay buffer: start of learning, number of updates, sampled rows and new priorities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.small import parameters_of, same
from tuneexp.algorithms.dqn import DQN
from tuneexp.algorithms.registry import load_spec
from tuneexp.algorithms.spec import AlgorithmSpec, replace
from tuneexp.errors import UserError
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

HYPERPARAMETERS: dict[str, Any] = {
    "n_envs": 2, "buffer_size": 500, "batch_size": 8, "learning_starts": 40, "train_freq": 4, "gradient_steps": 2,
    "learning_rate": 1e-3, "target_update_interval": 16, "model": {"hidden_sizes": [8]},
}  # fmt: skip


def replay_trial(
    seeds: tuple[int, ...] = (0, 1),
    spec: AlgorithmSpec = DQN,
    env: str = "CartPole-v1",
    budget: int = 400,
    **changes: Any,
) -> Trial:
    own = {name: value for name, value in HYPERPARAMETERS.items() if name in spec.config_class.model_fields}
    config = TrialConfig.parse(
        {
            "algorithm": "dqn", "env": env, "seeds": list(seeds), "budget_env_steps": budget,
            "report_every_env_steps": budget, "compile": "off", "hyperparameters": {**own, **changes},
        },
        "the test",
    )  # fmt: skip
    return Trial(spec, config)


def test_nothing_is_learned_before_learning_starts() -> None:
    trial = replay_trial()
    before, updates = parameters_of(trial), []
    for _ in range(7):  # of 8 environment steps each
        trial.training_step()
        updates.append(trial.learner.n_updates)
        if trial.env_steps < 40:
            assert same(parameters_of(trial), before)
    assert updates == [0, 0, 0, 0, 2, 4, 6]
    assert not same(parameters_of(trial), before)


@pytest.mark.parametrize(("gradient_steps", "updates"), [(1, 1), (3, 3), (-1, 8), (0, 0)])
def test_each_rollout_is_followed_by_so_many_updates(gradient_steps: int, updates: int) -> None:
    trial = replay_trial(learning_starts=0, gradient_steps=gradient_steps, batch_size=2)
    trial.training_step()
    trial.training_step()
    assert trial.learner.n_updates == 2 * updates


def test_a_trial_restored_without_its_buffer_collects_before_it_learns_on() -> None:
    trial, restored = (replay_trial(save_replay_buffer=False) for _ in range(2))
    for _ in range(8):
        trial.training_step()
    restored.load_state_dict(trial.state_dict())
    before, updates = parameters_of(restored), []
    assert same(before, parameters_of(trial))
    for _ in range(6):
        restored.training_step()
        updates.append(restored.learner.n_updates - trial.learner.n_updates)
    assert updates == [0, 0, 0, 0, 2, 4]


@pytest.mark.parametrize("prioritized", [False, True])
def test_learning_starts_when_it_was_requested_though_a_minibatch_is_larger(prioritized: bool) -> None:
    """As in Stable-Baselines3: minibatches of 256 rows from a buffer of 40."""
    trial = replay_trial(batch_size=256, prioritized=prioritized)
    updates = []
    for _ in range(6):
        trial.training_step()
        updates.append(trial.learner.n_updates)
    assert updates == [0, 0, 0, 0, 2, 4]
    assert trial.learner.log.updates_per_seed().tolist() == [4, 4]
    assert (trial.trainer.experience.buffer.size < 50).all()  # type: ignore[union-attr]


def test_nothing_is_learned_before_a_window_of_n_steps_is_complete() -> None:
    trial = replay_trial(learning_starts=0, train_freq=1, gradient_steps=1, n_step=4)
    before = parameters_of(trial)
    for n_steps in range(1, 6):
        trial.training_step()
        assert same(parameters_of(trial), before) == (n_steps < 4)


def spoil(trial: Trial, index: int) -> None:
    """Set the parameters of the seed to NaN, as if it had diverged."""
    for leaf in trial.learner.parameters.values():
        leaf[index] = float("nan")


@pytest.mark.parametrize("prioritized", [False, True])
def test_what_a_seed_draws_does_not_depend_on_who_learns_beside_it(prioritized: bool) -> None:
    """Also if it doesn't learn itself: with one diverged seed alone, no seed learns."""
    together = replay_trial((0, 1, 2), prioritized=prioritized)
    alone = [replay_trial((seed,), prioritized=prioritized) for seed in (0, 1, 2)]
    spoil(together, 1)
    spoil(alone[1], 0)
    for _ in range(8):
        together.training_step()
        for index, single in enumerate(alone):
            single.training_step()
            own = single.learner.generators[0].get_state()
            assert torch.equal(together.learner.generators[index].get_state(), own)
    assert together.learner.failed.tolist() == [False, True, False]
    assert alone[1].learner.all_skipped


def reading_loss(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss whose priority is the size of the observation's first number, which identifies the row."""
    return nets.online.q(batch["obs"]).square().mean(), {"priority": batch["obs"][:, 0].abs()}


READING = replace(DQN, name="reading", loss_fn=reading_loss)


def test_priorities_go_back_to_the_rows_that_they_are_of() -> None:
    trial = replay_trial((0, 1, 2), READING, prioritized=True, prioritized_alpha=1.0)
    for _ in range(20):
        trial.training_step()
    state = trial.trainer.experience.buffer.state_dict()  # type: ignore[union-attr]
    for obs, priorities in zip(state["columns"]["obs"], state["priorities"], strict=True):
        own = obs[:, 0].abs().double() + 1e-6
        updated = (priorities - own).abs() < 1e-9
        assert updated.sum() > len(own) / 4
        # A row that was not drawn yet has the largest priority so far, which was 1 at first.
        assert (priorities[~updated] == 1.0).all()


def test_a_seed_that_did_not_learn_sets_no_priorities() -> None:
    trial = replay_trial((0, 1, 2), READING, prioritized=True, prioritized_alpha=1.0)
    spoil(trial, 1)
    for _ in range(12):
        trial.training_step()
    assert trial.learner.failed.tolist() == [False, True, False]
    changed = [bool((own != 1.0).any()) for own in trial.trainer.experience.buffer.state_dict()["priorities"]]  # type: ignore[union-attr]
    assert changed == [True, False, True]


def weighing_loss(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> tuple[Tensor, dict[str, Tensor]]:
    priority = batch["obs"][:, 0].abs()
    spread = (batch["weight"] * (priority + 1e-6)).var()  # weight times priority is the same for all rows at beta 1
    return nets.online.q(batch["obs"]).square().mean(), {
        "priority": priority,
        "spread": spread,
        "w": batch["weight"].max(),
    }


def test_importance_weights_are_those_of_the_rows_drawn() -> None:
    """With alpha = beta = 1 a weight is proportional to 1 / priority, and 1 for the least likely row."""
    spec = replace(DQN, name="weighing", loss_fn=weighing_loss)
    trial = replay_trial((0, 1), spec, prioritized=True, prioritized_alpha=1.0, prioritized_beta=1.0, train_freq=40,
                         gradient_steps=200, budget=160)  # fmt: skip
    trial.training_step()
    spreads = [step[1][step[0].index("spread")] for step in trial.learner.log._updates]
    assert all(step[1][step[0].index("w")].eq(1.0).all() for step in trial.learner.log._updates)
    assert torch.stack(spreads[-50:]).max() < 1e-8, "all rows were drawn once by then"
    assert torch.stack(spreads[:3]).max() > 1e-4, "new rows have a priority that is not their own"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_starts": 400}, "learning_starts=400 .* 400 .*learning_starts=40"),
        ({"batch_size": 600}, "batch_size=600 .*buffer_size=500"),
        ({"env": "Pendulum-v1"}, "sac"),
        ({"n_step": 0}, "n_step"),
        ({"gradient_steps": -2}, "gradient_steps"),
        ({"train_freq": 0}, "train_freq"),
    ],
)
def test_what_can_not_work_is_refused_with_the_numbers(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=f"(?s){said}") as caught:
        replay_trial(**changes)
    assert len(str(caught.value).splitlines()) <= 2


def test_an_algorithm_of_continuous_actions_is_refused_on_discrete_ones_with_those_that_fit() -> None:
    with pytest.raises(UserError, match=r"(?s)CartPole-v1.*dqn") as caught:
        replay_trial(spec=load_spec("td3"))
    fitting = str(caught.value).splitlines()[-1]
    assert "td3" not in fitting
    assert "sac" in fitting


def test_a_replay_row_holds_the_true_next_observation_of_its_step() -> None:
    """The cart's position changes by its velocity times 0.02 s, also in the step that ends an episode."""
    trial = replay_trial((0, 1), n_envs=3)
    for _ in range(20):
        trial.training_step()
    columns = trial.trainer.experience.buffer.state_dict()["columns"]  # type: ignore[union-attr]
    ends = 0
    for obs, next_obs, discount in zip(columns["obs"], columns["next_obs"], columns["discount"], strict=True):
        np.testing.assert_allclose(next_obs[:, 0], obs[:, 0] + 0.02 * obs[:, 1], atol=1e-6)
        np.testing.assert_allclose(next_obs[:, 2], obs[:, 2] + 0.02 * obs[:, 3], atol=1e-6)
        fell = (next_obs[:, 2].abs() > 12 * 2 * np.pi / 360) | (next_obs[:, 0].abs() > 2.4)
        assert torch.equal(discount == 0, fell)
        ends += int(fell.sum())
    assert ends > 10
