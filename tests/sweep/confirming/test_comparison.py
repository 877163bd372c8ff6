"""Comparison of confirmed configurations, with examples worked by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tuneexp.statistics.intervals import Estimate
from tuneexp.sweep.confirming.comparison import (
    BETTER,
    EQUAL,
    OPEN,
    WORSE,
    Confirmed,
    TuningScore,
    as_json,
    confirmed,
    overstatement,
    winner,
)
from tuneexp.sweep.confirming.scores import SeedScores

SEEDS = range(10)


def scores(values: list[float], diverged: tuple[int, ...] = ()) -> SeedScores:
    return SeedScores(dict(zip(SEEDS, values, strict=True)), list(diverged))


def results(**by_name: list[float]) -> list[Confirmed]:
    """trial_3=[...], defaults=[...]: results with a tuning score of 100 each."""
    found = {name.replace("_", " "): scores(values) for name, values in by_name.items()}
    return [
        confirmed(name, {}, one, None if name == "defaults" else TuningScore(100.0, "mean"), found.get("defaults"))
        for name, one in found.items()
    ]


LOW = [float(value) for value in (10, 11, 9, 12, 8, 10, 11, 9, 12, 8)]
HIGH = [value + 5.0 for value in LOW]


def test_differences_are_paired_by_seed() -> None:
    """Each seed is better by 5: the interval has no width, though the seeds differ."""
    high, low = results(trial_3=HIGH, defaults=LOW)
    assert high.over_defaults == pytest.approx(Estimate(5.0, 5.0, 5.0))
    assert low.over_defaults is None
    assert low.beats_defaults is None
    assert high.beats_defaults is not None
    assert high.beats_defaults.value == pytest.approx(
        np.mean([a > b for a in HIGH for b in LOW]) + 0.5 * np.mean([a == b for a in HIGH for b in LOW])
    )


@pytest.mark.parametrize(
    ("trial", "verdict"),
    [(HIGH, BETTER), ([value - 5.0 for value in LOW], WORSE), (LOW, EQUAL), (LOW[::-1], OPEN)],
)
def test_the_verdict_follows_the_interval_of_the_difference(trial: list[float], verdict: str) -> None:
    found = winner(results(trial_3=trial, defaults=LOW))
    assert found is not None
    assert found.verdict == verdict


def test_the_winner_comes_from_the_sweep_and_pays_for_having_been_chosen() -> None:
    generator = np.random.default_rng(3)
    noise = {f"trial_{number}": generator.normal(100.0, 10.0, 10).tolist() for number in range(3)}
    found = results(**noise, defaults=generator.normal(500.0, 10.0, 10).tolist())
    best = winner(found)
    assert best is not None
    assert best.name == max(found[:3], key=lambda one: one.score.value if one.score else 0.0).name
    assert best.corrected.value < best.score
    assert best.over_defaults is not None
    chosen = next(one for one in found if one.name == best.name)
    assert chosen.over_defaults is not None
    assert best.over_defaults.value == pytest.approx(chosen.over_defaults.value + best.corrected.value - best.score)


def test_the_overstatement_has_the_aggregate_of_the_sweep() -> None:
    tuning = TuningScore(30.0, "mean", (20.0, 40.0))
    found = overstatement(tuning, [10.0, 20.0, 60.0])
    assert found.value == pytest.approx(0.0)
    assert found.low < 0.0 < found.high
    assert overstatement(TuningScore(40.0, "min", ()), [10.0, 20.0, 60.0]).value == pytest.approx(30.0)


def test_a_seed_that_diverged_counts_and_a_failed_training_wins_nothing() -> None:
    whole = confirmed("trial 0", {}, scores([*LOW[:8], -5.0, -5.0], diverged=(8, 9)), None, None, outcome="completed")
    failed = confirmed("trial 1", {}, None, TuningScore(1e6, "mean"), None, outcome="error", reason="boom")
    assert len(whole.scores) == 10
    assert whole.diverged == [8, 9]
    best = winner([failed, whole])
    assert best is not None
    assert best.name == "trial 0"
    assert winner([failed]) is None


def test_scores_with_ties_have_counts_and_no_nan() -> None:
    ties = results(trial_0=[500.0] * 8 + [100.0] * 2, defaults=[500.0] * 10)
    assert ties[0].values == [(500.0, 8), (100.0, 2)]
    text = json.dumps(as_json({"found": ties, "winner": winner(ties), "nothing": float("nan")}))
    assert "NaN" not in text
    assert json.loads(text)["nothing"] is None
