"""Learner: networks, target networks and optimizer of all seeds, and their gradient step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from tuneexp.config import Config
from tuneexp.data.minibatches import MASK
from tuneexp.learning.algorithm_functions import LossFn, OptimizerFn
from tuneexp.learning.compile.build import InPlaceSpec
from tuneexp.learning.devices import CPU, stored
from tuneexp.learning.functional_state import FunctionalState, functional_optimizers
from tuneexp.learning.gradient import GradientStep
from tuneexp.learning.hyper import LEARNING_RATE, CfgView, rate_ratios
from tuneexp.learning.loss_parts import UpdatePeriods
from tuneexp.learning.nets import Nets
from tuneexp.learning.noise import checked_noise, draw_all
from tuneexp.learning.optimizer import StackedOptimizer
from tuneexp.learning.optimizers import require_chosen
from tuneexp.learning.rng_streams import generator
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.learning.target import TargetNetworks, TargetUpdate, value_of
from tuneexp.learning.update_log import UpdateLog
from tuneexp.learning.update_step import Flags, selected
from tuneexp.learning.whole_updates import SeedTensors, Steps, WholeUpdates, in_place_spec
from tuneexp.rl.noise import Noise


class Learner(SeedNetworks):
    """Gradient updates of all seeds. Axes: parameters [S, ...], minibatches [S, B, ...].

    A seed whose loss or gradient is not finite is frozen for good; the others are not affected. Parameters, minibatches
    and gradients are on `device`; `failed` and `skipped` are on the CPU.

    Attributes:
        failed: [S] bool, the seeds that diverged.
        skipped: [S] bool, the seeds without further updates until the next rollout.
        n_updates: number of updates done.
        log: metrics of the updates since the last report.

    Args:
        build_model: builds one seed's model.
        loss_fn: of the algorithm, for one seed.
        optimizer_fn: of the algorithm, over the stacked parameters.
        cfg: the algorithm's configuration.
        seeds: one learner state each.
        update_period: part of the loss -> number of updates between two of its own, or the field with that number.
        target: rule of the target networks; None: there are none.
        loss_noise: random columns of `loss_fn`.
        device: of parameters and minibatches.
        cfgs: configuration of each seed, if they differ in `learning_rate` or in numbers that `loss_fn`, `act_fn` and
            `postprocess_fn` read. All others are one for all seeds. own: those in which they may come to differ.

    Raises:
        UserError: a function of the algorithm returns the wrong thing, or the configuration names an optimizer that
            `optimizer_fn` ignores.
    """

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
        cfgs: Sequence[Config] = (), own: Collection[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(build_model, cfg, seeds, device, cfgs, own)
        self.loss_fn = loss_fn
        view = self.hyper.view(self.model_reads)
        self.generators = [generator(seed, "learner") for seed in seeds]
        self.failed = torch.zeros(len(seeds), dtype=torch.bool)
        self.skipped = torch.zeros(len(seeds), dtype=torch.bool)
        self._everyone = torch.ones(len(seeds), dtype=torch.bool)
        self.n_updates, self.log = 0, UpdateLog()
        periods = {part: int(value_of(period, view)) for part, period in (update_period or {}).items()}
        self.periods = UpdatePeriods(periods)
        of_optimizer = self.hyper.view_of_optimizer(read := set[str]())
        self.optimizer = StackedOptimizer(self.stack, optimizer_fn, of_optimizer, tuple(periods))
        require_chosen(cfg, read, optimizer_fn)
        self.target = None if target is None else TargetNetworks(self.stack, target, self.hyper.view())
        self.noise = checked_noise("loss_noise", loss_noise(self.model, view)) if loss_noise else {}
        self._given = frozenset((MASK, *self.noise))
        state = FunctionalState(self.optimizer, self.stack)
        self._tensors = SeedTensors(self.hyper.tensor, self.parameters, self.failed, self.skipped, state, self.target)
        self.require_rows(self._everyone)
        self.use_programs({})

    @property
    def learning_rate(self) -> float:
        return self.hyper.values.get(LEARNING_RATE, 0.0)

    @property
    def parameter_count(self) -> int:
        """Number of trained parameters of one seed."""
        return self.stack.flat.numel() // self.stack.n_seeds

    def nets(self) -> Nets:
        """Return the networks over all seeds, for `postprocess_fn`."""
        return Nets.of_all_seeds(self.model, self.parameters, None if self.target is None else self.target.leaves)

    def gradient_step(self, column_names: Sequence[str], **settings: Any) -> GradientStep:
        """Return the gradient step that a program is built from. settings: `omitted`, `time_major`."""
        return GradientStep(
            self.model, self.loss_fn, tuple(self.parameters), tuple(column_names), self.hyper.names, self.hyper.static,
            has_target=self.target is not None, in_turn=self.in_turn, **settings,
        )  # fmt: skip

    def step_inputs(self, columns: Sequence[Tensor]) -> list[Tensor]:
        """Return the inputs of a gradient step. columns: [S, B, ...]."""
        return [*self._own_inputs, *columns]

    def in_place_spec(self, step: GradientStep, columns: Mapping[str, Tensor]) -> InPlaceSpec | None:
        """Return the program of a whole update; None on a GPU, and with an optimizer without a twin.

        Args:
            step: the gradient step.
            columns: a minibatch, name -> [S, B, ...].
        """
        twins = functional_optimizers(self.optimizer, self.stack)
        if twins is None or self.device != CPU:
            return None
        return in_place_spec(step, twins, self._tensors, columns, self._given, LEARNING_RATE in self.hyper.differing)

    def use_programs(self, steps: Steps) -> None:
        self._steps = steps
        self._column_names = next(iter(steps.values()))[0].column_names if steps else ()
        whole = bool(steps) and all(program.in_place for _, program in steps.values())
        self._whole = WholeUpdates(steps, self.periods, self._tensors) if whole else None
        target = [] if self.target is None else list(self.target.leaves.values())
        self._own_inputs = [self.hyper.tensor, *self.parameters.values(), *target]

    def start_rollout(self, progress: float, env_steps: int = 0, rollout_env_steps: int = 0) -> None:
        """Set schedules, let skipped seeds learn again, and move target networks that follow environment steps.

        Args:
            progress: share of the budget that is done, in [0, 1].
            env_steps: per seed, done before this rollout.
            rollout_env_steps: per seed, of this rollout.
        """
        self.set_clock(progress, env_steps)
        if self.target is not None and not self.target.moves_with_updates:
            self.target.before_rollout(env_steps, rollout_env_steps, ~self.failed)
        self.skipped.zero_()
        self.require_rows(self._everyone)

    def set_clock(self, progress: float, env_steps: int) -> None:
        """Set schedules to `progress`, the share of the budget that is done."""
        self.hyper.set_clock(progress, env_steps)
        first = self.hyper.initial.get(LEARNING_RATE, 0.0)
        self.optimizer.set_learning_rate_factor(self.learning_rate / first if first else 1.0)
        if LEARNING_RATE in self.hyper.differing:
            self.optimizer.set_rate_ratios(rate_ratios(self.hyper.tensor, self.hyper.names))

    def require_rows(self, enough: Tensor) -> None:
        """Exclude seeds with too few valid rows from the coming updates. enough: [S] bool."""
        self._enough = enough

    @property
    def all_skipped(self) -> bool:
        """True if no seed takes the coming updates."""
        return not Flags(self._enough, self.failed, self.skipped).learning.any()

    def draw_noise(self, n_updates: int, n_rows: int) -> dict[str, Tensor]:
        """Draw the random columns of the coming updates, name -> [U, S, ...].

        Each seed has a CPU generator of its own, so that the numbers are the same on every device."""
        drawn = draw_all(self.noise, n_updates, n_rows, self.generators)
        return {name: column.to(self.device) for name, column in zip(self.noise, drawn, strict=True)}

    def learn_on(self, minibatch: Mapping[str, Tensor], noise: Mapping[str, Tensor], update: int) -> dict[str, Tensor]:
        """Take one gradient step on a minibatch.

        Args:
            minibatch: name -> [S, B, ...].
            noise: from `draw_noise`.
            update: index into `noise`.

        Returns:
            Row outputs of the loss, name -> [S, B].
        """
        return self.learn_on_batch(self.columns_of(minibatch, noise, update))

    def columns_of(self, minibatch: Mapping[str, Tensor], noise: Mapping[str, Tensor], update: int) -> list[Tensor]:
        """Return the columns in the order of the program. Without a mask all rows count."""
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
        """Take one gradient step for every seed that is neither failed nor skipped.

        Args:
            columns: [S, B, ...] in the order of the program.

        Returns:
            Row outputs of the loss, name -> [S, B].
        """
        if self._whole is not None:
            return self._learn_whole(columns)
        self.n_updates += 1
        omitted = self.periods.omitted(self.n_updates)
        step, program = self._steps[omitted]
        gradient, metrics, skip, finite, clean, *rows = program.run(self.step_inputs(columns))
        if Flags(self._enough, self.failed, self.skipped).learning.all() and clean.item():
            proceed = None
            self.optimizer.step(gradient, None, omitted)
        else:
            proceed = self._select(skip.cpu(), finite.cpu())
            if proceed.any():
                self.optimizer.step(gradient, proceed, omitted)
        self.log.add(step.metric_names, metrics, self._everyone if proceed is None else proceed)
        if self.target is not None:
            self.target.after_update(self.n_updates, proceed)
        return dict(zip(step.row_names, rows, strict=True))

    @property
    def takes_whole_updates(self) -> bool:
        """True if `learn_on_rows` can be called: one program gathers a minibatch and takes the update."""
        return self._whole is not None

    def learn_on_rows(
        self, columns: Mapping[str, Tensor], epochs: Sequence[Tensor], of_update: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Take the gradient steps of several epochs, until every seed has stopped.

        Args:
            columns: name -> rows of all seeds, [R, ...].
            epochs: for each epoch the minibatches as row numbers, [M, S, B].
            of_update: noise and mask, name -> [U, S, ...].

        Returns:
            Row outputs of the last update, name -> [S, B].
        """
        assert self._whole is not None
        given = {**columns, **of_update}
        n_updates, rows = self._whole.learn(given, epochs, self._enough, self.log, self.n_updates)
        self.n_updates += n_updates
        return rows

    def _learn_whole(self, columns: Sequence[Tensor]) -> dict[str, Tensor]:
        """`learn_on_batch` by the program of a whole update: its minibatch is all rows that it can gather from."""
        pairs = list(zip(self._column_names, columns, strict=True))
        given = {name: column[None] for name, column in pairs if name in self._given}
        gathered = {name: column.flatten(0, 1) for name, column in pairs if name not in given}
        lead = next(column.shape[:2] for name, column in pairs if name in gathered)
        return self.learn_on_rows(gathered, [torch.arange(lead.numel()).view(1, *lead)], given)

    def _select(self, skip: Tensor, finite: Tensor) -> Tensor:
        """Return the seeds that take this step, [S] bool."""
        proceed, flags = selected(Flags(self._enough, self.failed, self.skipped), skip, finite)
        self.failed.copy_(flags.failed)
        self.skipped.copy_(flags.skipped)
        return proceed

    def freeze_non_finite(self) -> None:
        """Freeze seeds whose parameters overflowed in the last update of a rollout, before a loss has read them."""
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
        """Copy into the live storage. Programs that are built stay valid."""
        for name, leaf in self.parameters.items():
            leaf.copy_(state["parameters"][name])
        for name, leaf in ({} if self.target is None else self.target.leaves).items():
            leaf.copy_(state["target"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        for own, saved in zip(self.generators, state["generators"], strict=True):
            own.set_state(saved)
        self.failed.copy_(state["failed"])
        self.n_updates = int(state["n_updates"])
