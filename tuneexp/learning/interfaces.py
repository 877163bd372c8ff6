"""What the learner needs of an algorithm: functions, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn, optim

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.noise import Noise

# A loss, or its named parts. A part may be a function that gives its loss: it is called only when the part is due.
Losses = Tensor | Mapping[str, Tensor | Callable[[], Tensor]]


class BuildModel(Protocol):
    """One seed's networks, initialised from torch's default generator (seeded per seed)."""

    def __call__(self, observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module: ...


class ActFn(Protocol):
    """One seed. obs: [N, ...]; state: [N, state_size] of a recurrent model, else None; noise: the columns that
    `act_noise` names, drawn for this step; explore: 0-d bool tensor.
    Returns the action [N, ...], the columns to keep beside it, and the next recurrent state."""

    def __call__(
        self, nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], Any]: ...


class LossFn(Protocol):
    """One seed, no loops over seeds. batch: columns [B, ...] (layout "rows") or [L, B, ...] ("sequences"), and the
    noise that `loss_noise` names.

    Returns a scalar, or named parts: each the name of a submodule of the model, whose parameters it trains. Their
    gradients are computed together, from the parameters before the step, and clipped apart. Statistics are 0-d;
    `skip_update` (a bool, or a number that is above 0) stops this seed's updates until the next rollout; one of shape
    [B] is an output of each row, and the one named `priority` goes back to the replay buffer."""

    def __call__(self, nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Losses, dict[str, Tensor]]: ...


class PostprocessFn(Protocol):
    """All seeds. fragment: columns [T, S, N, ...]. Returns the training columns, same axes; no gradients."""

    def __call__(self, nets: Nets, fragment: Mapping[str, Tensor], cfg: CfgView) -> Mapping[str, Tensor]: ...


class OptimizerFn(Protocol):
    """named_parameters: name -> [S, ...]. The optimizer must act elementwise: the stack has a seed axis."""

    def __call__(self, named_parameters: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer: ...


class NoiseFn(Protocol):
    """The columns of noise that acting, or one gradient step, needs."""

    def __call__(self, model: nn.Module, action_space: Any, cfg: CfgView) -> Mapping[str, Noise]: ...


def no_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> Mapping[str, Noise]:
    return {}
