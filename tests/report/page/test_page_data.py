"""Data of the report: budgets, ranks, seconds and curves, by examples worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuneexp.report.page.budget import level_rows, spearman, stability_rows
from tuneexp.report.page.curves import POINTS, POINTS_OF_OTHERS, curve_of, other_curves, sampled
from tuneexp.report.page.seconds import Span, outcome_rows, spans_in, time_rows
from tuneexp.sweep import TrialResult

TRIAL = TrialResult("id", 0, "ended", "completed", None, 1.0, 30, 2.0, {}, None)


def trial(number: int, env_steps: int, outcome: str | None = "completed", **more: Any) -> TrialResult:
    status = "ended" if outcome else "running"
    return replace(TRIAL, trial_number=number, env_steps=env_steps, outcome=outcome, status=status, **more)


def test_levels_count_who_reached_them_and_where_the_others_ended() -> None:
    ended = [trial(0, 30), trial(1, 30), trial(2, 12, "pruned"), trial(3, 19, "error")]
    trials = [*ended, trial(4, 10, None), trial(5, 0, None)]
    rows = level_rows(trials, [10, 20, 30], rungs=[9, 15])
    names = ("env_steps", "rung", "reached", "completed", "pruned", "failed", "not ended", "went on")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (10, True, 5, 0, 1, 1, 1, 2), (20, True, 2, 0, 0, 0, 0, 2), (30, False, 2, 2, 0, 0, 0, 0),
    ]  # fmt: skip


def test_rank_stability_compares_completed_trials_with_their_final_ranking() -> None:
    # At 10 steps the ranking is reversed, at 20 two of three trials are in their places, at 30 it is the final one.
    values = {0: [3.0, 2.0, 1.0], 1: [2.0, 1.0, 2.0], 2: [1.0, 3.0, 3.0], 3: [9.0]}
    reports = {
        number: [{"env_steps": 10 * at, "objective": value} for at, value in enumerate(own, start=1)]
        for number, own in values.items()
    }
    trials = [trial(0, 30), trial(1, 30), trial(2, 30), trial(3, 10, "pruned")]
    rows = stability_rows(trials, reports, "objective", "max", [10, 20, 30])
    assert [(row["env_steps"], row["trials"]) for row in rows] == [(10, 3), (20, 3), (30, 3)]
    assert [row["rank_of_best"] for row in rows] == [3, 1, 1]
    assert [row["spearman"] for row in rows] == pytest.approx([-1.0, 0.5, 1.0])
    # Of a cost the best trial is the one with the lowest value: trial 0.
    assert [row["rank_of_best"] for row in stability_rows(trials, reports, "objective", "min", [10, 20])] == [3, 2]


def test_a_rank_correlation_needs_three_different_values() -> None:
    assert spearman([(1.0, 2.0), (2.0, 3.0)]) is None
    assert spearman([(1.0, 2.0), (1.0, 3.0), (1.0, 4.0)]) is None


def entry(kind: str, at_ms: int, trial: int = 0, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "at_ms": at_ms, "trial": trial, "draw": 0, **more}


def test_spans_end_with_the_trial_an_interruption_or_before_the_resume_after_a_kill() -> None:
    records = [
        entry("trial_started", 1000),
        entry("trial_started", 2000, 1),
        entry("trial_ended", 4000),
        entry("reported", 5000, 1, step=1, metrics={}),
        {
            "kind": "reconciled",
            "at_ms": 90_000,
            "known": [0, 1],
        },  # after a kill: trial 1 ran until 5 s, as far as known
        entry("trial_started", 91_000, 1),
        entry("trial_started", 92_000, 2),
        {"kind": "interrupted", "at_ms": 93_000},
        entry("trial_started", 100_000, 2),
        entry("trial_discarded", 100_500, 2),
    ]
    assert spans_in(records) == [Span(0, 1000, 4000), Span(1, 2000, 5000), Span(1, 91_000, 93_000)]


def test_seconds_that_are_not_training_are_the_rest_of_the_spans() -> None:
    trials = [trial(0, 30, wall_s=2.0), trial(1, 10, "pruned", wall_s=1.0), trial(2, 0, None)]
    spans = [Span(0, 1000, 4000), Span(1, 2000, 5000), Span(1, 91_000, 93_000)]
    times = time_rows(trials, spans)
    assert [(row["start_s"], row["end_s"], row["wall_s"], row["other_s"]) for row in times] == [
        (0.0, 3.0, 2.0, 1.0), (1.0, 92.0, 1.0, 4.0), (None, None, 2.0, 0.0),
    ]  # fmt: skip
    assert [(row["outcome"], row["trials"], row["share"]) for row in outcome_rows(times)] == [
        ("pruned", 1, 0.5), ("completed", 1, 0.3), ("running", 1, 0.2),
    ]  # fmt: skip


def test_long_curves_are_sampled_with_their_ends() -> None:
    assert sampled(range(5), 5) == [0, 1, 2, 3, 4]
    assert sampled(range(101), 3) == [0, 50, 100]
    returns = ("seed/0/return_mean", "seed/1/return_mean")
    reports = [{"env_steps": at, returns[0]: float(at), returns[1]: at + 2.0} for at in range(1, 1001)]
    curve = curve_of(7, reports)
    assert curve is not None
    assert len(curve.mean) == POINTS
    assert (curve.env_steps[0], curve.env_steps[-1], curve.mean[-1]) == (1, 1000, 1001.0)
    assert curve.low[-1] < 1001.0 < curve.high[-1]
    others = other_curves(range(300), dict.fromkeys(range(300), reports))
    assert sum(len(one.mean) for one in others) <= POINTS_OF_OTHERS
    assert curve_of(7, [{"env_steps": 1, "objective": 1.0}]) is None
