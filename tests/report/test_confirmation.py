"""Texts of a confirmation, which need no knowledge of statistics."""

from __future__ import annotations

from typing import Any

import pytest

from tuneexp.report.confirmation import confirmation_table, confirmation_text
from tuneexp.sweep.confirming.comparison import Confirmed, TuningScore, confirmed, winner
from tuneexp.sweep.confirming.confirmation import Confirmation
from tuneexp.sweep.confirming.scores import SeedScores

SEEDS = [4, 5, 6, 7]
LOW = [100.0, 110.0, 90.0, 104.0]


def found(trial: list[float], defaults: list[float] = LOW, tuning: float = 200.0, **changes: Any) -> Confirmation:
    base = SeedScores(dict(zip(SEEDS, defaults, strict=True)), [])
    ours = SeedScores(dict(zip(SEEDS, trial, strict=True)), changes.pop("diverged", []))
    configurations: list[Confirmed] = changes.pop("configurations", None) or [
        confirmed("trial 3", {"gamma": 0.98}, ours, TuningScore(tuning, "mean"), base, outcome="completed"),
        confirmed("defaults", {}, base, None, base, outcome="completed"),
    ]
    values = {
        "sweep": "first", "storage": "runs", "name": "confirm", "folder": "runs/first/confirm", "state": "finished",
        "sweep_state": "finished", "seeds": SEEDS, "tuning_seeds": [0, 1, 2, 3], "aggregate": "mean",
        "budget_env_steps": 1000, "configurations": configurations, "winner": winner(configurations),
        "best_file": "runs/first/best.yaml", "checklist_file": None, "mlflow": {},
    }  # fmt: skip
    return Confirmation(**{**values, **changes})


def lines(of: Confirmation) -> dict[str, str]:
    return {line[:12].strip(): line[12:] for line in confirmation_text(of).splitlines()}


def test_five_lines_say_what_was_found_how_sure_it_is_and_how_to_train_it() -> None:
    text = lines(found([value + 100.0 for value in LOW]))
    assert list(text) == ["found", "score", "defaults", "tuning", "train it"]
    assert text["found"] == "trial 3: gamma=0.98"
    assert text["score"].startswith("a return of 202.0 on 4 seeds that tuning never used: very likely 190.0 to 210.0")
    assert "102.0: trial 3 is better by 100.0 (very likely 100.0 to 100.0)" in text["defaults"]
    assert "in 100% of cases" in text["defaults"]
    assert text["tuning"] == (
        "trial 3 had 200.0, the mean of 4 seeds; on these seeds that is 201.0: it was 1.0 too low (0%)"
    )
    assert text["train it"] == "tuneexp train --config runs/first/best.yaml"


@pytest.mark.parametrize(
    ("trial", "chosen", "words"),
    [
        (LOW, "trial 3", "the same on every seed"),
        ([value - 50.0 for value in LOW], "defaults", "better than the best of the sweep, trial 3 (52.0), by 50.0"),
        (LOW[::-1], "trial 3", "as good, as far as 4 seeds can show"),
    ],
)
def test_the_defaults_are_the_result_if_they_are_better_and_else_it_is_told(
    trial: list[float], chosen: str, words: str
) -> None:
    text = lines(found(trial))
    assert text["found"].startswith(chosen)
    assert words in text["defaults"]


def test_ties_are_shown_as_counts() -> None:
    text = lines(found([500.0, 500.0, 500.0, 20.0], [500.0] * 4))
    assert text["score"] == "a return of 500 on 3 of 4, 20 on 1 of 4 seeds that tuning never used"


def test_troubles_come_first() -> None:
    base = SeedScores(dict.fromkeys(SEEDS, 1.0), [])
    failed = confirmed("trial 1", {}, None, None, base, outcome="out_of_memory", reason="the worker was killed")
    shaky = confirmed("trial 0", {}, SeedScores(dict.fromkeys(SEEDS, 2.0), [5, 7]), None, base, outcome="completed")
    of = found(LOW, configurations=[failed, shaky], sweep_state="running", tuning_seeds=[4], seeds=SEEDS)
    told = confirmation_text(of).splitlines()
    assert "sweep is running" in told[0]
    assert "tuning used 4 of these seeds" in told[1]
    assert "trial 1: out of memory, the worker was killed" in told[2]
    assert "trial 0: 2 of 4 seeds (5,7)" in told[3]
    assert told[4].startswith("found       trial 0")


def test_a_confirmation_without_a_result_says_so() -> None:
    nothing = found(LOW, configurations=[confirmed("trial 1", {}, None, None, None)], best_file=None)
    assert confirmation_text(nothing).splitlines()[-1] == "found       no configuration of the sweep has a result"
    (name,) = confirmation_table(nothing).columns[0].cells
    assert str(name) == "trial 1"
