"""Why a trial failed, written below what Tune writes about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.experiment import Trial

from tuneexp.errors import sentence_of
from tuneexp.execution.remote.deaths import death_of
from tuneexp.tracking.outcome import REASON, last_raised


def cause_of(error: Exception, failures: int) -> str:
    """In one line. failures: of the trial so far, this one included."""
    if isinstance(error, RayTaskError):
        cause = error.cause
        if not isinstance(cause, RayActorError | OutOfMemoryError):
            # Ray's own classes stand for an exception that could not be sent.
            own = type(cause).__module__.startswith("ray.")
            return last_raised(error.traceback_str) if own or cause is None else sentence_of(cause)
        error = cause
    if not isinstance(error, RayActorError | OutOfMemoryError):
        return sentence_of(error)
    if "creation task" in str(error):
        return re.sub(r"^tuneexp\.errors\.\w+: ", "", last_raised(str(error)))
    died = death_of(error)
    return f"the worker died {failures} times, at last: {died}" if failures > 1 else f"the worker died: {died}"


@contextmanager
def causes_written() -> Iterator[None]:
    """Tune writes what Ray says of a failure into a trial's error.txt; with this, also the cause in plain words.

    It stands in the file, since what tells it (logs of a worker) is gone with this Ray. Tune has no hook for it."""
    handle_error = Trial.handle_error

    def handled(trial: Trial, exc: Exception | None = None) -> None:
        handle_error(trial, exc)
        if exc is not None and trial.error_file:
            with open(trial.error_file, "a") as file:
                file.write(f"{REASON}{cause_of(exc, trial.run_metadata.num_failures)}\n")

    Trial.handle_error = handled
    try:
        yield
    finally:
        Trial.handle_error = handle_error
