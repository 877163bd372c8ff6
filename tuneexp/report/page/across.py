"""Comparison of several sweeps: their settings and results, and the best value over the environment steps spent."""

from __future__ import annotations

from collections.abc import Sequence

from tuneexp.report.page.seconds import spans_in
from tuneexp.report.page.source import SweepData
from tuneexp.report.tables import Rows
from tuneexp.sweep.search import choice
from tuneexp.tracking.outcome import COMPLETED


def sweep_rows(sweeps: Sequence[SweepData]) -> Rows:
    """Return a row for each sweep: its settings, its best trial with the interval over seeds, and what it cost.

    `confirmed` is the score of the winner of its latest confirmation. `env_steps` is the sum over its trials and their
    seeds, divided by the seeds of a whole trial; `wall_s` the seconds of training and evaluation of all trials;
    `elapsed_s` the time from the first start of a trial to the last end."""
    return [_row(data) for data in sweeps]


def _row(data: SweepData) -> dict[str, object]:
    result, trial, best = data.result, data.config.trial, data.result.best
    low, high = data.intervals.get(best.trial_number, (None, None)) if best else (None, None)
    ends = [row["end_s"] for row in data.times if row["end_s"] is not None]
    return {
        "sweep": data.name,
        "state": result.state,
        "algorithm": trial.algorithm,
        "env": trial.env,
        "searcher": choice.parts(data.config.searcher)[0],
        "scheduler": choice.parts(data.config.scheduler)[0],
        "seeds": len(trial.seeds),
        "budget_env_steps": trial.budget_env_steps,
        "trials": len(result.trials),
        "completed": sum(one.outcome == COMPLETED for one in result.trials),
        "objective": data.objective,
        "best_trial": None if best is None else best.trial_number,
        "best": None if best is None else best.objectives.get(data.objective),
        "low": low,
        "high": high,
        **_confirmed(data),
        "env_steps": sum(one.spent(len(trial.seeds)) for one in result.trials) // len(trial.seeds),
        "wall_s": sum(one.wall_s for one in result.trials),
        "elapsed_s": max(ends, default=0.0),
    }


def _confirmed(data: SweepData) -> dict[str, object]:
    """Return the score on unseen seeds of the winner of the latest confirmation, corrected, with its interval."""
    winners = [found.winner.corrected for found in data.confirmations if found.winner is not None]
    return dict(
        zip(("confirmed", "confirmed_low", "confirmed_high"), winners[-1] if winners else (None,) * 3, strict=True)
    )


def incumbent_rows(sweeps: Sequence[SweepData]) -> Rows:
    """Return the best completed value of each sweep so far, over what its trials had spent.

    Returns:
        Rows `sweep`, `env_steps` (of all trials that had ended, per seed), `best`, at the end of each trial.
    """
    return [row for data in sweeps if not data.objectives.several for row in _incumbents(data)]


def _incumbents(data: SweepData) -> Rows:
    by_number = {trial.trial_number: trial for trial in data.result.trials if trial.outcome is not None}
    ended = dict.fromkeys(span.trial for span in reversed(spans_in(data.records)) if span.trial in by_number)
    better = max if data.objectives.directions[0] == "max" else min
    rows: Rows = []
    seeds = len(data.config.trial.seeds)
    spent, best = 0, None
    for trial in (by_number[number] for number in reversed(ended)):
        spent += trial.spent(seeds)
        value = trial.objectives.get(data.objective) if trial.outcome == COMPLETED and not trial.violated else None
        if value is not None:
            best = value if best is None else better(best, value)
        if best is not None:
            rows.append({"sweep": data.name, "env_steps": spent // seeds, "best": best})
    return rows


def differences(sweeps: Sequence[SweepData]) -> list[str]:
    """Return one line for each reason why values of these sweeps are not comparable."""
    facts = {
        "environment": [data.config.trial.env for data in sweeps],
        "objective": [" ".join(data.objectives.names) for data in sweeps],
        "budget of a trial": [data.config.trial.budget_env_steps for data in sweeps],
        "aggregate over seeds": [data.config.trial.objective.aggregate for data in sweeps],
    }
    return [
        f"The {name} differs: {', '.join(dict.fromkeys(map(str, values)))}."
        for name, values in facts.items()
        if len(set(values)) > 1
    ]
