"""Action masks: invalid actions are never sampled and get no gradient; invalid masks are errors."""

from __future__ import annotations

import math

import gymnasium as gym
import pytest
import torch

from tests.models.networks import TORQUE, VECTOR, seeded
from tuneexp.errors import UserError
from tuneexp.models.actor_critic import ActorCritic

MANY = gym.spaces.MultiDiscrete([2, 3])


def space_of(size: int) -> gym.spaces.Dict:
    return gym.spaces.Dict({"x": VECTOR, "mask": gym.spaces.MultiBinary(size)})


def masked(action: gym.Space, size: int) -> ActorCritic:
    return ActorCritic(space_of(size), action, action_mask="mask", hidden_sizes=(8,), generator=seeded())


def observations(mask: list[float], rows: int = 200) -> torch.Tensor:
    return torch.cat([torch.tensor(mask).expand(rows, len(mask)), torch.rand(rows, 4, generator=seeded())], dim=-1)


def test_forbidden_actions_are_never_taken_and_the_others_keep_their_odds() -> None:
    net = masked(gym.spaces.Discrete(4), 4)
    free, obs = observations([1.0, 1.0, 1.0, 1.0]), observations([0.0, 1.0, 0.0, 1.0])
    dist = net.dist(obs)
    assert set(dist.sample(torch.rand(200, generator=seeded())).tolist()) == {1, 3}
    odds, all_odds = dist.log_probs[:, 1] - dist.log_probs[:, 3], net.dist(free).log_probs
    torch.testing.assert_close(odds, all_odds[:, 1] - all_odds[:, 3])
    assert dist.log_probs.exp()[:, [0, 2]].abs().max() == 0.0
    assert dist.entropy().max().item() <= math.log(2.0) + 1e-6


def test_each_part_of_a_multi_discrete_action_has_its_own_mask() -> None:
    net = masked(MANY, 5)
    action = net.dist(observations([1.0, 0.0, 0.0, 1.0, 1.0])).sample(torch.rand(200, 2, generator=seeded()))
    assert set(action[:, 0].tolist()) == {0}
    assert set(action[:, 1].tolist()) == {1, 2}


def test_gradients_are_finite_and_pass_no_forbidden_action() -> None:
    net = masked(gym.spaces.Discrete(4), 4)
    dist, value = net.dist_and_value(observations([0.0, 1.0, 0.0, 1.0]))
    (dist.log_prob(torch.ones(200)) + dist.entropy() + value).mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    bias = list(net.policy_net.parameters())[-1].grad
    assert bias is not None
    assert bias[[0, 2]].tolist() == [0.0, 0.0]
    assert (bias[[1, 3]] != 0).all()


def test_a_mask_that_allows_nothing_leaves_a_uniform_choice() -> None:
    probabilities = masked(gym.spaces.Discrete(4), 4).dist(observations([0.0] * 4)).log_probs.exp()
    torch.testing.assert_close(probabilities, torch.full((200, 4), 0.25))


def test_the_mask_is_no_feature() -> None:
    net = masked(gym.spaces.Discrete(4), 4)
    assert net.observation.size == 4
    free, some = observations([1.0] * 4), observations([0.0, 1.0, 0.0, 1.0])
    assert torch.equal(net.value(free), net.value(some))


@pytest.mark.parametrize(
    ("space", "action", "key", "message"),
    [
        (space_of(4), gym.spaces.Discrete(4), "maks", "'mask' of 4, 'x' of 4"),
        (space_of(3), gym.spaces.Discrete(4), "mask", r"3 .* 4; .*MultiBinary\(4\)"),
        (space_of(2), MANY, "mask", " 5"),
        (VECTOR, gym.spaces.Discrete(4), "mask", r"Dict observations"),
        (space_of(2), TORQUE, "mask", "Discrete and MultiDiscrete"),
    ],
)
def test_wrong_masks_are_reported(space: gym.Space, action: gym.Space, key: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ActorCritic(space, action, action_mask=key)
