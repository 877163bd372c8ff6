"""Sections of one sweep that come from its trials and reports."""

from __future__ import annotations

from collections.abc import Iterator

from tuneexp.commands import command
from tuneexp.report.formatting import count, course_words, duration, number, short_path
from tuneexp.report.formatting import seeds as seeds_text
from tuneexp.report.leaderboard import trial_names, value_of
from tuneexp.report.page import figures
from tuneexp.report.page.curves import best_curves, other_curves, sampled
from tuneexp.report.page.parts import (
    Drawing,
    Formatter,
    Grid,
    LeftOut,
    Part,
    Section,
    Words,
    ends_text,
    grid_of,
    section,
    value_text,
)
from tuneexp.report.page.seconds import outcome_rows
from tuneexp.report.page.source import SweepData
from tuneexp.sweep.member_training import training_of
from tuneexp.sweep.results import SweepResult, TrialResult
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.stopping_rules import reason
from tuneexp.tracking.outcome import COMPLETED, PRUNED

_LISTED = 12  # levels of the budget in a table


def trial_sections(data: SweepData) -> list[Section]:
    """Return the sections about the trials of a sweep."""
    return [
        section("Summary", lambda: _summary(data)),
        section("Leaderboard", lambda: _leaderboard(data)),
        section("Learning curves", lambda: _curves(data)),
    ]


def budget_sections(data: SweepData) -> list[Section]:
    """Return the sections about the budget of a sweep and its time."""
    return [
        section("Trials over the budget", lambda: _levels(data)),
        section("Rank stability", lambda: _stability(data)),
        section("Outcomes and seconds", lambda: _seconds(data)),
    ]


def state_words(data: SweepData) -> str | None:
    """Return a line about a sweep that has not ended; None for one that has."""
    again = command("resume", data.name, storage=short_path(data.result.storage))
    return {
        "running": "This sweep is running: the report shows its state at the time above. Write it again for a new one.",
        "interrupted": f"This sweep was interrupted and has not ended. Continue it with: {again}",
        "failed": "Every trial of this sweep failed before its first report.",
    }.get(data.result.state)


def _summary(data: SweepData) -> Iterator[Part]:
    if (words := state_words(data)) is not None:
        yield Words(words, strong=True)
    rows = [[name, text] for name, text in _facts(data).items() if text]
    yield Grid(["", ""], rows, words=frozenset({0, 1}))


def _facts(data: SweepData) -> dict[str, str]:
    config, trial, result = data.config, data.config.trial, data.result
    ended = sum(one.outcome is not None for one in result.trials)
    asked = f" of {config.trials}" if config.trials else ""
    ending = "" if result.ended_by in (None, "trials") else f", ended by: {reason(str(result.ended_by), config)}"
    return {
        "state": f"{result.state}{ending}",
        "algorithm": trial.algorithm,
        "environment": str(trial.env),
        "searcher": choice.parts(config.searcher)[0],
        "scheduler": choice.parts(config.scheduler)[0],
        "objectives": ", ".join(f"{one['name']} ({one['direction']})" for one in result.objectives),
        "constraints": ", ".join(config.constraints),
        "trials": f"{len(result.trials)} started{asked}, {ended} ended",
        "seeds of each trial": f"{len(trial.seeds)} ({seeds_text(trial.seeds)})",
        "budget of a trial": f"{count(trial.budget_env_steps)} environment steps per seed",
        "best trial": _best_words(data),
        "its hyperparameters": _settings(result, result.best) if result.best else "",
    }


def _best_words(data: SweepData) -> str:
    best, front = data.result.best, data.result.front
    if best is None:
        return f"{len(front)} on the Pareto front" if front else "none yet"
    values = ", ".join(f"{name} {value_text(value)}" for name, value in best.objectives.items())
    ends = ends_text(*data.intervals.get(best.trial_number, (None, None)))
    return f"trial {best.trial_number}: {values}" + (f" (95 % interval over seeds: {ends})" if ends else "")


def _settings(result: SweepResult, trial: TrialResult) -> str:
    training = training_of(result, trial)
    return course_words(training.hyperparameters, training.schedule)


