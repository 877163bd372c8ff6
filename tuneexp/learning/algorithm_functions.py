"""Interfaces of the functions that define an algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn, optim

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.rl.noise import Noise

# A loss, or its named parts. A part may be a function that returns it: it is called only if the part is due.
Losses = Tensor | Mapping[str, Tensor | Callable[[], Tensor]]


class BuildModel(Protocol):
    """Build one seed's networks, initialised from torch's default generator, which is seeded per seed.

    Args:
        observation_space: as the networks see it, its discrete values counted from 0.
        action_space: the same.
        cfg: the algorithm's configuration.
    """

    def __call__(self, observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module: ...


class ActFn(Protocol):
    """Act for one seed.

    Args:
        nets: the networks.
        obs: [N, ...].
        state: [N, state_size] of a recurrent model, else None.
        noise: the columns that `act_noise` names, drawn for this step.
        cfg: the algorithm's configuration.
        explore: 0-d bool; False: the deterministic policy.

    Returns:
        The action [N, ...], columns [N, ...] to store with it, and the next recurrent state.
    """

    def __call__(
        self, nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], Any]: ...


class LossFn(Protocol):
    """Loss of one seed.

    Args:
        nets: the networks.
        batch: columns [B, ...], or [L, B, ...] of sequences, and the noise that `loss_noise` names.
        cfg: the algorithm's configuration.

    Returns:
        The loss and its metrics. The loss is 0-d, or named parts: each the name of a submodule of the model, whose
        parameters it trains. Their gradients are computed together, from the parameters before the step, and clipped
        separately. Metrics are 0-d. `skip_update`, a bool or a number above 0, stops this seed's updates until the next
        rollout. A metric of shape [B] is an output of each row; `priority` goes back to the replay buffer.
    """

    def __call__(self, nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Losses, dict[str, Tensor]]: ...


class PostprocessFn(Protocol):
    """Training columns of all seeds, without gradients.

    Args:
        nets: the networks over all seeds.
        fragment: columns [T, S, N, ...].
        cfg: the algorithm's configuration.

    Returns:
        Columns of the same axes.
    """

    def __call__(self, nets: Nets, fragment: Mapping[str, Tensor], cfg: CfgView) -> Mapping[str, Tensor]: ...


class OptimizerFn(Protocol):
    """Optimizer of all seeds. named_parameters: name -> [S, ...]. It must act elementwise: seeds are an axis."""

    def __call__(self, named_parameters: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer: ...


class NoiseFn(Protocol):
    """Random columns of acting, or of a gradient step."""

    def __call__(self, model: nn.Module, action_space: Any, cfg: CfgView) -> Mapping[str, Noise]: ...


def no_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> Mapping[str, Noise]:
    """Return no columns: a deterministic function."""
    return {}
