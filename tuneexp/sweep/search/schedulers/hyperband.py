"""Hyperband: successive halving with several first rungs, asynchronous or synchronous."""

from __future__ import annotations

from pydantic import Field

from tuneexp.sweep.search.schedulers.asha import Asha, AshaOptions
from tuneexp.sweep.search.schedulers.halving import HalvingOptions
from tuneexp.sweep.search.schedulers.scheduler import Scheduler, SchedulerContext
from tuneexp.sweep.search.schedulers.synchronous_hyperband import SynchronousHyperband


class HyperbandOptions(HalvingOptions):
    """Options of `hyperband`."""

    synchronous: bool = Field(
        False, description="Compare a rung's trials once all of them have reached it; until then they are paused."
    )


class Hyperband(Asha):
    """Hyperband (Li et al. 2018, arXiv:1603.06560), asynchronous: ASHA with every first rung, also none.

    Trials are distributed over the brackets at random, as in `Asha`. No trial waits for another."""

    Options = HyperbandOptions  # type: ignore[assignment]

    def __init__(self, options: HyperbandOptions, context: SchedulerContext) -> None:
        own = {name: getattr(options, name) for name in HalvingOptions.model_fields}
        super().__init__(AshaOptions(**own, brackets=len(options.levels(context)) + 1), context)


def build(options: HyperbandOptions, context: SchedulerContext) -> Scheduler:
    """Return the scheduler that the options ask for."""
    return SynchronousHyperband(options, context) if options.synchronous else Hyperband(options, context)
