"""Live view of a running sweep, on a terminal and in a log."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tuneexp.report.leaderboard import TrialState
from tuneexp.report.live import LiveView, LogView, SweepProgress, sweep_view
from tuneexp.sweep.events import SweepEvent


def event(kind: Any, number: int, steps: int = 0, objective: float | None = None, **more: Any) -> SweepEvent:
    return SweepEvent(kind, number, f"id{number}", more.pop("config", {"lr": 0.1}), steps, objective, **more)


def console(terminal: bool, width: int = 100, height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, height=height, color_system=None)


def written(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_a_log_gets_one_line_for_each_trial_that_ends() -> None:
    screen = console(terminal=False, width=40)
    with sweep_view(screen, SweepProgress(2, 1000, ["lr"]), "sweep first") as view:
        assert isinstance(view, LogView)
        view.on_event(event("started", 0))
        view.on_event(event("report", 0, 500, 3.0))
        view.on_event(event("ended", 0, 1000, 187.34, outcome="completed"))
        view.on_event(event("ended", 1, 100, outcome="error", reason="EnvironmentFault: it\nbroke"))
    lines = written(screen).splitlines()
    assert lines[0] == "sweep first"
    assert lines[1].startswith("trial 0 completed: objective 187.3, env steps 1,000, lr=0.1 (1 of 2, ")
    assert lines[2] == "trial 1 error: objective -, env steps 100, lr=0.1, EnvironmentFault: it broke (2 of 2)"
    assert len(lines) == 3


def test_trials_from_before_a_resume_are_counted_and_not_printed_again() -> None:
    screen = console(terminal=False)
    with sweep_view(screen, SweepProgress(2, 1000), "title") as view:
        view.on_event(event("ended", 0, 1000, 1.0, outcome="completed", restored=True))
        view.on_event(event("ended", 1, 1000, 2.0, outcome="completed"))
    assert [line.split(":")[0] for line in written(screen).splitlines()] == ["title", "trial 1 completed"]
    assert "(2 of 2)" in written(screen)


def test_a_table_that_stays_after_an_interrupt_shows_no_trial_as_running() -> None:
    screen = console(terminal=True)
    with suppress(KeyboardInterrupt), sweep_view(screen, SweepProgress(2, 1000), "title") as view:
        view.on_event(event("report", 0, 500, 3.0))
        raise KeyboardInterrupt
    last = written(screen).rpartition("title")[2]
    assert "interrupted" in last
    assert "running" not in last


def test_a_paused_trial_is_shown_as_paused_until_it_is_promoted() -> None:
    progress = SweepProgress(trials=2, budget_env_steps=1000)
    assert progress.take(event("report", 0, 300, 3.0)).outcome == "running"
    assert progress.take(event("paused", 0, 300, 3.0)).outcome == "paused"
    progress.interrupted()
    assert progress.by_number[0].outcome == "paused"  # it waits, also after a resume
    assert progress.take(event("promoted", 0, 300, 3.0)).outcome == "running"
    assert progress.fraction == pytest.approx(0.15)


def test_a_trial_keeps_its_objective_when_an_event_has_none() -> None:
    progress = SweepProgress(1, 1000)
    progress.take(event("report", 0, 500, 42.0))
    trial = progress.take(event("ended", 0, 500, None, outcome="pruned"))
    assert (trial.objective, trial.outcome) == (42.0, "pruned")


def test_the_share_of_work_counts_steps_and_takes_an_ended_trial_as_done() -> None:
    progress = SweepProgress(4, 1000)
    progress.take(event("ended", 0, 100, 1.0, outcome="pruned"))
    progress.take(event("report", 1, 500, 1.0))
    assert progress.fraction == pytest.approx(1.5 / 4)
    assert progress.ended == 1


def test_time_left_does_not_count_what_was_done_before_a_resume() -> None:
    progress = SweepProgress(4, 1000)
    progress.started_at = time.monotonic() - 10.0
    progress.take(event("ended", 0, 1000, 1.0, outcome="completed", restored=True))
    progress.take(event("ended", 1, 1000, 1.0, outcome="completed", restored=True))
    assert progress.seconds_left is None
    progress.take(event("ended", 2, 1000, 1.0, outcome="completed"))
    assert progress.seconds_left == pytest.approx(10.0, abs=1.0)


def test_a_resumed_sweep_shows_its_known_trials_before_the_first_event() -> None:
    ended = TrialState(0, {"lr": 0.1}, env_steps=1000, objective=1.0, outcome="completed")
    begun = replace(ended, trial=1, outcome="interrupted", env_steps=500)
    progress = SweepProgress(4, 1000, ["lr"], [ended, begun])
    screen = console(terminal=True)
    view = sweep_view(screen, progress, "title")
    assert isinstance(view, LiveView)
    assert [line.split()[3] for line in frame(view, screen)[2:4]] == ["completed", "interrupted"]
    assert progress.fraction_at_start == pytest.approx(1.5 / 4)
    view.on_event(event("started", 1, 500))
    assert "running" in frame(view, screen)[3]


def frame(view: LiveView, screen: Console) -> list[str]:
    with screen.capture() as capture:
        screen.print(view.picture())
    return capture.get().splitlines()


def test_a_terminal_shows_one_table_that_fits_its_height() -> None:
    screen = console(terminal=True, width=80, height=24)
    view = sweep_view(screen, SweepProgress(60, 1000, ["lr"]), "sweep first: " + "x" * 200)
    assert isinstance(view, LiveView)
    for number in range(50):
        view.on_event(event("ended", number, 1000, float(number), outcome="completed"))
    view.on_event(event("report", 50, 100, -5.0))
    lines = frame(view, screen)
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert "49.0" in lines[2]
    assert any("running" in line for line in lines)
    assert "50 of 60 trials" in lines[-1]


def test_the_live_view_starts_before_the_first_trial() -> None:
    screen = console(terminal=True)
    with sweep_view(screen, SweepProgress(2, 1000), "title"):
        pass
    assert "0 of 2 trials" in written(screen)
    assert "starting" in written(screen)
