"""Bases of the options of samplers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tuneexp.config import Config


class SamplerOptions(Config):
    """Options of a sampler."""


class LearningOptions(SamplerOptions):
    """Options of a sampler that learns from ended trials."""

    carry_pruned: bool = Field(
        False,
        description="Show pruned trials to the sampler as completed ones, with their score carried to the full budget.",
    )

    def carried(self, sampler: Any) -> Any:
        """Return the sampler, wrapped if pruned trials are to be carried to the full budget."""
        from tuneexp.sweep.search.samplers.carrying import CarryingSampler

        return CarryingSampler(sampler) if self.carry_pruned else sampler


def startup_trials(asked: int | None, trials: int | None) -> int:
    """Return the number of random trials before a model is used.

    Optuna's ten would be a large part of a short sweep, or all of it.

    Args:
        asked: Value of the option; None for the default.
        trials: Trials of the sweep; None if there is no limit.

    Returns:
        `asked`, or a quarter of the trials, from 4 to 10.
    """
    return asked if asked is not None else max(4, min(10, 10 if trials is None else trials // 4))
