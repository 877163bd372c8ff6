"""Covariance matrix adaptation evolution strategy (CMA-ES; Hansen 2016, arXiv:1604.00772), for numbers."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from tuneexp.errors import UserError
from tuneexp.sweep.search.samplers.options import LearningOptions, startup_trials
from tuneexp.sweep.search.samplers.optuna_warnings import no_experimental_warnings
from tuneexp.sweep.search.samplers.others import OTHERS, Others, sampler_of_others

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext


class CmaesOptions(LearningOptions):
    """Options of CMA-ES."""

    n_startup_trials: int = Field(1, ge=1, description="Random trials before CMA-ES starts.")
    popsize: int | None = Field(None, ge=2, description="Trials of a generation; default: 4 + 3 ln(numbers searched).")
    use_separable_cma: bool = Field(
        False, description="Diagonal covariance matrix: learns faster, without correlations."
    )
    with_margin: bool = Field(False, description="Keep integers and stepped ranges from being fixed to one value.")
    lr_adapt: bool = Field(False, description="Adapt the learning rate: for noisy or multimodal objectives.")
    others: Others = Field("random", description=OTHERS)

    @model_validator(mode="after")
    def _one_variant(self) -> Self:
        variants = [name for name in ("use_separable_cma", "with_margin", "lr_adapt") if getattr(self, name)]
        if len(variants) > 1:
            raise ValueError(f"{' and '.join(variants)} exclude each other; keep one of them")
        return self


def build(options: CmaesOptions, context: SamplerContext) -> BaseSampler:
    """Return Optuna's CMA-ES sampler. UserError if the package `cmaes` is missing."""
    if importlib.util.find_spec("cmaes") is None:
        raise UserError("the sampler cmaes needs the package cmaes; write: pip install cmaes")
    from tuneexp.sweep.search.samplers.cmaes_sampler import CmaEsSampler
    from tuneexp.sweep.search.samplers.random_study import constant_names, random_study, valid_trials

    always = constant_names(valid_trials(random_study(context.space))) if context.space else None
    with no_experimental_warnings():
        sampler = CmaEsSampler(
            always,
            seed=context.seed,
            n_startup_trials=options.n_startup_trials,
            popsize=options.popsize,
            use_separable_cma=options.use_separable_cma,
            with_margin=options.with_margin,
            lr_adapt=options.lr_adapt,
            independent_sampler=sampler_of_others(options.others, context.seed, startup_trials(None, context.trials)),
            warn_independent_sampling=False,
        )
    return options.carried(sampler)
