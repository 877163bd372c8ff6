"""Leaderboard: rows, ranks, and columns that fit the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from tuneexp.report.leaderboard import (
    TrialState,
    differing,
    hidden_parameters,
    leaderboard_rows,
    render_leaderboard,
    sweep_table,
    trial_names,
)
from tuneexp.sweep import TrialResult


def trial(number: int, outcome: str | None, objective: float | None, **settings: Any) -> TrialState:
    return TrialState.of(
        TrialResult(
            trial_id=f"id{number}",
            trial_number=number,
            status="ended" if outcome else "running",
            outcome=outcome,
            reason=None,
            objective=objective,
            env_steps=50_000,
            wall_s=1.0,
            config={"gamma": 0.98, **settings},
            checkpoint=None,
        )
    )


def text_of(table: Table, width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    return out.getvalue()


def test_the_best_completed_trial_is_first() -> None:
    rows = leaderboard_rows([trial(0, "completed", 100.0), trial(1, "completed", 300.0), trial(2, "completed", 200.0)])
    assert [(row.rank, row.trial) for row in rows] == [(1, 1), (2, 2), (3, 0)]


def test_a_pruned_trial_stands_below_every_completed_one_whatever_its_objective() -> None:
    rows = leaderboard_rows([trial(0, "pruned", 500.0), trial(1, "completed", -20.0)])
    assert [row.trial for row in rows] == [1, 0]


def test_trials_without_a_usable_objective_come_after_those_with_one() -> None:
    rows = leaderboard_rows(
        [
            trial(0, "error", None),
            trial(1, "completed", float("nan")),
            trial(2, "completed", 1.0),
            trial(3, "diverged", None),
        ]
    )
    assert [row.trial for row in rows] == [2, 1, 0, 3]
    assert rows[1].objective is None


def test_an_unfinished_trial_shows_what_it_is_doing() -> None:
    (row,) = leaderboard_rows([trial(0, None, 12.0)])
    assert row.outcome == "running"


def test_only_hyperparameters_that_differ_are_columns() -> None:
    rows = leaderboard_rows([trial(0, "completed", 1.0, lr=0.1), trial(1, "completed", 2.0, lr=0.2)])
    assert [row.parameters for row in rows] == [{"lr": 0.2}, {"lr": 0.1}]


def test_a_hyperparameter_that_only_some_trials_have_differs() -> None:
    assert differing([{"a": 1}, {"a": 1, "b": 2}]) == ["b"]


def test_named_hyperparameters_are_columns_even_where_they_do_not_differ() -> None:
    (row,) = leaderboard_rows([trial(0, "completed", 1.0, model={"activation": "tanh"})], ["model/activation"])
    assert row.parameters == {"model/activation": "tanh"}


def test_the_table_holds_every_value_of_a_row() -> None:
    rows = leaderboard_rows(
        [trial(0, "completed", 187.34, lr=0.00031234), trial(1, "pruned", 20.0, lr=0.1)],
    )
    lines = text_of(render_leaderboard(rows)).splitlines()
    assert lines[0].split() == ["trial", "objective", "env", "steps", "outcome", "lr"]
    assert lines[1].split() == ["0", "187.3", "50,000", "completed", "0.0003123"]


def test_a_narrow_terminal_loses_columns_and_never_half_of_a_number() -> None:
    settings = {f"parameter_number_{n}": 0.123456 for n in range(8)}
    rows = leaderboard_rows([trial(0, "completed", 1.0, **settings)], list(settings))
    lines = text_of(render_leaderboard(rows, width=80), width=80).splitlines()
    assert len(lines) == 2
    assert "…" not in "".join(lines)
    assert "parameter_number_0" in lines[0]
    assert "parameter_number_7" not in lines[0]
    assert [name for name in settings if name not in lines[0]] == hidden_parameters(rows, 80)
    assert hidden_parameters(rows, 300) == []


def test_two_nested_names_with_the_same_end_keep_their_whole_names() -> None:
    names = ["actor/lr", "critic/lr"]
    rows = leaderboard_rows([trial(0, "completed", 1.0, actor={"lr": 1}, critic={"lr": 2})], names)
    assert "actor/lr" in text_of(render_leaderboard(rows))


def test_a_limit_keeps_the_best_rows() -> None:
    rows = leaderboard_rows([trial(n, "completed", float(n)) for n in range(5)])
    lines = text_of(render_leaderboard(rows, limit=2)).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["4", "3"]


def test_the_list_of_sweeps_shows_an_unreadable_one_too() -> None:
    sweeps = [
        {
            "name": "first",
            "state": "finished",
            "algorithm": "ppo",
            "env": "CartPole-v1",
            "trials": 8,
            "finished": 8,
            "best": 500.0,
        },
        {"name": "broken", "state": "unreadable", "created_at_s": 0.0},
    ]
    lines = text_of(sweep_table(sweeps)).splitlines()
    assert lines[1].split() == ["first", "finished", "ppo", "CartPole-v1", "8/8", "500.0"]
    assert lines[2].split() == ["broken", "unreadable", "-", "-", "-", "-"]


VARIED = ["learning_rate", "n_steps", "batch_size", "gae_lambda", "model/activation"]


@pytest.mark.parametrize(("width", "shown"), [(60, 1), (80, 3), (100, 4), (120, 5), (200, 5)])
def test_the_most_important_hyperparameters_are_shown_whole_at_every_width(width: int, shown: int) -> None:
    trials = [
        trial(
            number, outcome, -1_234_567.5, learning_rate=0.00012345 * number, n_steps=32 * number,
            batch_size=64 * number, gae_lambda=0.9 + number / 100, model={"activation": ["tanh", "relu"][number - 1]},
        )
        for number, outcome in ((1, "out_of_memory"), (2, "interrupted"))
    ]  # fmt: skip
    rows = leaderboard_rows(trials, VARIED)
    text = text_of(render_leaderboard(rows, width=width), width)
    assert "…" not in text
    assert "out_of_memory" in text
    assert [
        name for name in ("learning_rate", "n_steps", "batch_size", "gae_lambda", "activation") if name in text
    ] == [name.rpartition("/")[2] for name in VARIED[:shown]]
    assert len(hidden_parameters(rows, width)) == len(VARIED) - shown


def test_what_is_the_same_in_all_trials_gives_way_to_what_differs() -> None:
    rows = leaderboard_rows([trial(0, "completed", 1.0, n_steps=32), trial(1, "completed", 2.0, n_steps=64)],
                            ["gamma", "n_steps"])  # fmt: skip
    assert list(rows[0].parameters) == ["n_steps", "gamma"]


def test_trials_are_named_by_the_two_most_important_values_that_differ() -> None:
    trials = [
        trial(0, "completed", 2.0, learning_rate=0.00123456, n_steps=32, model={"activation": "tanh"}),
        trial(1, "pruned", 1.0, learning_rate=0.01, n_steps=32, model={"activation": "relu"}),
    ]
    rows = leaderboard_rows(trials, ["learning_rate", "n_steps", "model/activation"])
    assert trial_names(rows) == {
        0: "learning_rate 0.001235, activation tanh (trial 0)",
        1: "learning_rate 0.01, activation relu (trial 1)",
    }
    assert trial_names(leaderboard_rows([trial(3, "completed", 1.0)])) == {3: "trial 3"}
