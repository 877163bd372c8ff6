"""The process that brings the outbox to MLflow. `drain` starts it, with the sweep's folder as argument.

A process of its own, and not a thread of Tune's driver, because MLflow then can't hold up the driver in any way: its
import (1 to 3 s of the interpreter lock), its database migrations, a call that hangs, its log lines. Short timeouts are
set in this process's environment only, where the user's own MLflow calls and settings don't notice.

It lives as long as its standard input is open: a driver that is killed takes it along. The line `finish` there means:
deliver what is left and end. Whatever it was doing when it dies, another one does again, to no effect (see `runs`).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tuneexp.locks import locked
from tuneexp.tracking.outbox import Outbox, Position, Record, load_position, outbox_folder, save_position
from tuneexp.tracking.store import artifact_root, open_client, shown_uri, tracking_uri

log = logging.getLogger("tuneexp.deliver")

RECORDS_PER_ROUND = 500
POLL_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0

# Answers that mean: this record will never be accepted. Everything else (refused connections, timeouts, locks, full
# disks, bad credentials) may pass, and is tried again for as long as the sweep runs.
_FINAL = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE", "BAD_REQUEST"}

_NO_ANSWER = ("Failed to establish a new connection", "Max retries exceeded", "timeout exception", "Connection aborted")


class Delivery:
    """Brings one sweep's outbox to MLflow. Each `round` either moves the stored position or raises what stopped it."""

    def __init__(self, sweep_folder: Path) -> None:
        self.folder = sweep_folder
        self.storage = sweep_folder.parent
        self.outbox = Outbox(sweep_folder)
        self.position = self._position_in_this_store()
        self.runs: Any = None

    def round(self) -> int:
        """Deliver up to `RECORDS_PER_ROUND` records. Returns how many; 0 when nothing is left."""
        records, offset = self.outbox.read(self.position.offset, RECORDS_PER_ROUND)
        if not records:
            return 0
        if self.runs is None:
            self._connect()
            records, offset = self.outbox.read(self.position.offset, RECORDS_PER_ROUND)
        self.outbox.sync()
        self._apply(records)
        self.position.offset = offset
        self.position.last_error = ""
        save_position(self.folder, self.position)
        return len(records)

    def failed(self, error: Exception) -> None:
        """Say in the position file why nothing arrives, for the person who waits."""
        text = self._why(error)
        if text != self.position.last_error:
            log.warning("MLflow: %s", text)
            self.position.last_error = text
            save_position(self.folder, self.position)

    def _why(self, error: Exception) -> str:
        """One line, without the password that the store's address may hold."""
        text = " ".join(str(error).split())
        if any(sign in text for sign in _NO_ANSWER):
            return f"no answer from {self.position.store}"
        return shown_uri(text)[:500] or type(error).__name__

    def _position_in_this_store(self) -> Position:
        """Another store than before (MLFLOW_TRACKING_URI changed), or a shorter file (power cut): start again."""
        position, store = load_position(self.folder), shown_uri(tracking_uri(self.storage))
        if position.store != store or position.offset > self.outbox.size():
            return Position(store=store)
        return position

    def _connect(self) -> None:
        from tuneexp.tracking.runs import Runs

        client = open_client(self.storage)
        runs = Runs(client, self.folder, artifact_root(self.storage), self.position)
        if self.position.parent_run_id and not runs.store_still_has_the_sweep():
            self.position = runs.position = Position(store=self.position.store)
        self.runs = runs

    def _apply(self, records: list[Record]) -> None:
        """All at once; if MLflow refuses something for good, one by one, to put only that aside."""
        try:
            self.runs.apply(records)
            return
        except Exception as error:
            if not _is_final(error):
                raise
        for record in records:
            try:
                self.runs.apply([record])
            except Exception as error:
                if not _is_final(error) or "trial" not in record:
                    raise
                self._put_aside(record, error)

    def _put_aside(self, record: Record, error: Exception) -> None:
        why = self._why(error)
        log.warning("MLflow refused a record: %s", why)
        self.position.refused += 1
        with (outbox_folder(self.folder) / "refused.jsonl").open("a") as handle:
            handle.write(json.dumps({"reason": why, "record": record}) + "\n")


def _is_final(error: Exception) -> bool:
    from mlflow.exceptions import MlflowException

    from tuneexp.tracking.runs import Refused

    return isinstance(error, Refused) or (isinstance(error, MlflowException) and error.error_code in _FINAL)


def deliver(delivery: Delivery, finish: threading.Event) -> None:
    """Until `finish` is set and nothing is left: read what is new, deliver it, wait; after a failure wait longer."""
    pause_s = FIRST_PAUSE_S
    while True:
        ending = finish.is_set()
        try:
            if delivery.round():
                pause_s = FIRST_PAUSE_S
            elif ending:
                return
            else:
                finish.wait(POLL_S)
        except Exception as error:
            log.debug("not delivered", exc_info=True)
            delivery.failed(error)
            if ending:  # somebody waits: try more often
                time.sleep(FIRST_PAUSE_S)
            else:
                finish.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _follow_stdin(finish: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == "finish":
            finish.set()
    os._exit(3)  # the driver is gone: what is left is delivered by `tuneexp resume`


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    folder = Path(sys.argv[1]).resolve()
    finish = threading.Event()
    threading.Thread(target=_follow_stdin, args=(finish,), daemon=True).start()
    with locked(outbox_folder(folder) / "delivery.lock"):  # one process delivers a sweep at a time
        import mlflow.tracking  # noqa: F401  while there is nothing to deliver yet

        deliver(Delivery(folder), finish)
    os._exit(0)  # without waiting for threads that MLflow may have started


if __name__ == "__main__":
    main()
