"""A policy and a value function over flat observations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import gymnasium as gym
import torch
from torch import Tensor, nn

from tuneexp.errors import UserError
from tuneexp.models.mlp import MLP
from tuneexp.rl.distributions import Distribution, action_head

POLICY_GAIN = 0.01
VALUE_GAIN = 1.0


class ActorCriticOutput(NamedTuple):
    """policy: [..., head.size]; log_std: [head.size], None unless actions are continuous; value: [...]."""

    policy: Tensor
    log_std: Tensor | None
    value: Tensor


class FlatObservation(nn.Module):
    """Observations [..., *shape] -> float32 [..., size]: a Box is flattened, a Discrete is one-hot.

    It has neither parameters nor buffers: a seed axis has nothing to stack here.
    """

    def __init__(self, observation_space: gym.Space) -> None:
        super().__init__()
        if isinstance(observation_space, gym.spaces.Discrete):
            self.classes, self.start = int(observation_space.n), int(observation_space.start)
            self.shape: tuple[int, ...] = ()
            self.size = self.classes
        elif isinstance(observation_space, gym.spaces.Box):
            self.classes, self.start = 0, 0
            self.shape = tuple(observation_space.shape)
            self.size = math.prod(self.shape)
        else:
            raise UserError(
                f"observations of {observation_space} are not supported; use an environment whose observations "
                "are a Box or Discrete (gymnasium.wrappers.FlattenObservation makes a Box of most others)"
            )

    def forward(self, obs: Tensor) -> Tensor:
        if self.classes:
            # A comparison, not `one_hot`: that one looks at the data, which neither vmap nor tracing allows.
            index = torch.arange(self.start, self.start + self.classes, device=obs.device)
            return (obs.unsqueeze(-1) == index).to(torch.float32)
        obs = obs.to(torch.float32)
        if len(self.shape) == 1:
            return obs
        return obs.flatten(-len(self.shape)) if self.shape else obs.unsqueeze(-1)


class ActorCritic(nn.Module):
    """Policy and value networks, separate (default) or on a shared trunk.

    hidden_sizes: of the policy, and of the value function unless `vf_hidden_sizes` differs (separate networks only).
    Initialised as in Stable-Baselines3: orthogonal with gain sqrt(2) in hidden layers, 0.01 for the policy's output and
    1 for the value's, biases 0; `ortho_init=False` keeps torch's own scheme. `log_std` starts at `log_std_init` and
    doesn't depend on the observation. Weights come from `generator` (None: torch's default one).
    """

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden_sizes: Sequence[int] = (64, 64),
        vf_hidden_sizes: Sequence[int] | None = None,
        activation: str = "tanh",
        shared: bool = False,
        ortho_init: bool = True,
        log_std_init: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if shared and vf_hidden_sizes is not None and list(vf_hidden_sizes) != list(hidden_sizes):
            raise UserError("a shared network has one list of hidden sizes; leave out the value function's, or shared")
        self.head = action_head(action_space)
        self.observation = FlatObservation(observation_space)
        size = self.observation.size

        def mlp(in_size: int, hidden: Sequence[int], out_size: int | None, out_gain: float = 1.0) -> MLP:
            return MLP(
                in_size,
                hidden,
                out_size,
                activation=activation,
                ortho_init=ortho_init,
                out_gain=out_gain,
                generator=generator,
            )

        self.trunk: MLP | None = mlp(size, hidden_sizes, None) if shared else None
        features = self.trunk.out_size if self.trunk is not None else size
        pi_hidden = () if shared else hidden_sizes
        vf_hidden = () if shared else (hidden_sizes if vf_hidden_sizes is None else vf_hidden_sizes)
        self.policy_net = mlp(features, pi_hidden, self.head.size, POLICY_GAIN)
        self.value_net = mlp(features, vf_hidden, 1, VALUE_GAIN)
        self.log_std: nn.Parameter | None = None
        if self.head.has_log_std:
            self.log_std = nn.Parameter(torch.full((self.head.size,), float(log_std_init)))

    def forward(self, obs: Tensor) -> ActorCriticOutput:
        """obs: [..., *observation shape]."""
        features = self.observation(obs)
        if self.trunk is not None:
            features = self.trunk(features)
        return ActorCriticOutput(self.policy_net(features), self.log_std, self.value_net(features).squeeze(-1))

    def value(self, obs: Tensor) -> Tensor:
        """obs: [..., *observation shape]. The value alone, [...]: for bootstraps."""
        features = self.observation(obs)
        return self.value_net(features if self.trunk is None else self.trunk(features)).squeeze(-1)

    def dist(self, obs: Tensor) -> Distribution:
        """obs: [..., *observation shape]. The action distribution alone: for acting."""
        features = self.observation(obs)
        return self.head.dist(self.policy_net(features if self.trunk is None else self.trunk(features)), self.log_std)

    def dist_and_value(self, obs: Tensor) -> tuple[Distribution, Tensor]:
        """obs: [..., *observation shape]. The action distribution and the value [...]."""
        output = self(obs)
        return self.head.dist(output.policy, output.log_std), output.value
