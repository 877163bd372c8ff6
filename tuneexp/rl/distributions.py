"""Action distributions as pure functions of network outputs and of given noise.

Nothing here draws a random number: `sample(noise)` is told what chance said, so that a seed's actions
depend on that seed's own generator alone. Everything works under `torch.func.vmap`, `grad` and `make_fx`.
Shapes: `...` are leading batch axes (time, seed, environment), always kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import register_pytree_node

from tuneexp.errors import UserError
from tuneexp.spaces.kinds import ActionKind, action_kind

NoiseKind = Literal["uniform", "normal"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_2 = math.log(2.0)


class Distribution(Protocol):
    """What a loss and an acting function may ask of a policy."""

    def sample(self, noise: Tensor) -> Tensor:
        """The action that `noise` picks; differentiable in the parameters where the action is continuous."""

    def mode(self) -> Tensor:
        """The most likely action: what a deterministic policy does."""

    def log_prob(self, action: Tensor) -> Tensor:
        """[...]: log probability (discrete) or log density (continuous) of a whole action."""

    def entropy(self) -> Tensor:
        """[...]: entropy in nats."""


class Categorical:
    """One choice out of K. logits: [..., K], not necessarily normalised; -inf forbids a choice."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @cached_property
    def log_probs(self) -> Tensor:
        """[..., K]: normalised once, then shared by sampling, log_prob and entropy."""
        return self.logits.log_softmax(-1)

    def sample(self, noise: Tensor) -> Tensor:
        """noise: [...], uniform in [0, 1). Returns int64 [...], by the inverse of the cumulative probabilities."""
        cumulative = self.log_probs.exp().cumsum(-1)
        # Rounding may leave the last cumulative value below the noise. Staying under that value keeps
        # the index in range, and away from trailing choices of probability zero.
        total = cumulative[..., -1]
        threshold = torch.minimum(noise, total * (1.0 - torch.finfo(total.dtype).eps))
        return (cumulative <= threshold.unsqueeze(-1)).sum(-1)

    def mode(self) -> Tensor:
        """int64 [...]."""
        return self.logits.argmax(-1)

    def log_prob(self, action: Tensor) -> Tensor:
        """action: integers [...]. Returns [...]."""
        return self.log_probs.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        # A forbidden choice has p = 0 and log p = -inf, whose product must count as 0.
        finite = self.log_probs.clamp(min=torch.finfo(self.log_probs.dtype).min)
        return -(self.log_probs.exp() * finite).sum(-1)


class MultiCategorical:
    """C independent choices. logits: [..., sum(nvec)], one block of logits after another."""

    def __init__(self, logits: Tensor, nvec: Sequence[int]) -> None:
        self.parts = [Categorical(part) for part in logits.split(list(nvec), dim=-1)]

    def sample(self, noise: Tensor) -> Tensor:
        """noise: [..., C], uniform in [0, 1). Returns int64 [..., C]."""
        return torch.stack([part.sample(u) for part, u in zip(self.parts, noise.unbind(-1), strict=True)], dim=-1)

    def mode(self) -> Tensor:
        """int64 [..., C]."""
        return torch.stack([part.mode() for part in self.parts], dim=-1)

    def log_prob(self, action: Tensor) -> Tensor:
        """action: integers [..., C]. Returns [...]: the choices are independent, so their log probabilities add."""
        chosen = zip(self.parts, action.unbind(-1), strict=True)
        return torch.stack([part.log_prob(a) for part, a in chosen], dim=-1).sum(-1)

    def entropy(self) -> Tensor:
        return torch.stack([part.entropy() for part in self.parts], dim=-1).sum(-1)


class DiagGaussian:
    """Independent normals. mean: [..., *event], log_std: [*event] or [..., *event]; `event_dims` trailing axes
    (default 1) make one action."""

    def __init__(self, mean: Tensor, log_std: Tensor, event_dims: int = 1) -> None:
        self.mean = mean
        self.log_std = log_std
        self._event = tuple(range(-event_dims, 0))

    def sample(self, noise: Tensor) -> Tensor:
        """noise: [..., *event], standard normal. Returns mean + std * noise, differentiable in both."""
        return torch.addcmul(self.mean, self.log_std.exp(), noise)

    def mode(self) -> Tensor:
        return self.mean

    def log_prob(self, action: Tensor) -> Tensor:
        """action: [..., *event]. Returns [...]."""
        standardised = (action - self.mean) * torch.exp(-self.log_std)
        return self._sum(-0.5 * standardised.square() - self.log_std - _HALF_LOG_2PI)

    def entropy(self) -> Tensor:
        return self._sum((self.log_std + (0.5 + _HALF_LOG_2PI)).expand_as(self.mean))

    def _sum(self, per_component: Tensor) -> Tensor:
        return per_component.sum(self._event) if self._event else per_component


