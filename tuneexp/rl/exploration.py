"""Exploration on top of a greedy or deterministic policy: epsilon-greedy and Ornstein-Uhlenbeck noise."""

from __future__ import annotations

import torch
from torch import Tensor

Number = float | Tensor


def linear_epsilon(progress: Number, fraction: Number, initial: Number, final: Number) -> Tensor:
    """Exploration rate of epsilon-greedy, annealed linearly.

    Mnih et al. 2015 (doi:10.1038/nature14236), methods, "Training details".

    Args:
        progress: Fraction of the budget that is done, in [0, 1].
        fraction: Fraction of the budget over which epsilon is annealed, in (0, 1].
        initial: Epsilon at the start of training.
        final: Epsilon from `fraction` on.

    Returns:
        Epsilon, a 0-d tensor.
    """
    done = torch.clamp(torch.as_tensor(progress / fraction), max=1.0)
    return initial + done * (final - initial)


def epsilon_greedy(greedy: Tensor, noise: Tensor, epsilon: Number, n_actions: int) -> Tensor:
    """Take a random action with probability epsilon, else the greedy one.

    Sutton and Barto 2018, section 2.2.

    Args:
        greedy: Greedy actions, int64 [...].
        noise: Uniform in [0, 1), [..., 2]: the first number decides between random and greedy, the second picks the
            random action.
        epsilon: Probability of a random action.
        n_actions: Number of actions.

    Returns:
        Actions, int64 [...].
    """
    return torch.where(noise[..., 0] < epsilon, uniform_choice(noise[..., 1], n_actions), greedy)


def uniform_choice(noise: Tensor, n_actions: int) -> Tensor:
    """Uniformly random discrete actions.

    Args:
        noise: Uniform in [0, 1), [...].
        n_actions: Number of actions.

    Returns:
        Actions, int64 [...], each of 0 to n_actions - 1 with equal probability.
    """
    return (noise * n_actions).long().clamp(max=n_actions - 1)  # rounding may reach n_actions


def ornstein_uhlenbeck(previous: Tensor, noise: Tensor, std: Number, theta: float = 0.15, dt: float = 0.01) -> Tensor:
    """One Euler step of an Ornstein-Uhlenbeck process with mean 0: noise that is correlated over time.

    Lillicrap et al. 2016 (arXiv:1509.02971), section 7, with theta 0.15 as there. The time step is that of
    Stable-Baselines3.

    Args:
        previous: Value of the process before the step, [...].
        noise: Standard normal, [...].
        std: Scale of the noise (sigma).
        theta: Rate of the return to the mean.
        dt: Length of the time step.

    Returns:
        Value of the process after the step, [...].
    """
    return previous - theta * dt * previous + std * dt**0.5 * noise
