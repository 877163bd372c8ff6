"""Exploration that is put on top of a greedy policy."""

from __future__ import annotations

import torch
from torch import Tensor

Number = float | Tensor


def linear_epsilon(progress: Number, fraction: Number, initial: Number, final: Number) -> Tensor:
    """The share of random actions: linear from `initial` to `final` over the first `fraction` of training, 0-d.
    Mnih et al. 2015, "Training details"."""
    done = torch.clamp(torch.as_tensor(progress / fraction), max=1.0)
    return initial + done * (final - initial)


def epsilon_greedy(greedy: Tensor, noise: Tensor, epsilon: Number, n_actions: int) -> Tensor:
    """greedy: int64 [...]; noise: [..., 2], uniform in [0, 1): whether to explore, and what to do then.
    Returns int64 [...]. Sutton and Barto 2018, section 2.2."""
    return torch.where(noise[..., 0] < epsilon, uniform_choice(noise[..., 1], n_actions), greedy)


def uniform_choice(noise: Tensor, n_actions: int) -> Tensor:
    """noise: [...], uniform in [0, 1). Returns int64 [...], each of 0 to n_actions - 1 as likely."""
    return (noise * n_actions).long().clamp(max=n_actions - 1)  # rounding may reach n_actions


def ornstein_uhlenbeck(previous: Tensor, noise: Tensor, std: Number, theta: float = 0.15, dt: float = 0.01) -> Tensor:
    """The next value of a process that returns to 0, all [...]; noise: standard normal. Lillicrap et al. 2016, section
    7; the constants are those of Stable-Baselines3."""
    return previous - theta * dt * previous + std * dt**0.5 * noise
