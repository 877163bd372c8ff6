"""Sampler of the hyperparameters that a model leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

Others = Literal["random", "tpe"]
OTHERS = "Sampler of the hyperparameters that the model leaves out: random, or tpe, which models each alone."


def sampler_of_others(name: Others, seed: int, n_startup_trials: int) -> BaseSampler:
    """Return the sampler for `independent_sampler` of Optuna's samplers.

    Args:
        name: `random` or `tpe`.
        seed: Seed of its random numbers.
        n_startup_trials: Random trials before TPE models a hyperparameter.

    Returns:
        An Optuna sampler of which only the independent part is used.
    """
    from optuna.samplers import RandomSampler, TPESampler

    if name == "tpe":
        return TPESampler(seed=seed, n_startup_trials=n_startup_trials, multivariate=False)
    return RandomSampler(seed=seed)
