"""Process that delivers the outbox to MLflow. `delivery_process` starts it with the sweep's folder as argument.

It is a process, not a thread of Tune's driver, so that MLflow never blocks the driver: its import holds the interpreter
lock for 1 to 3 s, and database migrations and network calls may hang. Short timeouts are set in the environment of this
process only.

The process exits when its standard input is closed, so it ends with the driver. The line `finish` on its input means:
deliver the rest, then exit. On its output it writes `ready` when MLflow is loaded, `trouble ...` if the store can't be
used at the start, and `note ...` for other messages to the user. Delivery is idempotent (see `runs`): after a kill, the
next process repeats what was under way.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

from tuneexp.files.locks import locked
from tuneexp.processes import uncollected_imports
from tuneexp.security.masking import masked, secrets_of
from tuneexp.tracking.known_runs import Refused, SweepGone
from tuneexp.tracking.outbox import Outbox, Position, Record, append, load_position, outbox_folder, save_position
from tuneexp.tracking.outbox_records import SWEEP_STARTED
from tuneexp.tracking.store import artifact_root, open_client, storage_of, tracking_uri, without_long_retries
from tuneexp.tracking.store_errors import check_sqlite, reason

log = logging.getLogger("tuneexp.deliver")

RECORDS_PER_ROUND = 500
POLL_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0

# Error codes of records that are never accepted. All other errors (refused connections, timeouts, locks, full disks,
# bad credentials) are retried as long as the sweep runs.
_FINAL = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE", "BAD_REQUEST"}

Tell = Callable[[str, str], None]


class Delivery:
    """Delivers one sweep's outbox to MLflow. Each `round` advances the stored position or raises an error."""

    def __init__(self, sweep_folder: Path, tell: Tell) -> None:
        self.folder = sweep_folder
        self.storage = storage_of(sweep_folder)
        self.tell = tell
        self.outbox = Outbox(sweep_folder)
        self.position = self._position_in_this_store()
        self.runs: Any = None
        self._refused: list[Record] = []  # of the round
        self._to_put_aside: list[Record] = []

    def connect(self) -> None:
        """Open the store and check that it works. Raises the store's error."""
        from tuneexp.tracking.runs import Runs

        check_sqlite(tracking_uri(self.storage))
        client = open_client(self.storage)
        client.search_experiments(max_results=1)  # the first request to a server
        note = partial(self.tell, "note")
        runs = Runs(client, self.folder, artifact_root(self.storage), self.position, note)
        try:
            runs.handle_deleted()
        except SweepGone as gone:
            self._start_over(runs, gone)
        self.runs = runs

    def round(self) -> int:
        """Deliver up to `RECORDS_PER_ROUND` records. Returns their number; 0 if nothing is left."""
        self._put_aside()  # those of a round when the disk was full
        if self.outbox.size() <= self.position.offset:
            return 0
        if self.runs is None:
            self.connect()
        records, offset = self.outbox.read(self.position.offset, RECORDS_PER_ROUND)
        if not records:
            return 0
        self.outbox.sync()
        self._refused.clear()
        try:
            self._apply(records)
        except SweepGone as gone:
            self._start_over(self.runs, gone)
            return len(records)
        refused = self.position.refused + len(self._refused)
        moved = replace(self.position, offset=offset, refused=refused, last_error="")
        save_position(self.folder, moved)  # where it fails, the round is repeated
        self.position = self.runs.position = moved
        self._to_put_aside += self._refused
        self._put_aside()
        return len(records)

    def failed(self, error: Exception) -> str:
        """Store the error in the position file, from which messages to the user take it. Returns its text."""
        text = reason(error, tracking_uri(self.storage))
        if text != self.position.last_error:
            log.warning("MLflow: %s", text)
            self.position.last_error = text
            self._save_reason()
        return text

    def _save_reason(self) -> None:
        """Store the position with its error. A full disk delays the message, not the delivery."""
        try:
            save_position(self.folder, self.position)
        except OSError as error:
            log.warning("the reason can't be stored: %s", error)
            self.position.last_error = ""  # so that the next failure stores it

    def _position_in_this_store(self) -> Position:
        """The stored position. If the store has changed (MLFLOW_TRACKING_URI) or the outbox is shorter (power cut): the
        beginning."""
        position, store = load_position(self.folder), masked(tracking_uri(self.storage))
        if position.store != store or position.offset > self.outbox.size():
            position = self._beginning(store)
        if position.last_error:  # of an earlier process: its cause may be gone
            position.last_error = ""
            with suppress(OSError):  # saved again with the first record
                save_position(self.folder, position)
        return position

    def _beginning(self, store: str) -> Position:
        """Position from which all records are delivered again."""
        (outbox_folder(self.folder) / "refused.jsonl").unlink(missing_ok=True)
        return Position(store=store)

    def _start_over(self, runs: Any, gone: SweepGone) -> None:
        self.tell("note", str(gone))
        beginning = self._beginning(self.position.store)
        if gone.experiment_is_there:
            beginning.experiment_id, beginning.deleted = self.position.experiment_id, self.position.deleted
        self.position = runs.position = beginning
        runs.loaded = False

    def _apply(self, records: list[Record]) -> None:
        """Apply all records in one batch. If MLflow refuses it, look for runs that a user deleted and retry; if it is
        refused again, apply records one by one and set aside those that are refused."""
        for last_time in (False, True):
            try:
                self.runs.apply(records)
                return
            except Exception as error:
                if not _is_final(error):
                    raise
            if not last_time:
                self.runs.handle_deleted()
        for record in records:
            try:
                self.runs.apply([record])
            except Exception as error:
                if not _is_final(error) or record["kind"] == SWEEP_STARTED:
                    raise
                why = reason(error, tracking_uri(self.storage))
                log.warning("MLflow refused a record: %s", why)
                self._refused.append({"reason": why, "record": record})

    def _put_aside(self) -> None:
        """Append refused records to refused.jsonl, after the position is stored: a repeated round adds none twice."""
        if self._to_put_aside:
            lines = "".join(json.dumps(refused) + "\n" for refused in self._to_put_aside)
            append(outbox_folder(self.folder) / "refused.jsonl", lines.encode())
            self._to_put_aside.clear()


