"""Models of the off-policy actor-critics: SAC (continuous and discrete), TD3, DDPG, TQC.

Their submodules are the parts of a loss: `actor`, `critic`, `temperature`. Actions are in [-1, 1];
`rl.squashed.ActionScale` maps them to the bounds of the action space. Layers are initialised as torch does by default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from tuneexp.errors import UserError
from tuneexp.models.critics import Critics
from tuneexp.models.encoder import Encoder, hidden_sizes_for
from tuneexp.models.gsde import ExplorationWeights
from tuneexp.models.mlp import MLP, linear
from tuneexp.models.q_network import QNetwork, default_hidden_sizes
from tuneexp.rl.distributions import ActionHead, Categorical, DiagGaussian, action_head
from tuneexp.rl.exploration import uniform_choice
from tuneexp.rl.squashed import ActionScale, SquashedGaussian

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0


def bounded_head(action_space: gym.Space) -> ActionHead:
    """Action head of a bounded Box. Raises `UserError` for other spaces."""
    head = action_head(action_space)
    if head.kind != "continuous":
        raise UserError(f"this network needs a Box of continuous actions; these are {action_space}")
    ActionScale(action_space)
    return head


class _Trunk(nn.Module):
    """Encoder and hidden layers of an actor: [..., *observation shape] -> [..., out_size]."""

    def __init__(
        self,
        observation_space: gym.Space,
        hidden_sizes: Sequence[int],
        activation: str,
        layer_norm: bool,
        cnn: str,
        cnn_features: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(
            observation_space, cnn=cnn, cnn_features=cnn_features, ortho_init=False, generator=generator
        )
        self.mlp = MLP(
            self.encoder.size, hidden_sizes, activation=activation, ortho_init=False, layer_norm=layer_norm,
            generator=generator,
        )  # fmt: skip
        self.out_size = self.mlp.out_size

    def forward(self, obs: Tensor) -> Tensor:
        return self.mlp(self.encoder(obs))


class GaussianActor(nn.Module):
    """SAC's policy: mean and log standard deviation before the tanh (Haarnoja et al. 2018, arXiv:1812.05905).

    exploration: arguments of `ExplorationWeights`, for state-dependent exploration."""

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden_sizes: Sequence[int] = (256, 256),
        activation: str = "relu",
        layer_norm: bool = False,
        cnn: str = "auto",
        cnn_features: int | None = None,
        exploration: Mapping[str, Any] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.head = bounded_head(action_space)
        self.trunk = _Trunk(observation_space, hidden_sizes, activation, layer_norm, cnn, cnn_features, generator)
        size = self.trunk.out_size
        self.mean = linear(size, self.head.size, orthogonal_gain=None, generator=generator)
        self.exploration = None if exploration is None else ExplorationWeights(size, self.head, **exploration)
        if exploration is None:
            self.log_std = linear(size, self.head.size, orthogonal_gain=None, generator=generator)

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation before the tanh, [..., *action shape] each."""
        normal = self._normal(obs)
        return normal.mean, normal.log_std

    def _normal(self, obs: Tensor) -> DiagGaussian:
        latent = self.trunk(obs)
        mean = self.mean(latent)
        if self.exploration is not None:
            return self.exploration.dist(mean, latent)
        log_std = self.log_std(latent).clamp(LOG_STD_MIN, LOG_STD_MAX)
        return DiagGaussian(_shaped(mean, self.head), _shaped(log_std, self.head), len(self.head.shape))

    def dist(self, obs: Tensor) -> SquashedGaussian:
        return SquashedGaussian.of(self._normal(obs))


class DeterministicActor(nn.Module):
    """The policy of DDPG and TD3: obs -> actions [..., *action shape] in [-1, 1], through a tanh."""

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden_sizes: Sequence[int] = (256, 256),
        activation: str = "relu",
        layer_norm: bool = False,
        cnn: str = "auto",
        cnn_features: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.head = bounded_head(action_space)
        self.trunk = _Trunk(observation_space, hidden_sizes, activation, layer_norm, cnn, cnn_features, generator)
        self.out = linear(self.trunk.out_size, self.head.size, orthogonal_gain=None, generator=generator)

    def forward(self, obs: Tensor) -> Tensor:
        return _shaped(self.out(self.trunk(obs)).tanh(), self.head)


def _shaped(flat: Tensor, head: ActionHead) -> Tensor:
    return flat if len(head.shape) == 1 else flat.reshape(*flat.shape[:-1], *head.shape)


