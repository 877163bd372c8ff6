"""TD3 and DDPG: hand-computed values of the losses, and delayed updates of actor and target networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.algorithms.tables import Lines, Parameters, column, view
from tests.algorithms.trials import minibatch_of, trial_of
from tuneexp.algorithms.ddpg import DDPGConfig, ddpg_loss
from tuneexp.algorithms.deterministic import act
from tuneexp.algorithms.td3 import TD3Config, td3_loss
from tuneexp.learning.learner import Learner


def lines(critic: list[float], lagging: list[float]) -> Parameters:
    online = {"actor.weight": 0.5, "critic.weight": critic, "temperature.weight": 0.0}
    return Parameters(Lines(), online, {**online, "actor.weight": 0.3, "critic.weight": lagging})


def batch(**more: Tensor) -> dict[str, Tensor]:
    ones = torch.ones(2, 1)
    return {
        "obs": ones, "action": 0.5 * ones, "reward": column(1.0, 1.0), "next_obs": 2.0 * ones,
        "discount": column(0.5, 0.5), **more,
    }  # fmt: skip


SMOOTHING = torch.tensor([[10.0], [-0.5]])
NUMBERS = {"target_policy_noise": 0.2, "target_noise_clip": 0.5}


def actor_part(losses: Mapping[str, Tensor | Callable[[], Tensor]]) -> Tensor:
    part = losses["actor"]
    assert callable(part), "computed only where it is due"
    return part()


def test_the_target_action_is_smoothed_within_bounds_and_the_lesser_critic_counts() -> None:
    losses, statistics = td3_loss(lines([2.0, 1.0], [1.0, 2.0]).nets, batch(smoothing=SMOOTHING), view(**NUMBERS))
    # The lagging actor does 0.6. Noise 2, clipped to 0.5, makes 1.1, clipped to 1; noise -0.1 makes 0.5.
    # Lesser critics: 3 and 2.5. Targets 2.5 and 2.25, predictions 3 and 1.5: errors 0.5, -1 and 0.75, -0.75.
    rows = [0.25 + 1.0, 0.5625 + 0.5625]
    assert losses["critic"].item() == pytest.approx(sum(rows) / 2)
    assert statistics["priority"].tolist() == pytest.approx([0.75, 0.75])
    weighted, _ = td3_loss(
        lines([2.0, 1.0], [1.0, 2.0]).nets, batch(smoothing=SMOOTHING, weight=column(0.5, 1.0)), view(**NUMBERS)
    )
    assert weighted["critic"].item() == pytest.approx((0.5 * rows[0] + rows[1]) / 2)


def test_a_terminated_row_has_its_reward_as_target() -> None:
    rows = batch(smoothing=SMOOTHING) | {"discount": column(0.0, 0.0)}
    _, statistics = td3_loss(lines([2.0, 1.0], [1.0, 2.0]).nets, rows, view(**NUMBERS))
    assert statistics["q_mean"].item() == 1.0


def test_the_actor_climbs_the_first_critic_and_leaves_the_critics_alone() -> None:
    own = lines([2.0, 1.0], [1.0, 2.0])
    losses, _ = td3_loss(own.nets, batch(smoothing=SMOOTHING), view(**NUMBERS))
    actor = actor_part(losses)
    assert actor.item() == pytest.approx(-3.0)  # 2 * (1 + 0.5)
    gradients = own.gradients(actor)
    assert gradients["actor.weight"] == pytest.approx(-2.0)
    assert gradients["critic.weight"] == [0.0, 0.0]
    assert isinstance(losses["critic"], Tensor)
    assert own.gradients(losses["critic"])["actor.weight"] == 0.0


def test_ddpg_has_one_critic_and_no_smoothing() -> None:
    own = lines([2.0], [1.0])
    losses, statistics = ddpg_loss(own.nets, batch(), view())
    # 1 + 0.5 * (2 + 0.6) = 2.3 against 3.
    assert losses["critic"].item() == pytest.approx(0.49, rel=1e-5)
    assert statistics["priority"].tolist() == pytest.approx([0.7, 0.7], rel=1e-5)
    assert own.gradients(actor_part(losses)) == {
        "actor.weight": pytest.approx(-2.0), "critic.weight": [0.0], "temperature.weight": 0.0
    }  # fmt: skip


class Bounded(Lines):
    """Environment with actions between -2 and 2."""

    def to_env(self, action: Tensor) -> Tensor:
        return 2.0 * action

    def random_action(self, noise: Tensor) -> Tensor:
        return 2.0 * noise - 1.0


@pytest.mark.parametrize(
    ("explore", "env_steps", "expected"),
    [(True, 99.0, [-0.5, -0.5]), (True, 100.0, [0.7, 1.0]), (False, 99.0, [0.5, 0.5])],
)
def test_actions_are_random_at_first_then_noisy_within_bounds_and_in_evaluation_the_policys(
    explore: bool, env_steps: float, expected: list[float]
) -> None:
    own = Parameters(Bounded(), {"actor.weight": 0.5, "critic.weight": [1.0], "temperature.weight": 0.0}, {})
    noise = {"action": torch.tensor([[2.0], [9.0]]), "random": torch.full((2, 1), 0.25)}
    cfg = view(env_steps=env_steps, learning_starts=100, noise_std=0.1)
    action, columns, _ = act(own.nets, torch.ones(2, 1), None, noise, cfg, torch.tensor(explore))
    assert columns["network_action"].squeeze(1).tolist() == pytest.approx(expected)
    assert action.squeeze(1).tolist() == pytest.approx([2.0 * one for one in expected])


# -- over updates


def copy_of(leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: leaf.clone() for name, leaf in leaves.items()}


def moved(leaves: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> set[str]:
    """Names of the parts whose parameters changed."""
    return {name.partition(".")[0] for name, leaf in leaves.items() if not torch.equal(leaf, before[name])}


def adam_steps(learner: Learner) -> dict[str | None, float]:
    """Number of optimizer steps of each part."""
    state = learner.optimizer.optimizer.state
    return {block.part: float(state[block.parameter]["step"]) if block.parameter in state else 0.0
            for block in learner.optimizer.blocks}  # fmt: skip


def test_actor_its_optimizer_and_the_targets_move_with_the_delay_only() -> None:
    trial = trial_of("td3", "Pendulum-v1", [0, 1], policy_delay=3, tau=0.25)
    learner = trial.learner
    assert learner.target is not None
    minibatch = minibatch_of(trial)
    for update in range(1, 7):
        online, target = copy_of(learner.parameters), copy_of(learner.target.leaves)
        learner.learn_on_batch(list(minibatch.values()))
        due = update % 3 == 0
        assert moved(learner.parameters, online) == ({"critic", "actor"} if due else {"critic"})
        assert moved(learner.target.leaves, target) == ({"critic", "actor"} if due else set())
        assert adam_steps(learner) == {"actor": update // 3, None: update}
        if due:
            for name, leaf in learner.target.leaves.items():
                torch.testing.assert_close(leaf, 0.75 * target[name] + 0.25 * learner.parameters[name])


def test_ddpg_moves_everything_with_each_update() -> None:
    learner = (trial := trial_of("ddpg", "Pendulum-v1", [0])).learner
    assert learner.target is not None
    online, target = copy_of(learner.parameters), copy_of(learner.target.leaves)
    learner.learn_on_batch(list(minibatch_of(trial).values()))
    assert moved(learner.parameters, online) == moved(learner.target.leaves, target) == {"actor", "critic"}


@pytest.mark.parametrize("config", [TD3Config, DDPGConfig])
def test_defaults_are_those_of_stable_baselines3(config: Any) -> None:
    cfg = config()
    assert (cfg.learning_rate, cfg.buffer_size, cfg.learning_starts, cfg.batch_size) == (1e-3, 1_000_000, 100, 256)
    assert (cfg.tau, cfg.gamma, cfg.train_freq, cfg.gradient_steps) == (0.005, 0.99, 1, 1)
    assert (cfg.model.hidden_sizes, cfg.model.activation) == (None, "relu")
    if config is TD3Config:
        assert (cfg.policy_delay, cfg.target_policy_noise, cfg.target_noise_clip, cfg.n_critics) == (2, 0.2, 0.5, 2)
