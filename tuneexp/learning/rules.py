"""What the learner needs of an algorithm: functions, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn, optim

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets


class BuildModel(Protocol):
    """One seed's networks, initialised from torch's default generator (seeded per seed)."""

    def __call__(self, observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module: ...


class ActFn(Protocol):
    """One seed. obs: [N, ...]; noise: [N, ...], drawn for this step; explore: 0-d bool tensor.
    Returns the action [N, ...], the columns to keep beside it, and the next recurrent state."""

    def __call__(
        self, nets: Nets, obs: Tensor, state: Any, noise: Tensor, cfg: CfgView, explore: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], Any]: ...


class LossFn(Protocol):
    """One seed, no loops over seeds. batch: columns [B, ...]. Returns a scalar and statistics (0-d).
    The statistic `skip_update` (bool) stops this seed's updates until the next rollout."""

    def __call__(self, nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]: ...


class PostprocessFn(Protocol):
    """All seeds. fragment: columns [T, S, N, ...]. Returns the training columns, same axes; no gradients."""

    def __call__(self, nets: Nets, fragment: Mapping[str, Tensor], cfg: CfgView) -> Mapping[str, Tensor]: ...


class OptimizerFn(Protocol):
    """named_parameters: name -> [S, ...]. The optimizer must act elementwise: the stack has a seed axis."""

    def __call__(self, named_parameters: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer: ...
