"""Tree-structured Parzen estimator (TPE; Watanabe 2023, arXiv:2304.11127), for one or several objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from tuneexp.sweep.search.samplers.options import LearningOptions, startup_trials
from tuneexp.sweep.search.samplers.optuna_warnings import no_experimental_warnings

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext


class TpeOptions(LearningOptions):
    """Options of TPE."""

    n_startup_trials: int | None = Field(
        None,
        ge=1,
        description="Random trials before the model is used; default: a quarter of the trials, from 4 to 10.",
    )
    multivariate: bool | None = Field(
        None, description="Model hyperparameters jointly; default: true for one objective, false for several."
    )
    group: bool = Field(False, description="Model each branch of a conditional space jointly; needs multivariate.")
    n_ei_candidates: int = Field(24, ge=1, description="Candidates per suggestion, of which the best is taken.")
    constant_liar: bool = Field(True, description="Count running trials as bad, so that parallel suggestions differ.")

    @model_validator(mode="after")
    def _group_is_multivariate(self) -> Self:
        if self.group and self.multivariate is False:
            raise ValueError("group=true needs multivariate=true; remove one of the two options")
        return self


def build(options: TpeOptions, context: SamplerContext) -> BaseSampler:
    """Return Optuna's TPE sampler."""
    from optuna.samplers import TPESampler

    with no_experimental_warnings():
        sampler = TPESampler(
            seed=context.seed,
            n_startup_trials=startup_trials(options.n_startup_trials, context.trials),
            n_ei_candidates=options.n_ei_candidates,
            multivariate=True if options.group else options.multivariate,
            group=options.group,
            constant_liar=options.constant_liar,
        )
    return options.carried(sampler)
