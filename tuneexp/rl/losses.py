"""Terms of losses and training metrics: pure functions, averaged over rows to 0-d tensors.

Numeric hyperparameters may be floats or 0-d tensors: a compiled loss gets tensors, so that a new value needs no
recompilation. `mask` (bool [...], optional) selects the rows that count. Nothing here branches on data.
"""

from __future__ import annotations

import torch
from torch import Tensor

Number = float | Tensor


def mean_over(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Masked mean.

    Args:
        values: [...].
        mask: Rows that count, bool [...]. None: all.

    Returns:
        Mean of the rows that count, 0-d; 0 if there are none.
    """
    if mask is None:
        return values.mean()
    # `where`, not a product: NaN in a masked row must not reach the mean.
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def clipped_surrogate(ratio: Tensor, advantage: Tensor, clip_range: Number, mask: Tensor | None = None) -> Tensor:
    """Clipped surrogate objective of PPO, negated.

    Schulman et al. 2017 (arXiv:1707.06347), eq. 7.

    Args:
        ratio: Probability ratio of the new to the old policy, [...].
        advantage: Advantages, [...].
        clip_range: Clipping parameter epsilon: the ratio is clipped to [1 - clip_range, 1 + clip_range].
        mask: Rows that count, bool [...]. None: all.

    Returns:
        Loss to minimise, 0-d.
    """
    clipped = _clamp(ratio, 1.0 - clip_range, 1.0 + clip_range)
    return -mean_over(torch.minimum(ratio * advantage, clipped * advantage), mask)


def policy_gradient(log_prob: Tensor, advantage: Tensor, mask: Tensor | None = None) -> Tensor:
    """Loss whose gradient is the negative REINFORCE policy gradient.

    Williams 1992 (REINFORCE); Sutton and Barto 2018, section 13.4. In the form of a loss: Schulman et al. 2017
    (arXiv:1707.06347), eq. 2.

    Args:
        log_prob: Log-probability of the actions, [...].
        advantage: Advantages, [...]; no gradient is stopped here, so pass them detached.
        mask: Rows that count, bool [...]. None: all.

    Returns:
        Loss to minimise, 0-d.
    """
    return -mean_over(log_prob * advantage, mask)


def value_loss(
    value: Tensor,
    target: Tensor,
    old_value: Tensor | None = None,
    clip_range: Number | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean squared error of a value function, without a factor 1/2.

    L^VF of Schulman et al. 2017 (arXiv:1707.06347), eq. 9. The paper does not clip it.

    Args:
        value: Predicted values, [...].
        target: Targets, [...].
        old_value: Predictions at the time of the rollout, [...]; needed with `clip_range`.
        clip_range: Largest change of the prediction from `old_value`, as `clip_range_vf` of Stable-Baselines3: the
            gradient is zero beyond it. None: no clipping.
        mask: Rows that count, bool [...]. None: all.

    Returns:
        Loss, 0-d.

    Raises:
        ValueError: `clip_range` without `old_value`.
    """
    if clip_range is not None:
        if old_value is None:
            raise ValueError("value clipping needs old_value")
        value = old_value + _clamp(value - old_value, -clip_range, clip_range)
    return mean_over((value - target).square(), mask)


def approx_kl(log_ratio: Tensor, mask: Tensor | None = None) -> Tensor:
    """Estimate of the KL divergence KL(old, new), never negative.

    Schulman 2020, "Approximating KL divergence" (blog), estimator k3: (r - 1) - log r.

    Args:
        log_ratio: log new - log old probability of actions from the old policy, [...].
        mask: Rows that count, bool [...]. None: all.

    Returns:
        KL divergence in nats, 0-d.
    """
    return mean_over(log_ratio.expm1() - log_ratio, mask)


def clip_fraction(ratio: Tensor, clip_range: Number, mask: Tensor | None = None) -> Tensor:
    """Fraction of rows in which PPO's probability ratio is outside of the clip range.

    Args:
        ratio: Probability ratio of the new to the old policy, [...].
        clip_range: Clipping parameter epsilon, as in `clipped_surrogate`.
        mask: Rows that count, bool [...]. None: all.

    Returns:
        Fraction, 0-d.
    """
    return mean_over(((ratio - 1.0).abs() > clip_range).to(ratio.dtype), mask)


def explained_variance(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """1 - Var(target - prediction) / Var(target): 1 is perfect, 0 no better than a constant.

    Args:
        prediction: [...].
        target: [...].
        mask: Rows that count, bool [...]. None: all.

    Returns:
        Explained variance, 0-d; 0 if the target is constant.
    """
    variance = variance_over(target, mask)
    unexplained = variance_over(target - prediction, mask)
    safe = torch.where(variance > 0, variance, 1.0)
    return torch.where(variance > 0, 1.0 - unexplained / safe, 0.0)


def variance_over(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Masked population variance.

    Args:
        values: [...].
        mask: Rows that count, bool [...]. None: all.

    Returns:
        Variance of the rows that count, 0-d.
    """
    return mean_over((values - mean_over(values, mask)).square(), mask)


def normalize(values: Tensor, mask: Tensor | None = None, eps: float = 1e-8) -> Tensor:
    """Standardise to mean 0 and standard deviation 1 (with Bessel's correction, as PPO implementations do).

    Args:
        values: [...]. A single number has no standard deviation and is returned unchanged.
        mask: Rows that the mean and standard deviation are computed from, bool [...]; the others are scaled, too. None:
            all.
        eps: Added to the standard deviation.

    Returns:
        [...].
    """
    if values.numel() < 2:
        return values
    count = values.numel() if mask is None else mask.sum().clamp(min=2)
    bessel = count / (count - 1)
    scale = (variance_over(values, mask) * bessel).sqrt() + eps
    return (values - mean_over(values, mask)) / scale


def _clamp(values: Tensor, low: Number, high: Number) -> Tensor:
    """Clip `values` to [low, high], which are both floats or both 0-d tensors."""
    if isinstance(low, Tensor) and isinstance(high, Tensor):
        return torch.clamp(values, low, high)
    return torch.clamp(values, float(low), float(high))
