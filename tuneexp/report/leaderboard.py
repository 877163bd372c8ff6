"""Leaderboard of a sweep's trials: rows as data, and their table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from tuneexp.nesting import flat
from tuneexp.report.formatting import cell, count, number, score
from tuneexp.sweep.search.metrics import DEFAULT
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.tracking.values import important_first, short_names

if TYPE_CHECKING:
    from tuneexp.sweep import TrialResult

# A pruned trial had a smaller budget: it ranks below every trial that used its whole budget.
_ORDER = {"completed": 0, "running": 1, "paused": 1, "interrupted": 1, "pruned": 2, "waiting": 4}
_FAILED_ORDER = 3
_GAP = 2  # between two columns
FRONT, INFEASIBLE = "front", "infeasible"
_OUTCOME, _STANDING = "outcome", ""  # headings
_STYLES = {
    "completed": "green", "running": "cyan", "paused": "blue", "interrupted": "cyan", "pruned": "yellow",
    "waiting": "dim",
}  # fmt: skip


@dataclass(frozen=True)
class TrialState:
    """State of a trial for tables and progress. env_steps: done, per seed. config: flat hyperparameters.

    objectives: values of the sweep's objectives. violated: constraints that it violates. confirmed: score on unseen
    seeds. name: of the trial, if it has another one than its number. env_steps_spent: of all of its seeds together."""

    trial: int
    config: Mapping[str, Any] = field(default_factory=dict)
    env_steps: int = 0
    objective: float | None = None
    outcome: str = "running"
    reason: str | None = None
    objectives: Mapping[str, float] = field(default_factory=dict)
    violated: Sequence[str] = ()
    confirmed: float | None = None
    name: str = ""
    env_steps_spent: int | None = None

    @classmethod
    def of(cls, trial: TrialResult, confirmed: float | None = None) -> TrialState:
        """Return the state of a stored trial."""
        return cls(
            trial=trial.trial_number,
            config=flat(trial.config),
            env_steps=trial.env_steps,
            objective=_finite(trial.objective),
            outcome=trial.outcome or trial.status,
            reason=trial.reason,
            objectives=trial.objectives,
            violated=trial.violated,
            confirmed=confirmed,
            env_steps_spent=trial.env_steps_spent,
        )


@dataclass(frozen=True)
class LeaderboardRow(TrialState):
    """A trial with its rank and the hyperparameters that the table shows, in order of importance.

    standing: "front" on the Pareto front of several objectives, "infeasible" if a completed one violates a
    constraint."""

    rank: int = 0
    standing: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def leaderboard_rows(
    trials: Iterable[TrialState], varied: Sequence[str] | None = None, objectives: Objectives | None = None
) -> list[LeaderboardRow]:
    """Return one row per trial, the best first: the Pareto front of several objectives, ordered by the first of them.

    Args:
        trials: States of the trials.
        varied: Hyperparameters in `parameters`; None takes those that differ between the trials.
        objectives: Of the sweep; by default the objective of the trials.

    Returns:
        The rows.
    """
    given, objectives = list(trials), objectives or Objectives()
    standings = _standings(given, objectives)
    key = partial(_sort_key, objectives=objectives, standings=standings)
    configs = [trial.config for trial in given]
    names = important_first(varied if varied is not None else differing(configs), configs)
    return [
        LeaderboardRow(
            **vars(trial),
            rank=rank,
            standing=standings.get(trial.trial, ""),
            parameters={name: trial.config[name] for name in names if name in trial.config},
        )
        for rank, trial in enumerate(sorted(given, key=key), start=1)
    ]


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of flat configurations whose values differ, in order of appearance."""
    names = list(dict.fromkeys(name for config in configs for name in config))
    return [name for name in names if len({repr(config.get(name)) for config in configs}) > 1]


def _finite(objective: Any) -> float | None:
    return float(objective) if isinstance(objective, int | float) and math.isfinite(objective) else None


def _standings(trials: Sequence[TrialState], objectives: Objectives) -> dict[int, str]:
    """Return trial -> "front" or "infeasible"."""
    completed = {one.trial: one.objectives for one in trials if one.outcome == "completed" and not one.violated}
    front = objectives.front(completed) if objectives.several else []
    infeasible = [one.trial for one in trials if one.violated and one.outcome == "completed"]
    return {**dict.fromkeys(front, FRONT), **dict.fromkeys(infeasible, INFEASIBLE)}


def _sort_key(trial: TrialState, objectives: Objectives, standings: Mapping[int, str]) -> tuple[int, int, float, str]:
    value, standing = value_of(trial, objectives.names[0]), standings.get(trial.trial)
    best_first = math.inf if value is None else -value if objectives.directions[0] == "max" else value
    place = 2 if standing == INFEASIBLE else int(objectives.several and standing != FRONT)
    return (_ORDER.get(trial.outcome, _FAILED_ORDER), place, best_first, str(trial.trial))


def value_of(trial: TrialState, objective: str) -> float | None:
    """Return the value of an objective of the sweep; None if it is unknown."""
    return trial.objectives.get(objective, trial.objective if objective == DEFAULT else None)


