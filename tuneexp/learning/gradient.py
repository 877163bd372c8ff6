"""The functional gradient step over all seeds, and acting, as functions of flat lists of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from tuneexp.errors import UserError
from tuneexp.learning.hyper import CfgView, view_of_tensor
from tuneexp.learning.nets import Nets
from tuneexp.learning.rules import ActFn, LossFn


@dataclass
class GradientStep:
    """inputs: [hyper [H], *parameters [S, ...], *columns [S, B, ...]] ->
    [flat gradient [P], statistics [K, S], skip [S] bool, finite [S] bool, clean 0-d bool]: `clean` says in one
    value that every seed's update may be applied.

    `statistics_names` is filled by the first call (or trace). `one_by_one` calls a loss that `vmap` can't
    map (one that reads values) for each seed in turn."""

    model: nn.Module
    loss_fn: LossFn
    parameter_names: tuple[str, ...]
    column_names: tuple[str, ...]
    numeric: tuple[str, ...]
    static: Mapping[str, Any]
    statistics_names: list[str] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    one_by_one: bool = False

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        cfg = view_of_tensor(self.static, self.numeric, inputs[0], self.reads)
        count = len(self.parameter_names)
        leaves = [leaf.detach().requires_grad_() for leaf in inputs[1 : 1 + count]]
        columns = inputs[1 + count :]
        with torch.enable_grad():
            loss, statistics, skip = self._losses(leaves, columns, cfg)
            # Seeds share no parameter, so the gradient of the sum is each seed's own gradient.
            gradients = torch.autograd.grad(loss.sum(), leaves, allow_unused=True, materialize_grads=True)
        flat, norm = clip_per_seed(gradients, cfg.max_grad_norm if self._clips() else None)
        finite = torch.isfinite(loss.detach()) & torch.isfinite(norm)
        return [flat, torch.cat([statistics, norm[None]]), skip, finite, (finite & ~skip).all()]

    def _clips(self) -> bool:
        return "max_grad_norm" in self.numeric

    def _losses(self, leaves: list[Tensor], columns: Sequence[Tensor], cfg: CfgView) -> tuple[Tensor, Tensor, Tensor]:
        """loss [S], statistics [K, S] detached, skip [S]."""

        def one_seed(leaves: Sequence[Tensor], columns: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
            nets = Nets.of_one_seed(self.model, dict(zip(self.parameter_names, leaves, strict=True)))
            batch = dict(zip(self.column_names, columns, strict=True))
            loss, statistics = self.loss_fn(nets, batch, cfg)
            if loss.dim():
                raise UserError(f"loss_fn returned a loss of shape {tuple(loss.shape)}; return one number: its mean")
            named = {"loss": loss, **statistics}
            skip = named.pop("skip_update", None)
            self.statistics_names[:] = [*named, "grad_norm"]
            skip = torch.zeros_like(loss, dtype=torch.bool) if skip is None else skip.detach()
            return loss, torch.stack([torch.as_tensor(v).detach().to(loss.dtype) for v in named.values()]), skip

        if leaves[0].shape[0] == 1:
            # An ordinary module needs no vmap: half the eager time, and plain matrix products compiled.
            loss, statistics, skip = one_seed([leaf[0] for leaf in leaves], [column[0] for column in columns])
            return loss[None], statistics[:, None], skip[None]
        if self.one_by_one:
            seeds = [one_seed([x[i] for x in leaves], [c[i] for c in columns]) for i in range(leaves[0].shape[0])]
            loss, statistics, skip = (torch.stack(part, dim=-1) for part in zip(*seeds, strict=True))
            return loss, statistics, skip
        return vmap(one_seed, out_dims=(0, 1, 0))(leaves, list(columns))


def clip_per_seed(gradients: Sequence[Tensor], max_norm: Tensor | None) -> tuple[Tensor, Tensor]:
    """gradients: leaves [S, ...]. Returns them flat [P] and scaled so that each seed's norm is at most
    `max_norm`, and the norms [S] before. Per seed: a joint norm lets one diverged seed stop all of them."""
    squares = [(gradient * gradient).flatten(1).sum(1) for gradient in gradients]
    norm = torch.stack(squares).sum(0).sqrt()
    if max_norm is None:
        return torch.cat([gradient.reshape(-1) for gradient in gradients]), norm
    scale = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
    scaled = [gradient * scale.view(-1, *(1,) * (gradient.dim() - 1)) for gradient in gradients]
    return torch.cat([gradient.reshape(-1) for gradient in scaled]), norm


@dataclass
class Act:
    """inputs: [hyper [H], explore 0-d bool, noise [S, N, ...], obs [S, N, ...], *parameters [S, ...]] ->
    [action [S, N, ...], *columns [S, N, ...]]. `column_names` is filled by the first call (or trace)."""

    model: nn.Module
    act_fn: ActFn
    parameter_names: tuple[str, ...]
    numeric: tuple[str, ...]
    static: Mapping[str, Any]
    column_names: list[str] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        hyper, explore, noise, obs, *leaves = inputs
        cfg = view_of_tensor(self.static, self.numeric, hyper, self.reads)

        def one_seed(leaves: Sequence[Tensor], noise: Tensor, obs: Tensor) -> list[Tensor]:
            nets = Nets.of_one_seed(self.model, dict(zip(self.parameter_names, leaves, strict=True)))
            action, columns, _ = self.act_fn(nets, obs, None, noise, cfg, explore)
            self.column_names[:] = list(columns)
            return [action, *columns.values()]

        with torch.no_grad():
            if leaves[0].shape[0] == 1:
                return [out[None] for out in one_seed([leaf[0] for leaf in leaves], noise[0], obs[0])]
            return list(vmap(one_seed)(leaves, noise, obs))