class SquashedGaussian:
    """tanh of independent normals: actions in (-1, 1). Haarnoja et al. 2018, appendix C.

    mean, log_std: [..., *event]; `event_dims` trailing axes (default 1) make one action. "raw" is the normal number
    before the tanh: a density computed from it stays exact where the action itself has rounded to 1.
    """

    def __init__(self, mean: Tensor, log_std: Tensor, event_dims: int = 1) -> None:
        self.normal = DiagGaussian(mean, log_std, event_dims)

    @classmethod
    def of(cls, normal: DiagGaussian) -> SquashedGaussian:
        """The tanh of `normal`, whose noise may have another shape."""
        squashed = cls.__new__(cls)
        squashed.normal = normal
        return squashed

    def raw(self, noise: Tensor) -> Tensor:
        """noise: [..., *event], standard normal. The sample before the tanh, differentiable in mean and log_std."""
        return self.normal.sample(noise)

    def sample(self, noise: Tensor) -> Tensor:
        """noise: [..., *event], standard normal. Returns actions [..., *event] in [-1, 1]."""
        return self.raw(noise).tanh()

    def sample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The action of `noise` and its log density [...]: what a loss wants, without a way back through the tanh."""
        raw = self.raw(noise)
        return raw.tanh(), self.raw_log_prob(raw)

    def mode(self) -> Tensor:
        """tanh of the mean (the median of the action; where the density has its top depends on the spread)."""
        return self.normal.mean.tanh()

    def raw_log_prob(self, raw: Tensor) -> Tensor:
        """raw: [..., *event], before the tanh. Returns the log density [...] of tanh(raw)."""
        # log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u)), which neither overflows nor reaches log 0.
        log_slope = 2.0 * (_LOG_2 - raw - torch.nn.functional.softplus(-2.0 * raw))
        return self.normal.log_prob(raw) - self.normal._sum(log_slope)

    def log_prob(self, action: Tensor) -> Tensor:
        """action: [..., *event] in [-1, 1]; rounded by up to one float step at the ends, which have no raw value."""
        inside = 1.0 - torch.finfo(action.dtype).eps
        return self.raw_log_prob(action.clamp(-inside, inside).atanh())


# A distribution is a bundle of tensors: a function that is mapped over seeds may return one.
register_pytree_node(Categorical, lambda d: ([d.logits], None), lambda parts, _: Categorical(*parts))
register_pytree_node(MultiCategorical, lambda d: (d.parts, None), lambda parts, _: _independent(parts))
register_pytree_node(
    DiagGaussian,
    # In full: a log_std without batch axes would have its seed axis in another place than the mean.
    lambda d: ([d.mean, d.log_std.expand_as(d.mean)], len(d._event)),
    lambda parts, event_dims: _gaussian(parts, event_dims),
)
register_pytree_node(SquashedGaussian, lambda d: ([d.normal], None), lambda parts, _: SquashedGaussian.of(*parts))


def _independent(parts: Iterable[Categorical]) -> MultiCategorical:
    whole = MultiCategorical.__new__(MultiCategorical)
    whole.parts = list(parts)
    return whole


def _gaussian(parts: Iterable[Tensor], event_dims: int) -> DiagGaussian:
    mean, log_std = parts
    return DiagGaussian(mean, log_std, event_dims)


class ActionScale:
    """Between actions of networks, in [-1, 1], and those of a bounded Box: an affine map for each component.

    Raises `UserError` for a Box that isn't bounded, or has no room between its bounds.
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
        """[-1, 1] -> [low, high], [..., *shape]."""
        return action * _like(self._half, action) + _like(self._centre, action)

    def from_env(self, action: Tensor) -> Tensor:
        """[low, high] -> [-1, 1], [..., *shape]."""
        return (action - _like(self._centre, action)) / _like(self._half, action)


def _constant(values: np.ndarray) -> float | list:
    """One number where all are equal, as they mostly are: no tensor to create in each step."""
    equal = values.size > 0 and bool((values == values.flat[0]).all())
    return float(values.flat[0]) if equal else values.tolist()


def _like(constant: float | list, other: Tensor) -> Tensor | float:
    return constant if isinstance(constant, float) else torch.tensor(constant, dtype=other.dtype, device=other.device)


@dataclass(frozen=True)
class ActionHead:
    """How network outputs become actions in one action space.

    kind: "discrete" (actions int64 [...]), "multi_discrete" (int64 [..., C]) or "continuous" (float32 [..., *shape]).
    size: number of network outputs. noise: kind and per-row shape of what `sample` needs. shape: of one action.
    """

    kind: ActionKind
    size: int
    shape: tuple[int, ...]
    nvec: tuple[int, ...] = ()

    @property
    def noise(self) -> tuple[NoiseKind, tuple[int, ...]]:
        return ("normal" if self.kind == "continuous" else "uniform"), self.shape

    @property
    def has_log_std(self) -> bool:
        """Whether the policy needs one free log standard deviation per output."""
        return self.kind == "continuous"

    def dist(self, output: Tensor, log_std: Tensor | None = None) -> Distribution:
        """output: [..., size]; log_std: [size] or [..., size], for continuous actions only."""
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
    """The head for `action_space`; `UserError` for a space no policy here can act in.

    Discrete and MultiDiscrete choices count from 0, whatever the space's own `start`: environments add that.
    """
    kind = action_kind(action_space)
    if kind == "discrete":
        return ActionHead(kind, int(action_space.n), ())
    if kind == "multi_discrete":
        nvec = tuple(int(n) for n in action_space.nvec)
        return ActionHead(kind, sum(nvec), (len(nvec),), nvec)
    return ActionHead(kind, math.prod(action_space.shape), tuple(action_space.shape))