def _is_final(error: Exception) -> bool:
    from mlflow.exceptions import MlflowException

    return isinstance(error, Refused) or (isinstance(error, MlflowException) and error.error_code in _FINAL)


def deliver(delivery: Delivery, finish: threading.Event) -> None:
    """Deliver new records until `finish` is set and nothing is left. Retries wait longer after each failure."""
    pause_s = FIRST_PAUSE_S
    try:
        delivery.connect()  # at the start, so that a broken store is reported early
    except Exception as error:
        log.debug("no store", exc_info=True)
        delivery.tell("trouble", delivery.failed(error))
    while True:
        is_finishing = finish.is_set()
        try:
            if delivery.round():
                pause_s = FIRST_PAUSE_S
            elif is_finishing:
                return
            else:
                finish.wait(POLL_S)
        except Exception as error:
            log.debug("not delivered", exc_info=True)
            delivery.failed(error)
            if is_finishing:  # the driver waits: retry soon
                time.sleep(FIRST_PAUSE_S)
            else:
                finish.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _follow_stdin(finish: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == "finish":
            finish.set()
    os._exit(3)  # the driver is gone; `tuneexp resume` delivers the rest


def _tell(kind: str, text: str = "") -> None:
    with suppress(OSError):  # the driver is gone
        sys.stdout.write(f"{kind} {' '.join(text.split())}\n")
        sys.stdout.flush()


class _MaskedStream(io.TextIOBase):
    """Standard error with masked passwords: MLflow and SQLAlchemy log addresses, and the file is kept."""

    def __init__(self, stream: TextIO, secrets: set[str]) -> None:
        self.stream, self.secrets = stream, secrets

    def write(self, text: str) -> int:
        self.stream.write(masked(text, *self.secrets))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    sys.stderr = cast(TextIO, _MaskedStream(sys.stderr, secrets_of(tracking_uri(storage_of(folder)))))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    finish = threading.Event()
    threading.Thread(target=_follow_stdin, args=(finish,), daemon=True).start()
    with locked(outbox_folder(folder) / "delivery.lock"):  # one process delivers a sweep at a time
        with uncollected_imports():
            import mlflow.tracking  # noqa: F401  while there is nothing to deliver yet

        without_long_retries()
        _tell("ready")
        deliver(Delivery(folder, _tell), finish)
    os._exit(0)  # without waiting for threads that MLflow may have started


if __name__ == "__main__":
    main()
