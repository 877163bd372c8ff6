"""Decisions of population-based training: which members are replaced, by whom, and with which hyperparameters."""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tuneexp.sweep.search.population.moves import perturbed, resampled
from tuneexp.sweep.search.population.options import PbtOptions, PopulationOptions
from tuneexp.sweep.search.space.dimensions import Values


@dataclass(frozen=True)
class Decision:
    """Decision about M members.

    Attributes:
        donors: Index of the member whose state each member continues with [M]: its own if nothing is copied.
        values: Hyperparameters of each member from now on [M], flat.
    """

    donors: tuple[int, ...]
    values: tuple[dict[str, Any], ...]

    @property
    def replaced(self) -> list[int]:
        """Indices of the members that are replaced."""
        return [member for member, donor in enumerate(self.donors) if donor != member]


@dataclass(frozen=True)
class Replacement:
    """Parts of other members that replace those of a member.

    Attributes:
        state: Index of the member whose state it continues with.
        values: Index of the member whose hyperparameters it takes.
        explores: True if they are moved then.
    """

    state: int
    values: int
    explores: bool = True


class Standing(NamedTuple):
    """Members at the end of an interval.

    Attributes:
        scores: Score of each member [M]; -inf without one.
        numbers: Number of each member at the start [M].
        groups: Group of each member [M].
    """

    scores: Sequence[float]
    numbers: Sequence[int]
    groups: Sequence[Hashable]

    def is_better(self, one: int, member: int) -> bool:
        """Return True if `member` may continue with the state of `one`: it is of the same group and scores higher."""
        return self.scores[one] > self.scores[member] and self.groups[one] == self.groups[member]


class Population:
    """Exploit by truncation selection, and explore (Jaderberg et al. 2017, arXiv:1711.09846), section 4.1.1.

    A member of the lowest quantile is replaced by a copy of a member of the highest, drawn uniformly. Then each of its
    hyperparameters is moved or drawn again. A member without a finite score ranks below all others, and is always
    replaced. A donor has a higher score than the member: equal scores are no evidence.

    Args:
        space: Hyperparameters that move: name -> its dimension.
        options: An instance of `PbtOptions`, or of the options of a subclass.
        members: Number of members.

    Raises:
        UserError: There are too few members for the quantiles.
    """

    def __init__(self, space: Mapping[str, Values], options: PopulationOptions, members: int) -> None:
        options.check_members(members)
        self.space, self.options, self.members = dict(space), options, members

    def decide(
        self,
        scores: Sequence[float | None],
        values: Sequence[Mapping[str, Any]],
        generator: np.random.Generator,
        env_steps: int = 0,
        groups: Sequence[Hashable] | None = None,
        numbers: Sequence[int] | None = None,
    ) -> Decision:
        """Decide at the end of an interval.

        Args:
            scores: Score of each member [M], larger is better; None or NaN without one, as of a diverged member.
                Fewer than at the start if members have ended.
            values: Hyperparameters of each member [M], flat. Those that are not in the space stay as they are.
            generator: Source of the randomness.
            env_steps: Environment steps per seed of all members.
            groups: Members take over the state of members of the same group only [M]; by default all are one group.
            numbers: Number of each member at the start, from 0 [M]; by default all members are there.

        Returns:
            The decision. Nothing is copied if no score is finite.
        """
        known = [score if score is not None and math.isfinite(score) else -math.inf for score in scores]
        places = list(range(len(known)) if numbers is None else numbers)
        self._observe(known, values, env_steps, places)
        taken = self._replacements(Standing(known, places, list(groups or [None] * len(known))), generator)
        donors, moved = list(range(len(known))), [copy.deepcopy(dict(own)) for own in values]
        for member in sorted(taken):
            replacement = taken[member]
            donors[member] = replacement.state
            theirs = values[replacement.values]
            changed = {name: theirs[name] for name in self.space if name in theirs}
            if replacement.explores and self.options.explore:
                changed = self._explored(changed, generator, env_steps)
            moved[member] = {name: one for name, one in moved[member].items() if name not in self.space}
            moved[member] |= copy.deepcopy(changed)
        self._decided(known, {places[member]: taken[member].state for member in taken})
        return Decision(tuple(donors), tuple(moved))

    def _observe(
        self, scores: Sequence[float], values: Sequence[Mapping[str, Any]], env_steps: int, numbers: Sequence[int]
    ) -> None:
        """Learn from the interval that ends. Arguments as of `decide`; scores: -inf without a score."""

    def _decided(self, scores: Sequence[float], donors: Mapping[int, int]) -> None:
        """Note a decision. donors: number of each member that is replaced -> index of its donor."""

    def _replacements(self, standing: Standing, generator: np.random.Generator) -> dict[int, Replacement]:
        """Return what replaces members, by their index."""
        donors = truncated(standing, self.options.replaced(len(standing.scores)), generator)
        return {member: Replacement(donor, donor) for member, donor in donors.items()}

    def _explored(self, values: Mapping[str, Any], generator: np.random.Generator, env_steps: int) -> dict[str, Any]:
        """Return moved values of hyperparameters of the space."""
        options: Any = self.options
        assert isinstance(options, PbtOptions)
        moved = {}
        for name, value in values.items():  # both draws in any case: the sequence does not depend on the outcome
            again = generator.random() < options.resample_probability
            dimension = self.space[name]
            moved[name] = (
                resampled(dimension, generator)
                if again
                else perturbed(dimension, value, options.perturbation, generator)
            )
        return moved

    def state(self) -> dict[str, Any]:
        """Return the state as JSON can hold it."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from the result of `state`."""


def truncated(standing: Standing, count: int, generator: np.random.Generator) -> dict[int, int]:
    """Return the donors of the members that are replaced, by truncation selection.

    Args:
        standing: Scores of the members.
        count: Number of members in the lowest quantile, and in the highest.
        generator: Source of the randomness.
    """
    scores = standing.scores
    ranked = sorted(range(len(scores)), key=lambda member: (scores[member], member))
    lowest = [member for place, member in enumerate(ranked) if place < count or scores[member] == -math.inf]
    highest = ranked[len(ranked) - count :] if count else []
    donors: dict[int, int] = {}
    for member in sorted(lowest):
        better = [one for one in highest if standing.is_better(one, member)]
        if not better and scores[member] == -math.inf:  # of its group, nobody is in the highest quantile
            better = [one for one in _best_of(standing, member, count) if standing.is_better(one, member)]
        if better:
            donors[member] = better[int(generator.integers(len(better)))]
    return donors


def _best_of(standing: Standing, member: int, count: int) -> list[int]:
    """Return the best members of the group of a member."""
    groups = standing.groups
    inside = [one for one in range(len(groups)) if groups[one] == groups[member]]
    return sorted(inside, key=lambda one: -standing.scores[one])[: max(1, count)]
