"""Live view of a running sweep: a table on a terminal, one line per trial in a log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuneexp.nesting import flat
from tuneexp.report.formatting import cell, count, duration, number, print_text, score
from tuneexp.report.leaderboard import LeaderboardRow, TrialState, leaderboard_rows, render_leaderboard, value_of
from tuneexp.sweep.search.objectives import Objectives

if TYPE_CHECKING:
    from tuneexp.sweep import SweepEvent

ENDED_STATES = frozenset({"completed", "pruned", "diverged", "error", "out_of_memory", "timeout"})
_LINES_BESIDE_ROWS = 7  # title, heading, progress, what is hidden, and room for the prompt


class SweepProgress:
    """State of a running sweep's trials; both views read it.

    Args:
        trials: Number of trials that the sweep will have; None for no limit.
        budget_env_steps: Environment steps per seed of a whole trial.
        varied: Names of the varied hyperparameters; None takes those that differ between the trials.
        known: Trials of a resumed sweep.
        objectives: Of the sweep; by default the objective of the trials.
        names: Names of the trials by number, if they have others than their numbers."""

    def __init__(
        self,
        trials: int | None,
        budget_env_steps: int,
        varied: Iterable[str] | None = None,
        known: Iterable[TrialState] = (),
        objectives: Objectives | None = None,
        names: Mapping[int, str] | None = None,
    ) -> None:
        self.objectives, self.names = objectives or Objectives(), names or {}
        self.trials = trials
        self.budget_env_steps = budget_env_steps
        self.varied = None if varied is None else list(varied)
        self.by_number = {one.trial: replace(one, name=self.names.get(one.trial, "")) for one in known}
        self.started_at = time.monotonic()
        self.fraction_at_start = self.fraction

    def take(self, event: SweepEvent) -> TrialState:
        """Apply `event`. Returns the new state of its trial."""
        before = self.by_number.get(event.trial_number, TrialState(event.trial_number))
        trial = TrialState(
            trial=event.trial_number,
            config=flat(event.config),
            env_steps=event.env_steps or before.env_steps,
            objective=event.objective if event.objective is not None else before.objective,
            outcome=_outcome_of(event),
            reason=event.reason,
            objectives=event.objectives or before.objectives,
            violated=event.violated,
            name=self.names.get(event.trial_number, ""),
        )
        self.by_number[trial.trial] = trial
        if event.restored:  # from before a resume: part of the fraction, not of the speed
            self.fraction_at_start = self.fraction
        return trial

    def restate(self, trials: Iterable[TrialState]) -> list[TrialState]:
        """Replace all states, by those of a stored sweep. Returns the trials that have ended since the last ones."""
        before = self.by_number
        self.by_number = {one.trial: replace(one, name=self.names.get(one.trial, "")) for one in trials}
        return [
            one
            for one in self.by_number.values()
            if one.outcome in ENDED_STATES and (one.trial not in before or before[one.trial].outcome != one.outcome)
        ]

    def interrupted(self) -> None:
        """Mark running trials as interrupted."""
        running = [trial for trial in self.by_number.values() if trial.outcome == "running"]
        self.by_number |= {trial.trial: replace(trial, outcome="interrupted") for trial in running}

    @property
    def ended(self) -> int:
        return sum(trial.outcome in ENDED_STATES for trial in self.by_number.values())

    @property
    def fraction(self) -> float:
        """Completed fraction of all environment steps, 0 to 1. A trial that ended early counts as complete.

        0 without a limit of trials."""
        if self.trials is None:
            return 0.0
        done = sum(self._share(trial) for trial in self.by_number.values())
        return min(1.0, done / max(1, self.trials))

    def _share(self, trial: TrialState) -> float:
        if trial.outcome in ENDED_STATES:
            return 1.0
        return min(1.0, trial.env_steps / max(1, trial.config.get("budget_env_steps", self.budget_env_steps)))

    @property
    def counts(self) -> str:
        """Number of ended trials, and of all if it is known."""
        return f"{self.ended} ended" if self.trials is None else f"{self.ended} of {self.trials}"

    @property
    def seconds_left(self) -> float | None:
        advanced = self.fraction - self.fraction_at_start
        if advanced <= 0:
            return None
        return (time.monotonic() - self.started_at) * (1.0 - self.fraction) / advanced


def _outcome_of(event: SweepEvent) -> str:
    if event.kind == "ended":
        return event.outcome or "completed"
    return "paused" if event.kind == "paused" else "running"


def sweep_view(console: Console, progress: SweepProgress, title: str) -> LiveView | LogView:
    """Create the view for `console`: a live table on a terminal, else lines.

    It is a context manager; its `on_event` takes the sweep's events."""
    return LiveView(console, progress, title) if console.is_terminal else LogView(console, progress, title)


