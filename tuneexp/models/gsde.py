"""Learned standard deviations of generalised state-dependent exploration (gSDE)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tuneexp.rl.distributions import ActionHead
from tuneexp.rl.state_dependent import StateDependentGaussian, expln


class ExplorationWeights(nn.Module):
    """Standard deviations of the exploration weights between L latent units and A action components.

    Raffin et al. 2021 (arXiv:2005.05719). The parameter `log_std` is [L, A], or [L, 1] without `full_std`.

    Args:
        latent_size: Latent units L.
        head: Action head.
        log_std_init: Initial log standard deviation.
        full_std: One standard deviation per pair of latent unit and action; else one per latent unit.
        use_expln: `expln` instead of exp.
        clip_mean: Clipping bound of the mean; 0: no clipping.
        learn_features: Let gradients of the noise reach the hidden layer (SAC, TQC); PPO and A2C do not, as in
            Stable-Baselines3.
    """

    def __init__(
        self, latent_size: int, head: ActionHead, log_std_init: float, full_std: bool, use_expln: bool,
        clip_mean: float = 0.0, learn_features: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shape = (latent_size, head.size)
        self._event_dims, self._event = len(head.shape), head.shape
        self._use_expln, self._learn_features, self._clip_mean = use_expln, learn_features, clip_mean
        self.log_std = nn.Parameter(torch.full((latent_size, head.size if full_std else 1), float(log_std_init)))

    def dist(self, mean: Tensor, latent: Tensor) -> StateDependentGaussian:
        """Distribution of actions [..., *action shape], before a tanh if any. mean: [..., A]; latent: [..., L]."""
        std = expln(self.log_std) if self._use_expln else self.log_std.exp()
        latent = latent if self._learn_features else latent.detach()
        mean = mean.clamp(-self._clip_mean, self._clip_mean) if self._clip_mean else mean
        shaped = mean.reshape(*mean.shape[:-1], *self._event)
        return StateDependentGaussian(shaped, latent, std.expand(self.shape), self._event_dims)
