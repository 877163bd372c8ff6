"""Seeds of a trial: a number of them or a list, and the one check of their values."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from tuneexp.errors import UserError
from tuneexp.files.json_reading import plain

MAX_SEED = 2**32 - 1


def seed_list(seeds: int | Sequence[int]) -> list[int]:
    """Return the seeds of a number of seeds (4 -> [0, 1, 2, 3]) or of a list.

    Raises:
        UserError: there is no seed, one is no whole number from 0 to `MAX_SEED`, or one is repeated.
    """
    given = plain(seeds, "seeds")
    named: Any = list(range(given)) if type(given) is int else given
    if not isinstance(named, list) or not named:
        raise UserError(f"a trial needs at least one seed, got seeds={seeds!r}; write seeds=4 or seeds=[3, 5, 8]")
    return checked_seeds(named)


def checked_seeds(seeds: Sequence[Any], distinct: bool = True, largest: int | None = MAX_SEED) -> list[int]:
    """Return the seeds as Python's ints.

    Args:
        seeds: of any type of whole number.
        distinct: refuse repeated seeds.
        largest: allowed; None: any.

    Raises:
        UserError: there is no seed, or one is not allowed.
    """
    if not seeds:
        raise UserError("there is no seed; write at least one, such as seeds=[0]")
    for seed in seeds:
        whole = not isinstance(seed, bool) and isinstance(seed, Integral)
        if not whole or int(seed) < 0 or (largest is not None and int(seed) > largest):
            upper = "up" if largest is None else f"to {largest}"
            raise UserError(f"a seed is a whole number from 0 {upper}, got {seed!r}")
    if distinct and len(set(seeds)) < len(seeds):
        raise UserError(f"a seed is repeated in {list(seeds)}; write each seed once")
    return [int(seed) for seed in seeds]
