"""Tables of a sweep for pandas: its trials, and their reports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.nesting import leaves

if TYPE_CHECKING:
    import pandas as pd

    from tuneexp.sweep.results import TrialResult

_OF_SEED = re.compile(r"seed/(\d+)/(.+)")
_INTERVAL = ("objective_low", "objective_high")
_TRIAL = ("number", "outcome", "objective", *_INTERVAL)
_REPORT = ("number", "report", "env_steps")
_SEED = (*_REPORT, "seed")

Rows = list[dict[str, Any]]


def stored_reports(sweep_folder: Path) -> dict[int, Rows]:
    """Return trial number -> metrics of its reports, with `env_steps`, in their order.

    A report that appears twice, since it was repeated after a kill, counts once."""
    from tuneexp.tracking.outbox_records import current_reports

    return reports_by_step(current_reports(sweep_folder))


def reports_by_step(found: Mapping[int, Sequence[Mapping[str, Any]]]) -> dict[int, Rows]:
    """Return `stored_reports` of the result of `current_reports`."""
    by_step = {
        trial: {report["step"]: {**report["metrics"], "env_steps": report["step"]} for report in reports}
        for trial, reports in found.items()
    }
    return {trial: [reports[step] for step in sorted(reports)] for trial, reports in sorted(by_step.items())}


def trial_rows(trials: Iterable[TrialResult], best: Iterable[int], reports: Mapping[int, Rows]) -> Rows:
    """Return a row for each trial.

    Args:
        trials: of the sweep.
        best: numbers of the trials that no other one is better than.
        reports: from `stored_reports`.
    """
    best = set(best)
    return [_trial_row(trial, trial.trial_number in best, reports.get(trial.trial_number, [])) for trial in trials]


def _trial_row(trial: TrialResult, best: bool, reports: Rows) -> dict[str, Any]:
    last = reports[-1] if reports else {}
    return {
        "number": trial.trial_number,
        "outcome": trial.outcome,
        "objective": trial.objective,
        **{name: last.get(name) for name in _INTERVAL},
        **trial.objectives,
        "best": best,
        "env_steps": trial.env_steps,
        "wall_s": trial.wall_s,
        "status": trial.status,
        "reason": trial.reason,
        "violated": ", ".join(trial.violated),
        **{f"config/{name}": _cell(value) for name, value in leaves(trial.config)},
        "checkpoint": trial.checkpoint,
        "mlflow_run_id": trial.mlflow_run_id,
    }


def report_rows(reports: Mapping[int, Rows]) -> Rows:
    """Return a row for each trial and report, with all metrics that are not of one seed."""
    return [
        {"number": trial, "report": index, **{name: value for name, value in one.items() if not _OF_SEED.match(name)}}
        for trial, own in reports.items()
        for index, one in enumerate(own, start=1)
    ]


def seed_rows(reports: Mapping[int, Rows]) -> Rows:
    """Return a row for each trial, report and seed, with the metrics of that seed."""
    rows = []
    for trial, own in reports.items():
        for index, one in enumerate(own, start=1):
            by_seed: dict[int, dict[str, Any]] = {}
            for name, value in one.items():
                if found := _OF_SEED.fullmatch(name):
                    by_seed.setdefault(int(found[1]), {})[found[2]] = value
            about = {"number": trial, "report": index, "env_steps": one["env_steps"]}
            rows += [{**about, "seed": seed, **by_seed[seed]} for seed in sorted(by_seed)]
    return rows


def trial_frame(rows: Rows) -> pd.DataFrame:
    return frame(rows, _TRIAL)


def report_frame(rows: Rows, by_seed: bool = False) -> pd.DataFrame:
    return frame(rows, _SEED if by_seed else _REPORT)


def frame(rows: Rows, first: Sequence[str]) -> pd.DataFrame:
    """Return a table whose columns have one type each, as Parquet needs it. first: the first columns."""
    import pandas as pd

    names = dict.fromkeys([*first, *(name for row in rows for name in row)])
    return pd.DataFrame({name: pd.Series(_column([row.get(name) for row in rows])) for name in names})


def _column(values: list[Any]) -> list[Any]:
    """Return the values as they are, or as texts if numbers are mixed with others."""
    kinds = {bool if isinstance(value, bool) else type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        return values
    return [None if value is None else _text(value) for value in values]


def _cell(value: Any) -> Any:
    """Return a number, a text or None; a list as text, so that rows can be grouped by it."""
    return value if isinstance(value, str | int | float | None) else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
