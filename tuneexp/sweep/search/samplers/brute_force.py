"""Exhaustive search of a define-by-run space, whose combinations need not be known before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneexp.errors import UserError
from tuneexp.sweep.search.samplers.options import SamplerOptions
from tuneexp.sweep.search.samplers.optuna_warnings import no_experimental_warnings

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext


class BruteForceOptions(SamplerOptions):
    """Options of exhaustive search. There are none."""


def build(options: BruteForceOptions, context: SamplerContext) -> BaseSampler:
    """Return Optuna's brute-force sampler. UserError for a space with continuous ranges or with constraints."""
    from tuneexp.sweep.search.samplers.brute_force_sampler import BruteForceSampler, continuous_names

    if names := context.space.narrowed_names():
        raise UserError(
            f"brute_force can't search {', '.join(names)}, which constrain each other; write the sampler grid"
        )
    if endless := continuous_names(context.space):
        raise UserError(
            f"{endless[0]}: brute_force can't list a continuous range; write a step, a choice or another sampler"
        )
    with no_experimental_warnings():
        return BruteForceSampler(seed=context.seed)
