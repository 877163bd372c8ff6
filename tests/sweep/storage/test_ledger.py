"""The ledger: best and last of a trial, and what a quota drops."""

from __future__ import annotations

from collections import Counter

from tuneexp.sweep.storage.checkpoint_keeper import over_quota
from tuneexp.sweep.storage.ledger import Account, KeptCheckpoint, with_saved, within_quota


def saved(*scores: float | None, keep: int, violates: tuple[int, ...] = ()) -> list[int]:
    """Save a checkpoint at each step, with these scores. Returns the steps that stay."""
    kept: list[KeptCheckpoint] = []
    for step, score in enumerate(scores):
        scored = [] if score is None else [score]
        kept = with_saved(kept, KeptCheckpoint(f"t/c{step}", step, scored, step in violates), keep)
    return [one.env_steps for one in kept]


def test_a_trial_keeps_its_best_and_its_last_of_equal_scores_the_later() -> None:
    assert saved(5.0, 9.0, 9.0, 7.0, 1.0, keep=1) == [2, 4]
    assert saved(5.0, 9.0, 9.0, 7.0, 1.0, keep=3) == [1, 2, 3, 4]
    assert saved(1.0, 2.0, 3.0, keep=1) == [2]  # the last one is the best
    assert saved(None, 2.0, None, None, keep=2) == [1, 3]  # no score is no result
    assert saved(9.0, 2.0, 1.0, keep=1, violates=(0,)) == [1, 2]  # beyond a constraint is worse than any within


def test_a_checkpoint_of_the_same_step_takes_the_place_of_the_first() -> None:
    kept = with_saved([], KeptCheckpoint("t/c0", 100, [5.0]), 2)
    assert [one.path for one in with_saved(kept, KeptCheckpoint("t/c1", 100, [5.0]), 2)] == ["t/c1"]


def account(trial: str, *scores: float, goes_on: bool = False, is_best: bool = False) -> Account:
    kept = [KeptCheckpoint(f"{trial}{step}", step, [score], False, 10) for step, score in enumerate(scores)]
    return Account(kept, goes_on, is_best)


def test_a_quota_drops_the_worst_of_the_sweep_first_and_keeps_what_is_needed() -> None:
    ended, best, paused = account("a", 3, 2), account("b", 9, 8, is_best=True), account("c", 4, 1, goes_on=True)
    trials = [ended, best, paused]
    assert within_quota(trials, 1, 60, ()).dropped == frozenset()
    assert within_quota(trials, 1, 50, ()).dropped == {"a1"}  # c1 is worse, and its trial goes on from it
    assert within_quota(trials, 1, 35, ()).dropped == {"a0", "a1", "c0"}
    assert within_quota(trials, 1, 50, {"a1"}).dropped == {"a0"}  # MLflow is still to get a1
    none_fits = within_quota(trials, 1, 0, {"a1"})
    assert none_fits.dropped == {"a0", "c0"}
    assert none_fits.size_bytes == 40
    assert none_fits.needed == Counter({"the best": 2, "to go on": 1, "not yet in MLflow": 1})
    assert over_quota(none_fits, 5).startswith("the checkpoints that are needed take 0.0 kB (2 the best, 1 ")