class Temperature(nn.Module):
    """SAC's temperature alpha = exp(log_alpha), the entropy coefficient."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if not alpha > 0.0:
            raise UserError(f"an entropy weight starts above 0, not at {alpha:g}")
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))

    def forward(self) -> Tensor:
        return self.log_alpha.exp()


class BoxActions:
    """Mixin of models with bounded continuous actions."""

    scale: ActionScale

    def to_env(self, action: Tensor) -> Tensor:
        """Scale actions from [-1, 1] to the bounds of the action space."""
        return self.scale.to_env(action)

    def random_action(self, noise: Tensor) -> Tensor:
        """Uniform random actions in [-1, 1]. noise: uniform in [0, 1), [..., *action shape]."""
        return 2.0 * noise - 1.0


class ChoiceActions:
    """Mixin of models with Discrete actions."""

    n_actions: int

    def to_env(self, action: Tensor) -> Tensor:
        """Discrete actions, unchanged."""
        return action

    def random_action(self, noise: Tensor) -> Tensor:
        """Uniform random actions, int64 [...]. noise: uniform in [0, 1), [...]."""
        return uniform_choice(noise, self.n_actions)


class Tempered:
    """Mixin of models with a learned entropy coefficient, submodule `temperature`."""

    temperature: Temperature

    def alpha(self) -> Tensor:
        """Entropy coefficient, 0-d."""
        return self.temperature()


class SoftActorCritic(Tempered, BoxActions, nn.Module):
    """SAC on continuous actions; TQC with `n_quantiles` numbers a critic. Parts: actor, critic, temperature.

    hidden_sizes: None: (256, 256). critic_hidden_sizes: None: those of the actor. exploration: of `GaussianActor`.
    `network`: activation, layer_norm, cnn, cnn_features of all networks.
    """

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden_sizes: Sequence[int] | None = None,
        critic_hidden_sizes: Sequence[int] | None = None,
        n_critics: int = 2,
        n_quantiles: int = 1,
        initial_alpha: float = 1.0,
        exploration: Mapping[str, Any] | None = None,
        **network: Any,
    ) -> None:
        super().__init__()
        hidden_sizes = (256, 256) if hidden_sizes is None else hidden_sizes
        sizes = hidden_sizes if critic_hidden_sizes is None else critic_hidden_sizes
        self.actor = GaussianActor(
            observation_space, action_space, hidden_sizes=hidden_sizes, exploration=exploration, **network
        )
        self.critic = Critics(
            observation_space, action_space, hidden_sizes=sizes, n_critics=n_critics, out_size=n_quantiles, **network
        )
        self.temperature = Temperature(initial_alpha)
        self.scale = ActionScale(action_space)

    @property
    def exploration_shape(self) -> tuple[int, int] | None:
        """Shape of the exploration weights of gSDE; None without it."""
        return None if self.actor.exploration is None else self.actor.exploration.shape

    def dist(self, obs: Tensor) -> SquashedGaussian:
        """obs: [..., *observation shape]."""
        return self.actor.dist(obs)

    def q(self, obs: Tensor, action: Tensor) -> Tensor:
        """action: [..., *action shape] in [-1, 1]. [n_critics, ...], with quantiles [n_critics, ..., n_quantiles]."""
        return self.critic(obs, action)


class DiscreteSoftActorCritic(Tempered, ChoiceActions, nn.Module):
    """SAC on Discrete actions. Parts: actor (logits), critic (a value for each action), temperature.

    Christodoulou 2019 (arXiv:1910.07207). hidden_sizes: None: (256, 256), for images those of `QNetwork`."""

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden_sizes: Sequence[int] | None = None,
        critic_hidden_sizes: Sequence[int] | None = None,
        n_critics: int = 2,
        initial_alpha: float = 1.0,
        **network: Any,
    ) -> None:
        super().__init__()
        hidden_sizes = default_hidden_sizes(observation_space, hidden_sizes, network.get("cnn", "auto"), (256, 256))
        sizes = hidden_sizes if critic_hidden_sizes is None else critic_hidden_sizes
        self.actor = QNetwork(observation_space, action_space, hidden_sizes=hidden_sizes, **network)
        self.n_actions = self.actor.actions
        self.critic = nn.ModuleList(
            QNetwork(observation_space, action_space, hidden_sizes=sizes, **network) for _ in range(n_critics)
        )
        self.temperature = Temperature(initial_alpha)

    def dist(self, obs: Tensor) -> Categorical:
        """obs: [..., *observation shape]."""
        return Categorical(self.actor(obs))

    def q(self, obs: Tensor) -> Tensor:
        """[n_critics, ..., A]."""
        return torch.stack([critic(obs) for critic in self.critic])


class DeterministicActorCritic(BoxActions, nn.Module):
    """DDPG (one critic) and TD3 (two). Parts: actor, critic. hidden_sizes: None: (400, 300), for images (256, 256), as
    in Stable-Baselines3. state_size: numbers that acting carries through an episode, such as those of its noise."""

    state_size = 0

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden_sizes: Sequence[int] | None = None,
        critic_hidden_sizes: Sequence[int] | None = None,
        n_critics: int = 2,
        **network: Any,
    ) -> None:
        super().__init__()
        hidden_sizes = hidden_sizes_for(observation_space, hidden_sizes, (400, 300), images=(256, 256))
        sizes = hidden_sizes if critic_hidden_sizes is None else critic_hidden_sizes
        self.actor = DeterministicActor(observation_space, action_space, hidden_sizes=hidden_sizes, **network)
        self.critic = Critics(observation_space, action_space, hidden_sizes=sizes, n_critics=n_critics, **network)
        self.scale = ActionScale(action_space)

    def act(self, obs: Tensor) -> Tensor:
        """[..., *action shape] in [-1, 1]."""
        return self.actor(obs)

    def q(self, obs: Tensor, action: Tensor) -> Tensor:
        """action: [..., *action shape] in [-1, 1]. Returns [n_critics, ...]."""
        return self.critic(obs, action)
