"""Every network works with a seed axis and as a traced program."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor, nn

from tests.models.networks import ATARI, CHOICE, GRID, MIXED, TORQUE, VECTOR, check_seed_axis, observe, randn
from tuneexp.models.actor_critic import ActorCritic
from tuneexp.models.continuous import DeterministicActorCritic, DiscreteSoftActorCritic, SoftActorCritic
from tuneexp.models.q_network import QNetwork

SMALL = {"hidden_sizes": (8, 6)}
SPACES = pytest.mark.parametrize("space", [VECTOR, ATARI, GRID, MIXED], ids=["vector", "nature", "impala", "dict"])


@pytest.mark.parametrize(
    "options",
    [{}, {"dueling": True}, {"dueling": True, "atoms": 5, "layer_norm": True}, {"hidden_sizes": ()}],
    ids=["plain", "dueling", "atoms", "linear"],
)
@SPACES
def test_q_network(space: gym.Space, options: dict[str, Any]) -> None:
    check_seed_axis(
        lambda generator: QNetwork(space, CHOICE, generator=generator, **{**SMALL, **options}),
        lambda model, obs: [model.q(obs)],
        [observe(space, 3, 2)],
    )


@pytest.mark.parametrize("rows", [(), (2,)], ids=["noise for all rows", "noise for each row"])
def test_noisy_q_network(rows: tuple[int, ...]) -> None:
    def make(generator: torch.Generator) -> QNetwork:
        return QNetwork(VECTOR, CHOICE, dueling=True, noisy=True, generator=generator, **SMALL)

    noise = randn(3, *rows, make(torch.Generator()).noise_size)
    check_seed_axis(make, lambda model, obs, noise: [model.q(obs, noise)], [observe(VECTOR, 3, 2), noise])


def soft(model: SoftActorCritic, obs: Tensor, noise: Tensor) -> list[Tensor]:
    action, log_prob = model.dist(obs).sample_and_log_prob(noise)
    return [model.q(obs, action), log_prob, model.alpha(), model.to_env(action)]


@pytest.mark.parametrize("options", [{}, {"n_quantiles": 5, "layer_norm": True}], ids=["sac", "tqc"])
@SPACES
def test_soft_actor_critic(space: gym.Space, options: dict[str, Any]) -> None:
    check_seed_axis(
        lambda generator: SoftActorCritic(space, TORQUE, generator=generator, **SMALL, **options),
        soft,
        [observe(space, 3, 2), randn(3, 2, 2)],
    )


@SPACES
def test_discrete_soft_actor_critic(space: gym.Space) -> None:
    check_seed_axis(
        lambda generator: DiscreteSoftActorCritic(space, CHOICE, generator=generator, **SMALL),
        lambda model, obs: [model.q(obs), model.dist(obs).log_probs, model.alpha()],
        [observe(space, 3, 2)],
    )


@SPACES
def test_deterministic_actor_critic(space: gym.Space) -> None:
    check_seed_axis(
        lambda generator: DeterministicActorCritic(space, TORQUE, generator=generator, **SMALL),
        lambda model, obs: [model.q(obs, model.act(obs))],
        [observe(space, 3, 2)],
    )


@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
@SPACES
def test_actor_critic(space: gym.Space, shared: bool) -> None:
    check_seed_axis(
        lambda generator: ActorCritic(space, TORQUE, shared=shared, generator=generator, **SMALL),
        lambda model, obs: [model.value(obs), model.dist(obs).entropy(), model(obs).policy],
        [observe(space, 3, 2)],
    )


def unrolled(model: nn.Module, obs: Tensor, state: Tensor, start: Tensor) -> list[Tensor]:
    dist, value = model.unroll(obs, state, start)  # type: ignore[operator]
    stepped, _, new_state = model.step(obs[0], state)  # type: ignore[operator]
    return [dist.log_prob(torch.ones_like(start, dtype=torch.int64)), value, stepped.entropy(), new_state]


@pytest.mark.parametrize("mask", [None, "allowed"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_recurrent_actor_critic(cell: str, mask: str | None) -> None:
    def make(generator: torch.Generator) -> ActorCritic:
        return ActorCritic(
            MIXED, CHOICE, recurrent=cell, recurrent_size=5, action_mask=mask, generator=generator, **SMALL
        )

    obs = observe(MIXED, 3, 4, 2)
    obs[..., :3] = torch.tensor([0.0, 1.0, 1.0])  # the actions that are allowed
    start = torch.tensor([True, False, True, False]).view(1, 4, 1).expand(3, 4, 2)
    check_seed_axis(make, unrolled, [obs, randn(3, 2, make(torch.Generator()).state_size), start])
