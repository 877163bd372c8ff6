"""Action distributions as pure functions of network outputs and given noise.

Nothing here draws random numbers: `sample(noise)` transforms noise that the caller drew, so that the actions of a seed
depend on its own generator alone. Everything works under `torch.func.vmap`, `grad` and `make_fx`. Shapes: `...` are
leading batch axes (time, seed, environment), always kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import register_pytree_node

from tuneexp.spaces.kinds import ActionKind, action_kind

NoiseKind = Literal["uniform", "normal"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Distribution(Protocol):
    """Interface of a policy's action distribution."""

    def sample(self, noise: Tensor) -> Tensor:
        """Sample an action, differentiable in the parameters if it is continuous (reparameterised).

        Args:
            noise: Uniform numbers in [0, 1) for discrete, standard normal ones for continuous actions, of the shape of
                the actions; exploration weights of gSDE: [..., L, A].

        Returns:
            Actions: int64 [...], for C choices int64 [..., C], continuous ones float [..., *event].
        """

    def mode(self) -> Tensor:
        """Most likely action: that of the deterministic policy.

        Returns:
            Actions, of the shape that `sample` returns.
        """

    def log_prob(self, action: Tensor) -> Tensor:
        """Log probability (discrete) or log density (continuous).

        Args:
            action: Actions, of the shape that `sample` returns.

        Returns:
            [...]: one number for a whole action, in nats.
        """

    def entropy(self) -> Tensor:
        """Entropy; differential entropy of continuous actions.

        Returns:
            [...], in nats.
        """


