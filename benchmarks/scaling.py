"""Growth of costs with the number of trials: `python -m benchmarks.scaling` measures sweeps of 8, 32 and 128 tiny
trials, stores benchmarks/results/scaling.json and writes the tables into docs/scaling.md."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.ours_scaling import CONCURRENCY, REPORTS
from benchmarks.running import RESULTS, ROOT, Kept, ours

SIZES = (8, 32, 128)
_THOUSAND = {"kB": "MB", "MB": "GB", "rows": "thousand rows"}
MANY = 10_000
PAGE = ROOT / "docs" / "scaling.md"
BEGIN, END = "<!-- written by make bench-scaling -->", "<!-- end -->"

# Measured quantities: title, unit, value of one unit.
ROWS: dict[str, tuple[str, str, float]] = {
    "sweep_s": ("wall-clock time of the sweep", "s", 1.0),
    "train_s": ("sum over trials (two run concurrently)", "s", 1.0),
    "driver_peak_bytes": ("peak memory of the driver", "MB", 1e6),
    "snapshot_bytes": ("`snapshot.zip`, rewritten at each snapshot", "kB", 1e3),
    "outbox_bytes": ("outbox, append-only", "kB", 1e3),
    "suggestions_bytes": ("`suggestions.jsonl`, append-only", "kB", 1e3),
    "checkpoint_bytes": ("checkpoints, one per trial (an 8-unit network)", "kB", 1e3),
    "mlflow_rows": ("rows in MLflow's tables", "rows", 1.0),
    "mlflow_bytes": ("`mlflow.db` (SQLite)", "kB", 1e3),
}


def measure(say: Callable[[str], None] = print) -> dict[str, Any]:
    kept = Kept("scaling", {"sizes": SIZES, "reports": REPORTS})
    sweeps = {}
    for trials in SIZES:
        sweeps[str(trials)] = kept.take(str(trials), lambda trials=trials: _sweep(trials))
        say(f"{trials} trials: {sweeps[str(trials)]['sweep_s']:.0f} s")
    kept.finished()
    return {"reports_per_trial": REPORTS, "concurrency": CONCURRENCY, "sweeps": sweeps, "slopes": _slopes(sweeps)}


def _sweep(trials: int) -> dict[str, float]:
    storage = Path(tempfile.mkdtemp(prefix="tuneexp-scaling-"))
    try:
        measured = ours("benchmarks.ours_scaling", str(trials), str(storage))
        folder = storage / "scaling"
        return {
            "sweep_s": measured["sweep_s"],
            "train_s": measured["train_s"],
            "driver_peak_bytes": measured["driver_peak_bytes"],
            "snapshot_bytes": _bytes(folder / "snapshot.zip"),
            "outbox_bytes": _bytes(folder / "outbox" / "records.jsonl"),
            "suggestions_bytes": _bytes(folder / "suggestions.jsonl"),
            "checkpoint_bytes": sum(map(_bytes, folder.glob("trial_*/checkpoint_*/*"))),
            "mlflow_rows": _rows(storage / "mlflow.db"),
            "mlflow_bytes": _bytes(storage / "mlflow.db"),
        }
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def _bytes(path: Path) -> int:
    return path.stat().st_size


def _rows(database: Path) -> int:
    """Return the number of rows of the tables that grow with trials and reports."""
    with sqlite3.connect(database) as store:
        tables = ("runs", "params", "tags", "metrics", "latest_metrics")
        return sum(store.execute(f"select count(*) from {table}").fetchone()[0] for table in tables)


def _slopes(sweeps: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the cost of one more trial: the slope between the smallest and the largest sweep."""
    few, many = sweeps[str(SIZES[0])], sweeps[str(SIZES[-1])]
    return {name: (many[name] - few[name]) / (SIZES[-1] - SIZES[0]) for name in ROWS}


def extrapolated(measured: dict[str, Any], name: str, trials: int = MANY) -> float:
    """Return the linear extrapolation from the smallest and the largest sweep."""
    few = measured["sweeps"][str(SIZES[0])][name]
    return float(few + measured["slopes"][name] * (trials - SIZES[0]))


def tables(measured: dict[str, Any]) -> str:
    heads = ("", *(f"{size} trials" for size in SIZES), "one more trial", f"{MANY:,} trials")
    rows = []
    for name, (title, unit, one) in ROWS.items():
        values = [*(measured["sweeps"][str(size)][name] for size in SIZES), measured["slopes"][name]]
        rows.append((title, *(f"{_digits(value / one)} {unit}" for value in values), _large(measured, name, unit, one)))
    return f"{report.machine_words(measured['machine'])}\n\n{report.table(heads, rows)}"


def _large(measured: dict[str, Any], name: str, unit: str, one: float) -> str:
    value = extrapolated(measured, name) / one
    if unit == "s":
        return f"{_digits(value / 3600)} h"
    return f"{_digits(value / 1e3)} {_THOUSAND[unit]}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write_page(measured: dict[str, Any]) -> Path:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{tables(measured)}\n{END}{after}")
    return PAGE


def load() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((RESULTS / "scaling.json").read_text())
    return stored


if __name__ == "__main__":
    about = machine.describe_here()
    report.store("scaling", measure(), about)
    print(write_page(load()).relative_to(ROOT))
