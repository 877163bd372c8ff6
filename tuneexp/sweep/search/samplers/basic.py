"""The samplers random and tpe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneexp.config import Config

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext


class SamplerOptions(Config):
    """Options of a sampler that has none."""


def build_random(options: SamplerOptions, context: SamplerContext) -> BaseSampler:
    """Return Optuna's random sampler."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=context.seed)


def build_tpe(options: SamplerOptions, context: SamplerContext) -> BaseSampler:
    """Return Optuna's TPE sampler."""
    from optuna.samplers import TPESampler

    # A short sweep would consist of Optuna's ten random startup trials only.
    trials = 10 if context.trials is None else context.trials // 4
    return TPESampler(seed=context.seed, n_startup_trials=max(4, min(10, trials)))
