"""Bayesian optimization with a Gaussian process (log expected improvement; Ament et al. 2023, arXiv:2310.20708)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tuneexp.sweep.search.samplers.options import LearningOptions, startup_trials
from tuneexp.sweep.search.samplers.optuna_warnings import no_experimental_warnings
from tuneexp.sweep.search.samplers.others import OTHERS, Others, sampler_of_others

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext


class GpOptions(LearningOptions):
    """Options of Bayesian optimization with a Gaussian process."""

    n_startup_trials: int | None = Field(
        None,
        ge=1,
        description="Random trials before the model is used; default: a quarter of the trials, from 4 to 10.",
    )
    deterministic_objective: bool = Field(False, description="Assume that scores have no noise.")
    others: Others = Field("random", description=OTHERS)


def build(options: GpOptions, context: SamplerContext) -> BaseSampler:
    """Return Optuna's Gaussian process sampler."""
    from optuna.samplers import GPSampler

    startup = startup_trials(options.n_startup_trials, context.trials)
    with no_experimental_warnings():
        sampler = GPSampler(
            seed=context.seed,
            n_startup_trials=startup,
            deterministic_objective=options.deterministic_objective,
            independent_sampler=sampler_of_others(options.others, context.seed, startup),
            warn_independent_sampling=False,
        )
    return options.carried(sampler)
