"""Sub-populations that evolve at several frequencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from tuneexp.errors import UserError
from tuneexp.sweep.search.population.options import PbtOptions
from tuneexp.sweep.search.population.population import Population, Replacement, Standing


class MfPbtOptions(PbtOptions):
    """Options of `mf_pbt`. A quarter of each sub-population is replaced, so `quantile` is 0.25."""

    frequencies: list[int] = Field(
        [1, 4], min_length=2, description="Intervals between two decisions of each sub-population, in increasing order."
    )

    @field_validator("frequencies")
    @classmethod
    def _increasing(cls, frequencies: list[int]) -> list[int]:
        if frequencies[0] < 1 or sorted(set(frequencies)) != frequencies:
            raise ValueError("write increasing whole numbers such as [1, 4]")
        return frequencies

    def check_members(self, members: int) -> None:
        parts = len(self.frequencies)
        if self.quantile != 0.25:
            raise UserError("mf_pbt replaces a quarter of each sub-population; leave out quantile")
        if members < 4 * parts:
            raise UserError(
                f"frequencies={self.frequencies} divide a population of {members} into {parts}, and each needs 4 "
                f"members; write --trials {4 * parts}"
            )


class MfPopulation(Population):
    """MF-PBT (Doulazmi et al. 2025, arXiv:2506.03225), section 4.

    The population is divided into sub-populations, each of which evolves at its own frequency. The last quarter of one
    that evolves copies its first quarter and explores. Its third quarter takes over the state of the best members of
    the others, where these are better: with their hyperparameters if they come from a slower sub-population, else with
    those of the best member of its own. So greedy values do not spread to slower sub-populations."""

    def __init__(self, space: Mapping[str, Any], options: MfPbtOptions, members: int) -> None:
        super().__init__(space, options, members)
        self._frequencies = options.frequencies
        self._round = 0

    def _replacements(self, standing: Standing, generator: np.random.Generator) -> dict[int, Replacement]:
        self._round += 1
        scores, numbers = standing.scores, standing.numbers
        ranked = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
        parts = [min(number, self.members - 1) * len(self._frequencies) // self.members for number in numbers]
        found: dict[int, Replacement] = {}
        for part, frequency in enumerate(self._frequencies):
            own = [index for index in ranked if parts[index] == part]
            if own and self._round % frequency == 0:
                share = max(1, len(own) // 4)
                others = [index for index in ranked if parts[index] != part]
                found |= _migrated(own, others, share, standing, parts) | _exploited(own, share, standing)
        return found

    def state(self) -> dict[str, Any]:
        return {"round": self._round}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._round = int(state["round"])


def _migrated(
    own: Sequence[int], others: Sequence[int], share: int, standing: Standing, parts: Sequence[int]
) -> dict[int, Replacement]:
    """Replace the third quarter of a sub-population by the best members of the others, where these are better."""
    found: dict[int, Replacement] = {}
    left = list(others)
    for index in own[2 * share : 3 * share]:
        better = [one for one in left if standing.is_better(one, index)]
        if better:
            from_slower = parts[better[0]] > parts[index]
            found[index] = Replacement(better[0], better[0] if from_slower else own[0], explores=False)
            left.remove(better[0])
    return found


def _exploited(own: Sequence[int], share: int, standing: Standing) -> dict[int, Replacement]:
    """Replace the last members of a sub-population, and all without a score, by its first ones."""
    found: dict[int, Replacement] = {}
    last = [index for place, index in enumerate(own) if place >= len(own) - share or standing.scores[index] == -np.inf]
    for place, index in enumerate(last):
        donors = [one for one in own[:share] if standing.is_better(one, index)]
        if donors:
            donor = donors[place % len(donors)]
            found[index] = Replacement(donor, donor)
    return found
