"""Lineage of a member, and the family tree, by an example worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tuneexp.report.family import takeover_rows
from tuneexp.sweep import TrialResult
from tuneexp.sweep.search.population.lineage import lineage


def entry(env_steps: int, donor: int, before: float, after: float) -> dict[str, Any]:
    return {"env_steps": env_steps, "donor": donor, "before": {"lr": before}, "after": {"lr": after}}


# 2 copies 1 at 100; 0 copies 2 at 200, after 2 has moved; 2 copies 3 at 300, which is no part of the lineage of 0.
TAKEOVERS = {0: [entry(200, 2, 0.1, 2.2)], 1: [], 2: [entry(100, 1, 0.3, 1.2), entry(300, 3, 1.2, 9.0)], 3: []}
NOW = {0: {"lr": 2.2, "n_steps": 32}, 1: {"lr": 1.0, "n_steps": 32}, 2: {"lr": 9.0}, 3: {"lr": 8.0}}


def test_a_lineage_goes_over_the_members_that_trained_it() -> None:
    found = [(one.env_steps, one.member, dict(one.values)) for one in lineage(TAKEOVERS, NOW, 0)]
    assert found == [(0, 1, {"lr": 1.0}), (100, 2, {"lr": 1.2}), (200, 0, {"lr": 2.2})]
    assert [(one.env_steps, one.member) for one in lineage(TAKEOVERS, NOW, 2)] == [(0, 3), (300, 2)]
    assert [(one.env_steps, one.values["lr"]) for one in lineage(TAKEOVERS, NOW, 1)] == [(0, 1.0)]


def test_a_donor_that_is_replaced_at_the_same_time_gives_its_state_of_before() -> None:
    takeovers = {0: [entry(100, 1, 0.1, 1.1)], 1: [entry(100, 2, 1.0, 2.2)], 2: []}
    values = {0: {"lr": 1.1}, 1: {"lr": 2.2}, 2: {"lr": 2.0}}
    assert [(one.member, one.values["lr"]) for one in lineage(takeovers, values, 0)] == [(1, 1.0), (0, 1.1)]


def test_the_family_tree_has_a_row_for_each_takeover() -> None:
    blank = TrialResult("id", 0, "ended", "completed", None, 1.0, 400, 2.0, {}, None)
    trials = [
        replace(blank, trial_number=number, config=NOW[number], takeovers=TAKEOVERS[number]) for number in TAKEOVERS
    ]
    rows = takeover_rows(trials)
    assert [tuple(row.values()) for row in rows] == [
        (100, 2, 1, 0.3, 1.0, 1.2), (200, 0, 2, 0.1, 1.2, 2.2), (300, 2, 3, 1.2, 8.0, 9.0),
    ]  # fmt: skip
