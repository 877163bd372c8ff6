"""Overstatement of the scores of `tune`: on seeds that neither the search nor the confirmation has seen."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tuners import confirming
from benchmarks.tuners.replay import Trace, drawn_seeds
from tests.benchmarks.tuners.synthetic import smooth_table

NONE = np.zeros(0)


def ended(completed: dict[int, float]) -> Trace:
    return Trace(NONE, NONE, NONE.astype(int), len(completed), NONE, completed)


def test_each_score_is_compared_with_seeds_that_it_has_not_seen() -> None:
    table = smooth_table(rows=9, seeds=10, noise=5.0)
    best = int(np.argmax(table.scores))
    width = np.ptp(table.scores)
    found = confirming.overstated(table, ended({best: 200.0}), seed=4)
    others = np.delete(table.returns[best][:, -1], drawn_seeds(table, best, 3, 4))
    seen, unseen = others[:5], others[5:]
    assert len(unseen) == 2
    assert found["search"] == pytest.approx((200.0 - others.mean()) / width)
    assert found["mean"] == pytest.approx((seen.mean() - unseen.mean()) / width)
    assert found["iqm"] == pytest.approx((np.sort(seen)[1:4].mean() - unseen.mean()) / width)
    assert found["printed"] == found["iqm"]  # a single configuration was not chosen


def test_the_best_three_are_confirmed_and_the_choice_among_them_is_corrected() -> None:
    table = smooth_table(rows=9, seeds=10, noise=30.0)
    order = np.argsort(-table.scores).tolist()
    trace = ended({row: 100.0 - place for place, row in enumerate(order)})
    found = [confirming.overstated(table, trace, seed) for seed in range(2)]
    assert all(one["printed"] <= one["iqm"] for one in found)
    assert any(one["printed"] < one["iqm"] for one in found)
    best = {row: np.delete(table.returns[row][:, -1], drawn_seeds(table, row, 3, 0)) for row in order[:3]}
    middle = {row: np.sort(ends[:5])[1:4].mean() for row, ends in best.items()}
    winner = max(middle, key=lambda row: middle[row])
    unseen = best[winner][5:].mean()
    assert found[0]["iqm"] == pytest.approx((middle[winner] - unseen) / np.ptp(table.scores))


def test_a_search_without_noise_overstates_nothing() -> None:
    (row,) = confirming.measured(smooth_table(rows=16, seeds=10), repetitions=2, jobs=1)
    assert row["trials"] == 16  # of 64 that it may try
    assert all(np.allclose(row[how][name], 0) for how in ("mean", "median") for name in confirming.MEASURES)
    mean, median = confirming.markdown([row])
    assert "0.0 (0.0 to 0.0)" in mean
    assert median.count("\n") == 5