def trial_names(rows: Sequence[LeaderboardRow], most: int = 2) -> dict[int, str]:
    """Trial -> its name by the first parameters that differ in `rows`: `learning_rate 0.0012, n_steps 64 (trial 3)`."""
    points = [row.parameters for row in rows]
    names = important_first(dict.fromkeys(name for point in points for name in point), points)[:most]
    short, named = short_names(names), {}
    for row in rows:
        values = [f"{short[name]} {number(row.parameters[name])}" for name in names if name in row.parameters]
        named[row.trial] = f"{', '.join(values)} (trial {row.trial})" if values else f"trial {row.trial}"
    return named


def render_leaderboard(
    rows: Sequence[LeaderboardRow],
    title: str | Text | None = None,
    limit: int | None = None,
    width: int | None = None,
    objectives: Sequence[str] = (DEFAULT,),
) -> Table:
    """Table of `rows`.

    Args:
        rows: From `leaderboard_rows`.
        title: Title of the table.
        limit: Number of rows; None shows all.
        width: Columns of the terminal; parameters that don't fit are left out. None shows all.
        objectives: Names of the sweep's objectives."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    shown = list(rows if limit is None else rows[:limit])
    fixed = _fixed_columns(shown, objectives)
    for heading in fixed:
        words = heading in (_OUTCOME, _STANDING)
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    names = _columns_with_room(shown, width, objectives)
    short = short_names(dict.fromkeys(name for row in shown for name in row.parameters))
    for name in names:
        table.add_column(cell(short[name]), justify="right", no_wrap=True)
    for row in shown:
        facts = [cell(of(row), _style(heading, row)) for heading, of in fixed.items()]
        values = [number(row.parameters.get(name)) for name in names]
        table.add_row(*facts, *map(cell, values))
    return table


def _style(heading: str, row: LeaderboardRow) -> str:
    if heading == _OUTCOME:
        return _STYLES.get(row.outcome, "red")
    return {FRONT: "bold green", INFEASIBLE: "yellow"}.get(row.standing, "") if heading == _STANDING else ""


def hidden_parameters(rows: Sequence[LeaderboardRow], width: int, objectives: Sequence[str] = (DEFAULT,)) -> list[str]:
    """Parameters that don't fit into a table of `width` columns."""
    shown = _columns_with_room(rows, width, objectives)
    return [name for name in dict.fromkeys(name for row in rows for name in row.parameters) if name not in shown]


def _columns_with_room(rows: Sequence[LeaderboardRow], width: int | None, objectives: Sequence[str]) -> list[str]:
    """First parameters that fit into a table of `width` columns, with their whole values."""
    names = list(dict.fromkeys(name for row in rows for name in row.parameters))
    room = math.inf if width is None else width + _GAP - sum(_fixed_widths(rows, objectives))
    kept = []
    short = short_names(names)
    for name in names:
        values = [number(row.parameters.get(name)) for row in rows]
        room -= max(len(short[name]), *(len(value) for value in values)) + _GAP
        if room < 0:
            break
        kept.append(name)
    return kept


def _fixed_columns(
    rows: Sequence[LeaderboardRow], objectives: Sequence[str]
) -> dict[str, Callable[[LeaderboardRow], str]]:
    """Return the columns of every table: heading -> text of a row."""
    columns: dict[str, Callable[[LeaderboardRow], str]] = {"trial": lambda row: row.name or str(row.trial)}
    for name in objectives:
        columns[name] = lambda row, name=name: score(value_of(row, name))  # type: ignore[misc]
    if any(row.confirmed is not None for row in rows):
        columns["confirmed"] = lambda row: "" if row.confirmed is None else score(row.confirmed)
    columns["env steps"] = lambda row: count(row.env_steps)
    if len({one.env_steps_spent / one.env_steps for one in rows if one.env_steps_spent and one.env_steps}) > 1:
        columns["of all seeds"] = lambda row: "" if row.env_steps_spent is None else count(row.env_steps_spent)
    columns |= {_OUTCOME: lambda row: row.outcome}
    if any(row.standing for row in rows):
        columns[_STANDING] = lambda row: row.standing
    return columns


def _fixed_widths(rows: Sequence[LeaderboardRow], objectives: Sequence[str]) -> Iterable[int]:
    """Widths of the columns of every table, each with the gap after it."""
    for heading, of in _fixed_columns(rows, objectives).items():
        yield max([len(heading), *(len(of(row)) for row in rows)]) + _GAP


def sweep_table(sweeps: Iterable[Mapping[str, Any]]) -> Table:
    """Table of sweeps, for `tuneexp list`."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    rows = list(sweeps)
    for heading in ("name", "state", "algorithm", "env"):
        table.add_column(heading, no_wrap=heading != "name", overflow="fold")
    for heading in ("trials", "best"):
        table.add_column(heading, justify="right", no_wrap=True)
    if any(sweep.get("reason") for sweep in rows):
        table.add_column("reason", overflow="fold")
    for sweep in rows:
        finished, asked = sweep.get("finished"), sweep.get("trials")
        trials = "-" if finished is None else f"{finished}/{asked or '-'}"
        facts = [sweep.get(key) or "-" for key in ("name", "state", "algorithm", "env")]
        facts += [trials, score(sweep.get("best")), sweep.get("reason") or ""]
        table.add_row(*map(cell, facts[: len(table.columns)]))
    return table
