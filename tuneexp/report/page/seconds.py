"""Outcomes of trials, and where the time of a sweep went, from the times of its records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tuneexp.report.tables import Rows
from tuneexp.sweep.results import TrialResult
from tuneexp.tracking.outbox import Record
from tuneexp.tracking.outbox_records import (
    INTERRUPTED,
    RECONCILED,
    TRIAL_DISCARDED,
    TRIAL_ENDED,
    TRIAL_STARTED,
)


@dataclass(frozen=True)
class Span:
    """Time in which a trial had started and not ended, in Unix milliseconds."""

    trial: int
    start_ms: int
    end_ms: int


def spans_in(records: Iterable[Record]) -> list[Span]:
    """Return the spans of the trials, in the order of their ends. A trial has several if its sweep was interrupted.

    After a kill the last record before the resume is the end of what ran."""
    spans: list[Span] = []
    begun: dict[int, int] = {}
    last_ms = 0
    for entry in records:
        kind, at_ms = entry["kind"], int(entry.get("at_ms", last_ms))
        if kind == TRIAL_STARTED:
            begun.setdefault(entry["trial"], at_ms)
        elif kind == TRIAL_ENDED and entry["trial"] in begun:
            spans.append(Span(entry["trial"], begun.pop(entry["trial"]), at_ms))
        elif kind == TRIAL_DISCARDED:
            begun.pop(entry["trial"], None)
            spans = [span for span in spans if span.trial != entry["trial"]]
        elif kind in (INTERRUPTED, RECONCILED):
            spans += _closed(begun, at_ms if kind == INTERRUPTED else last_ms)
        last_ms = max(last_ms, at_ms)
    return spans + _closed(begun, last_ms)


def _closed(begun: dict[int, int], at_ms: int) -> list[Span]:
    spans = [Span(trial, start_ms, max(start_ms, at_ms)) for trial, start_ms in begun.items()]
    begun.clear()
    return spans


def time_rows(trials: Sequence[TrialResult], spans: Sequence[Span]) -> Rows:
    """Return a row for each trial.

    Args:
        trials: Trials of a sweep.
        spans: From `spans_in`.

    Returns:
        Rows `number`, `outcome` (of a trial that has not ended, its status), `env_steps`, `start_s` and `end_s` (since
        the start of the first trial; None before a trial has started), `wall_s` (training and evaluation), and
        `other_s`: the rest of its spans, in which it started, compiled, was saved, or waited.
    """
    begin = min((span.start_ms for span in spans), default=0)
    by_trial: dict[int, list[Span]] = {}
    for span in spans:
        by_trial.setdefault(span.trial, []).append(span)
    rows = []
    for trial in trials:
        own = by_trial.get(trial.trial_number, [])
        whole = sum(span.end_ms - span.start_ms for span in own) / 1000
        rows.append({
            "number": trial.trial_number, "outcome": trial.outcome or trial.status, "env_steps": trial.env_steps,
            "start_s": (min(span.start_ms for span in own) - begin) / 1000 if own else None,
            "end_s": (max(span.end_ms for span in own) - begin) / 1000 if own else None,
            "wall_s": trial.wall_s, "other_s": max(0.0, whole - trial.wall_s),
        })  # fmt: skip
    return rows


def outcome_rows(times: Rows) -> Rows:
    """Sum the rows of `time_rows` by outcome.

    Returns:
        Rows `outcome`, `trials`, `env_steps` (per seed), `wall_s`, `other_s` and `share` (of the seconds of all
        trials), the most seconds first.
    """
    total = sum(row["wall_s"] + row["other_s"] for row in times) or 1.0
    rows = []
    for outcome in dict.fromkeys(row["outcome"] for row in times):
        own = [row for row in times if row["outcome"] == outcome]
        sums = {name: sum(row[name] for row in own) for name in ("env_steps", "wall_s", "other_s")}
        share = (sums["wall_s"] + sums["other_s"]) / total
        rows.append({"outcome": outcome, "trials": len(own), **sums, "share": share})
    return sorted(rows, key=lambda row: -row["share"])
