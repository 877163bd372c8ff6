"""Outcome of a trial and its reason, from Tune's state of the trial."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneexp.tracebacks import plain

COMPLETED, PRUNED, DIVERGED = "completed", "pruned", "diverged"
ERROR, OUT_OF_MEMORY, TIMEOUT = "error", "out_of_memory", "timeout"
# Of a run's tag only: the trial has not ended.
RUNNING, INTERRUPTED = "running", "interrupted"
FAILURES = (ERROR, OUT_OF_MEMORY, TIMEOUT)
# The configuration is the cause, and there is no result to learn from. An error is a fault of the infrastructure.
WITHOUT_RESULT = (DIVERGED, OUT_OF_MEMORY, TIMEOUT)
# In a trial's error.txt, after what Tune writes: the cause in plain words (sweep/cluster/failure_causes.py).
REASON = "Reason: "
# Beginning of the reason of a trial that was ended by its time limit.
TIMEOUT_REASON = "trained for longer than trial_timeout_s"
_NO_MESSAGE = "the worker died without a message"
OUTCOMES = (COMPLETED, PRUNED, DIVERGED, ERROR, OUT_OF_MEMORY, TIMEOUT)

# MLflow shows KILLED as a failure. A pruned trial did not fail: it is FINISHED, and the tag `outcome` and the name of
# its run show that it was pruned.
MLFLOW_STATUS = {
    COMPLETED: "FINISHED",
    PRUNED: "FINISHED",
    TIMEOUT: "KILLED",
    DIVERGED: "FAILED",
    ERROR: "FAILED",
    OUT_OF_MEMORY: "FAILED",
}

# Out of memory: the worker is killed, the exception is often lost and only the message is left.
_MEMORY = re.compile(r"out ?of ?memory|running low on memory|memoryerror|can('t|not) allocate memory", re.I)
_EXCEPTION_LINE = re.compile(r"[\w.]*(Error|Exception|Fault|Exit|Interrupt)\b")


def outcome_of(trial: Any, result: Mapping[str, Any] | None) -> str:
    """Outcome of a trial that has ended, one of `OUTCOMES`. result: its last report; None or {} if there is none.

    A trial that stopped short of its budget was pruned if its last report ended it (the scheduler's answer to that
    report: Tune sets `done`). It hit a time limit if it was stopped between two reports."""
    error = _error_text(trial)
    if error is not None:
        return _outcome_of_error(error)
    outcome = outcome_of_report(result or {}, trial.config.get("budget_env_steps", math.inf))
    return TIMEOUT if outcome == PRUNED and not (result or {}).get("done") else outcome


def outcome_of_report(report: Mapping[str, Any], budget_env_steps: float) -> str:
    """Outcome of a trial that ends with this report: completed, pruned or diverged."""
    if not math.isfinite(report.get("objective", 0.0)):  # NaN if every seed has diverged
        return DIVERGED
    return COMPLETED if report.get("env_steps", 0) >= budget_env_steps else PRUNED


def outcome_of_failure(trial: Any) -> str:
    """Outcome of a trial whose failure Tune has just written, before it has set the status."""
    return _outcome_of_error(_latest_failure(trial))


def reason_of(trial: Any, result: Mapping[str, Any] | None) -> str | None:
    """Reason of the outcome in one line; None if the outcome needs none."""
    error = _error_text(trial)
    if error is not None:
        return _reason_in(error)
    result = result or {}
    failed = result.get("failed_seeds") or []
    if failed:
        return f"seeds that became NaN: {', '.join(str(seed) for seed in failed)}"
    if outcome_of(trial, result) in (PRUNED, TIMEOUT):
        return f"stopped after {result.get('env_steps', 0)} of {trial.config.get('budget_env_steps')} env steps"
    return None


def _outcome_of_error(text: str) -> str:
    last = _reason_in(text)
    if _MEMORY.search(last) or "running low on memory" in text:
        return OUT_OF_MEMORY
    return TIMEOUT if last.startswith(TIMEOUT_REASON) else ERROR


def _error_text(trial: Any) -> str | None:
    """Latest failure of a trial with the status ERROR. The file has one block per failed attempt."""
    return _latest_failure(trial) if trial.status == "ERROR" else None


def _latest_failure(trial: Any) -> str:
    text = str(_local_error(trial) or trial.get_error() or "")
    return "".join(re.split(r"^Failure # .*\n", text, flags=re.M)[-1:]).strip() or _NO_MESSAGE


def last_failure(trial: Any) -> str:
    """Reason of the trial's last failure in one line, also if it was retried since."""
    return _reason_in(_latest_failure(trial))


def _local_error(trial: Any) -> str | None:
    """The driver's copy of the error; the storage (`get_error`) has it only after a later snapshot."""
    path = getattr(trial, "error_file", None)
    return Path(path).read_text() if isinstance(path, str) and Path(path).is_file() else None


def _reason_in(text: str) -> str:
    """The recorded reason of a failure, else the exception in the text."""
    reasons = re.findall(rf"^{REASON}(.+)$", text, re.M)
    return reasons[-1] if reasons else last_raised(text)


def last_raised(text: str) -> str:
    """The last exception of a traceback with its message, in one line. Without a traceback: the first line that names
    an error, else the first line."""
    lines = [line for line in text.splitlines() if line.strip()]
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    if frames:
        after = [number for number in range(frames[-1] + 1, len(lines)) if not lines[number].startswith("    ")]
        if after:
            return plain(" ".join(lines[after[0] :]))
    raised = [line for line in lines if _EXCEPTION_LINE.match(line)]
    return plain((raised or lines or [_NO_MESSAGE])[0])