class LogView:
    """Log with one line for each trial that ends."""

    def __init__(self, console: Console, progress: SweepProgress, title: str) -> None:
        self.console, self.progress, self.title = console, progress, title

    def __enter__(self) -> Self:
        self._line(self.title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def on_event(self, event: SweepEvent) -> None:
        trial = self.progress.take(event)
        if event.kind == "ended" and not event.restored:
            self.ended(trial)

    def ended(self, trial: TrialState) -> None:
        """Print the line of a trial that has ended."""
        self._line(trial_line(trial, self.progress))

    def _line(self, text: str) -> None:
        print_text(self.console, text)


def trial_line(trial: TrialState, progress: SweepProgress) -> str:
    """Log line of a trial: `trial 3 completed: objective 187.3, env steps 50,000, learning_rate=0.0012 (4 of 8)`."""
    (row,) = leaderboard_rows([trial], _varied(progress))
    parts = [f"{name} {score(value_of(row, name))}" for name in progress.objectives.names]
    parts += [f"violates {text}" for text in row.violated if row.outcome == "completed"]
    parts.append(f"env steps {count(row.env_steps)}")
    parts += [f"{name}={number(value)}" for name, value in row.parameters.items()]
    if row.reason and row.outcome != "pruned":  # what "pruned" means is clear
        parts.append(" ".join(str(row.reason).split()))
    left = progress.seconds_left
    time_left = f", {duration(left)} left" if left is not None and progress.ended < (progress.trials or 0) else ""
    return f"{row.name or f'trial {row.trial}'} {row.outcome}: {', '.join(parts)} ({progress.counts}{time_left})"


def _varied(progress: SweepProgress) -> list[str]:
    """Names of the varied hyperparameters; all names if the sweep has not given them."""
    if progress.varied is not None:
        return progress.varied
    return list(dict.fromkeys(name for trial in progress.by_number.values() for name in trial.config))


class LiveView:
    """Leaderboard that is updated in place, with a progress bar and the remaining time."""

    def __init__(self, console: Console, progress: SweepProgress, title: str) -> None:
        self.console, self.progress, self.title = console, progress, title
        # transient: the final leaderboard is printed by the caller.
        self.live = Live(console=console, get_renderable=self.picture, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.transient = kind is None  # interrupted: what was reached stays on the screen
        if kind is not None:
            self.progress.interrupted()
        self.live.stop()

    def on_event(self, event: SweepEvent) -> None:
        self.progress.take(event)

    def ended(self, trial: TrialState) -> None:
        """Do nothing: the table has it."""

    def picture(self) -> RenderableType:
        # The refresh thread draws while the main thread takes events: draw from a copy.
        trials = list(self.progress.by_number.values())
        objectives = self.progress.objectives
        rows = leaderboard_rows(trials, self.progress.varied, objectives)
        room = max(3, self.console.height - _LINES_BESIDE_ROWS)
        parts: list[RenderableType] = [self._title()]
        if rows:
            shown = _rows_that_fit(rows, room)
            parts.append(render_leaderboard(shown, width=self.console.width, objectives=objectives.names))
            if len(rows) > len(shown):
                parts.append(Text(f"and {len(rows) - len(shown)} more", style="dim"))
        return Group(*parts, _progress_bar(self.progress))

    def _title(self) -> Text:
        title = cell(self.title, "bold")
        title.no_wrap, title.overflow = True, "ellipsis"
        return title


def _rows_that_fit(rows: list[LeaderboardRow], room: int) -> list[LeaderboardRow]:
    """The best rows that fit, and all running ones first."""
    if len(rows) <= room:
        return rows
    running = [row for row in rows if row.outcome == "running"][:room]
    best = [row for row in rows if row.outcome != "running"][: room - len(running)]
    kept = {id(row) for row in (*best, *running)}
    return [row for row in rows if id(row) in kept]


def _progress_bar(progress: SweepProgress) -> Table:
    grid = Table.grid(padding=(0, 1))
    elapsed = duration(time.monotonic() - progress.started_at)
    left = progress.seconds_left
    words = f"{progress.counts} trials · {elapsed}" if progress.trials else f"{progress.ended} trials · {elapsed}"
    if left is not None:
        words += f" · {duration(left)} left"
    elif progress.trials or not progress.by_number:
        words += f" · {'no report yet' if progress.by_number else 'starting'}"
    grid.add_row(ProgressBar(total=1.0, completed=progress.fraction, width=24), Text(words))
    return grid
