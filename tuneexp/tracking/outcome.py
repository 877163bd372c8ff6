"""How a trial ended, from what Tune knows of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneexp.faults import plain

COMPLETED, PRUNED, DIVERGED = "completed", "pruned", "diverged"
ERROR, OUT_OF_MEMORY, TIMEOUT = "error", "out_of_memory", "timeout"
# Of a run's tag only: the trial has not ended.
RUNNING, INTERRUPTED = "running", "interrupted"
FAILURES = (ERROR, OUT_OF_MEMORY, TIMEOUT)
# In a trial's error.txt, after what Tune writes: the cause in plain words (sweep/cluster/failure_causes.py).
REASON = "Reason: "
_NO_MESSAGE = "the worker died without a message"
OUTCOMES = (COMPLETED, PRUNED, DIVERGED, ERROR, OUT_OF_MEMORY, TIMEOUT)

# MLflow shows KILLED as a failure. A trial that the scheduler stopped did what it was to do: it is FINISHED, and the
# `outcome` tag and the run's name say that it was pruned.
MLFLOW_STATUS = {
    COMPLETED: "FINISHED",
    PRUNED: "FINISHED",
    TIMEOUT: "KILLED",
    DIVERGED: "FAILED",
    ERROR: "FAILED",
    OUT_OF_MEMORY: "FAILED",
}

# Where memory ran out the exception itself is often gone: the worker is killed and only the message tells.
_MEMORY = re.compile(r"out ?of ?memory|running low on memory|memoryerror|can('t|not) allocate memory", re.I)
_EXCEPTION_LINE = re.compile(r"[\w.]*(Error|Exception|Fault|Exit|Interrupt)\b")


def outcome_of(trial: Any, result: Mapping[str, Any] | None) -> str:
    """One of `OUTCOMES`, for a trial that has ended. `result`: its last report, or None or {} where it never reported.

    A trial that stopped short of its budget was pruned if its last report ended it (the scheduler's answer to that
    report: Tune sets `done`), and hit a time limit if it was stopped from outside between two reports.
    """
    error = _error_text(trial)
    if error is not None:
        return _outcome_of_error(error)
    result = result or {}
    if _diverged(trial, result):
        return DIVERGED
    if result.get("env_steps", 0) >= trial.config.get("budget_env_steps", math.inf):
        return COMPLETED
    return PRUNED if result.get("done") else TIMEOUT


def reason_of(trial: Any, result: Mapping[str, Any] | None) -> str | None:
    """Why, in one line, where the outcome alone doesn't say it."""
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


def _diverged(trial: Any, result: Mapping[str, Any]) -> bool:
    seeds = trial.config.get("seeds") or []
    failed = result.get("failed_seeds") or []
    objective = result.get("objective")
    return (bool(seeds) and len(failed) >= len(seeds)) or (isinstance(objective, float) and math.isnan(objective))


def _outcome_of_error(text: str) -> str:
    last = _reason_in(text)
    if _MEMORY.search(last) or "running low on memory" in text:
        return OUT_OF_MEMORY
    return TIMEOUT if re.match(r"([\w.]*\.)?(Get)?TimeoutError\b", last) else ERROR


def _error_text(trial: Any) -> str | None:
    """The latest failure of a trial whose status is ERROR: the file holds one block per failed attempt."""
    return _latest_failure(trial) if trial.status == "ERROR" else None


def _latest_failure(trial: Any) -> str:
    text = str(_local_error(trial) or trial.get_error() or "")
    return "".join(re.split(r"^Failure # .*\n", text, flags=re.M)[-1:]).strip() or _NO_MESSAGE


def last_failure(trial: Any) -> str:
    """Why the trial failed the last time, in one line, also where it was retried since."""
    return _reason_in(_latest_failure(trial))


def _local_error(trial: Any) -> str | None:
    """The driver's own copy of the error; it reaches the storage (`get_error`) only with a later snapshot."""
    path = getattr(trial, "error_file", None)
    return Path(path).read_text() if isinstance(path, str) and Path(path).is_file() else None


def _reason_in(text: str) -> str:
    """What was found out when the trial failed, else what the text says."""
    told = re.findall(rf"^{REASON}(.+)$", text, re.M)
    return told[-1] if told else last_raised(text)


def last_raised(text: str) -> str:
    """`ValueError: the message`, which may have several lines, out of a traceback; where there is none, the first line
    that names an error, or the first."""
    lines = [line for line in text.splitlines() if line.strip()]
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    if frames:
        after = [number for number in range(frames[-1] + 1, len(lines)) if not lines[number].startswith("    ")]
        if after:
            return plain(" ".join(lines[after[0] :]))
    raised = [line for line in lines if _EXCEPTION_LINE.match(line)]
    return plain((raised or lines or [_NO_MESSAGE])[0])
