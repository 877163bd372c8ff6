"""Grid search: all points of a finite search space, once each, in random order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tuneexp.sweep.search.samplers.options import SamplerOptions

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext


class GridOptions(SamplerOptions):
    """Options of grid search."""

    points_per_range: int | None = Field(
        None, ge=2, description="Values of each range, evenly in its scale; default: all values, so ranges need a step."
    )


def build(options: GridOptions, context: SamplerContext) -> BaseSampler:
    """Return a grid sampler over the space. UserError if the space is not finite."""
    from tuneexp.sweep.search.samplers.grid_sampler import GridSampler
    from tuneexp.sweep.search.space.grid import grid_of

    return GridSampler(grid_of(context.space, options.points_per_range), context.seed)
