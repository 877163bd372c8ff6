"""Seeds of a trial, checked in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tuneexp.errors import UserError
from tuneexp.seeds import MAX_SEED, checked_seeds, seed_list
from tuneexp.trial.trial_config import TrialConfig


def test_numpy_seeds_become_ints_and_the_largest_seed_is_allowed() -> None:
    assert [type(seed) for seed in checked_seeds([np.int64(3), MAX_SEED])] == [int, int]


@pytest.mark.parametrize("seeds", [[], [-1], [1, 1], [0.5], [True], [MAX_SEED + 1], ["1"]])
def test_one_check_refuses_seeds_of_scripts_and_of_stored_configurations(seeds: list[Any]) -> None:
    with pytest.raises(UserError, match="seed"):
        seed_list(seeds)
    if all(type(seed) is int for seed in seeds):
        with pytest.raises(UserError, match="seeds"):
            TrialConfig.parse({"algorithm": "ppo", "env": "CartPole-v1", "seeds": seeds}, "a trial")


def test_evaluation_repeats_a_seed_that_may_be_larger() -> None:
    assert checked_seeds([MAX_SEED + 1] * 2, distinct=False, largest=None) == [MAX_SEED + 1] * 2
