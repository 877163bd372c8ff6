"""Hyperparameters as the functions of an algorithm read them.

Numeric fields are kept in one tensor [H]. `loss_fn` gets them as 0-d tensors, so that a new value never causes a new
compilation. Structural fields, and numeric ones that are None, stay Python values: they are part of the program. Beside
the fields of the configuration there are `cfg.progress` (share of the budget done, in [0, 1]) and `cfg.env_steps` (per
seed).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tuneexp.config import Config, is_numeric
from tuneexp.errors import unknown_name
from tuneexp.learning.devices import CPU
from tuneexp.rl.schedules import parse_schedule

CLOCK = ("progress", "env_steps")


class CfgView:
    """Read-only view of a configuration, by attribute: `cfg.clip_range`.

    It records the names that are read: a program stays valid for another configuration with equal values of these.

    Args:
        values: by field.
        reads: filled with the names that are read.
    """

    def __init__(self, values: Mapping[str, Any], reads: set[str] | None = None) -> None:
        self._values = values
        self._reads = set() if reads is None else reads

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            value = self._values[name]
        except KeyError:
            raise unknown_name("field of the configuration", name, self._values) from None
        self._reads.add(name)
        return value


class Hyper:
    """Numeric hyperparameters over time, with their schedules.

    Attributes:
        tensor: [H], in the order of `names`, updated in place.
        values: the same as floats, by name.
        initial: values at the start of training.
        static: the other fields of the configuration.
    """

    def __init__(self, cfg: Config, device: torch.device = CPU) -> None:
        fields = type(cfg).model_fields
        numeric = [name for name, field in fields.items() if is_numeric(field) and getattr(cfg, name) is not None]
        self.static = {name: getattr(cfg, name) for name in fields if name not in numeric}
        self._schedules = {name: parse_schedule(getattr(cfg, name)) for name in numeric}
        self._moving = [name for name, schedule in self._schedules.items() if schedule.kind != "constant"]
        self.initial = {name: schedule.value_at(0.0) for name, schedule in self._schedules.items()}
        self.names = (*numeric, *CLOCK)
        self.values: dict[str, float] = {**self.initial, **dict.fromkeys(CLOCK, 0.0)}
        self.tensor = torch.tensor(list(self.values.values()), dtype=torch.float32).to(device)

    def set_clock(self, progress: float, env_steps: int = 0) -> None:
        """Set the schedules to `progress`, the share of the full budget that is done, in [0, 1]."""
        for name in self._moving:
            self.values[name] = self._schedules[name].value_at(progress)
        self.values.update(progress=progress, env_steps=float(env_steps))
        self.tensor.copy_(torch.tensor(list(self.values.values()), dtype=torch.float32))

    def clock_step(self, n_envs: int, budget_env_steps: int) -> Tensor:
        """Return the change [H] of `tensor` by one step of `n_envs` environments."""
        added = {"progress": n_envs / budget_env_steps, "env_steps": float(n_envs)}
        return torch.tensor([added.get(name, 0.0) for name in self.names]).to(self.tensor.device)

    def view(self, reads: set[str] | None = None) -> CfgView:
        """Return a view with floats, for all functions but `loss_fn` and `act_fn`."""
        return CfgView({**self.static, **self.values}, reads)


def view_of_tensor(
    static: Mapping[str, Any], names: tuple[str, ...], values: Tensor, reads: set[str] | None = None
) -> CfgView:
    """Return the view that `loss_fn` and `act_fn` get. values: [H], in the order of `names`."""
    return CfgView({**static, **{name: values[index] for index, name in enumerate(names)}}, reads)
