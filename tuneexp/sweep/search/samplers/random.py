"""Random search: independent draws from the search space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneexp.sweep.search.samplers.options import SamplerOptions

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext


class RandomOptions(SamplerOptions):
    """Options of random search. There are none."""


def build(options: RandomOptions, context: SamplerContext) -> BaseSampler:
    """Return Optuna's random sampler."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=context.seed)
