"""The networks of all seeds: what a learner trains and what a runner acts with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tuneexp.config import Config
from tuneexp.learning.devices import CPU
from tuneexp.learning.flat_parameters import initial_stack
from tuneexp.learning.hyper import CfgView, Hyper
from tuneexp.models.cnn import faster_in_turn


class SeedNetworks:
    """One model for its structure, the parameters of every seed in one stack, and the numbers of the configuration.

    model_reads: the fields that building the model looked at. device: where parameters and numbers are."""

    def __init__(
        self,
        build_model: Callable[[CfgView], nn.Module],
        cfg: Config,
        seeds: Sequence[int],
        device: torch.device = CPU,
    ) -> None:
        self.seeds, self.cfg, self.device = tuple(seeds), cfg, device
        self.hyper = Hyper(cfg, device)
        self.model_reads: set[str] = set()
        view = self.hyper.view(self.model_reads)
        self.model, self.stack = initial_stack(lambda: build_model(view), seeds, device)
        self.in_turn = faster_in_turn(self.model)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """name -> [S, ...], views of the live storage."""
        return self.stack.leaves
