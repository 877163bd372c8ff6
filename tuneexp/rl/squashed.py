"""Bounded continuous actions: the tanh of a Gaussian, and its affine map to the bounds of a Box."""

from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import register_pytree_node

from tuneexp.errors import UserError
from tuneexp.rl.distributions import DiagGaussian

_LOG_2 = math.log(2.0)


class SquashedGaussian:
    """Tanh of a diagonal Gaussian: actions in (-1, 1).

    Haarnoja et al. 2018 (arXiv:1812.05905), appendix C. "Raw" is the Gaussian sample before the tanh: a density
    computed from it is exact where the action itself has rounded to 1.

    Args:
        mean: Mean before the tanh, [..., *event].
        log_std: Log standard deviation before the tanh, [..., *event].
        event_dims: Number of trailing axes of one action.
    """

    def __init__(self, mean: Tensor, log_std: Tensor, event_dims: int = 1) -> None:
        self.normal = DiagGaussian(mean, log_std, event_dims)

    @classmethod
    def of(cls, normal: DiagGaussian) -> SquashedGaussian:
        """Squash an existing Gaussian, whose noise may have another shape than its actions.

        Args:
            normal: Distribution before the tanh.

        Returns:
            Distribution of the tanh.
        """
        squashed = cls.__new__(cls)
        squashed.normal = normal
        return squashed

    def raw(self, noise: Tensor) -> Tensor:
        """Sample before the tanh.

        Args:
            noise: Standard normal, [..., *event].

        Returns:
            [..., *event], differentiable in mean and log_std.
        """
        return self.normal.sample(noise)

    def sample(self, noise: Tensor) -> Tensor:
        """Sample an action.

        Args:
            noise: Standard normal, [..., *event].

        Returns:
            Actions in [-1, 1], [..., *event].
        """
        return self.raw(noise).tanh()

    def sample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Sample an action with its log density, without inverting the tanh.

        Args:
            noise: Standard normal, [..., *event].

        Returns:
            Actions [..., *event] and their log densities [...].
        """
        raw = self.raw(noise)
        return raw.tanh(), self.raw_log_prob(raw)

    def mode(self) -> Tensor:
        """Deterministic action: tanh of the mean, which is the median (the mode of the density depends on the standard
        deviation).

        Returns:
            [..., *event].
        """
        return self.normal.mean.tanh()

    def raw_log_prob(self, raw: Tensor) -> Tensor:
        """Log density of tanh(raw), by the change of variables.

        Haarnoja et al. 2018 (arXiv:1812.05905), eq. 26.

        Args:
            raw: Sample before the tanh, [..., *event].

        Returns:
            [...].
        """
        # log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u)), which neither overflows nor takes log 0.
        log_slope = 2.0 * (_LOG_2 - raw - torch.nn.functional.softplus(-2.0 * raw))
        return self.normal.log_prob(raw) - self.normal._sum(log_slope)

    def log_prob(self, action: Tensor) -> Tensor:
        """Log density of an action.

        Args:
            action: In [-1, 1], [..., *event]. The ends, which no finite raw sample reaches, are moved by one float
                step.

        Returns:
            [...].
        """
        inside = 1.0 - torch.finfo(action.dtype).eps
        return self.raw_log_prob(action.clamp(-inside, inside).atanh())


# A pytree, so that a function that is mapped over seeds may return one.
register_pytree_node(SquashedGaussian, lambda d: ([d.normal], None), lambda parts, _: SquashedGaussian.of(*parts))


class ActionScale:
    """Affine map between network actions in [-1, 1] and the bounds of a Box.

    Args:
        space: A bounded Box.

    Raises:
        UserError: the space is not a bounded Box, or a component has equal bounds.
    """

    def __init__(self, space: gym.Space) -> None:
        if not isinstance(space, gym.spaces.Box):
            raise UserError(f"actions of {space} have no scale; continuous actions are a Box of floats")
        low, high = np.asarray(space.low, np.float64), np.asarray(space.high, np.float64)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise UserError(
                f"this algorithm needs bounded actions, these reach from {low.min():g} to {high.max():g}\nuse "
                "ppo or a2c, or a gymnasium.ActionWrapper of your own whose action_space is a Box with finite bounds "
                "(--wrapper my_file.py:Class)"
            )
        if not (low < high).all():
            raise UserError(f"an action component of {space} has one value only; remove it from the action space")
        self._centre, self._half = _constant((low + high) / 2.0), _constant((high - low) / 2.0)

    def to_env(self, action: Tensor) -> Tensor:
        """Scale from [-1, 1] to [low, high].

        Args:
            action: [..., *shape] in [-1, 1].

        Returns:
            [..., *shape] in [low, high].
        """
        return action * _like(self._half, action) + _like(self._centre, action)

    def from_env(self, action: Tensor) -> Tensor:
        """Scale from [low, high] to [-1, 1].

        Args:
            action: [..., *shape] in [low, high].

        Returns:
            [..., *shape] in [-1, 1].
        """
        return (action - _like(self._centre, action)) / _like(self._half, action)


def _constant(values: np.ndarray) -> float | list:
    """A float if all values are equal, as they mostly are, so that no tensor is created in each step; else a list."""
    equal = values.size > 0 and bool((values == values.flat[0]).all())
    return float(values.flat[0]) if equal else values.tolist()


def _like(constant: float | list, other: Tensor) -> Tensor | float:
    return constant if isinstance(constant, float) else torch.tensor(constant, dtype=other.dtype, device=other.device)
