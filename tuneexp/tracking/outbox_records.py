"""Records of the outbox, and the state of a sweep that results from them.

A trial is identified by its number (Optuna's suggestion number), not by Tune's random id. After a kill Tune restarts
from its last snapshot and may use a number again with other values: that is the number's next `draw`, with a new run.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneexp.tracking.naming import model_name
from tuneexp.tracking.outbox import Outbox, Record
from tuneexp.tracking.values import changed_params, constant_params

# sweep_id, sweep, experiment, params, tags, artifacts, within, of_kind; texts of `RecordTexts`
SWEEP_STARTED = "sweep_started"
# trial, draw, sweep, params, from_step, tags, texts; `again`: it continues after its end
TRIAL_STARTED = "trial_started"
REPORTED = "reported"  # trial, draw, step, metrics, tags, sets (of a value that changed while the trial ran)
# trial, draw, step, donor, before, after, metrics, next_metrics (one step later), tags, sets: it continues from the
# checkpoint of another trial
TAKEN_OVER = "taken_over"
CHECKPOINTED = "checkpointed"  # trial, draw, step, path
TRIAL_ENDED = "trial_ended"  # trial, draw, step, outcome, reason, texts
# trial, draw, sweep, params, budget, checkpoints (step, path, rank, last): all that are logged models from now on
CHECKPOINTS_KEPT = "checkpoints_kept"
TRIAL_DISCARDED = "trial_discarded"  # trial, draw
RECONCILED = "reconciled"  # known: the trial numbers of Tune's snapshot
INTERRUPTED = "interrupted"  # open runs are KILLED until a resume; texts
SWEEP_ENDED = "sweep_ended"  # rows, metrics, best, marks (keys of runs with tags), champion, artifacts, files, texts

OF_TAKEOVER = ("donor", "before", "after")
PARENT = "parent"  # key of the sweep's own run
NOW = "now."  # tags of params that an extension or a resume has changed


def record(kind: str, **fields: Any) -> Record:
    """A record with its time `at_ms` in Unix milliseconds. A repeated delivery uses the same time, so that MLflow
    recognises the metric."""
    return {"kind": kind, "at_ms": int(time.time() * 1000), **fields}


def run_key(trial: int, draw: int) -> str:
    return f"{trial}.{draw}"


@dataclass
class RunState:
    """State of one trial's current run. `last_step`: environment steps per seed of its latest report."""

    trial: int
    draw: int
    params: list[dict[str, Any]]  # all that it was ever trained with: a scheduler may change values while it runs
    last_step: int = -1
    last_metrics: dict[str, float] = field(default_factory=dict)
    last_at_ms: int = 0
    checkpoint: str = ""
    ended: bool = False
    interrupted: bool = False
    outcome: str = ""
    reason: str = ""  # of its latest end
    kept: list[dict[str, Any]] = field(default_factory=list)  # checkpoints of its latest record of them
    takeovers: list[dict[str, Any]] = field(default_factory=list)
    orphan: bool = False  # beyond Tune's snapshot: kept only if the same values are drawn again

    @property
    def key(self) -> str:
        return run_key(self.trial, self.draw)

    def moved_by(self, step: int) -> dict[str, Any]:
        """Return the values that its last takeover before `step` has given it; none if it was not replaced yet."""
        return next((one["after"] for one in reversed(self.takeovers) if one["env_steps"] < step), {})

    def has(self, entry: Record) -> bool:
        """True for a report or a checkpoint of this run."""
        return entry["kind"] in (REPORTED, CHECKPOINTED) and (entry["trial"], entry["draw"]) == (self.trial, self.draw)


