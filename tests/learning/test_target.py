"""Target networks: Polyak coefficient, interval, and the seeds that are updated."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.learning.flat_parameters import FlatStack
from tuneexp.learning.hyper import Hyper
from tuneexp.learning.target import TargetNetworks, TargetUpdate

ALL = torch.tensor([True, True, True])


def networks(n_envs: int = 1, **update: Any) -> tuple[FlatStack, TargetNetworks]:
    """Three seeds, online 1 everywhere, target 0 everywhere."""
    online = FlatStack({"weight": torch.zeros(3, 2, 2), "bias": torch.zeros(3, 2)})
    target = TargetNetworks(
        online, TargetUpdate(**update), Hyper([OffPolicyConfig(train_freq=7, n_envs=n_envs)]).view()
    )
    online.flat.fill_(1.0)
    return online, target


def test_it_starts_as_the_online_networks_and_is_a_copy() -> None:
    online = FlatStack({"weight": torch.randn(2, 3)})
    target = TargetNetworks(online, TargetUpdate(), Hyper([OffPolicyConfig()]).view())
    before = online.flat.clone()
    online.flat.add_(1.0)
    assert torch.equal(target.flat, before)
    assert torch.equal(target.leaves["weight"], before.view(2, 3))


def test_it_goes_a_share_of_the_way_at_each_update() -> None:
    _, target = networks(tau=0.25)
    seen = []
    for update in range(1, 4):
        target.after_update(update, None)
        seen.append(target.leaves["weight"].unique().tolist())
    assert seen == [[0.25], [0.4375], [pytest.approx(0.578125)]]


def test_a_share_of_one_is_a_copy() -> None:
    online, target = networks(tau=1.0, every=3)
    for update, moved in ((1, False), (2, False), (3, True)):
        target.after_update(update, None)
        assert torch.equal(target.flat, online.flat) == moved


def test_every_counts_updates() -> None:
    _, target = networks(tau=0.5, every=4)
    moved = []
    for update in range(1, 13):
        before = target.flat.clone()
        target.after_update(update, None)
        if not torch.equal(before, target.flat):
            moved.append(update)
    assert moved == [4, 8, 12]


@pytest.mark.parametrize(
    ("period", "n_envs", "train_freq"),
    [
        (10, 1, 5),
        (10, 1, 4),
        (8, 1, 8),
        (3, 1, 8),
        (1, 1, 4),
        (1, 4, 4),
        (1, 8, 1),
        (10, 4, 4),
        (16, 8, 1),
        (100, 8, 3),
    ],
)
def test_every_counts_environment_steps(period: int, n_envs: int, train_freq: int) -> None:
    """Compared with the loop of Stable-Baselines3's DQN, which checks at every step of all environments, before the
    update."""
    tau, theirs, calls = 0.125, 0.0, 0
    _, target = networks(tau=tau, every=period, unit="env_steps", n_envs=n_envs)
    for rollout in range(40):
        target.before_rollout(rollout * train_freq * n_envs, train_freq * n_envs, ALL)
        for _ in range(train_freq):
            calls += 1
            if calls % max(period // n_envs, 1) == 0:
                theirs = (1 - tau) * theirs + tau * 1.0
        torch.testing.assert_close(target.flat, torch.full_like(target.flat, theirs))
        before = target.flat.clone()
        target.after_update(rollout + 1, None)
        assert torch.equal(before, target.flat)


def test_soft_targets_of_several_environments_move_at_each_of_their_steps() -> None:
    _, target = networks(tau=0.005, every=1, unit="env_steps", n_envs=4)
    for rollout in range(100):
        target.before_rollout(rollout * 16, 16, ALL)
    torch.testing.assert_close(target.flat, torch.full_like(target.flat, 1 - 0.995**400))


def test_numbers_may_be_fields_of_the_configuration() -> None:
    _, target = networks(tau="gamma", every="train_freq")
    target.after_update(6, None)
    assert target.flat.abs().max() == 0
    target.after_update(7, None)
    torch.testing.assert_close(target.flat, torch.full_like(target.flat, 0.99))


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_a_seed_that_sat_out_keeps_its_target_and_its_nan_stays_its_own(tau: float) -> None:
    online, target = networks(tau=tau)
    online.leaves["weight"][1] = float("nan")
    target.after_update(1, torch.tensor([True, False, True]))
    assert target.leaves["weight"][1].abs().max() == 0
    assert target.leaves["bias"][1].abs().max() == 0
    for seed in (0, 2):
        assert (target.leaves["weight"][seed] == tau).all()
        assert (target.leaves["bias"][seed] == tau).all()


def test_a_failed_seed_keeps_its_target_on_the_clock_too() -> None:
    online, target = networks(tau=1.0, every=8, unit="env_steps")
    online.leaves["weight"][2] = float("nan")
    target.before_rollout(0, 8, torch.tensor([True, True, False]))
    assert (target.leaves["weight"][:2] == 1).all()
    assert (target.leaves["weight"][2] == 0).all()
