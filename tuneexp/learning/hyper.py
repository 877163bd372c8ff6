"""How a configuration reaches the functions of an algorithm.

Numeric fields travel together in one tensor `[H]` and are handed to `loss_fn` as 0-d tensors, so
that a new value never causes a new compilation. Structural fields (and numeric ones that are
None) stay Python values: they are part of the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tuneexp.config import Config, is_numeric
from tuneexp.errors import unknown_name
from tuneexp.rl.schedules import parse_schedule


class CfgView:
    """The configuration as a function sees it: read by attribute, `cfg.clip_range`.

    It notes what was read: a program stays valid for another configuration that agrees on these fields."""

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


def split_fields(cfg: Config) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of the numeric fields that hold a number, and the values of all others."""
    numeric = tuple(
        name for name, field in type(cfg).model_fields.items() if is_numeric(field) and getattr(cfg, name) is not None
    )
    static = {name: getattr(cfg, name) for name in type(cfg).model_fields if name not in numeric}
    return numeric, static


def numeric_values(cfg: Config, names: tuple[str, ...], progress: float) -> dict[str, float]:
    """Each numeric field at `progress`, the share of the full budget that is done, in [0, 1]."""
    return {name: parse_schedule(getattr(cfg, name)).value_at(progress) for name in names}


def view_at(cfg: Config, progress: float, reads: set[str] | None = None) -> CfgView:
    """The configuration with plain floats, for all functions but `loss_fn` and `act_fn`."""
    numeric, static = split_fields(cfg)
    return CfgView({**static, **numeric_values(cfg, numeric, progress)}, reads)


def view_of_tensor(
    static: Mapping[str, Any], names: tuple[str, ...], values: Tensor, reads: set[str] | None = None
) -> CfgView:
    """`values`: [H], in the order of `names`. The view that `loss_fn` and `act_fn` get."""
    return CfgView({**static, **{name: values[index] for index, name in enumerate(names)}}, reads)


def as_tensor(values: Mapping[str, float]) -> Tensor:
    """[H] float32."""
    return torch.tensor(list(values.values()), dtype=torch.float32)
