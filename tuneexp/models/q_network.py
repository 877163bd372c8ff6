"""Q-networks of discrete actions: DQN with dueling, noisy and distributional variants."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import torch
from torch import Tensor, nn

from tuneexp.errors import UserError
from tuneexp.models.encoder import CNN_FEATURES, Encoder, cnn_for, hidden_sizes_for
from tuneexp.models.mlp import activation_class, linear
from tuneexp.models.noisy import NoisyLinear
from tuneexp.rl.distributions import action_head
from tuneexp.spaces.kinds import is_image


class QNetwork(nn.Module):
    """Observations -> one value for each action, or `atoms` numbers for each (logits of C51, quantiles of QR-DQN).

    hidden_sizes: of the head behind the encoder; None: (64, 64), for images (512,) ((256,) with the IMPALA ResNet). For
    images with hidden sizes, the encoder ends with its convolutions and the head's hidden layers follow: `(512,)` on
    the Nature CNN is the network of Mnih et al. 2015 (doi:10.1038/nature14236); without hidden sizes, the encoder's own
    hidden layer serves, which is the same network. cnn_features: see `Encoder`; None: as just said. dueling: value and
    advantage have the last hidden layer each to themselves; Wang et al. 2016 (arXiv:1511.06581), eq. 9. With several
    atoms that holds for each; Hessel et al. 2018 (arXiv:1710.02298), "The Integrated Agent". noisy: all linear layers
    of the head are `NoisyLinear`.

    Initialised as torch does linear layers and convolutions, as Stable-Baselines3's DQN is. Weights come from
    `generator` (None: torch's default one). `noise_size`: standard normals that one forward pass takes, 0 unless noisy.
    """

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden_sizes: Sequence[int] | None = None,
        activation: str = "relu",
        layer_norm: bool = False,
        cnn: str = "auto",
        cnn_features: int | None = None,
        dueling: bool = False,
        noisy: bool = False,
        atoms: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        head = action_head(action_space)
        if head.kind != "discrete":
            raise UserError(f"a Q-network needs Discrete actions, one value each; these are {action_space}")
        self.actions, self.atoms = head.size, atoms
        hidden_sizes = default_hidden_sizes(observation_space, hidden_sizes, cnn)
        if cnn_features is None and hidden_sizes and is_image(observation_space):
            cnn_features = 0
        self.encoder = Encoder(
            observation_space, cnn=cnn, cnn_features=cnn_features, ortho_init=False, generator=generator
        )

        def stack(in_size: int, hidden: Sequence[int], out_size: int | None) -> _Stack:
            return _Stack(in_size, hidden, out_size, activation, layer_norm, noisy, generator)

        self.trunk: _Stack | None = None
        self.value: _Stack | None = None
        size, own = self.encoder.size, hidden_sizes
        if dueling:
            shared, own = hidden_sizes[:-1], hidden_sizes[-1:]
            if shared:
                self.trunk = stack(size, shared, None)
                size = self.trunk.out_size
            self.value = stack(size, own, atoms)
        self.advantage = stack(size, own, self.actions * atoms)
        parts = [part for part in (self.trunk, self.value, self.advantage) if part is not None]
        self.noise_size = sum(part.noise_size for part in parts)

    def q(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        """obs: [..., *observation shape]; noise: standard normals [noise_size] for all rows or [..., noise_size] one
        for each row; None: mean weights. Returns [..., A], and with several atoms [..., A, atoms]: what they mean
        (logits, quantiles) is the algorithm's business."""
        features = self.encoder(obs)
        if self.trunk is not None:
            trunk_noise, noise = _split(noise, self.trunk.noise_size)
            features = self.trunk(features, trunk_noise)
        if self.value is None:
            return self._per_action(self.advantage(features, noise))
        value_noise, advantage_noise = _split(noise, self.value.noise_size)
        value = self.value(features, value_noise)
        advantage = self._per_action(self.advantage(features, advantage_noise))
        if self.atoms > 1:
            return value.unsqueeze(-2) + advantage - advantage.mean(-2, keepdim=True)
        return value + advantage - advantage.mean(-1, keepdim=True)

    def forward(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        return self.q(obs, noise)

    def _per_action(self, flat: Tensor) -> Tensor:
        return flat if self.atoms == 1 else flat.unflatten(-1, (self.actions, self.atoms))


def default_hidden_sizes(
    observation_space: gym.Space, given: Sequence[int] | None, cnn: str, otherwise: Sequence[int] = (64, 64)
) -> tuple[int, ...]:
    """Default hidden sizes of a Q-network; for images the hidden layer of the CNN."""
    images = (CNN_FEATURES[cnn_for(observation_space.shape or (), cnn)],) if is_image(observation_space) else ()
    return hidden_sizes_for(observation_space, given, otherwise, images)


def _split(noise: Tensor | None, size: int) -> tuple[Tensor | None, Tensor | None]:
    """Split the last axis after `size` numbers."""
    return (None, None) if noise is None else (noise[..., :size], noise[..., size:])


class _Stack(nn.Module):
    """Linear layers, noisy or not, with the activation between them; none after the last unless `out_size` is None."""

    def __init__(
        self,
        in_size: int,
        hidden_sizes: Sequence[int],
        out_size: int | None,
        activation: str,
        layer_norm: bool,
        noisy: bool,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.activation = activation_class(activation)()
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        sizes = [*hidden_sizes] if out_size is None else [*hidden_sizes, out_size]
        size = in_size
        for index, next_size in enumerate(sizes):
            if noisy:
                self.layers.append(NoisyLinear(size, next_size, generator=generator))
            else:
                self.layers.append(linear(size, next_size, orthogonal_gain=None, generator=generator))
            if layer_norm and index < len(hidden_sizes):
                self.norms.append(nn.LayerNorm(next_size))
            size = next_size
        self.n_hidden, self.out_size = len(hidden_sizes), size
        self.noise_sizes = [layer.noise_size if isinstance(layer, NoisyLinear) else 0 for layer in self.layers]
        self.noise_size = sum(self.noise_sizes)

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        for index, layer in enumerate(self.layers):
            if isinstance(layer, NoisyLinear):
                own, noise = _split(noise, layer.noise_size)
                x = layer(x, own)
            else:
                x = layer(x)
            if index < self.n_hidden:
                x = self.activation(self.norms[index](x) if len(self.norms) else x)
        return x
