"""The driver's side of the delivery: start the process, ask it to finish, say what did not arrive. No MLflow here."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tuneexp.processes import python_command
from tuneexp.tracking.outbox import Outbox, load_position, outbox_folder
from tuneexp.tracking.store import shown_uri, tracking_uri

# For the delivering process only, and only where the user has not set them: its own retries, seconds apart, take the
# place of MLflow's, which would hold one call for minutes at a dead address.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
}
_STARTS = 3  # of a process that dies (memory, say) before it is done
_PRIORITY = 5  # niceness: training comes first

_running: dict[Path, subprocess.Popen[str]] = {}


@dataclass(frozen=True)
class Undelivered:
    """What MLflow does not have. `records`: still in the outbox; `refused`: put aside for good."""

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
                f"{self.records} reports have not reached MLflow yet{why}; they are kept in the sweep's outbox: "
                f"deliver them with `tuneexp resume {self.sweep} --storage {self.storage}`"
            )
        if self.refused:
            lines.append(f"MLflow refused {self.refused} reports for good: see {self.sweep}/outbox/refused.jsonl")
        return "\n".join(lines)


@dataclass(frozen=True)
class MLflowIds:
    """Where a sweep is found in MLflow, as far as it was delivered. `run_ids`: trial number -> run id."""

    tracking_uri: str
    experiment_id: str
    parent_run_id: str
    run_ids: dict[int, str]


def start_delivery(sweep_folder: Path | str) -> None:
    """Start the delivering process unless it runs. Returns at once: MLflow's import happens over there."""
    folder = Path(sweep_folder).resolve()
    process = _running.get(folder)
    if process is not None and process.poll() is None:
        return
    outbox_folder(folder).mkdir(parents=True, exist_ok=True)
    with (outbox_folder(folder) / "delivery.log").open("a") as log:
        _running[folder] = subprocess.Popen(
            [*_command(), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log,
            env={**_ENVIRONMENT, **os.environ}, text=True,
        )  # fmt: skip


def finish_delivery(sweep_folder: Path | str, timeout_s: float) -> Undelivered | None:
    """Deliver all that is left, wait for it at most `timeout_s`, end the process. None: MLflow has everything."""
    folder = Path(sweep_folder).resolve()
    deadline = time.monotonic() + timeout_s
    for _ in range(_STARTS):
        if folder in _running or undelivered(folder) is not None:
            start_delivery(folder)
            if _finished_by(_running[folder], deadline):
                break
    process = _running.pop(folder, None)
    if process is not None:
        _end(process)
    return undelivered(folder)


def drain_now(sweep_folder: Path | str, timeout_s: float = 30.0) -> Undelivered | None:
    """Deliver what an earlier process left in the outbox. Returns at once where nothing is left."""
    folder = Path(sweep_folder).resolve()
    left = undelivered(folder)
    return left if left is None or not left.records else finish_delivery(folder, timeout_s)


def undelivered(sweep_folder: Path | str) -> Undelivered | None:
    folder = Path(sweep_folder).resolve()
    position = load_position(folder)
    elsewhere = position.store != shown_uri(tracking_uri(folder.parent))
    records, _ = Outbox(folder).read(0 if elsewhere else position.offset)
    if not records and not position.refused:
        return None
    return Undelivered(
        folder.name, str(folder.parent), len(records), position.refused, position.last_error or _last_exception(folder)
    )


def mlflow_ids(sweep_folder: Path | str) -> MLflowIds:
    folder = Path(sweep_folder).resolve()
    position = load_position(folder)
    keyed = sorted((int(trial), int(draw), run_id) for key, run_id in position.run_ids.items()
                   for trial, draw in [key.split(".")])  # fmt: skip
    run_ids = {trial: run_id for trial, _, run_id in keyed}
    uri = shown_uri(tracking_uri(folder.parent))
    return MLflowIds(uri, position.experiment_id, position.parent_run_id, run_ids)


def wait_until_delivered(sweep_folder: Path | str, timeout_s: float) -> bool:
    """Wait, without ending the process, until MLflow has everything written so far."""
    deadline = time.monotonic() + timeout_s
    while undelivered(sweep_folder) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _finished_by(process: subprocess.Popen[str], deadline: float) -> bool:
    """Ask the process to finish and wait for it. False: it died of something, and there is time to start another."""
    assert process.stdin is not None
    # Only the line, and the pipe stays open: its end means that we died.
    with suppress(OSError):
        process.stdin.write("finish\n")
        process.stdin.flush()
    try:
        return process.wait(max(0.0, deadline - time.monotonic())) == 0
    except subprocess.TimeoutExpired:
        return True


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def _command() -> list[str]:
    """A Python that yields to training."""
    # Ctrl-C reaches the whole group; the driver says when to end.
    code = "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    code += f"; os.nice({_PRIORITY}); from tuneexp.tracking.deliver import main; main()"
    return python_command(code)


def _last_exception(folder: Path) -> str:
    """What the delivering process died of, if it did."""
    path = outbox_folder(folder) / "delivery.log"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return shown_uri(raised[-1])[:300] if raised else ""
