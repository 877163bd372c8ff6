"""Tables of a report as Parquet and CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tuneexp.report.family import takeover_rows
from tuneexp.report.page.across import sweep_rows
from tuneexp.report.page.confirm_sections import confirmation_rows
from tuneexp.report.page.parts import LeftOut
from tuneexp.report.page.source import SweepData
from tuneexp.report.tables import Rows, frame, report_rows, seed_rows, trial_rows


def table_rows(sweeps: Sequence[SweepData]) -> dict[str, Rows]:
    """Return the rows of each table by its name. The first column is `sweep`. Tables without rows are left out."""
    makers: dict[str, Callable[[SweepData], Rows]] = {
        "trials": _trials,
        "reports": lambda data: report_rows(data.reports),
        "seeds": lambda data: seed_rows(data.reports),
        "levels": lambda data: data.levels,
        "rank_stability": lambda data: data.stability,
        "times": lambda data: data.times,
        "importances": _importances,
        "takeovers": lambda data: takeover_rows(data.result.trials),
        "confirmations": lambda data: confirmation_rows(data.confirmations),
    }
    found = {
        name: [{"sweep": data.name, **row} for data in sweeps for row in make(data)] for name, make in makers.items()
    }
    return {name: rows for name, rows in {"sweeps": sweep_rows(sweeps), **found}.items() if rows}


def _trials(data: SweepData) -> Rows:
    return trial_rows(data.result.trials, [trial.trial_number for trial in data.result.front], data.reports)


def _importances(data: SweepData) -> Rows:
    try:
        return data.importances
    except LeftOut:
        return []


def write_tables(sweeps: Sequence[SweepData], folder: Path) -> list[Path]:
    """Write each table as `NAME.parquet` and `NAME.csv` into a folder that exists. Returns the files.

    Raises:
        OSError: A file can't be written."""
    files = []
    for name, rows in table_rows(sweeps).items():
        table = frame(rows, ("sweep",))
        for path in (folder / f"{name}.parquet", folder / f"{name}.csv"):
            table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
            files.append(path)
    return files
