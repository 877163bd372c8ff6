"""Hyperparameters that a sampler models, and those that it draws at random, for a given search space."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from tuneexp.sweep.search.samplers.brute_force_sampler import BruteForceSampler
from tuneexp.sweep.search.samplers.carrying import CarryingSampler
from tuneexp.sweep.search.samplers.grid_sampler import GridSampler
from tuneexp.sweep.search.samplers.random_study import random_study, valid_trials, varied_names

if TYPE_CHECKING:
    from tuneexp.sweep.search.space import SearchSpace


@dataclass(frozen=True)
class Modelled:
    """Names of a space in Optuna, by how a sampler chooses their values.

    A range among the options of a choice is a name of its own, shown as `ent_coef (range)`; `1-gamma` as gamma.

    Args:
        sampler: Name of the sampler.
        joint: Chosen together by what the sampler learned.
        alone: Chosen one by one by what the sampler learned.
        spread: Spread evenly, without learning.
        listed: All combinations are tried.
        random: Drawn at random.
        unknown: Chosen by a user's sampler in a way of its own.
    """

    sampler: str
    joint: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    spread: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return sum(map(len, (self.joint, self.alone, self.spread, self.listed, self.random, self.unknown)))

    def line(self) -> str:
        """Return the line for people: `cmaes models 4 of 11: gamma, ...; at random: batch_size, ...`."""
        if self.listed:
            return f"{self.sampler} tries all combinations of {', '.join(self.listed)}; it learns from no trial"
        if self.spread:
            return self._of("spreads evenly", self.spread) + self._rest() + "; it learns from no trial"
        if self.unknown:
            return self._of("chooses together", self.joint) + self._rest()
        if self.joint or self.alone:
            return self._of("models", (*self.joint, *self.alone)) + self._rest()
        return f"{self.sampler} draws all {self.total} at random; it learns from no trial"

    def _of(self, verb: str, names: tuple[str, ...]) -> str:
        listed = f": {', '.join(names)}" if names and len(names) < self.total else ""
        return f"{self.sampler} {verb} {len(names)} of {self.total}{listed}"

    def _rest(self) -> str:
        parts = {"one at a time": self.alone, "by its own rule": self.unknown, "at random": self.random}
        return "".join(f"; {how}: {', '.join(names)}" for how, names in parts.items() if names)


def modelled(name: str, sampler: BaseSampler, space: SearchSpace) -> Modelled:
    """Return how `sampler` chooses the values of each name, once it has left its random start.

    It is the relative search space that a copy of the sampler infers from a study of random trials.

    Args:
        name: Name of the sampler for people.
        sampler: The sampler; it is not changed.
        space: A validated space.

    Returns:
        The names by how they are chosen. A name with a single value is left out.
    """
    study = random_study(space)
    names = tuple(varied_names(valid_trials(study)))
    asked: BaseSampler = pickle.loads(pickle.dumps(sampler))
    inner = asked.sampler if isinstance(asked, CarryingSampler) else asked
    if isinstance(inner, GridSampler | BruteForceSampler | optuna.samplers.GridSampler):
        return Modelled(name, listed=tuple(_shown(one, space) for one in names))
    together = _relative(asked, study)
    joint = tuple(_shown(one, space) for one in names if one in together)
    others = tuple(_shown(one, space) for one in names if one not in together)
    if isinstance(inner, optuna.samplers.QMCSampler):
        return Modelled(name, spread=joint, random=others)
    if isinstance(inner, optuna.samplers.RandomSampler):
        return Modelled(name, random=others)
    if not type(inner).__module__.startswith(("optuna.samplers.", "tuneexp.sweep.")):
        return Modelled(name, joint=joint, unknown=others)
    if _models_alone(inner):
        return Modelled(name, joint=joint, alone=others)
    return Modelled(name, joint=joint, random=others)


def _shown(name: str, space: SearchSpace) -> str:
    """Return the name of the hyperparameter for the name of its complement or of a range among its options."""
    plain = name.removeprefix("1-")
    if plain in space.dimensions:
        return plain
    dimension, colon, _ = name.rpartition(":")
    return f"{dimension} (range)" if colon and dimension in space.dimensions else name


def _models_alone(sampler: BaseSampler) -> bool:
    """Return True if Optuna's sampler models a name outside of its relative search space."""
    of_others = getattr(sampler, "_independent_sampler", sampler)
    return isinstance(of_others, optuna.samplers.TPESampler)


def _relative(sampler: BaseSampler, study: optuna.Study) -> dict[str, BaseDistribution]:
    study.sampler = sampler
    trial = study._storage.get_trial(study._storage.create_new_trial(study._study_id))
    return sampler.infer_relative_search_space(study, trial)
