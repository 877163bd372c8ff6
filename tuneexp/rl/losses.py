"""Parts of losses and learning statistics: pure, batched over rows, averaged to 0-d tensors.

Numeric hyperparameters may be floats or 0-d tensors: a compiled loss gets tensors, so that a new value is no new
program. `mask` ([...] bool, optional) says which rows count; without it all do. Nothing here branches on data.
"""

from __future__ import annotations

import torch
from torch import Tensor

Number = float | Tensor


def mean_over(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """values: [...]. Mean over the rows that count; 0 where none does."""
    if mask is None:
        return values.mean()
    # `where`, not a product: NaN in a row that doesn't count must not reach the mean.
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def clipped_surrogate(ratio: Tensor, advantage: Tensor, clip_range: Number, mask: Tensor | None = None) -> Tensor:
    """ratio (new over old probability), advantage: [...]. Loss to minimise, 0-d. Schulman et al. 2017, eq. 7."""
    clipped = _clamp(ratio, 1.0 - clip_range, 1.0 + clip_range)
    return -mean_over(torch.minimum(ratio * advantage, clipped * advantage), mask)


def policy_gradient(log_prob: Tensor, advantage: Tensor, mask: Tensor | None = None) -> Tensor:
    """log_prob, advantage: [...]. Loss whose gradient is the policy gradient, 0-d. Williams 1992, eq. 11."""
    return -mean_over(log_prob * advantage, mask)


def value_loss(
    value: Tensor,
    target: Tensor,
    old_value: Tensor | None = None,
    clip_range: Number | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean squared error of value against target: [...] each, result 0-d, without a factor 1/2.

    With `clip_range` the prediction may move at most that far from `old_value`, as in Stable-Baselines3
    (`clip_range_vf`): a prediction beyond it has no gradient.
    """
    if clip_range is not None:
        if old_value is None:
            raise ValueError("value clipping needs old_value")
        value = old_value + _clamp(value - old_value, -clip_range, clip_range)
    return mean_over((value - target).square(), mask)


def approx_kl(log_ratio: Tensor, mask: Tensor | None = None) -> Tensor:
    """log_ratio = log new - log old, of actions from the old policy: [...]. Estimates KL(old, new), 0-d, never below 0.

    Schulman 2020, "Approximating KL divergence", estimator k3: (r - 1) - log r.
    """
    return mean_over(log_ratio.expm1() - log_ratio, mask)


def clip_fraction(ratio: Tensor, clip_range: Number, mask: Tensor | None = None) -> Tensor:
    """Share of rows whose ratio left [1 - clip_range, 1 + clip_range]; ratio: [...], result 0-d."""
    return mean_over(((ratio - 1.0).abs() > clip_range).to(ratio.dtype), mask)


def explained_variance(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """1 - Var(target - prediction) / Var(target): 1 is perfect, 0 no better than a constant. [...] each, result 0-d.

    0 where the target doesn't vary: there is nothing to explain.
    """
    variance = variance_over(target, mask)
    unexplained = variance_over(target - prediction, mask)
    safe = torch.where(variance > 0, variance, 1.0)
    return torch.where(variance > 0, 1.0 - unexplained / safe, 0.0)


def variance_over(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """values: [...]. Population variance of the rows that count, 0-d."""
    return mean_over((values - mean_over(values, mask)).square(), mask)


def normalize(values: Tensor, mask: Tensor | None = None, eps: float = 1e-8) -> Tensor:
    """values: [...]. Shifted and scaled to mean 0 and standard deviation 1 (over n - 1, as PPO implementations do).

    A single row has no deviation and is returned as it is. Rows that don't count are scaled too.
    """
    if values.numel() < 2:
        return values
    count = values.numel() if mask is None else mask.sum().clamp(min=2)
    bessel = count / (count - 1)
    scale = (variance_over(values, mask) * bessel).sqrt() + eps
    return (values - mean_over(values, mask)) / scale


def _clamp(values: Tensor, low: Number, high: Number) -> Tensor:
    """values limited to [low, high], which are both floats or both 0-d tensors."""
    if isinstance(low, Tensor) and isinstance(high, Tensor):
        return torch.clamp(values, low, high)
    return torch.clamp(values, float(low), float(high))
