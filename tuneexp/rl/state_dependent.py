"""Generalised state-dependent exploration (gSDE; Raffin et al. 2021, arXiv:2005.05719).

The exploration noise is a linear function of the policy's last hidden layer. The weights of that function are drawn
from a normal distribution and kept for several steps, so that exploration is smooth: equal states get equal noise.
"""

from __future__ import annotations

from collections.abc import Iterable

import gymnasium as gym
import torch
from torch import Tensor
from torch.utils._pytree import register_pytree_node

from tuneexp.errors import UserError
from tuneexp.rl.distributions import DiagGaussian
from tuneexp.rl.squashed import ActionScale, SquashedGaussian

EPSILON = 1e-6  # added to the variance, as in Stable-Baselines3; all that is left if the hidden layer is zero


def squashing(action_space: gym.Space) -> ActionScale:
    """The affine map from [-1, 1] to the bounds of an action space.

    Args:
        action_space: The action space.

    Returns:
        The map.

    Raises:
        UserError: the action space is not a bounded Box.
    """
    if not (isinstance(action_space, gym.spaces.Box) and action_space.is_bounded("both")):
        raise UserError(f"squash_output needs bounded actions; these are {action_space}: write squash_output=false")
    return ActionScale(action_space)


def expln(log_std: Tensor) -> Tensor:
    """Positive standard deviation that grows slower than exp: exp(x) up to 0, log(1 + x) + 1 above.

    Raffin et al. 2021 (arXiv:2005.05719); the option `use_expln` of Stable-Baselines3.

    Args:
        log_std: [...].

    Returns:
        Standard deviation, [...].
    """
    above = (log_std.clamp(min=0.0) + EPSILON).log1p() + 1.0
    return torch.where(log_std > 0.0, above, log_std.clamp(max=0.0).exp())


class StateDependentGaussian(DiagGaussian):
    """Normal distribution of actions mean + latent W with exploration weights W ~ N(0, std^2).

    Raffin et al. 2021 (arXiv:2005.05719). The density is that of a single action: normal with variance latent^2 std^2.

    Args:
        mean: Mean action, [..., *event] with A numbers in total.
        latent: Last hidden layer of the policy, [..., L]. Detach it to keep gradients of the noise out of the hidden
            layer.
        std: Standard deviation of the exploration weights, [L, A] or [..., L, A].
        event_dims: Number of trailing axes of one action.
    """

    def __init__(self, mean: Tensor, latent: Tensor, std: Tensor, event_dims: int = 1) -> None:
        variance = _times(latent.square(), std.square()) + EPSILON
        super().__init__(mean, 0.5 * variance.log().reshape(mean.shape), event_dims)
        self.latent, self.std = latent, std

    def sample(self, noise: Tensor) -> Tensor:
        """Sample an action.

        Args:
            noise: Standard normal, [..., L, A], or [L, A] for the same exploration weights in all rows.

        Returns:
            Actions, [..., *event], differentiable in mean, latent and std.
        """
        return self.mean + _times(self.latent, self.std * noise).reshape(self.mean.shape)


def _times(latent: Tensor, weights: Tensor) -> Tensor:
    """Multiply latent [..., L] by weights [L, A] or [..., L, A] to [..., A]."""
    return (latent.unsqueeze(-2) @ weights).squeeze(-2)


class RescaledGaussian:
    """Squashed Gaussian with actions rescaled from [-1, 1] to the bounds of the action space.

    Densities are those before the rescaling, as in Stable-Baselines3.

    Args:
        squashed: Distribution over [-1, 1].
        scale: Map from [-1, 1] to the bounds.
    """

    def __init__(self, squashed: SquashedGaussian, scale: ActionScale) -> None:
        self._squashed, self._scale = squashed, scale

    def sample(self, noise: Tensor) -> Tensor:
        """Sample an action.

        Args:
            noise: Standard normal, of the shape that the distribution before the tanh takes.

        Returns:
            Actions within the bounds, [..., *event].
        """
        return self._scale.to_env(self._squashed.sample(noise))

    def mode(self) -> Tensor:
        """Deterministic action: the rescaled tanh of the mean, [..., *event]."""
        return self._scale.to_env(self._squashed.mode())

    def log_prob(self, action: Tensor) -> Tensor:
        """Log density [...] before the rescaling. action: within the bounds, [..., *event]."""
        return self._squashed.log_prob(self._scale.from_env(action))

    def entropy(self) -> Tensor:
        """Not available in closed form: raises `UserError`; estimate it by -log_prob."""
        raise UserError("the entropy of squashed actions has no closed form; estimate it by -dist.log_prob(action)")


register_pytree_node(
    StateDependentGaussian,
    # Expanded as in `DiagGaussian`: all leaves need the same batch axes.
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
