"""Distributions of returns: fixed atoms (C51) and quantiles (QR-DQN)."""

from __future__ import annotations

import torch
from torch import Tensor

Number = float | Tensor


def atoms_between(v_min: Number, v_max: Number, n_atoms: int, like: Tensor) -> Tensor:
    """[n_atoms], evenly spaced from v_min to v_max."""
    place = torch.arange(n_atoms, dtype=like.dtype, device=like.device) / (n_atoms - 1)
    return v_min + (v_max - v_min) * place


def project(target_atoms: Tensor, probability: Tensor, atoms: Tensor) -> Tensor:
    """target_atoms, probability: [..., n]: where the target puts how much; atoms: [n], evenly spaced.
    Returns [..., n]: the mass of each target atom shared by its two neighbours. Bellemare et al. 2017, eq. 7.

    By the triangular kernel instead of a scatter, which can't be mapped over seeds."""
    n = atoms.shape[-1]
    width = (atoms[-1] - atoms[0]) / (n - 1)
    inside = torch.minimum(torch.maximum(target_atoms, atoms[0]), atoms[-1])
    share = (1.0 - (inside.unsqueeze(-2) - atoms.unsqueeze(-1)).abs() / width).clamp(0.0, 1.0)
    return (share * probability.unsqueeze(-2)).sum(-1)


def quantile_midpoints(n_quantiles: int, like: Tensor) -> Tensor:
    """[n]: the probabilities that n quantiles stand for, (2 i + 1) / 2 n. Dabney et al. 2018, lemma 2."""
    return (torch.arange(n_quantiles, dtype=like.dtype, device=like.device) + 0.5) / n_quantiles


def quantile_huber(quantiles: Tensor, target: Tensor, kappa: float = 1.0) -> Tensor:
    """quantiles: [..., n]; target: [..., m], samples of the target. Returns [...]: the loss of each row, summed over
    the quantiles and averaged over the target. Dabney et al. 2018, eq. 10."""
    error = target.unsqueeze(-2) - quantiles.unsqueeze(-1)  # [..., n, m]
    size = error.abs()
    huber = torch.where(size <= kappa, 0.5 * error.square(), kappa * (size - 0.5 * kappa))
    tau = quantile_midpoints(quantiles.shape[-1], quantiles).unsqueeze(-1)
    weight = (tau - (error.detach() < 0).to(error.dtype)).abs()
    return (weight * huber / kappa).mean(-1).sum(-1)


def without_largest(quantiles: Tensor, drop_per_net: int) -> Tensor:
    """quantiles: [n_critics, B, n]. The quantiles of all critics as one sample, without the n_critics * drop_per_net
    largest: [B, n_critics * (n - drop_per_net)], ascending. Kuznetsov et al. 2020, eq. 11 and 12."""
    n_critics, _, n = quantiles.shape
    mixture = quantiles.movedim(0, -2).flatten(-2)
    return mixture.sort(dim=-1).values[..., : n_critics * (n - drop_per_net)]
