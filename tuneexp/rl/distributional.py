"""Return distributions: fixed atoms (C51) and quantiles (QR-DQN, TQC)."""

from __future__ import annotations

import torch
from torch import Tensor

Number = float | Tensor


def atoms_between(v_min: Number, v_max: Number, n_atoms: int, like: Tensor) -> Tensor:
    """Support of a categorical return distribution: evenly spaced atoms.

    Bellemare et al. 2017 (arXiv:1707.06887), section 4.1.

    Args:
        v_min: Smallest atom.
        v_max: Largest atom.
        n_atoms: Number of atoms, at least 2.
        like: Tensor of the type and device of the result.

    Returns:
        Atoms, [n_atoms].
    """
    fraction = torch.arange(n_atoms, dtype=like.dtype, device=like.device) / (n_atoms - 1)
    return v_min + (v_max - v_min) * fraction


def project(target_atoms: Tensor, probability: Tensor, atoms: Tensor) -> Tensor:
    """Project a distribution onto fixed atoms: the mass of each target atom is shared between its two neighbours.

    Bellemare et al. 2017 (arXiv:1707.06887), eq. 7. The triangular kernel is that of the equation; algorithm 1 of
    the paper scatters instead, which cannot be mapped over seeds.

    Args:
        target_atoms: Support of the target distribution, [..., n]; clipped to the range of `atoms`.
        probability: Probability of each target atom, [..., n].
        atoms: Evenly spaced atoms, [n].

    Returns:
        Probability of each atom, [..., n].
    """
    n = atoms.shape[-1]
    width = (atoms[-1] - atoms[0]) / (n - 1)
    inside = torch.minimum(torch.maximum(target_atoms, atoms[0]), atoms[-1])
    weight = (1.0 - (inside.unsqueeze(-2) - atoms.unsqueeze(-1)).abs() / width).clamp(0.0, 1.0)
    return (weight * probability.unsqueeze(-2)).sum(-1)


def quantile_midpoints(n_quantiles: int, like: Tensor) -> Tensor:
    """Quantile fractions (2 i + 1) / (2 n) of n quantiles.

    Dabney et al. 2018 (arXiv:1710.10044), lemma 2.

    Args:
        n_quantiles: Number of quantiles.
        like: Tensor of the type and device of the result.

    Returns:
        Quantile fractions, [n].
    """
    return (torch.arange(n_quantiles, dtype=like.dtype, device=like.device) + 0.5) / n_quantiles


def quantile_huber(quantiles: Tensor, target: Tensor, kappa: float = 1.0) -> Tensor:
    """Quantile Huber loss of each row, summed over quantiles and averaged over target samples.

    Dabney et al. 2018 (arXiv:1710.10044), eq. 9 (Huber loss) and 10. Here it is divided by kappa, which makes no
    difference at the default 1.

    Args:
        quantiles: Predicted quantiles, [..., n].
        target: Samples of the target distribution, [..., m].
        kappa: Error above which the loss is linear.

    Returns:
        Loss of each row, [...].
    """
    error = target.unsqueeze(-2) - quantiles.unsqueeze(-1)  # [..., n, m]
    size = error.abs()
    huber = torch.where(size <= kappa, 0.5 * error.square(), kappa * (size - 0.5 * kappa))
    tau = quantile_midpoints(quantiles.shape[-1], quantiles).unsqueeze(-1)
    weight = (tau - (error.detach() < 0).to(error.dtype)).abs()
    return (weight * huber / kappa).mean(-1).sum(-1)


def without_largest(quantiles: Tensor, drop_per_net: int) -> Tensor:
    """Pool the quantiles of all critics and drop the largest ones.

    Kuznetsov et al. 2020 (arXiv:2005.04269): the truncated mixture of the target.

    Args:
        quantiles: Quantiles of each critic, [n_critics, B, n].
        drop_per_net: Number of quantiles to drop for each critic, n_critics * drop_per_net in total.

    Returns:
        The remaining quantiles, ascending, [B, n_critics * (n - drop_per_net)].
    """
    n_critics, _, n = quantiles.shape
    mixture = quantiles.movedim(0, -2).flatten(-2)
    return mixture.sort(dim=-1).values[..., : n_critics * (n - drop_per_net)]