def _leaderboard(data: SweepData) -> Iterator[Part]:
    parameters = list(dict.fromkeys(name for row in data.ranking for name in row.parameters))
    wall_s = {trial.trial_number: trial.wall_s for trial in data.result.trials}
    best = {trial.trial_number for trial in data.result.front}
    names = data.objectives.names
    confirmed = any(row.confirmed is not None for row in data.ranking)
    scores = ["confirmed"] if confirmed else []
    headings = ["rank", "trial", *names, "95 % interval", *scores, "env steps", "time", "outcome", *parameters]
    rows = [
        [
            str(row.rank), str(row.trial), *(value_text(value_of(row, name)) for name in names),
            ends_text(*data.intervals.get(row.trial, (None, None))),
            *([value_text(row.confirmed)] if confirmed else []), count(row.env_steps), duration(wall_s[row.trial]),
            " ".join(filter(None, [row.outcome.replace("_", " "), row.standing])),
            *(number(row.parameters.get(name)) for name in parameters),
        ]
        for row in data.ranking
    ]  # fmt: skip
    marked = frozenset(index for index, row in enumerate(data.ranking) if row.trial in best)
    yield Words(
        "The best first; completed trials come before others. Intervals are over the seeds of the trial. The best of "
        "many trials is rated too high by them: tuneexp confirm compares it on unseen seeds."
    )
    yield Grid(headings, rows, marked, words=frozenset({headings.index("outcome")}))
    if reasons := [row for row in data.ranking if row.reason and row.outcome not in (PRUNED, COMPLETED)]:
        yield Grid(["trial", "outcome", "reason"], [[str(row.trial), row.outcome, row.reason or ""] for row in reasons],
                   words=frozenset({1, 2}))  # fmt: skip


def _curves(data: SweepData) -> Iterator[Part]:
    ranked = [row.trial for row in data.ranking]
    drawn = best_curves(ranked, data.reports)
    if not drawn:
        raise LeftOut("there is no evaluation yet")
    shown = {curve.trial for curve in drawn}
    labels = trial_names([row for row in data.ranking if row.trial in shown])
    others = other_curves([trial for trial in ranked if trial not in shown], data.reports)
    band = " Bands are 95 % intervals of the mean over seeds." if any(curve.low for curve in drawn) else ""
    yield Words(f"Mean return of the evaluations over seeds, of the best {len(drawn)} trials.{band}")
    yield Drawing(figures.curves_figure(drawn, [labels[curve.trial] for curve in drawn], others))


def _levels(data: SweepData) -> Iterator[Part]:
    rows = data.levels
    if not rows[0]["reached"]:
        raise LeftOut("no trial has reached the first report yet")
    rungs = " ▲: rung of the scheduler." if any(row["rung"] for row in rows) else ""
    yield Words(
        "Number of trials that reached each report of the budget, and where the others ended before the next one."
        f"{rungs}"
    )
    yield Drawing(figures.levels_figure(rows))
    few = [row["env_steps"] for row in sampled(rows, _LISTED)]
    shown = [row for row in rows if row["rung"] or row["env_steps"] in few]
    yes = {"rung": lambda value: "▲" if value else ""}
    numbers = dict.fromkeys(("env_steps", "reached", "went on", "completed", "pruned", "failed", "not ended"), count)
    yield grid_of(shown, {"env_steps": count, **yes, **numbers}, words=["rung"])


def _stability(data: SweepData) -> Iterator[Part]:
    if not data.stability:
        raise LeftOut("it needs three completed trials with different values")
    yield Words(
        f"Spearman correlation of the ranking by {data.objective} at each report with the final ranking, among the "
        "completed trials. Near 1, early stopping loses little. Stopped trials have no final rank: the "
        "others are more alike, which lowers it."
    )
    yield Drawing(figures.stability_figure(data.stability))


def _seconds(data: SweepData) -> Iterator[Part]:
    rows = outcome_rows(data.times)
    columns: dict[str, Formatter] = {
        "outcome": str, "trials": count, "env_steps": count, "wall_s": duration, "other_s": duration,
        "share": lambda value: f"{value:.0%}",
    }  # fmt: skip
    yield Words(
        "wall s: training and evaluation. other s: the rest of the time between the start and the end of a trial, in "
        "which it started, compiled, stored checkpoints or waited. share: of the seconds of all trials."
    )
    yield grid_of(rows, columns, words=["outcome"])
    if any(row["start_s"] is not None for row in data.times):
        yield Drawing(figures.timeline_figure(data.times))
