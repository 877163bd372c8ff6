"""Samplers of a user's own."""

from __future__ import annotations

from typing import Any

import optuna


class Halving(optuna.samplers.RandomSampler):
    """Random search in the lower part of each range. share: the part."""

    def __init__(self, seed: int | None = None, share: float = 0.5) -> None:
        super().__init__(seed)
        self.share = share

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        value = super().sample_independent(study, trial, name, distribution)
        if not isinstance(distribution, optuna.distributions.FloatDistribution):
            return value
        if distribution.log or distribution.step is not None:
            return value
        return distribution.low + self.share * (value - distribution.low)


class Unseeded(optuna.samplers.RandomSampler):
    def __init__(self) -> None:
        super().__init__(7)


class Stopping(optuna.samplers.RandomSampler):
    """Stops its study after the third trial, as Optuna's own exhaustive samplers do."""

    def after_trial(self, study: optuna.Study, trial: Any, state: Any, values: Any) -> None:
        if trial.number >= 2:
            study.stop()


class Failing(optuna.samplers.RandomSampler):
    def after_trial(self, *_: Any) -> None:
        raise RuntimeError("of its own")


class NoSampler:
    pass
