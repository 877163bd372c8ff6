"""Quasi-Monte Carlo search: a sequence of points that fill the space evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tuneexp.sweep.search.samplers.options import SamplerOptions
from tuneexp.sweep.search.samplers.optuna_warnings import no_experimental_warnings

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext


class QmcOptions(SamplerOptions):
    """Options of quasi-Monte Carlo search."""

    qmc_type: Literal["sobol", "halton"] = Field("sobol", description="Sequence of points: sobol or halton.")
    scramble: bool = Field(True, description="Randomize the sequence by the seed; without it every seed has the same.")


def build(options: QmcOptions, context: SamplerContext) -> BaseSampler:
    """Return Optuna's quasi-Monte Carlo sampler."""
    from optuna.samplers import QMCSampler

    with no_experimental_warnings():
        return QMCSampler(
            qmc_type=options.qmc_type,
            scramble=options.scramble,
            seed=context.seed,
            warn_asynchronous_seeding=False,
            warn_independent_sampling=False,
        )
