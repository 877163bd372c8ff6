"""State-dependent exploration (gSDE, Raffin et al. 2021): noise that is linear in the policy's last hidden layer.

The weights of that linear map are drawn from a normal distribution and held for several steps, so that exploration is
smooth: in the same state, the same noise is added."""

from __future__ import annotations

from collections.abc import Iterable

import gymnasium as gym
import torch
from torch import Tensor
from torch.utils._pytree import register_pytree_node

from tuneexp.errors import UserError
from tuneexp.rl.distributions import ActionScale, DiagGaussian, SquashedGaussian

EPSILON = 1e-6  # of Stable-Baselines3: a hidden layer of zeros leaves this variance


def squashing(action_space: gym.Space) -> ActionScale:
    """From [-1, 1] to the bounds of the actions. Raises `UserError` where they have none."""
    if not (isinstance(action_space, gym.spaces.Box) and action_space.is_bounded("both")):
        raise UserError(f"squash_output needs bounded actions; these are {action_space}: write squash_output=false")
    return ActionScale(action_space)


def expln(log_std: Tensor) -> Tensor:
    """exp up to 0, above it log(1 + x) + 1: a positive deviation that grows slowly (section A.2 of the paper)."""
    above = (log_std.clamp(min=0.0) + EPSILON).log1p() + 1.0
    return torch.where(log_std > 0.0, above, log_std.clamp(max=0.0).exp())


class StateDependentGaussian(DiagGaussian):
    """Actions mean + latent W with W ~ N(0, std^2), which is held by whoever draws it. Eq. 8 to 10 of the paper.

    mean: [..., *event] of A numbers; latent: [..., L], the last hidden layer; std: [L, A] or [..., L, A]. The density
    is that of one action: normal, with variance latent^2 std^2. Whether gradients reach the hidden layer through the
    noise is said by `latent`, which may be detached."""

    def __init__(self, mean: Tensor, latent: Tensor, std: Tensor, event_dims: int = 1) -> None:
        variance = _times(latent.square(), std.square()) + EPSILON
        super().__init__(mean, 0.5 * variance.log().reshape(mean.shape), event_dims)
        self.latent, self.std = latent, std

    def sample(self, noise: Tensor) -> Tensor:
        """noise: standard normal, [..., L, A], or [L, A] for the same weights in all rows. Returns [..., *event],
        differentiable in mean, latent and std."""
        return self.mean + _times(self.latent, self.std * noise).reshape(self.mean.shape)


def _times(latent: Tensor, weights: Tensor) -> Tensor:
    """latent: [..., L]; weights: [L, A] or [..., L, A]. Returns [..., A]."""
    return (latent.unsqueeze(-2) @ weights).squeeze(-2)


class RescaledGaussian:
    """Squashed actions, mapped from [-1, 1] to the bounds of the action space. Densities are those before that map, as
    in Stable-Baselines3."""

    def __init__(self, squashed: SquashedGaussian, scale: ActionScale) -> None:
        self._squashed, self._scale = squashed, scale

    def sample(self, noise: Tensor) -> Tensor:
        """noise: as of the distribution before the tanh. Returns [..., *event]."""
        return self._scale.to_env(self._squashed.sample(noise))

    def mode(self) -> Tensor:
        return self._scale.to_env(self._squashed.mode())

    def log_prob(self, action: Tensor) -> Tensor:
        """action: [..., *event], within the bounds. Returns [...]."""
        return self._squashed.log_prob(self._scale.from_env(action))

    def entropy(self) -> Tensor:
        raise UserError("the entropy of squashed actions has no closed form; estimate it by -dist.log_prob(action)")


register_pytree_node(
    StateDependentGaussian,
    # In full, as of `DiagGaussian`: all leaves have their batch axes in the same places.
    lambda d: ([d.mean, d.latent, d.std.expand(*d.latent.shape[:-1], *d.std.shape[-2:])], len(d._event)),
    lambda parts, event_dims: _state_dependent(parts, event_dims),
)
register_pytree_node(
    RescaledGaussian,
    lambda d: ([d._squashed], d._scale),
    lambda parts, scale: RescaledGaussian(next(iter(parts)), scale),
)


def _state_dependent(parts: Iterable[Tensor], event_dims: int) -> StateDependentGaussian:
    mean, latent, std = parts
    return StateDependentGaussian(mean, latent, std, event_dims)
