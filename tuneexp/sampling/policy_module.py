"""Deterministic policy as a module of tensor operations, for export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from torch import Tensor, nn

from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.observations import ObsReader, leaf_starts, leaf_values
from tuneexp.sampling.policy import Policy
from tuneexp.spaces.zero_based import start_of

Obs = Tensor | Mapping[str, Any]


class PolicyModule(nn.Module):
    """Actions of a batch of observations: `module(obs)`, or of recurrent networks `action, state = module(obs, state)`.

    obs: [B, ...] of the type of the observation space; of a Dict, nested dictionaries. state: [B, state_size], zeros at
    the start of an episode. action: [B, ...] as the environment takes it.

    Args:
        policy: of one seed.
        spaces: of observations and actions, as the environment declares them.
        normaliser: frozen statistics of one seed; None: observations are not normalised.
    """

    hyper: Tensor

    def __init__(
        self, policy: Policy, spaces: tuple[Space[Any], Space[Any]], normaliser: RunningNormaliser | None
    ) -> None:
        super().__init__()
        self._act, self._noise, self.state_size = policy.act, policy.noise_kinds, policy.state_size
        self.register_buffer("hyper", policy.hyper.clone())
        self.weights = nn.ParameterList(
            nn.Parameter(leaf.clone(), requires_grad=False) for leaf in policy.named_parameters.values()
        )
        self._see = _Seeing(spaces[0], normaliser)
        self._convert = _Converting(spaces[1])

    def forward(self, obs: Obs, state: Tensor | None = None) -> Any:
        seen = self._see(obs)[None]
        rows = seen.shape[1]
        states = [] if state is None else [state[None]]
        noise = [
            seen.new_zeros((1, rows, *kind.shape) if kind.per == "row" else (1, *kind.shape), dtype=torch.float32)
            for kind in self._noise.values()
        ]
        exploit = torch.zeros((), dtype=torch.bool)
        action, *rest = self._act([self.hyper, exploit, seen, *states, *noise, *self.weights])
        converted = self._convert(action[0])
        return converted if state is None else (converted, rest[0][0])


class _Seeing(nn.Module):
    """Conversion of observations to what the networks see, as of `ObsReader` and `RunningNormaliser`."""

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, space: Space[Any], normaliser: RunningNormaliser | None) -> None:
        super().__init__()
        normalises = normaliser is not None and normaliser.norm_obs
        self._space, self._normalises = space, normalises
        self._dtype = torch.from_numpy(np.zeros((), ObsReader(space, exact=normalises).dtype)).dtype
        starts = list(leaf_starts(space)) if isinstance(space, Dict) else [start_of(space)]
        self._starts = [None if start is None else torch.as_tensor(start) for start in starts]
        if normaliser is not None and normalises:
            columns, mean, inverse_std, self._clip = normaliser.scaling()
            self._columns = None if columns is None else torch.from_numpy(columns)
            self.register_buffer("mean", torch.from_numpy(mean[0]))
            self.register_buffer("inverse_std", torch.from_numpy(inverse_std[0]))

    def forward(self, obs: Obs) -> Tensor:
        leaves: list[Tensor] = (
            list(leaf_values(obs, self._space)) if isinstance(self._space, Dict) else [cast(Tensor, obs)]
        )
        parts = [leaf if start is None else leaf - start for leaf, start in zip(leaves, self._starts, strict=True)]
        if isinstance(self._space, Dict):
            packed = torch.cat([part.to(self._dtype).reshape(part.shape[0], -1) for part in parts], dim=1)
        else:
            packed = parts[0].to(self._dtype)
        return self._normalised(packed) if self._normalises else packed

    def _normalised(self, packed: Tensor) -> Tensor:
        if self._columns is None:
            return self._scaled(packed)
        return packed.float().index_copy(1, self._columns, self._scaled(packed[:, self._columns]))

    def _scaled(self, values: Tensor) -> Tensor:
        scaled = (values.double() - self.mean) * self.inverse_std
        return scaled.clamp(-self._clip, self._clip).float()


class _Converting(nn.Module):
    """Conversion of actions to those of the environment, as of `action_conversion`."""

    low: Tensor
    high: Tensor

    def __init__(self, space: Space[Any]) -> None:
        super().__init__()
        self._dtype = torch.from_numpy(np.zeros((), space.dtype)).dtype
        self._box = isinstance(space, Box)
        if isinstance(space, Box):
            self.register_buffer("low", torch.from_numpy(np.array(space.low)))
            self.register_buffer("high", torch.from_numpy(np.array(space.high)))
        start = start_of(space)
        self._start = None if start is None else torch.as_tensor(start)

    def forward(self, action: Tensor) -> Tensor:
        if self._box:
            finite = action.nan_to_num(0.0, 0.0, 0.0)
            return torch.minimum(torch.maximum(finite, self.low), self.high).to(self._dtype)
        whole = action.to(self._dtype)
        return whole if self._start is None else whole + self._start
