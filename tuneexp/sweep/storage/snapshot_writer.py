"""Tune callback that writes snapshots with the scheduler's state, removes old checkpoints and sends events."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from tuneexp.errors import TuneexpError
from tuneexp.files.atomic import remove
from tuneexp.files.retries import Outage
from tuneexp.report.formatting import seeds as seeds_text
from tuneexp.sweep import events
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler
from tuneexp.sweep.signals import stop_signals
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_keeper import CheckpointKeeper, Models, Retention
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.records import TrialRecord, record_of, shown_config
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.tracking.outcome import last_failure

logger = logging.getLogger(__name__)


class SnapshotWriter(Callback):
    """Writes snapshots. Tune calls it in its loop, so that nothing happens between its snapshot and `on_step_end`."""

    def __init__(
        self,
        folder: SweepFolder,
        store: CheckpointStorage,
        scheduler: TuneScheduler,
        limits: Limits,
        resumed: bool,
        moved: Mapping[str, str] | None = None,
        objectives: Objectives | None = None,
        retention: Retention | None = None,
        models: Models | None = None,
    ) -> None:
        """Create the callback.

        moved: new addresses of the user's code, for restored trials. objectives: of the sweep. retention: of its
        checkpoints. models: receiver of those of ended trials."""
        self._folder, self._store, self._scheduler, self._limits = folder, store, scheduler, limits
        self._objectives = objectives or Objectives()
        self._must_restore, self._moved = resumed, dict(moved or {})
        self._records: dict[str, TrialRecord] = {}
        self._changed: set[str] = set()
        self._announced: set[str] = set()
        self._paused: set[str] = set()  # of which a watcher was told
        self._keeper = CheckpointKeeper(folder, store, retention or Retention(), self._objectives, models)
        self._staged = False  # Tune has written a snapshot since the last commit
        self._outage = Outage(f"{folder.snapshot_file} can't be written")
        self._staging: Path | None = None

    def get_state(self) -> dict[str, Any]:
        self._staged = True  # Tune calls this only while it writes the last of its files
        return {"scheduler": self._scheduler.state()}

    def set_state(self, state: dict[str, Any]) -> None:
        self._scheduler.set_state(state["scheduler"])
        self._must_restore = False

    def setup(self, **info: Any) -> None:
        # If Tune can't read a snapshot, it logs a line and starts a new experiment.
        if self._must_restore:
            raise TuneexpError(f"Tune can't restore {self._folder.path}; nothing was changed; run it again with -v")

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        with stop_signals() as stop:
            stop.look_again()
        if self._staging is None and trials:  # restored ones: this run has written nothing yet
            self._first_look(trials)
            snapshot.clear_staging(self._staging_area(trials))

    def _staging_area(self, trials: list[Trial]) -> Path:
        return Path(trials[0].storage.experiment_driver_staging_path)

    def _first_look(self, trials: list[Trial]) -> None:
        self._staging = self._staging_area(trials)
        self._keeper.restore()
        # At a restore Tune copied every .json of the folder into its staging area, and would copy it back.
        remove(self._staging / self._folder.config_file.name)
        for trial in trials:
            if self._moved:
                of_tune = getattr(trial, "population", trial)  # a member's configuration is made when it is asked for
                of_tune.config["moved"] = self._moved
                of_tune.invalidate_json_state()
            record = self._look_at(trial)
            if record.outcome:
                self._announce(record, restored=True)
            elif record.status == "paused":
                self._pause(record, restored=True)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._changed.add(trial.trial_id)
        # After a kill, one that was not saved at its pause runs up to it again: that is no promotion.
        promoted = trial.trial_id in self._paused and trial.trial_id not in self._scheduler.paused
        self._paused.discard(trial.trial_id)
        self._keeper.continued(trial.trial_id)
        self._tell("promoted" if promoted else "started", self._look_at(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        self._changed.add(trial.trial_id)
        objective = result.get("objective")
        event = events.SweepEvent(
            "report",
            trial.config["trial_number"],
            trial.trial_id,
            shown_config(trial),
            int(result.get("env_steps", 0)),
            objective if objective == objective else None,
            objectives=self._objectives.named(result),
            violated=self._objectives.violated(result),
        )
        events.tell(self._folder.path, event)

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._changed.add(trial.trial_id)
        self._keeper.saved(trial)

    def taken_over(self, trial: Trial, takeover: Mapping[str, Any]) -> None:
        """Register that a paused trial continues from the checkpoint of another one, with other hyperparameters."""
        self._changed.add(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._changed.add(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._changed.add(trial.trial_id)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        members = [member["trial_number"] for member in trial.config.get("members", ())]
        what = f"the population of trials {seeds_text(members)}" if members else f"trial {trial.config['trial_number']}"
        logger.warning("%s lost its worker and is retried from its last checkpoint: %s", what, last_failure(trial))

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._staging is None and trials:
            self._first_look(trials)
        self._refresh(trials)
        if (committed := self._commit()) is not None:
            self._keeper.second_copy.offer(committed)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self._keeper.wait_for_delivery(list(self._records.values()))
        # After Tune's last, forced snapshot, in which trials that an interrupt stopped are unfinished.
        last = self._commit()
        while self._outage.lasts:
            self._outage.wait()
            last = self._commit()
        if last is not None:
            self._keeper.finish(last)

    def _refresh(self, trials: list[Trial]) -> None:
        paused = self._scheduler.paused.keys() - self._paused  # a pause follows the decision after some steps
        for trial in trials:
            if trial.trial_id in self._changed or trial.trial_id in paused or trial.trial_id not in self._records:
                record = self._look_at(trial)
                if record.outcome and trial.trial_id not in self._announced:
                    self._announce(record)
                elif record.status == "paused" and trial.trial_id in paused:
                    self._pause(record)
        self._changed.clear()

    def _commit(self) -> Snapshot | None:
        """Pack the files that Tune staged in this step, then delete checkpoints that nothing needs.

        A failed write is retried later."""
        if self._staging is None or not self._staged or not self._outage.due():
            return None
        state = snapshot.staged(self._staging)
        if state is None:
            return None
        now = Snapshot(state, self._keeper.entered(list(self._records.values())), self._limits.state())
        try:
            snapshot.commit(self._folder, now)
        except OSError as error:
            self._outage.failed(error)
            return None
        self._outage.over()
        self._staged = False
        self._keeper.committed(now)
        return now

    def _look_at(self, trial: Trial) -> TrialRecord:
        record = record_of(trial, self._objectives, trial.trial_id in self._scheduler.paused)
        self._records[trial.trial_id] = record
        return record

    def _announce(self, record: TrialRecord, restored: bool = False) -> None:
        self._announced.add(record.trial_id)
        self._tell("ended", record, restored)

    def _pause(self, record: TrialRecord, restored: bool = False) -> None:
        self._paused.add(record.trial_id)
        self._tell("paused", record, restored)

    def _tell(self, kind: events.Kind, record: TrialRecord, restored: bool = False) -> None:
        events.tell(self._folder.path, events.SweepEvent.of(record, kind, restored))
