"""Ways to spend seeds are compared at an equal cost in trainings of one seed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tuners import racing
from benchmarks.tuners.replay import Trace, drawn_seeds
from tests.benchmarks.tuners.synthetic import smooth_table


def test_scores_regret_and_overstatement_are_of_the_configuration_chosen_at_the_cost() -> None:
    table = smooth_table(rows=9, noise=5.0)
    budget, way = table.budget_env_steps, racing.Way(racing.scheduled(), 2)
    trace = Trace(np.array([budget, 2 * budget]) * 1.0, np.zeros(2), np.array([3, 7]), 2, np.array([40.0, 60.0]), {})
    width = np.ptp(table.scores)
    for cost, row, objective in ((1, -1, np.nan), (2, 3, 40.0), (3, 3, 40.0), (4, 7, 60.0)):
        found = racing.measured(table, way, [trace], cost)
        score = table.scores.mean() if row < 0 else table.scores[row]
        assert found["score"] == pytest.approx(score)
        assert found["regret"] == pytest.approx((table.scores.max() - score) / width)
        if row < 0:
            assert np.isnan(found["overstated"])
            continue
        others = np.delete(table.returns[row][:, -1], drawn_seeds(table, row, 2, 0))
        assert len(others) == len(table.returns[row]) - 2
        assert found["overstated"] == pytest.approx((objective - others.mean()) / width)


def test_the_tables_hold_each_way_and_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "WAYS", [racing.Way(way.method, min(way.seeds, 3)) for way in racing.WAYS[-3:]])
    rows = racing.compared(smooth_table(rows=16, noise=5.0), repetitions=2, jobs=1)
    assert [row["budget"] for row in rows] == [*racing.BUDGETS] * 3
    assert rows[0]["beats_random"] == 0.5  # the first way is the one that the others are compared with
    assert all(0 <= row["median_regret"] <= 1 for row in rows)
    regret, beats, _ = racing.markdown(rows)
    assert regret.count("\n") == 4
    assert 'tpe + asha seeds={"start": 1, "standard_errors": 1.0}, 3 seeds |' in regret
    assert " / ".join(f"{row['beats_random']:.2f}" for row in rows[-3:]) in beats
