"""Linear layers that explore by noise on their weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

SIGMA_0 = 0.5


class NoisyLinear(nn.Module):
    """A linear layer with factorised Gaussian noise on weights and biases. Fortunato et al. 2018, eq. 9-11.

    `noise_size` standard normals make one noise: a factor for each input, then one for each output. Initialised as in
    the paper: means uniform within 1/sqrt(in_size), deviations sigma0 / sqrt(in_size). No forward pass draws anything.
    """

    def __init__(
        self, in_size: int, out_size: int, *, sigma0: float = SIGMA_0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.in_size, self.out_size, self.noise_size = in_size, out_size, in_size + out_size
        bound = in_size**-0.5
        self.weight = nn.Parameter(torch.empty(out_size, in_size).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.empty(out_size).uniform_(-bound, bound, generator=generator))
        self.weight_sigma = nn.Parameter(torch.full((out_size, in_size), sigma0 * bound))
        self.bias_sigma = nn.Parameter(torch.full((out_size,), sigma0 * bound))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """x: [..., in_size]; noise: [noise_size] for all rows, [..., noise_size] one for each row, or None: the mean
        weights. Returns [..., out_size]."""
        if noise is None:
            return linear(x, self.weight, self.bias)
        factor_in, factor_out = _scaled(noise).split([self.in_size, self.out_size], dim=-1)
        if noise.dim() == 1:
            weight = torch.addcmul(self.weight, self.weight_sigma, torch.outer(factor_out, factor_in))
            return linear(x, weight, torch.addcmul(self.bias, self.bias_sigma, factor_out))
        # The noise of a weight is a product, so a row's own noise scales its inputs and outputs: no weights per row.
        perturbation = linear(x * factor_in, self.weight_sigma, self.bias_sigma)
        return torch.addcmul(linear(x, self.weight, self.bias), factor_out, perturbation)


def _scaled(noise: Tensor) -> Tensor:
    """f(x) = sign(x) sqrt(|x|)."""
    return noise.sign() * noise.abs().sqrt()
