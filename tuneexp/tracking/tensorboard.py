"""TensorBoard logs of a sweep: a view of its outbox, with one folder for each trial.

The outbox survives kills and drops repeated reports. So the logs are deleted and written again at each start of the
sweep: a SIGKILL or a power cut can leave a file truncated, or with reports that the sweep repeats.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tuneexp.nesting import leaves
from tuneexp.tracking import outbox_records as records
from tuneexp.tracking.event_files import FOLDER, EventFile, remove_event_files
from tuneexp.tracking.naming import run_name
from tuneexp.tracking.outbox import Outbox, Record
from tuneexp.tracking.outcome import COMPLETED, INTERRUPTED

logger = logging.getLogger(__name__)

PERIOD_S = 2.0
_OTHER = re.compile(r"[^\w.=+,-]")


def trial_folder(number: int, label: str) -> str:
    """Name of the folder of a trial: `003,learning_rate=0.0031,n_steps=256`."""
    return _OTHER.sub("_", run_name(number, label).replace(" ", ","))


@dataclass
class _Run:
    """The present run of a trial, and its event file while that is open."""

    draw: int
    folder: Path
    hyperparameters: dict[str, object]
    last_step: int = -1
    file: EventFile | None = None


class TensorBoardLogs:
    """Event files of a sweep. Nothing is read or written before the first `update`."""

    def __init__(self, sweep_folder: Path) -> None:
        self.folder = sweep_folder / FOLDER
        self._outbox = Outbox(sweep_folder)
        self._runs: dict[int, _Run] | None = None
        self._offset = 0

    def update(self) -> None:
        """Write the records that the outbox has got since the last call; at the first call, everything anew.

        Raises OSError, for example on a full disk. After an error the next call writes everything anew."""
        try:
            if self._runs is None:
                self._clear()
                self._runs = {}
            new, self._offset = self._outbox.read(self._offset)
            for entry in new:
                self._apply(self._runs, entry)
            for run in self._runs.values():
                if run.file is not None and new:
                    run.file.flush()
        except Exception:
            self.close()
            self._runs, self._offset = None, 0
            raise

    def close(self) -> None:
        for run in (self._runs or {}).values():
            with suppress(OSError):
                _close(run)

    def _clear(self) -> None:
        for folder in self.folder.glob("*/"):
            remove_event_files(folder)

    def _apply(self, runs: dict[int, _Run], entry: Record) -> None:
        kind, trial = entry["kind"], entry.get("trial")
        if kind == records.TRIAL_STARTED:
            self._start(runs, entry)
            return
        run = None if trial is None else runs.get(trial)
        if run is None or run.draw != entry.get("draw"):
            return
        if kind == records.REPORTED:
            run.last_step = entry["step"]
            _opened(run, run.last_step).report(entry["at_ms"] / 1000, run.last_step, entry["metrics"])
        elif kind == records.TRIAL_ENDED:
            _opened(run, run.last_step + 1).end(entry["at_ms"] / 1000, max(run.last_step, 0), entry["outcome"])
            _close(run)
        elif kind == records.TRIAL_DISCARDED:
            self._discard(runs, entry["trial"])

    def _start(self, runs: dict[int, _Run], entry: Record) -> None:
        number, before = entry["trial"], runs.get(entry["trial"])
        if before is not None and before.draw == entry["draw"]:
            return  # it continues
        if before is not None:
            self._discard(runs, number)
        folder = self.folder / trial_folder(number, entry.get("label", ""))
        runs[number] = _Run(entry["draw"], folder, entry["params"])

    def _discard(self, runs: dict[int, _Run], number: int) -> None:
        run = runs.pop(number)
        _close(run)
        remove_event_files(run.folder)


def _opened(run: _Run, from_step: int) -> EventFile:
    if run.file is None:
        run.file = EventFile(run.folder, max(from_step, 0), run.hyperparameters)
    return run.file


def _close(run: _Run) -> None:
    if run.file is not None:
        file, run.file = run.file, None
        file.close()


@contextmanager
def logs_written(sweep_folder: Path, wanted: bool) -> Iterator[None]:
    """Write the logs of a sweep while it runs, in a thread, and the rest at the end. A failure is a warning.

    wanted: False does nothing."""
    if not wanted:
        yield
        return
    ended, logs = threading.Event(), TensorBoardLogs(sweep_folder)
    thread = threading.Thread(target=_write_until, args=(logs, ended), name="tensorboard", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if (problem := _updated(logs)) is not None:
            logger.warning("the TensorBoard logs can't be written to %s: %s", logs.folder, problem)
        logs.close()


def _write_until(logs: TensorBoardLogs, ended: threading.Event) -> None:
    told = ""
    while not ended.wait(PERIOD_S):
        problem = _updated(logs)
        if problem is not None and problem != told:
            logger.warning("the TensorBoard logs can't be written to %s yet: %s", logs.folder, problem)
        told = problem or ""


def _updated(logs: TensorBoardLogs) -> str | None:
    """Update the logs. Returns what prevents it."""
    try:
        logs.update()
    except OSError as error:
        return error.strerror or str(error)
    except Exception as error:  # the sweep goes on without them
        return f"{type(error).__name__}: {error}"
    return None


class TrainingLogs:
    """Event file of one training, in the folder `tensorboard` of its own folder. A failure is a warning.

    Args:
        training_folder: Folder of the training.
        hyperparameters: Those that were set."""

    def __init__(self, training_folder: Path, hyperparameters: Mapping[str, Any]) -> None:
        self.folder = training_folder / FOLDER
        self._hyperparameters = dict(leaves(hyperparameters))
        self._file: EventFile | None = None
        self._works, self._step = True, 0

    def report(self, result: Mapping[str, Any]) -> None:
        """Write the metrics of a report."""
        from tuneexp.tracking.reports import metrics_of

        self._step = int(result["env_steps"])
        self._try(lambda file: file.report(time.time(), self._step, metrics_of(result)[0]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            outcome = COMPLETED if kind is None else INTERRUPTED
            self._try(lambda file: file.end(time.time(), self._step, outcome))
            with suppress(OSError):
                self._file.close()

    def _try(self, write: Callable[[EventFile], None]) -> None:
        if not self._works:
            return
        try:
            if self._file is None:
                self._file = EventFile(self.folder, self._step, self._hyperparameters)
            write(self._file)
            self._file.flush()
        except OSError as problem:
            self._works = False
            logger.warning("the TensorBoard logs can't be written to %s: %s", self.folder, problem.strerror or problem)
