"""Custom networks as models: adapters with the methods of the built-in models.

The network gets one batch axis: leading axes are merged before the call and restored after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from tuneexp.errors import UserError
from tuneexp.models.continuous import (
    LOG_STD_MAX,
    LOG_STD_MIN,
    BoxActions,
    ChoiceActions,
    Temperature,
    Tempered,
    bounded_head,
)
from tuneexp.models.heads import (
    actor_critic_heads,
    build_custom,
    check_heads,
    deterministic_heads,
    example_observation,
    q_heads,
    soft_actor_critic_heads,
)
from tuneexp.models.masks import ActionMask
from tuneexp.rl.distributions import Categorical, Distribution, action_head
from tuneexp.rl.squashed import ActionScale, SquashedGaussian

Model = str | type


def on_rows(call: Callable[..., Tensor], inputs: list[tuple[Tensor, int]], lead_axes: int = 0) -> Tensor:
    """inputs: (tensor [..., *event], number of event axes); `call` gets them as [B, *event] and returns
    [*lead, B, *out] with `lead_axes` axes before the batch. Returns [*lead, ..., *out]."""
    first, event_axes = inputs[0]
    batch = first.shape[: first.dim() - event_axes]
    rows = [x.reshape(math.prod(batch), *x.shape[x.dim() - axes :]) for x, axes in inputs]
    out = call(*rows)
    return out.reshape((*out.shape[:lead_axes], *batch, *out.shape[lead_axes + 1 :]))


class _Custom(nn.Module):
    """Base class of the adapters; holds the number of axes of an observation."""

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__()
        self._obs_axes = example_observation(observation_space).dim()

    def _on(self, call: Callable[..., Tensor], obs: Tensor, lead_axes: int = 0) -> Tensor:
        return on_rows(call, [(obs, self._obs_axes)], lead_axes)


class CustomActorCritic(_Custom):
    """`net.policy(obs) -> [B, head.size]`, `net.value(obs) -> [B]` and, for continuous actions, `net.log_std
    [head.size]`, as `ActorCritic` without recurrence. Raises `UserError` where the network lacks one."""

    state_size = 0

    def __init__(
        self,
        model: Model,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        owner: str,
        kwargs: Mapping[str, Any] = {},
        action_mask: str | None = None,
    ) -> None:
        super().__init__(observation_space)
        self.head = action_head(action_space)
        self.mask = None if action_mask is None else ActionMask(action_mask, observation_space, self.head)
        self.net = build_custom(model, observation_space, action_space, kwargs)
        check_heads(self.net, owner, actor_critic_heads(observation_space, action_space))

    def value(self, obs: Tensor, state: Tensor | None = None) -> Tensor:
        """obs: [..., *observation shape]. Returns [...]."""
        return self._on(self.net.value, obs)  # type: ignore[arg-type]  # checked to be a method

    def dist(self, obs: Tensor, state: Tensor | None = None) -> Distribution:
        policy = self._on(self.net.policy, obs)  # type: ignore[arg-type]  # checked to be a method
        if self.mask is not None:
            policy = self.mask.apply(policy, obs)
        return self.head.dist(policy, self.net.log_std if self.head.has_log_std else None)  # type: ignore[arg-type]

    def dist_and_value(self, obs: Tensor, state: Tensor | None = None) -> tuple[Distribution, Tensor]:
        return self.dist(obs), self.value(obs)

    def step(self, obs: Tensor, state: Tensor | None) -> tuple[Distribution, Tensor, Tensor | None]:
        return self.dist(obs), self.value(obs), state

    def unroll(self, obs: Tensor, state: Tensor | None, start: Tensor) -> tuple[Distribution, Tensor]:
        return self.dist_and_value(obs)


class CustomQNetwork(_Custom):
    """`net.q(obs) -> [B, A]` (with atoms [B, A, atoms]), as `QNetwork` without noise."""

    noise_size = 0

    def __init__(
        self,
        model: Model,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        owner: str,
        kwargs: Mapping[str, Any] = {},
        atoms: int = 1,
    ) -> None:
        super().__init__(observation_space)
        self.actions, self.atoms = action_head(action_space).size, atoms
        self.net = build_custom(model, observation_space, action_space, kwargs)
        check_heads(self.net, owner, q_heads(observation_space, action_space, atoms))

    def q(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        """obs: [..., *observation shape]. Returns [..., A] or [..., A, atoms]."""
        return self._on(self.net.q, obs)  # type: ignore[arg-type]  # checked to be a method


class CustomSoftActorCritic(Tempered, BoxActions, _Custom):
    """Submodules `actor(obs) -> (mean, log_std)`, [B, action size] each, and `critic(obs, action) -> [n_critics, B]`
    (TQC: [n_critics, B, n_quantiles]), as `SoftActorCritic`. log_std is clamped as there."""

    def __init__(
        self,
        model: Model,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        owner: str,
        kwargs: Mapping[str, Any] = {},
        n_critics: int = 2,
        n_quantiles: int = 1,
        initial_alpha: float = 1.0,
    ) -> None:
        super().__init__(observation_space)
        self.head, self.scale = bounded_head(action_space), ActionScale(action_space)
        heads = soft_actor_critic_heads(observation_space, action_space, n_critics, n_quantiles)
        self.actor, self.critic = _parts(build_custom(model, observation_space, action_space, kwargs), owner, heads)
        self.temperature = Temperature(initial_alpha)

    def dist(self, obs: Tensor) -> SquashedGaussian:
        both = self._on(lambda rows: torch.stack(tuple(self.actor(rows)), dim=1), obs)
        mean, log_std = both.unflatten(-1, self.head.shape or (1,)).unbind(obs.dim() - self._obs_axes)
        if not self.head.shape:
            mean, log_std = mean.squeeze(-1), log_std.squeeze(-1)
        return SquashedGaussian(mean, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX), event_dims=len(self.head.shape))

    def q(self, obs: Tensor, action: Tensor) -> Tensor:
        return on_rows(self.critic, [(obs, self._obs_axes), (action, len(self.head.shape))], lead_axes=1)


class CustomDiscreteSoftActorCritic(Tempered, ChoiceActions, _Custom):
    """Submodules `actor(obs) -> [B, A]` (logits) and `critic(obs) -> [n_critics, B, A]`, as
    `DiscreteSoftActorCritic`."""

    def __init__(
        self,
        model: Model,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        owner: str,
        kwargs: Mapping[str, Any] = {},
        n_critics: int = 2,
        initial_alpha: float = 1.0,
    ) -> None:
        super().__init__(observation_space)
        self.n_actions = action_head(action_space).size
        heads = soft_actor_critic_heads(observation_space, action_space, n_critics)
        self.actor, self.critic = _parts(build_custom(model, observation_space, action_space, kwargs), owner, heads)
        self.temperature = Temperature(initial_alpha)

    def dist(self, obs: Tensor) -> Categorical:
        return Categorical(self._on(self.actor, obs))

    def q(self, obs: Tensor) -> Tensor:
        return self._on(self.critic, obs, lead_axes=1)


class CustomDeterministicActorCritic(BoxActions, _Custom):
    """Submodules `actor(obs) -> [B, action size]`, before the tanh, and `critic(obs, action) -> [n_critics, B]`, as
    `DeterministicActorCritic`."""

    state_size = 0

    def __init__(
        self,
        model: Model,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        owner: str,
        kwargs: Mapping[str, Any] = {},
        n_critics: int = 2,
    ) -> None:
        super().__init__(observation_space)
        self.head, self.scale = bounded_head(action_space), ActionScale(action_space)
        heads = deterministic_heads(observation_space, action_space, n_critics)
        self.actor, self.critic = _parts(build_custom(model, observation_space, action_space, kwargs), owner, heads)

    def act(self, obs: Tensor) -> Tensor:
        flat = self._on(self.actor, obs).tanh()
        return flat.reshape(*flat.shape[:-1], *self.head.shape)

    def q(self, obs: Tensor, action: Tensor) -> Tensor:
        return on_rows(self.critic, [(obs, self._obs_axes), (action, len(self.head.shape))], lead_axes=1)


def _parts(net: nn.Module, owner: str, heads: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
    """The network's actor and critic, each with parameters of its own, and none elsewhere."""
    check_heads(net, owner, heads)
    owners: dict[int, str] = {}
    for name, parameter in net.named_parameters(remove_duplicate=False):
        part = name.partition(".")[0]
        if part not in heads:
            raise UserError(
                f"{type(net).__name__}.{name} is in neither actor nor critic, so no loss of {owner} trains it; move it "
                "into one of them"
            )
        if owners.setdefault(id(parameter), part) != part:
            raise UserError(
                f"{type(net).__name__}: actor and critic share the parameter {name}, but {owner} trains them by "
                "different losses; give each its own"
            )
    return net.actor, net.critic  # type: ignore[return-value]  # checked to be modules
