"""Results of a sweep, read from its folder without Ray and MLflow, also while it runs or after a kill."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tuneexp.errors import TuneexpError
from tuneexp.files.locks import is_held
from tuneexp.sweep.search.metrics import DEFAULT
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.stopping_rules import SearchState, Tally
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage, checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder, storage_folder, stored_folder
from tuneexp.sweep.storage.records import TrialRecord
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.sweep.sweep_config import SweepConfig, objectives_of, read_config, stop_rules
from tuneexp.tracking.delivery_process import mlflow_ids
from tuneexp.tracking.links import sweep_link
from tuneexp.tracking.outcome import COMPLETED, FAILURES

# Fields of the best trial in the JSON of a sweep, which has all fields of each trial.
_OF_BEST = ("trial_id", "trial_number", "objective", "config", "checkpoint")


@dataclass(frozen=True)
class TrialResult(TrialRecord):
    """Result of one trial of a sweep, so far.

    Attributes:
        trial_id: Id of the trial.
        trial_number: Number of the trial, from 0.
        status: "waiting", "running", "paused" (until it is promoted), "interrupted" or "ended".
        outcome: "completed", "pruned", "diverged", "error", "out_of_memory" or "timeout"; None before its end.
        reason: Reason of the outcome in one line; None if the outcome needs none.
        objective: Last objective; None before the first report, and if every seed diverged.
        env_steps: Environment steps done, per seed.
        wall_s: Seconds of training and evaluation.
        config: Hyperparameters, varied and fixed.
        checkpoint: Path or URI of the last checkpoint; None before the first.
        objectives: Last value of each objective of the sweep by name, without those that are not finite.
        violated: Constraints of the sweep that the last report violates.
        mlflow_run_id: Id of its run in MLflow; None before it is delivered.
    """

    mlflow_run_id: str | None = None


@dataclass(frozen=True)
class SweepResult:
    """Result of a sweep; `as_json()` is what `--json` prints.

    Attributes:
        name: Name of the sweep.
        storage: Folder that holds the sweep's folder.
        state: "finished", "failed" (every trial failed before its first report), "running" or "interrupted".
        ended_by: Setting that ended it, "trials", "time_budget_s", "until" or "stagnation", or "sampler" if that had no
            more suggestions; None before the end.
        best: Completed trial with the best objective that satisfies the constraints; None before there is one, and with
            several objectives.
        trials: One `TrialResult` for each trial, in the order of their numbers.
        mlflow: `tracking_uri`, `experiment_id`, `parent_run_id` and `link`.
        front: The Pareto front: completed trials that satisfy the constraints and that no other one dominates. With one
            objective, the best trial. In JSON their numbers.
        objectives: `name` and `direction` ("max" or "min") of each objective.
    """

    name: str
    storage: str
    state: str
    ended_by: str | None
    best: TrialResult | None
    trials: list[TrialResult]
    mlflow: dict[str, Any] = field(default_factory=dict)
    front: list[TrialResult] = field(default_factory=list)
    objectives: list[dict[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        best = None if self.best is None else {name: getattr(self.best, name) for name in _OF_BEST}
        return {**asdict(self), "best": best, "front": [trial.trial_number for trial in self.front]}


def load_sweep(name: str, storage: str | Path = "runs") -> SweepResult:
    """Read the present state of a sweep from disk; needs no Ray and no MLflow.

    Args:
        name: Name of the sweep, or path of its folder.
        storage: Folder that holds the sweep's folder.

    Returns:
        The result so far.

    Raises:
        UserError: There is no such sweep.
    """
    folder = stored_folder(name, storage)
    return result_of(read_config(folder), folder)


def result_of(config: SweepConfig, folder: SweepFolder) -> SweepResult:
    found = snapshot.load(folder)
    records = sorted(found.records if found else [], key=lambda record: record.trial_number)
    runs, mlflow = _mlflow_ids(folder)
    store = checkpoint_storage_of(folder, config.checkpoints)
    ended_by = ending_in(found, config)
    state = _state_of(folder, records, ended_by)
    trials = [_trial_result(record, store, runs, state) for record in records]
    objectives = objectives_of(config)
    front = _front(trials, objectives)
    return SweepResult(
        name=folder.name,
        storage=str(folder.storage),
        state=state,
        ended_by=ended_by,
        best=front[0] if front and not objectives.several else None,
        trials=trials,
        mlflow=mlflow,
        front=front,
        objectives=objectives.described,
    )


def how_it_ended(config: SweepConfig, folder: SweepFolder) -> str | None:
    """Return the rule by which a sweep has ended, as `SweepResult.ended_by`; None if it has not ended."""
    return ending_in(snapshot.load(folder), config)


def failed_trials(folder: SweepFolder) -> list[int]:
    """Return the numbers of trials that ended by an error, which a retry may avoid; without diverged trials."""
    records = snapshot.read_records(folder)
    return sorted(record.trial_number for record in records if record.outcome in FAILURES)


def none_ran(folder: SweepFolder) -> bool:
    """Return True if every trial failed before its first report: they have a common cause."""
    return _none_ran(snapshot.read_records(folder))


def ending_in(found: Snapshot | None, config: SweepConfig) -> str | None:
    """Return `how_it_ended` by a snapshot."""
    if found is None:
        return None
    rules, ended = stop_rules(config), sum(record.outcome is not None for record in found.records)
    search = found.search or SearchState(rules, Tally(suggested=None))
    suggested = search.tally.suggested
    if suggested is None:  # of an earlier version
        suggested = len(found.records)
        search = replace(search, tally=replace(search.tally, suggested=suggested))
    return search.ended_under(rules) if ended >= suggested else None


def _none_ran(records: list[TrialRecord]) -> bool:
    return bool(records) and all(record.outcome in FAILURES and not record.env_steps for record in records)


def _state_of(folder: SweepFolder, records: list[TrialRecord], ended_by: str | None) -> str:
    if ended_by is not None:
        return "failed" if _none_ran(records) else "finished"
    return "running" if is_held(folder.lock_file) else "interrupted"


def list_sweeps(storage: str | Path = "runs") -> list[dict[str, Any]]:
    """List the sweeps of a storage folder, oldest first.

    Args:
        storage: The folder.

    Returns:
        One mapping for each sweep: `name`, `state`, `reason`, `algorithm`, `env`, `trials`, `finished`, `best`
        (objective), `created_at_s`. A sweep that cannot be read has the state "unreadable" and the reason.
    """
    rows = []
    for path in sorted(storage_folder(storage).glob("*/sweep.json")):
        try:
            rows.append(_list_row(SweepFolder(path.parent)))
        except TuneexpError as error:
            why = " ".join(str(error).split())
            rows.append({"name": path.parent.name, "state": "unreadable", "reason": why, "created_at_s": 0.0})
    return sorted(rows, key=lambda row: row["created_at_s"])


def _list_row(folder: SweepFolder) -> dict[str, Any]:
    config = read_config(folder)
    result = result_of(config, folder)
    return {
        "name": folder.name,
        "state": result.state,
        "reason": None,
        "algorithm": config.trial.algorithm,
        "env": config.trial.env,
        "trials": config.trials,
        "finished": sum(trial.outcome is not None for trial in result.trials),
        "best": next(iter(result.best.objectives.values())) if result.best else None,
        "created_at_s": config.created_at_s,
    }


def _trial_result(record: TrialRecord, store: CheckpointStorage, runs: dict[int, str], state: str) -> TrialResult:
    checkpoint = store.path_of(record.checkpoint) if record.checkpoint else None
    values = record.objectives
    if not values and record.objective is not None:  # of an earlier version
        values = {DEFAULT: record.objective}
    now = replace(record, status=_status(record, state), checkpoint=checkpoint, objectives=values)
    return TrialResult(**vars(now), mlflow_run_id=runs.get(record.trial_number))


def _status(record: TrialRecord, state: str) -> str:
    """Return the present status of a trial. The snapshot has that of the time when the sweep ran."""
    begun = record.status == "running" or (record.status == "waiting" and record.env_steps > 0)
    return "interrupted" if begun and state != "running" else record.status


def _front(trials: list[TrialResult], objectives: Objectives) -> list[TrialResult]:
    """Return the Pareto front of the completed trials that satisfy the constraints; of equal best trials, the first."""
    completed = {
        number: trial.objectives
        for number, trial in enumerate(trials)
        if trial.outcome == COMPLETED and trial.objective is not None and not trial.violated
    }
    return [trials[number] for number in objectives.front(completed)]


def _mlflow_ids(folder: SweepFolder) -> tuple[dict[int, str], dict[str, Any]]:
    """Return trial number -> run id, and the ids of the sweep in MLflow, as far as it was delivered."""
    ids = mlflow_ids(folder.path)
    stored = {
        "tracking_uri": ids.tracking_uri,
        "experiment_id": ids.experiment_id or None,
        "parent_run_id": ids.parent_run_id or None,
        "link": sweep_link(folder.path),
    }
    return ids.run_ids, stored
