"""Named parts of a loss: the parameters that each trains, and update periods."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from torch import Tensor

from tuneexp.errors import UserError

WHOLE = "loss"
"""The one part of a loss that is a single number."""


def part_of(parameter: str, parts: Iterable[str]) -> str | None:
    """Return the part whose submodule holds `parameter`, or None."""
    return next((part for part in parts if parameter == part or parameter.startswith(f"{part}.")), None)


def named_losses(losses: Any, omitted: frozenset[str] = frozenset()) -> dict[str, Tensor]:
    """Compute the parts of a loss.

    Args:
        losses: a number, or parts by name; a part may be a function that returns it.
        omitted: parts that are not computed.

    Raises:
        UserError: a part is not a 0-d tensor.
    """
    parts: Mapping[str, Tensor | Callable[[], Tensor]] = losses if isinstance(losses, Mapping) else {WHOLE: losses}
    called = {name: part() if callable(part) else part for name, part in parts.items() if name not in omitted}
    for name, part in called.items():
        if not isinstance(part, Tensor):
            raise UserError(f"loss_fn returned {name!r} as {type(part).__name__}; return a 0-d tensor")
        if part.dim():
            raise UserError(f"loss_fn returned {name!r} of shape {tuple(part.shape)}; return one number: its mean")
    return called


def check_parts(parts: Collection[str], with_period: Collection[str], parameters: Collection[str]) -> None:
    """Check the names of the parts of a loss.

    Args:
        parts: of the loss.
        with_period: parts that `update_period` names.
        parameters: of the model.

    Raises:
        UserError: a part has no parameter, or `update_period` names an unknown part.
    """
    modules = sorted({name.split(".")[0] for name in parameters})
    for part in parts:
        if part != WHOLE and not any(part_of(name, [part]) for name in parameters):
            raise UserError(
                f"loss_fn returned the part {part!r}, but the model has no submodule of that name; it has "
                f"{', '.join(modules)}"
            )
    for part in with_period:
        if part not in parts:
            named = ", ".join(sorted(parts)) if WHOLE not in parts else "none: it returns one number"
            raise UserError(f"update_period names {part!r}, which is no part of the loss; its parts are {named}")


class UpdatePeriods:
    """Update periods of the parts of a loss.

    Args:
        periods: part -> number of updates from one of its own to the next.

    Raises:
        UserError: a period below 1.
    """

    def __init__(self, periods: Mapping[str, int]) -> None:
        for part, period in periods.items():
            if period < 1:
                raise UserError(f"the update period of {part!r} is {period}; it must be at least 1")
        self.parts = tuple(periods)
        self._periods = {part: period for part, period in periods.items() if period > 1}

    def omitted(self, update: int) -> frozenset[str]:
        """Return the parts without an update. update: counted from 1."""
        return frozenset(part for part, period in self._periods.items() if update % period)

    def all_omitted(self) -> list[frozenset[str]]:
        """Return every set of omitted parts that occurs. Each has a program of its own."""
        cycle = math.lcm(*self._periods.values())
        if cycle > MOST_CYCLES:
            raise UserError(f"the update periods {self._periods} repeat only after {cycle} updates; choose multiples")
        return sorted({self.omitted(update) for update in range(1, cycle + 1)}, key=sorted)


MOST_CYCLES = 10_000
