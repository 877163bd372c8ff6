"""Ensemble of critics of (observation, action), computed in one batched operation."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import torch
from torch import Tensor, nn

from tuneexp.models.encoder import Encoder
from tuneexp.models.mlp import activation_class
from tuneexp.rl.distributions import action_head


class EnsembleLinear(nn.Module):
    """n linear layers in parallel: weight [n, in, out], bias [n, 1, out], each initialised independently as
    `nn.Linear`.
    """

    def __init__(self, n: int, in_size: int, out_size: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        bound = in_size**-0.5
        self.weight = nn.Parameter(torch.empty(n, in_size, out_size).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.empty(n, 1, out_size).uniform_(-bound, bound, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """x: [n, B, in]. Returns [n, B, out]."""
        return torch.baddbmm(self.bias, x, self.weight)


class EnsembleLayerNorm(nn.Module):
    """Layer normalisation with a scale and shift for each of n networks. x: [n, B, size]."""

    def __init__(self, n: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.ones(n, 1, size))
        self.bias = nn.Parameter(torch.zeros(n, 1, size))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, self.weight, nn.functional.layer_norm(x, (self.size,)))


class Critics(nn.Module):
    """`n_critics` networks of (observation, action) with `out_size` outputs each; actions are in [-1, 1].

    They share the encoder, which has parameters for images only (cnn, cnn_features: see `Encoder`).
    """

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        n_critics: int = 2,
        out_size: int = 1,
        hidden_sizes: Sequence[int] = (256, 256),
        activation: str = "relu",
        layer_norm: bool = False,
        cnn: str = "auto",
        cnn_features: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        head = action_head(action_space)
        self.n_critics, self.out_size = n_critics, out_size
        self._action_axes = len(head.shape)
        self.encoder = Encoder(
            observation_space, cnn=cnn, cnn_features=cnn_features, ortho_init=False, generator=generator
        )
        layers: list[nn.Module] = []
        size = self.encoder.size + head.size
        for hidden in hidden_sizes:
            layers.append(EnsembleLinear(n_critics, size, hidden, generator))
            if layer_norm:
                layers.append(EnsembleLayerNorm(n_critics, hidden))
            layers.append(activation_class(activation)())
            size = hidden
        layers.append(EnsembleLinear(n_critics, size, out_size, generator))
        self.layers = nn.Sequential(*layers)

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        """obs: [..., *observation shape]; action: [..., *action shape]. Returns [n_critics, ...], and with several
        outputs (quantiles) [n_critics, ..., out_size]."""
        features = self.encoder(obs)
        flat = action.flatten(-self._action_axes) if self._action_axes else action.unsqueeze(-1)
        x = torch.cat([features, flat.to(features.dtype)], dim=-1)
        rows = x.reshape(-1, x.shape[-1])
        out = self.layers(rows.expand(self.n_critics, *rows.shape))
        out = out.reshape(self.n_critics, *x.shape[:-1], self.out_size)
        return out.squeeze(-1) if self.out_size == 1 else out
