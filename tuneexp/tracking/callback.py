"""Tune callback that appends the events of a sweep to its outbox. Does not import MLflow."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback

from tuneexp import tracebacks
from tuneexp.tracking import outbox_records as records
from tuneexp.tracking.delivery_process import MLflowIds, Undelivered, finish_delivery, mlflow_ids, start_delivery
from tuneexp.tracking.outbox import Outbox
from tuneexp.tracking.outbox_records import RunState, SweepLog, reconcile, record
from tuneexp.tracking.outcome import outcome_of, reason_of
from tuneexp.tracking.record_texts import RecordTexts
from tuneexp.tracking.reports import metrics_of, number_of, tags_of, takeover_fields, values_that_move
from tuneexp.tracking.standings import Standings
from tuneexp.tracking.sweep_end import fields_of_end, missing_ends
from tuneexp.tracking.values import plain, stored_path, varied_values
from tuneexp.tracking.within import Closing


class MLflowCallback(Callback):
    """Records one sweep for MLflow: a parent run, and a child run for each trial. All state is rebuilt from the outbox.

    Args:
        constants: Settings that all trials share: params of the parent run. None: not set.
        varied: Names of the varied hyperparameters: the only params of a child run.
        tags: Tags of the parent run.
        checkpoints: Folder or URI of the checkpoints of all sweeps; None is the storage.
        texts: Names and descriptions of the runs.
        artifacts: Text artifacts of the parent run by file name; `experiment.yaml` is added."""

    def __init__(
        self,
        sweep_name: str,
        sweep_folder: Path | str,
        storage: Path | str,
        experiment_name: str,
        constants: Mapping[str, Any],
        varied: Iterable[str],
        tags: Mapping[str, Any],
        checkpoints: str | None = None,
        texts: RecordTexts | None = None,
        artifacts: Mapping[str, str] | None = None,
    ) -> None:
        self.sweep_name = sweep_name
        self.sweep_folder = Path(sweep_folder).resolve()
        self.storage = Path(storage).resolve()
        self.experiment_name = experiment_name
        self.constants = dict(constants)
        self.varied, self.tags, self.checkpoints = list(varied), dict(tags), checkpoints
        self.texts, self.artifacts = texts or RecordTexts(self.varied), dict(artifacts or {})
        self._restored: dict[str, Any] = {}
        self._forget()

    def _forget(self) -> None:
        self._outbox: Outbox | None = None
        self._log = SweepLog()
        self._introduced = False
        self._reconciled = False

    def start(self) -> None:
        """Start the delivering process, so that MLflow loads while Ray does. Idempotent; `setup` calls it, too."""
        if self._outbox is not None:
            return
        self._log = SweepLog.read(self.sweep_folder)
        self._outbox = Outbox(self.sweep_folder)
        start_delivery(self.sweep_folder)

    def _record_start(self) -> None:
        """Record the start of the sweep, once, after Tune has restored this callback's state."""
        self.start()
        if self._introduced:
            return
        self._introduced = True
        sweep_id = self._log.sweep_id or self._restored.get("sweep_id") or uuid.uuid4().hex
        new, changed = self._log.params_of(self.constants)
        tags = {name: value for name, value in plain({**self.tags, **changed}).items() if value != ""}
        self._write(records.SWEEP_STARTED, sweep_id=sweep_id, sweep=self.sweep_name, experiment=self.experiment_name,
                    params=new, tags=tags, artifacts=self._artifacts(), **self.texts.sweep_started())  # fmt: skip

    def _artifacts(self) -> dict[str, str]:
        file = self.sweep_folder / "experiment.yaml"
        return {**self.artifacts, **({file.name: file.read_text()} if file.is_file() else {})}

    def finish(
        self,
        summary_rows: list[dict[str, Any]],
        best_trial_number: int | None,
        best_checkpoint: str | None,
        timeout_s: float,
        tags: Mapping[str, str] | None = None,
        standings: Standings | None = None,
        closing: Closing | None = None,
        kept: Mapping[int, Sequence[Mapping[str, Any]]] | None = None,
    ) -> Undelivered | None:
        """Record the end of the sweep, deliver the rest of the outbox, stop the delivering process.

        Args:
            summary_rows: One per trial, with the columns `trial_number`, `outcome` and `env_steps`.
            tags: Tags of the parent run.
            standings: Objectives of the sweep, its Pareto front and violated constraints.
            closing: Results of a confirmation.
            kept: Arguments of `keep` by the number of the trial.
        Returns:
            The records that were not delivered within `timeout_s`; None if MLflow has all of them."""
        self._reread()
        for run in list(self._log.orphans()):
            self._write(records.TRIAL_DISCARDED, trial=run.trial, draw=run.draw)
        for end in missing_ends(self._log, summary_rows):
            self._write_end(*end)
        for number, checkpoints in (kept or {}).items():
            self.keep(number, checkpoints)
        path = stored_path(best_checkpoint, self.sweep_folder) if best_checkpoint else ""
        best = self._log.best(best_trial_number, path, self.sweep_name)
        closing, standings = closing or Closing(), standings or Standings()
        fields = fields_of_end(self._log, self.texts, summary_rows, best, standings, closing)
        self._write(records.SWEEP_ENDED, tags=dict(tags or {}), artifacts={**self._artifacts(), **closing.artifacts},
                    **fields)  # fmt: skip
        return self._close(timeout_s)

    def keep(self, number: int, checkpoints: Sequence[Mapping[str, Any]]) -> None:
        """Record the checkpoints of an ended trial that are logged models from now on. Idempotent.

        checkpoints: `step`, `path` (or URI), `rank` (1 for the best of the trial, 0 for none) and `last` of each."""
        if (run := self._log.runs.get(number)) is None:
            return
        kept = [{**one, "path": stored_path(one["path"], self.sweep_folder, self.checkpoints),
                 "moved": run.moved_by(one["step"])} for one in checkpoints]  # fmt: skip
        if kept != run.kept:
            self._write(records.CHECKPOINTS_KEPT, trial=number, draw=run.draw, sweep=self.sweep_name,
                        params=run.params[0], checkpoints=kept)  # fmt: skip

    def interrupt(self, timeout_s: float) -> Undelivered | None:
        """Record an interrupt: running trials are marked as interrupted until a resume. Returns as `finish` does."""
        self._reread()
        running = list(self._log.unfinished())
        self._write(records.INTERRUPTED, open=[(run.trial, run.draw) for run in running],
                    **self.texts.interrupted(running, self.sweep_folder))  # fmt: skip
        return self._close(timeout_s)

    def ids(self) -> MLflowIds:
        return mlflow_ids(self.sweep_folder)

    # Tune's hooks.

    def setup(self, *args: Any, **info: Any) -> None:
        self._record_start()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._reconciled:
            return
        self.start()
        self._reconciled = True
        known = [trial for trial in trials if number_of(trial) is not None]
        if not (known or self._log.runs):
            return
        reconcile(self.sweep_folder, {number_of(trial): self._varied(trial) for trial in known})  # type: ignore[misc]
        self._reread()
        self._catch_up(trials)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = number_of(trial)
        if number is None:
            return
        run, params = self._log.runs.get(number), self._varied(trial)
        if run is not None and run.orphan and params not in run.params:
            self._write(records.TRIAL_DISCARDED, trial=number, draw=run.draw)
            run = None
        if run is None:
            draw = self._log.next_draw.get(number, 0)
            self._start_run(number, draw, params=params, from_step=int(self._restored.get("steps", {}).get(number, -1)))
        elif run.ended or run.interrupted or run.orphan:
            self._start_run(number, run.draw, params={}, again=True, started_with=run.params[0])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        run = self._run(trial)
        step = int(result.get("env_steps", -1))
        # After a kill a trial continues from its last checkpoint and repeats reports: these are dropped.
        if run is None or step <= run.last_step:
            return
        metrics, nonfinite = metrics_of(result)
        fields: dict[str, Any] = {"step": step, "metrics": metrics, "tags": tags_of(result, nonfinite)}
        params = self._varied(trial)
        if params not in run.params:  # a scheduler changed them
            fields["sets"] = params
        metrics |= values_that_move(trial.config, params, step, params not in run.params)
        self._write(records.REPORTED, trial=run.trial, draw=run.draw, **fields)

    def taken_over(self, trial: Any, takeover: Mapping[str, Any]) -> None:
        """Record that a trial continues from the checkpoint of another one. Idempotent: it may repeat after a kill."""
        run = self._run(trial)
        if run is not None and dict(takeover) not in run.takeovers:
            fields = takeover_fields(takeover, trial.config["takeovers"])
            self._write(records.TAKEN_OVER, trial=run.trial, draw=run.draw, sets=self._varied(trial), **fields)

    def on_checkpoint(self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any) -> None:
        run = self._run(trial)
        if run is not None:
            step = int((trial.last_result or {}).get("env_steps", 0))
            path = stored_path(checkpoint.path, self.sweep_folder, self.checkpoints)
            self._write(records.CHECKPOINTED, trial=run.trial, draw=run.draw, step=step, path=path)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial)

    on_trial_error = on_trial_complete

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        # Tune ends trials at a time limit without a call of `on_trial_complete`. Those that a signal stopped are
        # unfinished: `interrupt` records them.
        if not tracebacks.interrupted():
            self._catch_up(trials)

    def get_state(self) -> dict[str, Any]:
        """Identity of the sweep and last step of each run, in case the outbox folder is lost."""
        steps = {run.trial: run.last_step for run in self._log.runs.values()}
        return {"sweep_id": self._log.sweep_id, "steps": steps}

    def set_state(self, state: dict[str, Any]) -> None:
        self._restored = dict(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_outbox": None, "_log": SweepLog(), "_introduced": False, "_reconciled": False}

    def _write(self, kind: str, **fields: Any) -> None:
        if kind != records.SWEEP_STARTED:
            self._record_start()
        assert self._outbox is not None
        entry = record(kind, **fields)
        self._outbox.append(entry)
        self._log.apply(entry)

    def _reread(self) -> None:
        """Rebuild the state from the outbox, to which another object or `reconcile` may have written."""
        self.start()
        assert self._outbox is not None
        self._outbox.flush()
        self._log = SweepLog.read(self.sweep_folder)

    def _close(self, timeout_s: float) -> Undelivered | None:
        assert self._outbox is not None
        self._outbox.close()
        left = finish_delivery(self.sweep_folder, timeout_s)
        self._forget()
        return left

    def _start_run(self, number: int, draw: int, started_with: Mapping[str, Any] | None = None, **fields: Any) -> None:
        texts = self.texts.trial_started(number, started_with or fields["params"])
        self._write(records.TRIAL_STARTED, trial=number, draw=draw, sweep=self.sweep_name, **fields, **texts)

    def _run(self, trial: Any) -> RunState | None:
        number = number_of(trial)
        return None if number is None else self._log.runs.get(number)

    def _varied(self, trial: Any) -> dict[str, Any]:
        return varied_values(trial.config, self.varied)

    def _catch_up(self, trials: list[Any]) -> None:
        """Record the ends of trials that the outbox lacks."""
        for trial in trials:
            run = self._run(trial)
            if number_of(trial) is None or trial.status not in ("TERMINATED", "ERROR") or (run and run.ended):
                continue
            self.on_trial_start(0, trials, trial)
            self._end(trial)

    def _end(self, trial: Any) -> None:
        run = self._run(trial)
        if run is None or run.ended:
            return
        result = trial.last_result or {}
        step = int(result.get("env_steps", 0))
        if step < run.last_step:
            run = self._redraw_up_to(run, step)
        self._write_end(run, step, outcome_of(trial, result), reason_of(trial, result))

    def _write_end(self, run: RunState, step: int, outcome: str, reason: str | None) -> None:
        # An empty reason takes the place of the one that the run got when it ended before.
        kept = reason or ("" if run.reason else None)
        self._write(records.TRIAL_ENDED, step=step, reason=kept,
                    **self.texts.trial_ended(run, self.sweep_folder, outcome, reason))  # fmt: skip

    def _redraw_up_to(self, run: RunState, step: int) -> RunState:
        """Replace the run of a trial that ended at an earlier step than before a kill. MLflow can't remove metrics, so
        a new run gets the reports up to `step`, and the old run is discarded."""
        assert self._outbox is not None
        reports = [entry for entry in self._outbox.read()[0] if run.has(entry) and entry["step"] <= step]
        self._write(records.TRIAL_DISCARDED, trial=run.trial, draw=run.draw)
        self._start_run(run.trial, run.draw + 1, params=run.params[0])
        for entry in reports:
            self._outbox.append({**entry, "draw": run.draw + 1})
        self._reread()
        return self._log.runs[run.trial]