class Categorical:
    """Categorical distribution over K choices.

    Args:
        logits: Unnormalised log probabilities, [..., K]; -inf masks a choice.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @cached_property
    def log_probs(self) -> Tensor:
        """Normalised log probabilities [..., K], computed once."""
        return self.logits.log_softmax(-1)

    def sample(self, noise: Tensor) -> Tensor:
        """Sample by inverting the cumulative distribution. noise: uniform in [0, 1), [...]. Returns int64 [...]."""
        cumulative = self.log_probs.exp().cumsum(-1)
        # Rounding may leave the last cumulative value below the noise. A threshold under that value keeps
        # the index in range, and excludes trailing choices of probability zero.
        total = cumulative[..., -1]
        threshold = torch.minimum(noise, total * (1.0 - torch.finfo(total.dtype).eps))
        return (cumulative <= threshold.unsqueeze(-1)).sum(-1)

    def mode(self) -> Tensor:
        """Most likely choice, int64 [...]."""
        return self.logits.argmax(-1)

    def log_prob(self, action: Tensor) -> Tensor:
        """Log probability [...]. action: integers [...]."""
        return self.log_probs.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """Entropy in nats, [...]."""
        # A masked choice has p = 0 and log p = -inf, whose product must count as 0.
        finite = self.log_probs.clamp(min=torch.finfo(self.log_probs.dtype).min)
        return -(self.log_probs.exp() * finite).sum(-1)


class MultiCategorical:
    """Product of independent categorical distributions (MultiDiscrete).

    Args:
        logits: The logits of all choices, concatenated, [..., sum(nvec)].
        nvec: Number of options of each of the C choices.
    """

    def __init__(self, logits: Tensor, nvec: Sequence[int]) -> None:
        self.parts = [Categorical(part) for part in logits.split(list(nvec), dim=-1)]

    def sample(self, noise: Tensor) -> Tensor:
        """Sample all choices. noise: uniform in [0, 1), [..., C]. Returns int64 [..., C]."""
        return torch.stack([part.sample(u) for part, u in zip(self.parts, noise.unbind(-1), strict=True)], dim=-1)

    def mode(self) -> Tensor:
        """Most likely choices, int64 [..., C]."""
        return torch.stack([part.mode() for part in self.parts], dim=-1)

    def log_prob(self, action: Tensor) -> Tensor:
        """Sum of the log probabilities of the choices, [...]. action: integers [..., C]."""
        chosen = zip(self.parts, action.unbind(-1), strict=True)
        return torch.stack([part.log_prob(a) for part, a in chosen], dim=-1).sum(-1)

    def entropy(self) -> Tensor:
        """Sum of the entropies of the choices in nats, [...]."""
        return torch.stack([part.entropy() for part in self.parts], dim=-1).sum(-1)


class DiagGaussian:
    """Normal distribution with diagonal covariance.

    Args:
        mean: [..., *event].
        log_std: Log standard deviation, [*event] or [..., *event].
        event_dims: Number of trailing axes of one action.
    """

    def __init__(self, mean: Tensor, log_std: Tensor, event_dims: int = 1) -> None:
        self.mean = mean
        self.log_std = log_std
        self._event = tuple(range(-event_dims, 0))

    def sample(self, noise: Tensor) -> Tensor:
        """Sample mean + std * noise, differentiable in both. noise: standard normal, [..., *event]."""
        return torch.addcmul(self.mean, self.log_std.exp(), noise)

    def mode(self) -> Tensor:
        """Mean action, [..., *event]."""
        return self.mean

    def log_prob(self, action: Tensor) -> Tensor:
        """Log density [...]. action: [..., *event]."""
        standardised = (action - self.mean) * torch.exp(-self.log_std)
        return self._sum(-0.5 * standardised.square() - self.log_std - _HALF_LOG_2PI)

    def entropy(self) -> Tensor:
        """Differential entropy in nats, [...]."""
        return self._sum((self.log_std + (0.5 + _HALF_LOG_2PI)).expand_as(self.mean))

    def _sum(self, per_component: Tensor) -> Tensor:
        return per_component.sum(self._event) if self._event else per_component


# Distributions are pytrees, so that a function that is mapped over seeds may return one.
register_pytree_node(Categorical, lambda d: ([d.logits], None), lambda parts, _: Categorical(*parts))
register_pytree_node(MultiCategorical, lambda d: (d.parts, None), lambda parts, _: _independent(parts))
register_pytree_node(
    DiagGaussian,
    # Expanded: a log_std without batch axes would have its seed axis in another place than the mean.
    lambda d: ([d.mean, d.log_std.expand_as(d.mean)], len(d._event)),
    lambda parts, event_dims: _gaussian(parts, event_dims),
)


def _independent(parts: Iterable[Categorical]) -> MultiCategorical:
    whole = MultiCategorical.__new__(MultiCategorical)
    whole.parts = list(parts)
    return whole


def _gaussian(parts: Iterable[Tensor], event_dims: int) -> DiagGaussian:
    mean, log_std = parts
    return DiagGaussian(mean, log_std, event_dims)


@dataclass(frozen=True)
class ActionHead:
    """Map from network outputs to an action distribution.

    Args:
        kind: "discrete" (actions int64 [...]), "multi_discrete" (int64 [..., C]) or "continuous" (float32 [...,
            *shape]).
        size: Number of network outputs.
        shape: Shape of one action.
        nvec: Number of options of each choice; multi-discrete only.
    """

    kind: ActionKind
    size: int
    shape: tuple[int, ...]
    nvec: tuple[int, ...] = ()

    @property
    def noise(self) -> tuple[NoiseKind, tuple[int, ...]]:
        """Kind and per-row shape of the noise that `sample` takes."""
        return ("normal" if self.kind == "continuous" else "uniform"), self.shape

    @property
    def has_log_std(self) -> bool:
        """True if the policy needs a log standard deviation per output (continuous actions)."""
        return self.kind == "continuous"

    def dist(self, output: Tensor, log_std: Tensor | None = None) -> Distribution:
        """Build the action distribution.

        Args:
            output: Network outputs, [..., size]: logits or means.
            log_std: [size] or [..., size]; continuous actions only.

        Returns:
            The distribution.

        Raises:
            ValueError: continuous actions without `log_std`.
        """
        if self.kind == "discrete":
            return Categorical(output)
        if self.kind == "multi_discrete":
            return MultiCategorical(output, self.nvec)
        if log_std is None:
            raise ValueError("a continuous action head needs log_std")
        if len(self.shape) == 1:
            return DiagGaussian(output, log_std)
        return DiagGaussian(_unflatten(output, self.shape), _unflatten(log_std, self.shape), event_dims=len(self.shape))


def _unflatten(flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    return flat.reshape(flat.shape[:-1] + shape)


def action_head(action_space: Any) -> ActionHead:
    """Build the head of an action space.

    Discrete and MultiDiscrete choices count from 0, whatever the `start` of the space; environments add it.

    Args:
        action_space: A gymnasium space.

    Returns:
        The head.

    Raises:
        UserError: the space is not supported.
    """
    kind = action_kind(action_space)
    if kind == "discrete":
        return ActionHead(kind, int(action_space.n), ())
    if kind == "multi_discrete":
        nvec = tuple(int(n) for n in action_space.nvec)
        return ActionHead(kind, sum(nvec), (len(nvec),), nvec)
    return ActionHead(kind, math.prod(action_space.shape), tuple(action_space.shape))
