"""Fields of the record of a sweep's end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tuneexp.tracking.outbox import Record
from tuneexp.tracking.outbox_records import RunState, SweepLog
from tuneexp.tracking.outcome import COMPLETED, OUTCOMES, PRUNED
from tuneexp.tracking.record_texts import RecordTexts
from tuneexp.tracking.standings import Standings
from tuneexp.tracking.values import table_row
from tuneexp.tracking.within import Closing


def fields_of_end(
    log: SweepLog,
    texts: RecordTexts,
    rows: Sequence[Mapping[str, Any]],
    best: Record | None,
    standings: Standings,
    closing: Closing,
) -> Record:
    """Return the table of trials, the metrics, the best trial, the status and the texts.

    Args:
        log: State of the sweep.
        texts: Names and descriptions.
        rows: One per trial, with the columns `trial_number`, `outcome` and `env_steps`.
        best: From `SweepLog.best`.
        standings: Objectives, Pareto front and violated constraints.
        closing: Results of a confirmation.
    """
    outcomes = Counter(run.outcome for run in log.runs.values() if run.ended)
    metrics = {f"trials/{outcome}": float(count) for outcome, count in outcomes.items()}
    metrics |= standings.best(best["metrics"] if best else {})
    step, metrics = log.next_summary(sum(outcomes.values()), metrics | dict(closing.metrics))
    front = log.keys_of(standings.front)
    return {
        "step": step,
        "rows": [table_row(row) for row in rows],
        "best": best,
        "marks": log.by_key(standings.tags),
        "files": dict(closing.files),
        "champion": None if closing.champion is None else asdict(closing.champion),
        "status": "FINISHED" if outcomes[COMPLETED] + outcomes[PRUNED] else "FAILED",
        "metrics": metrics,
        **texts.sweep_ended(best, outcomes, standings.objectives, front, closing.summary),
    }


def missing_ends(log: SweepLog, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[RunState, int, str, str | None]]:
    """Yield run, environment steps, outcome and reason of ends that the outbox lacks (a full disk, then a kill).

    rows: the summary of the sweep, one per trial."""
    for row in rows:
        run = log.runs.get(row.get("trial_number", -1))
        if run is not None and not run.ended and row.get("outcome") in OUTCOMES:
            yield run, int(row.get("env_steps", run.last_step)), row["outcome"], row.get("reason")
