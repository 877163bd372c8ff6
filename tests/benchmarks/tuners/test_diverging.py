"""Samplers learn from trials that diverge: few of their later suggestions do, where a third of the space does."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from benchmarks.tuners.diverging import AS_FAIL, AS_WORST, LATE, SAMPLERS, search

optuna.logging.set_verbosity(optuna.logging.ERROR)
BAR = 0.07


def late_share(name: str, how: str, seeds: int) -> float:
    return float(np.mean([search(SAMPLERS[name], how, seed)[LATE:] for seed in range(seeds)]))


# The others: `python -m benchmarks.tuners.diverging`. A sweep of nsga2 takes a sixth of a second, and they vary most.
@pytest.mark.parametrize(("name", "seeds"), [("tpe", 3), ("cmaes", 3), ("nsga2", 20)])
def test_few_suggestions_diverge(name: str, seeds: int) -> None:
    assert late_share(name, AS_WORST, seeds) < BAR


def test_random_search_meets_a_third_and_a_failed_trial_teaches_nothing() -> None:
    assert late_share("random", AS_WORST, seeds=2) == pytest.approx(1 / 3, abs=0.1)
    assert late_share("nsga2", AS_FAIL, seeds=5) > BAR
