"""Noisy networks: linear layers with learned noise on their weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

SIGMA_0 = 0.5  # of Fortunato et al. 2018 (arXiv:1706.10295), section 3.2


class NoisyLinear(nn.Module):
    """Linear layer with factorised Gaussian noise on weights and biases.

    Fortunato et al. 2018 (arXiv:1706.10295), eq. 9 and 10. One noise sample is `noise_size` standard normal numbers: a
    factor per input, then one per output. Initialised as in section 3.2: means uniform within 1/sqrt(in_size), standard
    deviations sigma0 / sqrt(in_size). A forward pass draws no random numbers.

    Args:
        in_size: Number of inputs.
        out_size: Number of outputs.
        sigma0: Initial scale of the noise.
        generator: Random generator of the initialisation. None: torch's default.
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
        """x: [..., in_size]; noise: [noise_size] for all rows, or [..., noise_size] per row; None: mean weights."""
        if noise is None:
            return linear(x, self.weight, self.bias)
        factor_in, factor_out = _scaled(noise).split([self.in_size, self.out_size], dim=-1)
        if noise.dim() == 1:
            weight = torch.addcmul(self.weight, self.weight_sigma, torch.outer(factor_out, factor_in))
            return linear(x, weight, torch.addcmul(self.bias, self.bias_sigma, factor_out))
        # The noise of a weight is a product of factors, so noise per row scales inputs and outputs: no weights per row.
        perturbation = linear(x * factor_in, self.weight_sigma, self.bias_sigma)
        return torch.addcmul(linear(x, self.weight, self.bias), factor_out, perturbation)


def _scaled(noise: Tensor) -> Tensor:
    """f(x) = sign(x) sqrt(|x|)."""
    return noise.sign() * noise.abs().sqrt()
