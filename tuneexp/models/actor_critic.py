"""Actor-critic network: policy and value function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import gymnasium as gym
import torch
from torch import Tensor, nn

from tuneexp.errors import UserError
from tuneexp.models.encoder import Encoder, hidden_sizes_for
from tuneexp.models.gsde import ExplorationWeights
from tuneexp.models.masks import ActionMask
from tuneexp.models.mlp import MLP, linear
from tuneexp.models.recurrent import Cell, cell_class
from tuneexp.rl.distributions import Distribution, action_head
from tuneexp.rl.squashed import ActionScale, SquashedGaussian
from tuneexp.rl.state_dependent import RescaledGaussian, squashing
from tuneexp.spaces.kinds import require_continuous

POLICY_GAIN = 0.01
VALUE_GAIN = 1.0


class ActorCriticOutput(NamedTuple):
    """policy: [..., head.size]; log_std: [head.size] of continuous actions (with use_sde of the exploration weights),
    else None; value: [...].
    """

    policy: Tensor
    log_std: Tensor | None
    value: Tensor


class _Features(NamedTuple):
    """Inputs of the two heads, [..., size] each; one tensor where the heads share all layers below."""

    policy: Tensor
    value: Tensor


class ActorCritic(nn.Module):
    """Policy and value networks behind one encoder: separate (default), on a shared trunk, or on a recurrent cell.

    hidden_sizes: of the policy, and of the value function unless `vf_hidden_sizes` differs (separate networks only);
    None: (64, 64), for images none: policy and value are then linear in the hidden layer of the CNN.
    recurrent: "lstm" or "gru" puts a cell of `recurrent_size` units after a trunk of `hidden_sizes`; policy and value
    are then linear in its output. enable_critic_lstm: the cell comes before the hidden layers instead, as in
    sb3_contrib, and the value function has a cell of its own (True) or a linear layer (False).
    action_mask: the leaf of a Dict observation that forbids actions (`models/masks.py`); it is no feature.
    cnn, cnn_features: see `Encoder`, which policy and value share, as in Stable-Baselines3.

    Initialised as in Stable-Baselines3: orthogonal with gain sqrt(2) in hidden layers, 0.01 for the policy's output and
    1 for the value's, biases 0; `ortho_init=False` keeps torch's own scheme, which cells always have. `log_std` starts
    at `log_std_init` and doesn't depend on the observation; with `use_sde` it is that of `exploration` (gSDE), whose
    options are full_std, use_expln and squash_output (a tanh, scaled to the bounds of the actions). Weights come from
    `generator` (None: torch's default one).
    """

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden_sizes: Sequence[int] | None = None,
        vf_hidden_sizes: Sequence[int] | None = None,
        activation: str = "tanh",
        layer_norm: bool = False,
        cnn: str = "auto",
        cnn_features: int | None = None,
        shared: bool = False,
        recurrent: str = "none",
        recurrent_size: int = 64,
        enable_critic_lstm: bool | None = None,
        action_mask: str | None = None,
        ortho_init: bool = True,
        log_std_init: float = 0.0,
        use_sde: bool = False,
        full_std: bool = True,
        use_expln: bool = False,
        squash_output: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        hidden_sizes = hidden_sizes_for(observation_space, hidden_sizes, (64, 64), images=())
        cell = cell_class(recurrent)
        if enable_critic_lstm is not None and cell is None:
            raise UserError("enable_critic_lstm belongs to a recurrent network; write recurrent=lstm, or leave it out")
        shared = shared or (cell is not None and enable_critic_lstm is None)
        if shared:
            _require_one_size(hidden_sizes, vf_hidden_sizes)
        self.head = action_head(action_space)
        self.mask = None if action_mask is None else ActionMask(action_mask, observation_space, self.head)
        self.observation = Encoder(
            observation_space, cnn=cnn, cnn_features=cnn_features, ortho_init=ortho_init,
            leave_out=() if action_mask is None else (action_mask,), generator=generator,
        )  # fmt: skip

        def mlp(in_size: int, hidden: Sequence[int], out_size: int | None, out_gain: float = 1.0) -> MLP:
            return MLP(
                in_size, hidden, out_size, activation=activation, ortho_init=ortho_init, out_gain=out_gain,
                layer_norm=layer_norm, generator=generator,
            )  # fmt: skip

        size = self.observation.size
        self.trunk: MLP | None = mlp(size, hidden_sizes, None) if shared else None
        features = self.trunk.out_size if self.trunk is not None else size
        self.cell: Cell | None = None
        self.critic_cell: Cell | nn.Linear | None = None
        if cell is not None:
            self.cell = cell(features, recurrent_size, generator=generator)
            self.critic_cell = _critic_cell(cell, enable_critic_lstm, features, recurrent_size, generator)
            features = recurrent_size
        pi_hidden = () if shared else hidden_sizes
        vf_hidden = () if shared else (hidden_sizes if vf_hidden_sizes is None else vf_hidden_sizes)
        self.policy_net = mlp(features, pi_hidden, self.head.size, POLICY_GAIN)
        self.value_net = mlp(features, vf_hidden, 1, VALUE_GAIN)
        self.log_std: nn.Parameter | None = None
        self.exploration: ExplorationWeights | None = None
        self._scale: ActionScale | None = None
        if use_sde:
            require_continuous(action_space)
            self._scale = squashing(action_space) if squash_output else None
            of_weights = (self.policy_net.latent_size, self.head, log_std_init, full_std, use_expln)
            self.exploration = ExplorationWeights(*of_weights, learn_features=False)
        elif self.head.has_log_std:
            self.log_std = nn.Parameter(torch.full((self.head.size,), float(log_std_init)))

    @property
    def exploration_shape(self) -> tuple[int, int] | None:
        """Shape of the exploration weights of gSDE; None without it."""
        return None if self.exploration is None else self.exploration.shape

    @property
    def state_size(self) -> int:
        """Size of the recurrent state per row; 0 without recurrence."""
        return sum(cell.state_size for cell in (self.cell, self.critic_cell) if isinstance(cell, Cell))

    def forward(self, obs: Tensor, state: Tensor | None = None) -> ActorCriticOutput:
        """Outputs of the heads. obs: [..., *observation shape]; state: [..., state_size], with recurrence only."""
        features, log_std = self._features(obs, state)[0], self.log_std
        if self.exploration is not None:
            log_std = self.exploration.log_std
        value = self.value_net(features.value).squeeze(-1)
        return ActorCriticOutput(self._policy(features.policy, obs), log_std, value)

    def value(self, obs: Tensor, state: Tensor | None = None) -> Tensor:
        """Value only, for bootstraps.

        Args:
            obs: [..., *observation shape].
            state: Recurrent state before the observation, [..., state_size]; with recurrence only.

        Returns:
            Values, [...].
        """
        return self.value_net(self._features(obs, state)[0].value).squeeze(-1)

    def dist(self, obs: Tensor, state: Tensor | None = None) -> Distribution:
        """Action distribution only, for acting. Arguments as of `value`."""
        return self._dist(self._features(obs, state)[0].policy, obs)

    def dist_and_value(self, obs: Tensor, state: Tensor | None = None) -> tuple[Distribution, Tensor]:
        """Action distribution and values [...]. Arguments as of `value`."""
        return self._both(self._features(obs, state)[0], obs)

    def step(self, obs: Tensor, state: Tensor | None) -> tuple[Distribution, Tensor, Tensor | None]:
        """Action distribution, values [...] and the new recurrent state (unchanged without recurrence). Arguments as of
        `value`.
        """
        features, new_state = self._features(obs, state)
        return *self._both(features, obs), new_state

    def unroll(self, obs: Tensor, state: Tensor | None, start: Tensor) -> tuple[Distribution, Tensor]:
        """Unroll L steps; everything but the cell processes all steps at once.

        Args:
            obs: [L, ..., *observation shape].
            state: Recurrent state before the first step, [..., state_size].
            start: First steps of episodes, before which the state is zeroed, bool [L, ...].

        Returns:
            Distribution over [L, ...] and values [L, ...].
        """
        if self.cell is None:
            return self.dist_and_value(obs)
        own, of_critic = self._states(self.cell, state)
        features = self._before_cell(obs)
        policy = value = self.cell.unroll(features, own, start)
        if isinstance(self.critic_cell, Cell):
            value = self.critic_cell.unroll(features, of_critic, start)
        elif self.critic_cell is not None:
            value = self.critic_cell(features)
        return self._both(_Features(policy, value), obs)

    def _before_cell(self, obs: Tensor) -> Tensor:
        features = self.observation(obs)
        return features if self.trunk is None else self.trunk(features)

    def _features(self, obs: Tensor, state: Tensor | None) -> tuple[_Features, Tensor | None]:
        """Inputs of the two heads, and the new recurrent state."""
        features = self._before_cell(obs)
        if self.cell is None:
            return _Features(features, features), state
        own, of_critic = self._states(self.cell, state)
        policy, own = self.cell(features, own)
        if isinstance(self.critic_cell, Cell):
            value, of_critic = self.critic_cell(features, of_critic)
            return _Features(policy, value), torch.cat([own, of_critic], dim=-1)
        return _Features(policy, policy if self.critic_cell is None else self.critic_cell(features)), own

    def _states(self, cell: Cell, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of the policy's cell and, where it has one of its own, the value function's."""
        given = _given(state)
        return given[..., : cell.state_size], given[..., cell.state_size :]

    def _policy(self, features: Tensor, obs: Tensor) -> Tensor:
        logits = self.policy_net(features)
        return logits if self.mask is None else self.mask.apply(logits, obs)

    def _dist(self, features: Tensor, obs: Tensor) -> Distribution:
        if self.exploration is None:
            return self.head.dist(self._policy(features, obs), self.log_std)
        normal = self.exploration.dist(*self.policy_net.with_latent(features))
        return normal if self._scale is None else RescaledGaussian(SquashedGaussian.of(normal), self._scale)

    def _both(self, features: _Features, obs: Tensor) -> tuple[Distribution, Tensor]:
        return self._dist(features.policy, obs), self.value_net(features.value).squeeze(-1)


def _require_one_size(hidden_sizes: Sequence[int], vf_hidden_sizes: Sequence[int] | None) -> None:
    if vf_hidden_sizes is not None and list(vf_hidden_sizes) != list(hidden_sizes):
        raise UserError(
            "a shared or recurrent network has one list of hidden sizes; leave out the value function's, or shared and "
            "recurrent"
        )


def _critic_cell(
    cell: type[Cell], enable: bool | None, in_size: int, size: int, generator: torch.Generator | None
) -> Cell | nn.Linear | None:
    """Recurrent or linear layer of the critic; None if it shares the policy's recurrent cell."""
    if enable is None:
        return None
    if enable:
        return cell(in_size, size, generator=generator)
    return linear(in_size, size, orthogonal_gain=None, generator=generator)


def _given(state: Tensor | None) -> Tensor:
    if state is None:
        raise ValueError("a recurrent network needs the state before the step: zeros [..., state_size] at a start")
    return state
