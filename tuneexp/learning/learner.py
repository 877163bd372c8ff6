"""The learner: parameters of all seeds, their optimizer, and one gradient step for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from tuneexp.config import Config
from tuneexp.learning.gradient import GradientStep
from tuneexp.learning.hyper import CfgView, as_tensor, numeric_values, split_fields, view_at
from tuneexp.learning.nets import Nets
from tuneexp.learning.optimizer import StackedOptimizer
from tuneexp.learning.program import Program
from tuneexp.learning.randomness import generator
from tuneexp.learning.rules import LossFn, OptimizerFn
from tuneexp.learning.stack import initial_stack


@dataclass(frozen=True)
class UpdateStats:
    """Means over the updates that were applied. statistics: name -> [S]; updates: [S] how many."""

    statistics: dict[str, Tensor]
    updates: Tensor


class Learner:
    """Axes: parameters [S, ...], batches [S, B, ...].

    A seed whose loss or gradient is not finite is frozen for good and named in `failed`; the others
    go on, untouched."""

    def __init__(
        self,
        build_model: Callable[[CfgView], nn.Module],
        loss_fn: LossFn,
        optimizer_fn: OptimizerFn,
        cfg: Config,
        seeds: Sequence[int],
    ) -> None:
        self.seeds = tuple(seeds)
        self.model_reads: set[str] = set()
        view = view_at(cfg, 0.0, self.model_reads)
        self.model, self.stack = initial_stack(lambda: build_model(view), seeds)
        self.loss_fn = loss_fn
        self.generators = [generator(seed, "learner") for seed in seeds]
        self.failed = torch.zeros(len(seeds), dtype=torch.bool)
        self.n_updates = 0
        self._leaves = list(self.parameters.values())
        self._program: Program | None = None
        self.cfg = cfg
        self.numeric, self.static = split_fields(cfg)
        self.hyper = as_tensor(numeric_values(cfg, self.numeric, 0.0))
        self.skipped = torch.zeros(len(self.seeds), dtype=torch.bool)
        self._everyone = torch.ones(len(self.seeds), dtype=torch.bool)
        self.require_rows(self._everyone)
        self.optimizer = StackedOptimizer(self.stack, optimizer_fn, view_at(cfg, 0.0))

    @property
    def parameters(self) -> dict[str, Tensor]:
        """name -> [S, ...], views of the live storage."""
        return self.stack.leaves

    def nets(self) -> Nets:
        """The networks over all seeds, for `postprocess_fn`."""
        return Nets.of_all_seeds(self.model, self.parameters)

    def gradient_step(self, column_names: Sequence[str]) -> GradientStep:
        """The function that a program is built from."""
        return GradientStep(
            self.model, self.loss_fn, tuple(self.parameters), tuple(column_names), self.numeric, self.static
        )

    def use_program(self, step: GradientStep, program: Program) -> None:
        self._step, self._program = step, program

    def start_rollout(self, progress: float) -> None:
        """Set schedules to `progress` (share of the budget done) and let skipped seeds learn again."""
        values = numeric_values(self.cfg, self.numeric, progress)
        self.hyper.copy_(as_tensor(values))
        first = numeric_values(self.cfg, self.numeric, 0.0).get("learning_rate", 0.0)
        self.learning_rate = values.get("learning_rate", 0.0)
        self.optimizer.set_learning_rate_factor(self.learning_rate / first if first else 1.0)
        self.skipped.zero_()
        self.require_rows(self._everyone)

    def require_rows(self, enough: Tensor) -> None:
        """enough: [S] bool. Seeds without enough valid rows sit out the coming updates; `resting`: all seeds do."""
        self._enough = enough
        sits_out = self.failed | self.skipped | ~enough
        self._all_learn, self.resting = not bool(sits_out.any()), bool(sits_out.all())

    def learn_on_batch(self, columns: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """columns: [S, B, ...] in the order the program was built for. One gradient step.
        Returns statistics [K, S] and which seeds were updated [S]."""
        assert self._program is not None, "build the program first"
        gradient, statistics, skip, finite, clean = self._program.run([self.hyper, *self._leaves, *columns])
        self.n_updates += 1
        if self._all_learn and clean.item():
            self.optimizer.step(gradient)
            return statistics, self._everyone
        # What a seed that sits out would have computed is not applied, so it is no divergence either.
        self.failed |= ~finite & self._enough & ~self.skipped
        self.skipped |= skip & finite
        self.require_rows(self._enough)
        proceed = ~(self.skipped | self.failed) & self._enough
        if proceed.any():
            self.optimizer.step(gradient, proceed)
        return statistics, proceed

    def freeze_non_finite(self) -> None:
        """The last update of a rollout may overflow a parameter, which no loss has seen yet."""
        if isfinite(self.stack.flat.sum()):  # the cheap check; large but finite numbers overflow it
            return
        broken = [~leaf.isfinite().flatten(1).all(1) for leaf in self._leaves]
        self.failed |= torch.stack(broken).any(0)

    def summarise(self, steps: Sequence[tuple[Tensor, Tensor]]) -> UpdateStats:
        """Means of the statistics over each seed's applied updates (the first update's, where none was)."""
        values = torch.stack([statistics for statistics, _ in steps])
        weight = torch.stack([proceed for _, proceed in steps]).float()
        weight[0] = torch.where(weight.sum(0) == 0, torch.ones_like(weight[0]), weight[0])
        means = (values.nan_to_num() * weight[:, None, :]).sum(0) / weight.sum(0)
        named = dict(zip(self._step.statistics_names, means, strict=True))
        return UpdateStats(statistics=named, updates=torch.stack([p for _, p in steps]).sum(0))

    def state_dict(self) -> dict[str, Any]:
        return {
            "parameters": {name: leaf.clone() for name, leaf in self.parameters.items()},
            "optimizer": self.optimizer.state_dict(),
            "generators": [own.get_state() for own in self.generators],
            "failed": self.failed.clone(),
            "n_updates": self.n_updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copies into the live storage, so built programs stay valid."""
        for name, leaf in self.parameters.items():
            leaf.copy_(state["parameters"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        for own, saved in zip(self.generators, state["generators"], strict=True):
            own.set_state(saved)
        self.failed.copy_(state["failed"])
        self.n_updates = int(state["n_updates"])
