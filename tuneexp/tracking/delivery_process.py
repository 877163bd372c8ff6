"""Driver's side of the delivery: start and stop the delivering process, count undelivered records. Does not import
MLflow."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tuneexp.commands import command
from tuneexp.processes import python_command, without_proxy_on_loopback
from tuneexp.security.masking import masked
from tuneexp.tracking.outbox import Outbox, load_position, outbox_folder
from tuneexp.tracking.store import default_store_has, outermost, storage_of, tracking_uri
from tuneexp.tracking.store_errors import SHORT_PATIENCE

logger = logging.getLogger(__name__)

_STARTS = 3  # of a process that dies (memory, say) before it is done
_PRIORITY = 5  # niceness: training comes first

_LOADING_LIMIT_S = 90.0  # of MLflow, on a machine that trains meanwhile

_running: dict[Path, DeliveringProcess] = {}


class DeliveringProcess(subprocess.Popen[str]):
    """Process that runs `deliver`. Its messages are logged here. `ready`: MLflow is loaded."""

    def __init__(self, folder: Path) -> None:
        path = outbox_folder(folder)
        path.mkdir(parents=True, exist_ok=True)
        with (path / "delivery.log").open("w") as log:  # of this process only: an older reason may be mended
            super().__init__(
                [*_command(), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=without_proxy_on_loopback({**SHORT_PATIENCE, **os.environ}), text=True,
            )  # fmt: skip
        self.ready = threading.Event()
        self.is_finishing = False
        threading.Thread(target=self._read_messages, daemon=True).start()

    def _read_messages(self) -> None:
        assert self.stdout is not None
        with self.stdout:
            for line in self.stdout:
                self._handle_message(*line.strip().partition(" ")[::2])
        self.ready.set()  # it has ended

    def _handle_message(self, kind: str, text: str) -> None:
        if kind == "ready":
            self.ready.set()
        elif kind == "note":
            logger.warning("MLflow: %s", text)
        elif kind == "trouble" and not self.is_finishing:  # else the caller of `finish_delivery` gets the reason
            logger.warning("MLflow: %s (the sweep continues, and keeps its results for MLflow)", text)

    def finish(self, timeout_s: float) -> tuple[bool, float]:
        """Request delivery of the rest and wait for it. The time of MLflow's import is not counted.

        Returns:
            False if the process died of an error, and the seconds that are left of `timeout_s`."""
        self.is_finishing = True
        assert self.stdin is not None
        # The pipe stays open: the process takes its end for the death of the driver.
        with suppress(OSError):
            self.stdin.write("finish\n")
            self.stdin.flush()
        self.ready.wait(_LOADING_LIMIT_S)
        started = time.monotonic()
        try:
            done = self.wait(max(0.0, timeout_s)) == 0
        except subprocess.TimeoutExpired:
            done = True
        return done, timeout_s - (time.monotonic() - started)

    def end(self) -> None:
        self.kill()
        self.wait()
        if self.stdin is not None:
            with suppress(OSError):
                self.stdin.close()


@dataclass(frozen=True)
class Undelivered:
    """Counts of undelivered records: `records` are still in the outbox, `refused` were rejected for good."""

    sweep: str
    storage: str
    records: int
    refused: int
    reason: str

    def __str__(self) -> str:
        lines = []
        if self.records:
            why = f" ({self.reason})" if self.reason else ""
            lines.append(
                f"{_reports(self.records)} not reached MLflow yet{why}, kept in the sweep's outbox\n"
                f"to deliver the outbox, write: {command('resume', self.sweep, storage=self.storage)}"
            )
        if self.refused:
            refused = f"{self.refused} report{'s' if self.refused > 1 else ''}"
            lines.append(f"MLflow refused {refused} for good: see {self.sweep}/outbox/refused.jsonl")
        return "\n".join(lines)


def _reports(count: int) -> str:
    return f"{count} reports have" if count > 1 else "1 report has"


@dataclass(frozen=True)
class MLflowIds:
    """Ids of a sweep in MLflow, as far as it was delivered.

    Attributes:
        run_ids: Trial number -> run id.
        champion: Registered model of the winner of a confirmation; "": there is none.
        is_there: True if the current store has the sweep.
        has_view: True if the store keeps its saved view, as known at the last delivery."""

    tracking_uri: str
    experiment_id: str
    parent_run_id: str
    run_ids: dict[int, str]
    sweep_id: str
    champion: str
    is_there: bool
    has_view: bool


def start_delivery(sweep_folder: Path | str) -> None:
    """Start the delivering process if it is not running. Returns at once. If that fails (a full disk), the end of the
    sweep tries again."""
    with suppress(OSError):
        _delivering(Path(sweep_folder).resolve())


def _delivering(folder: Path) -> DeliveringProcess:
    process = _running.get(folder)
    if process is None or process.poll() is not None:
        try:
            process = _running[folder] = DeliveringProcess(folder)
        except OSError as error:
            logger.warning("MLflow: the delivery can't be started (%s); the reports are kept in %s", error, folder)
            raise
    return process


def finish_delivery(sweep_folder: Path | str, timeout_s: float) -> Undelivered | None:
    """Deliver the rest of the outbox and end the process.

    Args:
        timeout_s: Limit on the wait, counted from the end of MLflow's import.
    Returns:
        The undelivered records; None if MLflow has all of them."""
    folder = Path(sweep_folder).resolve()
    for _ in range(_STARTS):
        if folder in _running or undelivered(folder) is not None:
            try:
                done, timeout_s = _delivering(folder).finish(timeout_s)
            except OSError:
                break  # logged already
            if done:
                break
    process = _running.pop(folder, None)
    if process is not None:
        process.end()
    return undelivered(folder)


def drain_now(sweep_folder: Path | str, timeout_s: float = 30.0) -> Undelivered | None:
    """Deliver records that an earlier process left in the outbox. Returns at once if there are none."""
    folder = Path(sweep_folder).resolve()
    left = undelivered(folder)
    return left if left is None or not left.records else finish_delivery(folder, timeout_s)


def undelivered(sweep_folder: Path | str) -> Undelivered | None:
    folder = Path(sweep_folder).resolve()
    position = load_position(folder)
    elsewhere = position.store != masked(tracking_uri(storage_of(folder)))
    records, _ = Outbox(folder).read(0 if elsewhere else position.offset)
    if not records and not position.refused:
        return None
    sweep = outermost(folder)
    return Undelivered(
        sweep.name, str(sweep.parent), len(records), position.refused, position.last_error or _last_exception(folder)
    )


def mlflow_ids(sweep_folder: Path | str) -> MLflowIds:
    folder = Path(sweep_folder).resolve()
    position = load_position(folder)
    keyed = sorted((int(trial), int(draw), run_id) for key, run_id in position.run_ids.items()
                   for trial, draw in [key.split(".")])  # fmt: skip
    run_ids = {trial: run_id for trial, _, run_id in keyed}
    uri = masked(tracking_uri(storage_of(folder)))
    is_there = bool(position.parent_run_id) and (
        position.store == uri or default_store_has(storage_of(folder), position.parent_run_id)
    )
    return MLflowIds(
        uri,
        position.experiment_id,
        position.parent_run_id,
        run_ids,
        position.sweep_id,
        position.champion,
        is_there,
        position.has_view,
    )


def _command() -> list[str]:
    """Command of the delivering process, at a lower priority than training."""
    # A signal may reach the whole group; this process ends on the driver's request or with the driver.
    code = "import os, signal"
    code += "; [signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]"
    code += f"; os.nice({_PRIORITY}); from tuneexp.tracking.delivery import main; main()"
    return python_command(code)


def _last_exception(folder: Path) -> str:
    """Last exception in the log of the delivering process; empty if there is none."""
    path = outbox_folder(folder) / "delivery.log"
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return raised[-1][:300] if raised else ""  # its addresses were masked when it was written
