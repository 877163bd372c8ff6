"""The functional gradient step over all seeds, as a function of a flat list of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import vmap

from tuneexp.errors import UserError
from tuneexp.learning.algorithm_functions import Losses, LossFn
from tuneexp.learning.hyper import CfgView, view_of_tensor
from tuneexp.learning.loss_parts import WHOLE, named_losses, part_of
from tuneexp.learning.nets import Nets
from tuneexp.learning.user_functions import name_of, require_result


class SeedLosses(NamedTuple):
    """Losses of all seeds. total: [S]; metrics: [K, S]; rows: [S, B] each. skip: [S], bool, or a number above 0 for a
    seed whose update must be skipped."""

    total: Tensor
    metrics: Tensor
    skip: Tensor
    rows: tuple[Tensor, ...]


class Verdict(NamedTuple):
    """Metrics of a gradient step [K, S], seeds to skip and seeds with finite numbers [S] bool, row outputs [S, B]."""

    metrics: Tensor
    skip: Tensor
    finite: Tensor
    rows: tuple[Tensor, ...]


@dataclass
class GradientStep:
    """Loss, gradient and clipping for all seeds, a function of tensors.

    Inputs: [hyper [S, H], *parameters [S, ...], *target parameters [S, ...], *columns [S, B, ...]]. Outputs: [flat
    gradient [P], metrics [K, S], skip [S] bool, finite [S] bool, clean 0-d bool, *row outputs [S, B]]. `clean` is True
    if every seed's update may be applied.

    Args:
        model: one seed's network, for its structure.
        loss_fn: of the algorithm, for one seed.
        parameter_names: in the order of the inputs.
        column_names: of the minibatch, in the order of the inputs.
        numeric: names of the numbers in `hyper`.
        static: the other fields of the configuration.
        has_target: the inputs include target parameters.
        omitted: parts of the loss that are not computed.
        in_turn: loop over seeds instead of `vmap`, for a loss that reads values, which `vmap` refuses, and for most
            convolutions, which are slower under `vmap`.
        time_major: columns of sequences, which come as [S, B, L, ...] and which the loss gets as [L, B, ...].
        partial: the columns are a part of the minibatch's rows; other learners compute the rest. Outputs: [flat
            gradient [P], metrics [K, S] without norms, skip [S], total [S], *row outputs], neither clipped nor checked.
            `judged` does both for the whole minibatch.
        metric_names, row_names, part_names: filled by the first call or trace.
        reads, columns_read: filled with the fields and columns that the loss reads.
    """

    model: nn.Module
    loss_fn: LossFn
    parameter_names: tuple[str, ...]
    column_names: tuple[str, ...]
    numeric: tuple[str, ...]
    static: Mapping[str, Any]
    has_target: bool = False
    omitted: frozenset[str] = frozenset()
    in_turn: bool = False
    time_major: frozenset[str] = frozenset()
    partial: bool = False
    metric_names: list[str] = field(default_factory=list)
    row_names: list[str] = field(default_factory=list)
    part_names: list[str] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    columns_read: set[str] = field(default_factory=set)

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        losses, gradients, cfg = self._computed(inputs)
        if not self.partial:
            return self.judged(losses, gradients, cfg)
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        return [flat, losses.metrics, losses.skip, losses.total.detach(), *losses.rows]

    def by_leaf(self, inputs: Sequence[Tensor]) -> tuple[list[Tensor], Verdict]:
        """Return the clipped gradients [S, ...] of each parameter and the verdict. inputs: those of a call."""
        return self._clipped(*self._computed(inputs))

    def _computed(self, inputs: Sequence[Tensor]) -> tuple[SeedLosses, Sequence[Tensor], CfgView]:
        count = len(self.parameter_names)
        end = 1 + count * (2 if self.has_target else 1)
        tensors = [list(inputs[1 : 1 + count]), list(inputs[1 + count : end]), list(inputs[end:])]
        mapped = tensors[0][0].shape[0] > 1 and not self.in_turn
        with torch.enable_grad():
            losses, gradients = (self._mapped if mapped else self._one_after_the_other)(tensors, inputs[0])
        return losses, gradients, view_of_tensor(self.static, self.numeric, inputs[0], self.reads)

    def judged(self, losses: SeedLosses, gradients: Sequence[Tensor], cfg: CfgView) -> list[Tensor]:
        """Clip gradients and check that losses and norms are finite.

        Args:
            losses: of the whole minibatch.
            gradients: [S, ...] of each parameter, of the whole minibatch.
            cfg: for `max_grad_norm`.

        Returns:
            The outputs of a step that is not `partial`.
        """
        clipped, (metrics, skip, finite, rows) = self._clipped(losses, gradients, cfg)
        flat = torch.cat([gradient.flatten() for gradient in clipped])
        return [flat, metrics, skip, finite, (finite & ~skip).all(), *rows]

    def _clipped(self, losses: SeedLosses, gradients: Sequence[Tensor], cfg: CfgView) -> tuple[list[Tensor], Verdict]:
        max_norm = cfg.max_grad_norm if "max_grad_norm" in self.numeric else None
        clipped, norms = clip_per_seed(gradients, self._owners(), len(self.part_names), max_norm)
        finite = torch.isfinite(losses.total.detach()) & torch.isfinite(norms).all(0)
        skip = losses.skip if losses.skip.dtype is torch.bool else losses.skip > 0
        return clipped, Verdict(torch.cat([losses.metrics, norms]), skip, finite, losses.rows)

    def _owners(self) -> list[int]:
        """Return the number of the part of each parameter. A parameter of no part belongs to the first."""
        if self.part_names == [WHOLE]:
            return [0] * len(self.parameter_names)
        owners = [part_of(name, self.part_names) for name in self.parameter_names]
        return [0 if owner is None else self.part_names.index(owner) for owner in owners]

    def _mapped(self, tensors: list[list[Tensor]], hyper: Tensor) -> tuple[SeedLosses, Sequence[Tensor]]:
        """Compute losses and gradients [S, ...] of all seeds by `vmap`.

        tensors: parameters, targets, columns; hyper: [S, H]."""
        leaves, target, columns = with_gradient(tensors[0]), *tensors[1:]

        def one_seed(leaves: list[Tensor], target: list[Tensor], columns: list[Tensor], numbers: Tensor) -> Any:
            return tuple(self._of_one_seed(leaves, target, columns, numbers))

        in_dims = (0, 0 if target else None, 0, 0)
        losses = SeedLosses(*vmap(one_seed, in_dims=in_dims, out_dims=(0, 1, 0, 0))(leaves, target, columns, hyper))
        # Seeds share no parameter, so the gradient of the sum is each seed's own gradient.
        return losses, self._gradients(losses.total.sum(), leaves)

    def _one_after_the_other(self, tensors: list[list[Tensor]], hyper: Tensor) -> tuple[SeedLosses, Sequence[Tensor]]:
        """Compute losses and gradients [S, ...] in a loop over seeds.

        Without `vmap` a seed takes half the eager time, and compiled matrix products are plain ones. Each seed has
        leaves of its own: the gradient of a slice would be a whole stack of zeros but for one seed."""
        seeds, gradients = [], []
        for index in range(tensors[0][0].shape[0]):
            parameters, target, columns = ([tensor[index] for tensor in group] for group in tensors)
            leaves = with_gradient(parameters)
            seeds.append(self._of_one_seed(leaves, target, columns, hyper[index]))
            gradients.append(self._gradients(seeds[-1].total, leaves))
        total, metrics, skip, rows = zip(*seeds, strict=True)
        stacked_rows = tuple(torch.stack(row) for row in zip(*rows, strict=True))
        losses = SeedLosses(torch.stack(total), torch.stack(metrics, dim=1), torch.stack(skip), stacked_rows)
        return losses, [torch.stack(leaf) for leaf in zip(*gradients, strict=True)]

    def _gradients(self, total: Tensor, leaves: list[Tensor]) -> Sequence[Tensor]:
        if not total.requires_grad:
            raise UserError(
                f"the loss of {name_of(self.loss_fn)} depends on no parameter: nets.online carries gradients, "
                "nets.frozen and what is detached carry none"
            )
        return torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)

    def _of_one_seed(
        self, leaves: list[Tensor], target: list[Tensor], columns: list[Tensor], numbers: Tensor
    ) -> SeedLosses:
        cfg = view_of_tensor(self.static, self.numeric, numbers, self.reads)
        lagging = dict(zip(self.parameter_names, target, strict=True)) if self.has_target else None
        nets = Nets.of_one_seed(self.model, dict(zip(self.parameter_names, leaves, strict=True)), lagging)
        return self._loss_of(nets, Noted(self.columns_read, zip(self.column_names, columns, strict=True)), cfg)

    def _called(self, nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Losses, Mapping[str, Any]]:
        gave = self.loss_fn(nets, batch, cfg)
        pair = isinstance(gave, tuple) and len(gave) == 2 and isinstance(gave[1], Mapping)
        require_result(pair, "loss_fn", self.loss_fn, gave)
        return gave

    def _loss_of(self, nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> SeedLosses:
        """Return the losses of one seed: total 0-d, metrics [K], skip 0-d, rows [B] each."""
        if self.time_major:
            turned = ((name, c.movedim(1, 0) if name in self.time_major else c) for name, c in batch.items())
            batch = Noted(self.columns_read, turned)
        losses, metrics = self._called(nets, batch, cfg)
        parts = named_losses(losses, self.omitted)
        total = torch.stack(list(parts.values())).sum()
        named = {name if name == WHOLE else f"{name}_loss": part for name, part in parts.items()}
        named |= {name: _number(name, value) for name, value in metrics.items()}
        skip = named.pop("skip_update", None)
        rows = {name: named.pop(name) for name in list(named) if named[name].dim()}
        norms = ["grad_norm"] if list(parts) == [WHOLE] else [f"{name}_grad_norm" for name in parts]
        self.part_names[:], self.row_names[:], self.metric_names[:] = parts, rows, [*named, *norms]
        return SeedLosses(
            total,
            torch.stack([value.detach().to(total.dtype) for value in named.values()]),
            torch.zeros_like(total, dtype=torch.bool) if skip is None else skip.detach(),
            tuple(row.detach() for row in rows.values()),
        )


class Noted(dict[str, Tensor]):
    """Columns of a minibatch that record the names which are read."""

    def __init__(self, read: set[str], columns: Iterable[tuple[str, Tensor]]) -> None:
        super().__init__(columns)
        self._read = read

    def __getitem__(self, name: str) -> Tensor:
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._read.add(name)
        return super().get(name, default)


def _number(name: str, value: Any) -> Tensor:
    if value is None or isinstance(value, str | bytes | Mapping):
        raise UserError(f"loss_fn's metric {name!r} is {type(value).__name__}; give a number or a tensor")
    return torch.as_tensor(value)


def with_gradient(leaves: Sequence[Tensor]) -> list[Tensor]:
    return [leaf.detach().requires_grad_() for leaf in leaves]


def clip_per_seed(
    gradients: Sequence[Tensor], owners: Sequence[int], n_parts: int, max_norm: Tensor | None
) -> tuple[list[Tensor], Tensor]:
    """Clip the gradient norm of each seed and part.

    Pascanu et al. 2013 (arXiv:1211.5063), algorithm 1, with torch's 1e-6 in the denominator. A joint norm would let one
    diverged seed stop all of them.

    Args:
        gradients: leaves [S, ...].
        owners: the number of the part of each leaf.
        n_parts: number of parts.
        max_norm: 0-d; None: no clipping.

    Returns:
        The gradients [S, ...], and their norms before clipping [n_parts, S].
    """
    squares = [(gradient * gradient).reshape(gradient.shape[0], -1).sum(1) for gradient in gradients]
    of_part = [[square for square, owner in zip(squares, owners, strict=True) if owner == part]
               for part in range(n_parts)]  # fmt: skip
    norms = torch.stack([sum(own, torch.zeros_like(squares[0])) for own in of_part]).sqrt()
    if max_norm is not None:
        scale = (max_norm / (norms + 1e-6)).clamp(max=1.0)
        gradients = [
            gradient * scale[owner].view(-1, *(1,) * (gradient.dim() - 1))
            for gradient, owner in zip(gradients, owners, strict=True)
        ]
    return list(gradients), norms
