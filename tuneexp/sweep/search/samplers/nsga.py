"""Genetic algorithms NSGA-II (Deb et al. 2002, doi:10.1109/4235.996017) and NSGA-III."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from tuneexp.sweep.search.samplers.options import LearningOptions
from tuneexp.sweep.search.samplers.optuna_warnings import no_experimental_warnings

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from tuneexp.sweep.search.choice import SamplerContext

LARGEST_POPULATION = 50  # Optuna's default
FEWEST_PARENTS = 4  # the smallest population; a crossover takes up to three
GENERATIONS = 4  # that a sweep has at least, if the population is not given
_CROSSOVERS = {
    "uniform": "UniformCrossover",
    "blx_alpha": "BLXAlphaCrossover",
    "sbx": "SBXCrossover",
    "spx": "SPXCrossover",
    "undx": "UNDXCrossover",
    "vsbx": "VSBXCrossover",
}
_OF_THREE_PARENTS = ("spx", "undx")


class Nsga2Options(LearningOptions):
    """Options of NSGA-II."""

    population_size: int | None = Field(
        None, ge=2, description="Trials of a generation; default: a quarter of the trials, from 4 to 50."
    )
    crossover: Literal["uniform", "blx_alpha", "sbx", "spx", "undx", "vsbx"] = Field(
        "uniform", description="Mixture of the numbers of parents; choices are always taken from one of them."
    )
    crossover_prob: float = Field(0.9, ge=0, le=1, description="Probability that a trial has two parents, not one.")
    swapping_prob: float = Field(
        0.5, ge=0, le=1, description="Probability of each value to come from the second parent."
    )
    mutation_prob: float | None = Field(
        None, ge=0, le=1, description="Probability of each value to be drawn anew; default: 1 / number of values."
    )

    @model_validator(mode="after")
    def _enough_parents(self) -> Self:
        if self.crossover in _OF_THREE_PARENTS and self.population_size == 2:
            raise ValueError(f"crossover={self.crossover} takes three parents; write population_size=3 or more")
        return self


class Nsga3Options(Nsga2Options):
    """Options of NSGA-III."""

    dividing_parameter: int = Field(3, ge=1, description="Divisions of each objective between its reference points.")


def build_nsga2(options: Nsga2Options, context: SamplerContext) -> BaseSampler:
    """Return Optuna's NSGA-II sampler."""
    from optuna.samplers import NSGAIISampler

    return options.carried(_with_selection(NSGAIISampler(**_arguments(options, context))))


def build_nsga3(options: Nsga3Options, context: SamplerContext) -> BaseSampler:
    """Return Optuna's NSGA-III sampler."""
    from optuna.samplers import NSGAIIISampler

    with no_experimental_warnings():
        sampler = NSGAIIISampler(**_arguments(options, context), dividing_parameter=options.dividing_parameter)
    return options.carried(_with_selection(sampler))


class ParentsWithResult:
    """Selection of parents among the trials with a result, as long as there are enough of them.

    In Optuna's own selection each trial of a generation can be a parent, so the values of diverged trials of the random
    first generation are inherited.

    Args:
        select: Optuna's selection: (study, candidates) -> parents.
    """

    def __init__(self, select: Callable[[Study, list[FrozenTrial]], list[FrozenTrial]]) -> None:
        self._select = select

    def __call__(self, study: Study, candidates: list[FrozenTrial]) -> list[FrozenTrial]:
        from tuneexp.sweep.search.samplers.without_result import has_result

        able = [trial for trial in candidates if has_result(trial)]
        return self._select(study, able if len(able) >= FEWEST_PARENTS else candidates)


def _with_selection(sampler: Any) -> Any:
    sampler._elite_population_selection_strategy = ParentsWithResult(sampler._elite_population_selection_strategy)
    return sampler


def _arguments(options: Nsga2Options, context: SamplerContext) -> dict[str, Any]:
    from optuna.samplers import nsgaii

    with no_experimental_warnings():
        kind = getattr(nsgaii, _CROSSOVERS[options.crossover])
        crossover = kind(options.swapping_prob) if options.crossover == "uniform" else kind()
    trials = context.trials or GENERATIONS * LARGEST_POPULATION
    return {
        "seed": context.seed,
        "population_size": options.population_size or max(4, min(LARGEST_POPULATION, trials // GENERATIONS)),
        "crossover": crossover,
        "crossover_prob": options.crossover_prob,
        "swapping_prob": options.swapping_prob,
        "mutation_prob": options.mutation_prob,
    }
