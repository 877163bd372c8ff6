"""Networks of all seeds: a learner trains them, a runner acts with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from tuneexp.config import Config
from tuneexp.learning.devices import CPU
from tuneexp.learning.flat_parameters import initial_stack
from tuneexp.learning.hyper import CfgView, Hyper
from tuneexp.models.cnn import faster_in_turn


class SeedNetworks:
    """One model for its structure, the stacked parameters of all seeds, and the hyperparameters.

    Attributes:
        model_reads: fields of the configuration that `build_model` reads.
        in_turn: loop over seeds instead of `vmap`, which is faster for most convolutions.

    Args:
        build_model: builds one seed's model.
        cfg: the algorithm's configuration.
        seeds: one set of parameters each.
        device: of parameters and hyperparameters.
        cfgs: configuration of each seed, if they differ in numbers.
        own: names of numbers in which seeds may come to differ.
    """

    def __init__(
        self,
        build_model: Callable[[CfgView], nn.Module],
        cfg: Config,
        seeds: Sequence[int],
        device: torch.device = CPU,
        cfgs: Sequence[Config] = (),
        own: Collection[str] = (),
    ) -> None:
        self.seeds, self.cfg, self.device = tuple(seeds), cfg, device
        self.hyper = Hyper(cfgs or [cfg] * len(seeds), device, own)
        self.model_reads: set[str] = set()
        view = self.hyper.view(self.model_reads)
        self.model, self.stack = initial_stack(lambda: build_model(view), seeds, device)
        self.in_turn = faster_in_turn(self.model)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Parameters by name, [S, ...]: views of the live storage."""
        return self.stack.leaves
