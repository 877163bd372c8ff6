"""Settings of a confirmation, stored in its folder before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from tuneexp.config import Config, Count
from tuneexp.errors import UserError
from tuneexp.seeds import MAX_SEED, seed_list

FEWEST_SEEDS = 2


class ConfirmRequest(Config):
    """One confirmation as requested."""

    top: Count = Field(3, ge=1, description="Number of the sweep's best configurations to train again.")
    seeds: list[int] = Field(description="Training seeds that tuning did not use.")
    random_search: bool = Field(
        False, description="Also train the best configuration of a random search with the budget of the sweep."
    )


def unseen_seeds(asked: int | Sequence[int], used: Sequence[int], force: bool = False) -> list[int]:
    """Return the seeds of a confirmation.

    Args:
        asked: A number of seeds, which begin after the last one that tuning used, or a list.
        used: Seeds of the tuning trials.
        force: Allow seeds that tuning used.

    Returns:
        The seeds, two or more.

    Raises:
        UserError: There are too few seeds, one is not allowed, or tuning used one of them.
    """
    first = max(used) + 1
    if isinstance(asked, int) and not isinstance(asked, bool):
        if asked >= 1 and first + asked - 1 > MAX_SEED:
            first = 0
            while set(range(first, first + asked)) & set(used):
                first += 1
        seeds = list(range(first, first + asked))
    else:
        seeds = seed_list(asked)
    if len(seeds) < FEWEST_SEEDS:
        raise UserError(f"a confirmation needs at least {FEWEST_SEEDS} seeds, and 10 are usual; write --seeds 10")
    if (seen := sorted({*seeds} & {*used})) and not force:
        raise UserError(
            f"tuning used {'seed' if len(seen) == 1 else 'seeds'} {', '.join(map(str, seen))}, whose scores are too "
            "high; write --seeds 10 for ten unseen ones (or --force)"
        )
    return seeds
