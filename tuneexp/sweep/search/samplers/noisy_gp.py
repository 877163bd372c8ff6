"""Bayesian optimization that uses each trial's standard error over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tuneexp.sweep.search.samplers.options import LearningOptions, startup_trials
from tuneexp.sweep.search.samplers.others import OTHERS, Others, sampler_of_others

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext


class NoisyGpOptions(LearningOptions):
    """Options of Bayesian optimization with the noise of each trial."""

    n_startup_trials: int | None = Field(
        None,
        ge=1,
        description="Random trials before the model is used; default: a quarter of the trials, from 4 to 10.",
    )
    others: Others = Field("random", description=OTHERS)


def build(options: NoisyGpOptions, context: SamplerContext) -> BaseSampler:
    """Return the sampler."""
    from tuneexp.sweep.search.samplers.noisy_gp_sampler import NoisyGpSampler

    startup = startup_trials(options.n_startup_trials, context.trials)
    others = sampler_of_others(options.others, context.seed, startup)
    return options.carried(NoisyGpSampler(startup, others, context.seed))
