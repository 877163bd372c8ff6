"""The learner: parameters of all seeds, their target networks and optimizer, and one gradient step for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from tuneexp.config import Config
from tuneexp.data.minibatches import MASK
from tuneexp.learning.compile.program import Program
from tuneexp.learning.devices import CPU, stored
from tuneexp.learning.gradient import GradientStep
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.interfaces import LossFn, OptimizerFn
from tuneexp.learning.loss_parts import UpdatePeriods
from tuneexp.learning.nets import Nets
from tuneexp.learning.noise import Noise, checked_noise, draw_all
from tuneexp.learning.optimizer import StackedOptimizer
from tuneexp.learning.optimizers import require_chosen
from tuneexp.learning.rng_streams import generator
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.learning.target import TargetNetworks, TargetUpdate, value_of
from tuneexp.learning.update_log import UpdateLog

Steps = Mapping[frozenset[str], tuple[GradientStep, Program]]
"""Resting parts -> the gradient step that leaves them out, and its program."""


class Learner(SeedNetworks):
    """Axes: parameters [S, ...], batches [S, B, ...].

    A seed whose loss or gradient is not finite is frozen for good and named in `failed`; the others
    go on, untouched.

    Parameters, batches and what is computed of them are on `device`; which seeds learn is known on the CPU."""

    def __init__(
        self,
        build_model: Callable[[CfgView], nn.Module],
        loss_fn: LossFn,
        optimizer_fn: OptimizerFn,
        cfg: Config,
        seeds: Sequence[int],
        update_period: Mapping[str, int | str] | None = None,
        target: TargetUpdate | None = None,
        loss_noise: Callable[[nn.Module, CfgView], Mapping[str, Noise]] | None = None,
        device: torch.device = CPU,
    ) -> None:
        super().__init__(build_model, cfg, seeds, device)
        self.loss_fn = loss_fn
        view = self.hyper.view(self.model_reads)
        self.generators = [generator(seed, "learner") for seed in seeds]
        self.failed = torch.zeros(len(seeds), dtype=torch.bool)
        self.skipped = torch.zeros(len(seeds), dtype=torch.bool)
        self._everyone = torch.ones(len(seeds), dtype=torch.bool)
        self.n_updates = 0
        self.log = UpdateLog()
        periods = {part: int(value_of(period, view)) for part, period in (update_period or {}).items()}
        self.periods = UpdatePeriods(periods)
        read: set[str] = set()
        self.optimizer = StackedOptimizer(self.stack, optimizer_fn, self.hyper.view(read), tuple(periods))
        require_chosen(cfg, read, optimizer_fn)
        self.target = None if target is None else TargetNetworks(self.stack, target, self.hyper.view())
        self.noise = checked_noise("loss_noise", loss_noise(self.model, view)) if loss_noise else {}
        self.require_rows(self._everyone)
        self.use_programs({})

    @property
    def learning_rate(self) -> float:
        return self.hyper.values.get("learning_rate", 0.0)

    def nets(self) -> Nets:
        """The networks over all seeds, for `postprocess_fn`."""
        return Nets.of_all_seeds(self.model, self.parameters, None if self.target is None else self.target.leaves)

    def gradient_step(self, column_names: Sequence[str], **settings: Any) -> GradientStep:
        """The function that a program is built from. settings: `omitted` parts, `time_major`."""
        return GradientStep(
            self.model, self.loss_fn, tuple(self.parameters), tuple(column_names), self.hyper.names, self.hyper.static,
            has_target=self.target is not None, in_turn=self.in_turn, **settings,
        )  # fmt: skip

    def step_inputs(self, columns: Sequence[Tensor]) -> list[Tensor]:
        """What a gradient step is called with; columns: [S, B, ...]."""
        return [*self._own_inputs, *columns]

    def use_programs(self, steps: Steps) -> None:
        self._steps = steps
        self._column_names = next(iter(steps.values()))[0].column_names if steps else ()
        target = [] if self.target is None else list(self.target.leaves.values())
        self._own_inputs = [self.hyper.tensor, *self.parameters.values(), *target]

    def start_rollout(self, progress: float, env_steps: int = 0, rollout_env_steps: int = 0) -> None:
        """Set schedules to `progress` (share of the budget done), let skipped seeds learn again, and move targets
        that follow the clock."""
        self.set_clock(progress, env_steps)
        if self.target is not None:
            self.target.before_rollout(env_steps, rollout_env_steps, ~self.failed)
        self.skipped.zero_()
        self.require_rows(self._everyone)

    def set_clock(self, progress: float, env_steps: int) -> None:
        """Set schedules to `progress`, the share of the budget that is done."""
        self.hyper.set_clock(progress, env_steps)
        first = self.hyper.initial.get("learning_rate", 0.0)
        self.optimizer.set_learning_rate_factor(self.learning_rate / first if first else 1.0)

    def require_rows(self, enough: Tensor) -> None:
        """enough: [S] bool. Seeds without enough valid rows sit out the coming updates; `all_skipped`: all seeds do."""
        self._enough = enough
        sits_out = self.failed | self.skipped | ~enough
        self._nobody_sits_out, self.all_skipped = not sits_out.any(), bool(sits_out.all())

    def draw_noise(self, n_updates: int, n_rows: int) -> dict[str, Tensor]:
        """name -> [U, S, ...]: what the losses of the coming updates need, from each seed's own generator: one of the
        CPU, so that chance is the same on every device."""
        drawn = draw_all(self.noise, n_updates, n_rows, self.generators)
        return {name: column.to(self.device) for name, column in zip(self.noise, drawn, strict=True)}

    def learn_on(self, minibatch: Mapping[str, Tensor], noise: Mapping[str, Tensor], update: int) -> dict[str, Tensor]:
        """minibatch: name -> [S, B, ...]; noise: from `draw_noise`, of which `update` is used. See `learn_on_batch`."""
        return self.learn_on_batch(self.columns_of(minibatch, noise, update))

    def columns_of(self, minibatch: Mapping[str, Tensor], noise: Mapping[str, Tensor], update: int) -> list[Tensor]:
        """In the order of the program's columns. Without a mask all rows count."""
        given = {name: noise[name][update] for name in noise} | dict(minibatch)
        if MASK in self._column_names and MASK not in given:
            first = next(iter(minibatch.values()))
            given[MASK] = torch.ones(first.shape[:2], dtype=torch.bool, device=self.device)
        return [given[name] for name in self._column_names]

    @property
    def next_step(self) -> GradientStep:
        """The gradient step of the next update."""
        return self._steps[self.periods.omitted(self.n_updates + 1)][0]

    def learn_on_batch(self, columns: Sequence[Tensor]) -> dict[str, Tensor]:
        """columns: [S, B, ...] in the order of the program's columns. One step for every seed that may take one.
        Returns the row outputs of the loss, name -> [S, B]."""
        self.n_updates += 1
        omitted = self.periods.omitted(self.n_updates)
        step, program = self._steps[omitted]
        gradient, statistics, skip, finite, clean, *rows = program.run(self.step_inputs(columns))
        if self._nobody_sits_out and clean.item():
            proceed = None
            self.optimizer.step(gradient, None, omitted)
        else:
            proceed = self._select(skip.cpu(), finite.cpu())
            if proceed.any():
                self.optimizer.step(gradient, proceed, omitted)
        self.log.add(step.statistics_names, statistics, self._everyone if proceed is None else proceed)
        if self.target is not None:
            self.target.after_update(self.n_updates, proceed)
        return dict(zip(step.row_names, rows, strict=True))

    def _select(self, skip: Tensor, finite: Tensor) -> Tensor:
        """[S] bool: the seeds that take this step."""
        # What a seed that sits out would have computed is not applied, so it is no divergence either.
        self.failed |= ~finite & self._enough & ~self.skipped
        self.skipped |= skip & finite
        self.require_rows(self._enough)
        return ~(self.skipped | self.failed) & self._enough

    def freeze_non_finite(self) -> None:
        """The last update of a rollout may overflow a parameter, which no loss has seen yet."""
        if isfinite(self.stack.flat.sum()):  # the cheap check; large but finite numbers overflow it
            return
        broken = [~leaf.isfinite().reshape(leaf.shape[0], -1).all(1) for leaf in self.parameters.values()]
        self.failed |= torch.stack(broken).any(0).cpu()

    def state_dict(self) -> dict[str, Any]:
        target = None if self.target is None else self.target.leaves
        return {
            "parameters": {name: stored(leaf) for name, leaf in self.parameters.items()},
            "target": None if target is None else {name: stored(leaf) for name, leaf in target.items()},
            "optimizer": self.optimizer.state_dict(),
            "generators": [own.get_state() for own in self.generators],
            "failed": self.failed.clone(),
            "n_updates": self.n_updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copies into the live storage, so built programs stay valid."""
        for name, leaf in self.parameters.items():
            leaf.copy_(state["parameters"][name])
        if self.target is not None:
            for name, leaf in self.target.leaves.items():
                leaf.copy_(state["target"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        for own, saved in zip(self.generators, state["generators"], strict=True):
            own.set_state(saved)
        self.failed.copy_(state["failed"])
        self.n_updates = int(state["n_updates"])