@dataclass
class SweepLog:
    """State of a sweep, computed from its outbox."""

    sweep_id: str = ""
    params: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)  # texts of the tags `NOW`, by param
    runs: dict[int, RunState] = field(default_factory=dict)
    next_draw: dict[int, int] = field(default_factory=dict)
    summary_step: int = -1
    summary_metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, sweep_folder: Path | str) -> SweepLog:
        log = cls()
        for entry in Outbox(sweep_folder).read()[0]:
            log.apply(entry)
        return log

    def apply(self, entry: Record) -> None:
        kind = entry["kind"]
        if kind == SWEEP_STARTED:
            self.sweep_id = entry["sweep_id"]
            self.params |= entry["params"]
            tags = entry.get("tags", {}).items()
            self.changed |= {name.removeprefix(NOW): text for name, text in tags if name.startswith(NOW)}
        elif kind == RECONCILED:
            self._reconcile(set(entry["known"]))
        elif kind == SWEEP_ENDED:
            self.summary_step = max(self.summary_step, entry["step"])
            self.summary_metrics |= entry["metrics"]
        elif kind == INTERRUPTED:
            for run in self.unfinished():
                run.interrupted = True
        elif kind == TRIAL_STARTED:
            self._start(entry)
        elif "trial" in entry:
            self._apply_to_run(kind, entry)

    @property
    def shown(self) -> dict[str, str]:
        """Settings that all trials share, as the sweep's run shows them: params, and tags for those that changed."""
        return {**self.params, **self.changed}

    def params_of(self, constants: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the params of a start that are new, and tags for those that have changed: MLflow's params can't."""
        new = {name: text for name, text in constant_params(constants).items() if name not in self.params}
        return new, {f"{NOW}{name}": text for name, text in changed_params(self.shown, constants).items()}

    def next_summary(self, ended: int, metrics: Mapping[str, float]) -> tuple[int, dict[str, float]]:
        """Step and metrics of the next summary. The step is the number of ended trials, or one more than the last step
        if trials were trained again. The metrics are empty if nothing has changed."""
        logged = self.summary_metrics
        gone = {name: 0.0 for name in logged if name.startswith("trials/")}  # outcomes of trials that ran again
        metrics = {**gone, **metrics}
        if ended <= self.summary_step and all(logged.get(name) == value for name, value in metrics.items()):
            return self.summary_step, {}
        return max(ended, self.summary_step + 1), metrics

    def unfinished(self) -> Iterable[RunState]:
        return [run for run in self.runs.values() if not run.ended]

    def orphans(self) -> Iterable[RunState]:
        return [run for run in self.runs.values() if run.orphan]

    def keys_of(self, numbers: Iterable[int]) -> list[str]:
        """Return the keys of the present runs of some trials, in their order. A trial without a run has the draw 0."""
        return [self.runs[number].key if number in self.runs else run_key(number, 0) for number in numbers]

    def by_key(self, of_trials: Mapping[int, Any]) -> list[list[Any]]:
        """Return values by trial as pairs of the key of its run and the value."""
        return [[key, value] for key, value in zip(self.keys_of(of_trials), of_trials.values(), strict=True)]

    def best(self, number: int | None, checkpoint: str, sweep: str) -> Record | None:
        """Fields of the record of a sweep's end about its best trial; checkpoint: if not the latest one."""
        run = None if number is None else self.runs.get(number)
        if run is None:
            return None
        name = model_name(sweep, run.trial, run.last_step)
        params = {**run.params[0], **run.moved_by(run.last_step)}
        return {"trial": run.trial, "draw": run.draw, "step": run.last_step, "at_ms": run.last_at_ms, "name": name,
                "metrics": run.last_metrics, "params": params, "checkpoint": checkpoint or run.checkpoint,
                }  # fmt: skip

    def _reconcile(self, known: set[int]) -> None:
        for run in self.runs.values():
            run.orphan = run.trial not in known

    def _start(self, entry: Record) -> None:
        trial, draw = entry["trial"], entry["draw"]
        run = self.runs.get(trial)
        if run is None or run.draw != draw:
            self.runs[trial] = RunState(trial, draw, [entry["params"]], last_step=entry.get("from_step", -1))
        else:
            run.ended, run.interrupted, run.orphan, run.outcome = False, False, False, ""

    def _apply_to_run(self, kind: str, entry: Record) -> None:
        run = self.runs.get(entry["trial"])
        if run is None or run.draw != entry["draw"]:
            return
        if kind == REPORTED:
            run.last_step, run.last_metrics, run.last_at_ms = entry["step"], entry["metrics"], entry["at_ms"]
            if entry.get("sets"):
                run.params.append(entry["sets"])
        elif kind == TAKEN_OVER:
            run.params.append(entry["sets"])
            run.takeovers.append({name: entry[name] for name in OF_TAKEOVER} | {"env_steps": entry["step"]})
        elif kind == CHECKPOINTED:
            run.checkpoint = entry["path"]
        elif kind == CHECKPOINTS_KEPT:
            run.kept = entry["checkpoints"]
        elif kind == TRIAL_ENDED:
            run.ended, run.outcome, run.reason = True, entry["outcome"], entry.get("reason") or ""
        elif kind == TRIAL_DISCARDED:
            del self.runs[run.trial]
            self.next_draw[run.trial] = run.draw + 1


def current_reports(sweep_folder: Path | str) -> dict[int, list[Record]]:
    """Trial number -> its reports in order (`step`, `metrics`), without those of discarded draws."""
    return reports_in(Outbox(sweep_folder).read()[0])


def kept_in(entries: Iterable[Record]) -> list[Record]:
    """Return the latest record of the kept checkpoints of each trial, without those of discarded draws."""
    found: dict[int, Record] = {}
    for entry in entries:
        if entry["kind"] == CHECKPOINTS_KEPT:
            found[entry["trial"]] = entry
        elif entry["kind"] == TRIAL_DISCARDED:
            found.pop(entry["trial"], None)
    return list(found.values())


def reports_in(entries: Iterable[Record]) -> dict[int, list[Record]]:
    """Return `current_reports` of the records of an outbox."""
    reports: dict[int, list[Record]] = {}
    for entry in entries:
        if entry["kind"] == REPORTED:
            reports.setdefault(entry["trial"], []).append(entry)
        elif entry["kind"] == TRIAL_DISCARDED:
            reports.pop(entry["trial"], None)
    return reports


def reconcile(sweep_folder: Path | str, known: Mapping[int, Mapping[str, Any]]) -> list[int]:
    """Bring the outbox back to Tune's snapshot after a kill. Idempotent.

    A run is discarded if the snapshot has other values for its number. A run that is newer than the snapshot becomes an
    orphan: it is reused if its number gets the same values again, and discarded if not.

    Args:
        known: Trial number -> its varied values in the snapshot.
    Returns:
        The numbers of the orphans."""
    outbox, log = Outbox(sweep_folder), SweepLog.read(sweep_folder)
    for trial, params in known.items():
        run = log.runs.get(trial)
        if run is not None and dict(params) not in run.params:
            _append(outbox, log, record(TRIAL_DISCARDED, trial=trial, draw=run.draw))
    _append(outbox, log, record(RECONCILED, known=sorted(known)))
    outbox.close()
    return sorted(run.trial for run in log.orphans())


def _append(outbox: Outbox, log: SweepLog, entry: Record) -> None:
    outbox.append(entry)
    log.apply(entry)
