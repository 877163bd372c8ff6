"""Hyperparameters as the functions of an algorithm read them.

Numeric fields are kept in one tensor [S, H], a row for each seed. `loss_fn` gets those of its seed as 0-d tensors, so
that a new value never causes a new compilation. Structural fields, and numeric ones that are None, stay Python values:
they are part of the program. Beside the fields of the configuration there are `cfg.progress` (share of the budget done,
in [0, 1]) and `cfg.env_steps` (per seed).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tuneexp.config import Config, is_numeric
from tuneexp.errors import UserError, unknown_name
from tuneexp.learning.devices import CPU
from tuneexp.rl.schedules import parse_schedule

CLOCK = ("progress", "env_steps")
LEARNING_RATE = "learning_rate"


class CfgView:
    """Read-only view of a configuration, by attribute: `cfg.clip_range`.

    It records the names that are read: a program stays valid for another configuration with equal values of these.

    Args:
        values: by field.
        reads: filled with the names that are read.
        refused: names that can't be read, since seeds differ in them.
    """

    def __init__(
        self, values: Mapping[str, Any], reads: set[str] | None = None, refused: Collection[str] = frozenset()
    ) -> None:
        self._values, self._refused = values, refused
        self._reads = set() if reads is None else reads

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            value = self._values[name]
        except KeyError:
            raise unknown_name("field of the configuration", name, self._values) from None
        if name in self._refused:
            raise _one_for_all(name)
        self._reads.add(name)
        return value


class OneForAll(UserError):
    """Seeds of one trial differ in fields that are one for all of them.

    Args:
        names: of the fields.
        why: the message."""

    def __init__(self, names: Sequence[str], why: str) -> None:
        super().__init__(why)
        self.names = tuple(names)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.names, str(self))


class SharedConfig:
    """A configuration of which some numbers differ by seed. Reading one of these raises `UserError`.

    Args:
        cfg: of one seed.
        differing: names of the numbers that differ.
    """

    def __init__(self, cfg: Config, differing: Collection[str]) -> None:
        self._cfg, self._differing = cfg, differing

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._differing:
            raise UserError(
                f"seeds of this trial differ in {name}; in place of training.cfg.{name} read training.view.{name}, "
                "which is a tensor [S, 1] then"
            )
        return getattr(self._cfg, name)


def number_of(cfg: CfgView, name: str) -> float:
    """Return a number that is one for all seeds. Raises `OneForAll` if they differ in it."""
    value = getattr(cfg, name)
    if isinstance(value, Tensor) and value.numel() > 1:
        raise _one_for_all(name)
    return float(value)


def _one_for_all(name: str) -> OneForAll:
    return OneForAll(
        [name],
        f"seeds of one trial differ in {name}, which is one number for all of them; only learning_rate and what "
        "loss_fn, act_fn and postprocess_fn read may differ",
    )


class Hyper:
    """Numeric hyperparameters over time, with their schedules.

    Args:
        cfgs: of each seed.
        device: of `tensor`.
        own: names of fields in which seeds may come to differ, by `replace`.

    Attributes:
        tensor: [S, H], in the order of `names`, updated in place.
        values: those of the first seed as floats, by name.
        initial: the same at the start of training.
        static: the other fields of the configuration.
        differing: names whose values differ between seeds, or may come to.

    Raises:
        OneForAll: seeds differ in a field that is part of the program.
    """

    def __init__(self, cfgs: Sequence[Config], device: torch.device = CPU, own: Collection[str] = ()) -> None:
        cfg, fields = cfgs[0], type(cfgs[0]).model_fields
        numeric = [name for name, field in fields.items() if is_numeric(field) and getattr(cfg, name) is not None]
        self.static = {name: getattr(cfg, name) for name in fields if name not in numeric}
        self.differing = _differing(cfgs) | frozenset(own)
        _refuse_structural(self.differing, numeric, cfgs)
        self.names = (*numeric, *CLOCK)
        self.tensor = torch.zeros(len(cfgs), len(self.names), device=device)
        self._columns = dict(zip(self.names, self.tensor.unbind(1), strict=True))
        self.values: dict[str, float] = {}
        self._follow(cfgs)
        self.set_clock(0.0)
        self.initial = {name: self.values[name] for name in numeric}

    def _follow(self, cfgs: Sequence[Config]) -> None:
        numeric = self.names[: -len(CLOCK)]
        distinct = _distinct(cfgs)
        self._schedules = {name: [parse_schedule(getattr(one, name)) for one in distinct] for name in numeric}
        self._moving = [name for name in numeric if any(one.kind != "constant" for one in self._schedules[name])]
        self._stale = True

    def replace(self, cfgs: Sequence[Config]) -> None:
        """Take other configurations, one for each seed; they apply from the next `set_clock`.

        Raises:
            OneForAll: they differ in a field that is not in `differing`.
        """
        _refuse_structural(_differing(cfgs) - self.differing, (), cfgs)
        self._follow(cfgs)

    def set_clock(self, progress: float, env_steps: int = 0) -> None:
        """Set the schedules to `progress`, the share of the full budget that is done, in [0, 1]."""
        for name in self._schedules if self._stale else self._moving:
            self._set(name, [one.value_at(progress) for one in self._schedules[name]])
        self._stale = False
        for name, value in zip(CLOCK, (progress, float(env_steps)), strict=True):
            self._set(name, [value])

    def _set(self, name: str, values: Sequence[float]) -> None:
        """Set a number, of all seeds or of each."""
        self.values[name] = values[0]
        column = self._columns[name]
        if len(values) == 1:
            column.fill_(values[0])
        else:
            column.copy_(torch.tensor(values, dtype=torch.float32))

    def clock_step(self, n_envs: int, budget_env_steps: int) -> Tensor:
        """Return the change [S, H] of `tensor` by one step of `n_envs` environments."""
        added = {"progress": n_envs / budget_env_steps, "env_steps": float(n_envs)}
        row = torch.tensor([added.get(name, 0.0) for name in self.names])
        return row.expand_as(self.tensor).contiguous().to(self.tensor.device)

    def value_of(self, name: str, rows: slice) -> float:
        """Return the present number of the first of `rows`; 0 if there is no such number."""
        if name not in self.differing:
            return self.values.get(name, 0.0)
        return float(self.tensor[rows, self.names.index(name)][0])

    def view(self, reads: set[str] | None = None) -> CfgView:
        """Return a view with floats. Reading a field in which seeds differ is a `UserError`."""
        return CfgView({**self.static, **self.values}, reads, self.differing)

    def view_of_seeds(self, reads: set[str] | None = None) -> CfgView:
        """Return the view that `postprocess_fn` gets: floats, and tensors [S, 1] where seeds differ."""
        rows = {name: self.tensor[:, self.names.index(name), None] for name in self.differing}
        return CfgView({**self.static, **self.values, **rows}, reads)

    def view_of_optimizer(self, reads: set[str]) -> CfgView:
        """Return the view that `optimizer_fn` gets: as `view`, with the learning rate of the first seed."""
        return CfgView({**self.static, **self.values}, reads, self.differing - {LEARNING_RATE})


def _differing(cfgs: Sequence[Config]) -> frozenset[str]:
    first = cfgs[0]
    return frozenset(
        name for name in type(first).model_fields if any(getattr(one, name) != getattr(first, name) for one in cfgs)
    )


def _distinct(cfgs: Sequence[Config]) -> Sequence[Config]:
    """Return one configuration if all are equal."""
    return cfgs[:1] if all(one == cfgs[0] for one in cfgs) else cfgs


def _refuse_structural(differing: Collection[str], numeric: Collection[str], cfgs: Sequence[Config]) -> None:
    fixed = [name for name in differing if name not in numeric or any(getattr(one, name) is None for one in cfgs)]
    if fixed:
        raise OneForAll(
            sorted(fixed),
            f"seeds of one trial differ in {', '.join(sorted(fixed))}, which is part of their program; "
            "give all of them the same value, or train them in trials of their own",
        )


def view_of_tensor(
    static: Mapping[str, Any], names: tuple[str, ...], values: Tensor, reads: set[str] | None = None
) -> CfgView:
    """Return the view that `loss_fn` and `act_fn` get. values: [H] of a seed, or [S, H], in the order of `names`."""
    return CfgView({**static, **{name: values[..., index] for index, name in enumerate(names)}}, reads)


def rate_ratios(values: Tensor, names: Sequence[str]) -> Tensor:
    """Return the learning rate of each seed, divided by that of the first [S]. values: [S, H].

    An optimizer steps all seeds with the first one's rate: the step of a seed is multiplied by its ratio."""
    rates = values[:, names.index(LEARNING_RATE)]
    return torch.where(rates[0] > 0, rates / rates[0], torch.ones_like(rates))
