"""Results of a sweep, read from its folder without Ray and MLflow, also while it runs or after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.files.locks import is_held
from tuneexp.sweep.search.metrics import DEFAULT
from tuneexp.sweep.search.stopping_rules import SearchState, Tally
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage, checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder, stored_folder
from tuneexp.sweep.storage.records import TrialRecord, front_of
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.sweep.sweep_config import SweepConfig, objectives_of, read_config, stop_rules
from tuneexp.tracking.champions import ALIAS
from tuneexp.tracking.delivery_process import mlflow_ids
from tuneexp.tracking.links import sweep_link
from tuneexp.tracking.outcome import FAILURES

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from tuneexp.sweep.confirming.confirmation import Confirmation

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
        checkpoint: Path or URI of the last checkpoint that is kept; None before the first, or if the quota has no room.
        objectives: Last value of each objective of the sweep by name, without those that are not finite.
        violated: Constraints of the sweep that the last report violates.
        checkpoints: Checkpoints that are kept, each with `path`, `env_steps` and `score`, the oldest first.
        continues_from: Checkpoint of another trial from which it continues, until it has saved one of its own since.
        takeovers: Continuations of a member of a population from other trials, each with `env_steps`, `donor` (the
            number of that trial), `before` and `after` (hyperparameters that moved).
        env_steps_spent: Environment steps of all seeds together; None in sweeps of earlier versions.
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
        mlflow: `tracking_uri`, `experiment_id`, `parent_run_id` and `link`; of a confirmation also `champion`, the
            address of its registered winner.
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

    @property
    def best_checkpoint(self) -> str | None:
        """Path or URI of the last checkpoint of the best trial; None before there is one."""
        return None if self.best is None else self.best.checkpoint

    @property
    def study(self) -> optuna.Study:
        """Optuna's study, as of `load_study`."""
        from tuneexp.sweep.stored_study import load_study

        return load_study(str(self._folder))

    def dataframe(self) -> pd.DataFrame:
        """Return the trials, a row each, in the order of their numbers.

        Returns:
            Columns `number`, `outcome`, `objective`, `objective_low` and `objective_high` (its 95 % interval over
            seeds), each other objective by its name, `best` (True for the best trial, or on the Pareto front),
            `env_steps`, `wall_s`, `status`, `reason`, `violated`, `config/NAME` for each hyperparameter (lists as
            text), `checkpoint` and `mlflow_run_id`.
        """
        from tuneexp.report.tables import stored_reports, trial_frame, trial_rows

        best = [trial.trial_number for trial in self.front]
        return trial_frame(trial_rows(self.trials, best, stored_reports(self._folder)))

    def curves(self, by_seed: bool = False) -> pd.DataFrame:
        """Return the reports of all trials, in their order.

        Args:
            by_seed: A row for each seed, the long form of seaborn, instead of one for each report.

        Returns:
            Columns `number` (of the trial), `report` (from 1), `env_steps` (per seed), and the metrics by their names.
            With `by_seed` also `seed`, and the metrics are those of one seed: `return_mean`, `train_return_mean`, ...
        """
        from tuneexp.report.tables import report_frame, report_rows, seed_rows, stored_reports

        reports = stored_reports(self._folder)
        return report_frame(seed_rows(reports) if by_seed else report_rows(reports), by_seed)

    def report(self, path: str | Path | None = None, others: Sequence[SweepResult] = ()) -> Path:
        """Write the report: one HTML page with figures that needs no network, and its tables as Parquet and CSV.

        Args:
            path: Path of the page, such as `first.html`; by default `NAME-report.html` in the working folder. The
                tables are in a folder of the same name without the suffix.
            others: Other sweeps to compare with.

        Returns:
            Path of the page. It is also logged to the sweep's run in MLflow; a store that fails is a warning.

        Raises:
            UserError: The sweep has no trials yet, or the page can't be written there.
        """
        from tuneexp.report.page.writing import write_report

        return Path(write_report([self, *others], path).page)

    @property
    def _folder(self) -> Path:
        return Path(self.storage) / self.name

    def confirm(self, top: int | None = None, seeds: int | Sequence[int] = 10, **how: Any) -> Confirmation:
        """Train the best configurations again on unseen seeds. Arguments and result as of `tuneexp.confirm`."""
        from tuneexp.sweep.confirming.confirm import confirm

        return confirm(self.name, self.storage, top, seeds, **how)

    @property
    def confirmations(self) -> list[Confirmation]:
        """Confirmations of the sweep so far, the newest last."""
        from tuneexp.sweep.confirming.confirmation import confirmations_of

        return confirmations_of(stored_folder(self.name, self.storage))

    def as_json(self) -> dict[str, Any]:
        best = None if self.best is None else {name: getattr(self.best, name) for name in _OF_BEST}
        front, confirmations = [one.trial_number for one in self.front], [one.as_json() for one in self.confirmations]
        return {**asdict(self), "best": best, "front": front, "confirmations": confirmations}


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
    front = [trials[index] for index in front_of(trials, objectives)]
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


def _trial_result(record: TrialRecord, store: CheckpointStorage, runs: dict[int, str], state: str) -> TrialResult:
    checkpoint = store.path_of(record.checkpoint) if record.checkpoint else None
    values = record.objectives
    if not values and record.objective is not None:  # of an earlier version
        values = {DEFAULT: record.objective}
    kept = [replace(one, path=store.path_of(one.path)) for one in record.checkpoints]
    status = _status(record, state)
    now = replace(record, status=status, checkpoint=checkpoint, objectives=values, checkpoints=kept)
    return TrialResult(**vars(now), mlflow_run_id=runs.get(record.trial_number))


def _status(record: TrialRecord, state: str) -> str:
    """Return the present status of a trial. The snapshot has that of the time when the sweep ran."""
    begun = record.status == "running" or (record.status == "waiting" and record.env_steps > 0)
    return "interrupted" if begun and state != "running" else record.status


def _mlflow_ids(folder: SweepFolder) -> tuple[dict[int, str], dict[str, Any]]:
    """Return trial number -> run id, and the ids of the sweep in MLflow, as far as it was delivered."""
    ids = mlflow_ids(folder.path)
    stored = {
        "tracking_uri": ids.tracking_uri,
        "experiment_id": ids.experiment_id or None,
        "parent_run_id": ids.parent_run_id or None,
        "link": sweep_link(folder.path),
        **({"champion": f"models:/{ids.champion}@{ALIAS}"} if ids.champion else {}),
    }
    return ids.run_ids, stored
