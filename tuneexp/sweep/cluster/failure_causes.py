"""Failures of trials: retried, final, or fatal for the sweep; and their cause in one line for `error.txt`."""

from __future__ import annotations

import re
from pathlib import Path

from ray import cloudpickle
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.experiment import Trial

from tuneexp.errors import LearnerLost, RunnerLost, StorageFault, sentence_of
from tuneexp.ray_support.exit_causes import death_of
from tuneexp.sweep.cluster.trial_timeout import TimeLimitExceeded
from tuneexp.tracking.outcome import REASON, WITHOUT_RESULT, last_raised, outcome_of_failure


def cause_of(error: Exception, failures: int) -> str:
    """Return the cause in one line. failures: of the trial so far, this one included."""
    if isinstance(error, TimeLimitExceeded):
        return str(error)
    if isinstance(error, RayTaskError):
        cause = error.cause
        if not isinstance(cause, RayActorError | OutOfMemoryError):
            # Ray's own classes replace an exception that could not be pickled.
            own = type(cause).__module__.startswith("ray.")
            return last_raised(error.traceback_str) if own or cause is None else sentence_of(cause)
        error = cause
    if not isinstance(error, RayActorError | OutOfMemoryError):
        return sentence_of(error)
    if "creation task" in str(error):
        return re.sub(r"^tuneexp\.errors\.\w+: ", "", last_raised(str(error)))
    died = death_of(error)
    return f"the worker died {failures} times, the last time: {died}" if failures > 1 else f"the worker died: {died}"


def write_cause(trial: Trial, error: Exception) -> None:
    """Append the cause to the trial's `error.txt`: the logs of its worker are gone with this Ray."""
    if trial.error_file:
        with open(trial.error_file, "a") as file:
            file.write(f"{REASON}{cause_of(error, trial.run_metadata.num_failures)}\n")


def raise_storage_fault(error: Exception) -> None:
    """End the sweep if the retries of the storage timed out: the trial is not the cause."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, StorageFault):
        raise error.cause


def is_final(trial: Trial) -> bool:
    """Return True if a retry would fail again: code has raised, or memory or time have run out. No process was lost."""
    if outcome_of_failure(trial) in WITHOUT_RESULT:
        return True
    # The driver's copy: `trial.get_pickled_error()` reads the storage, which has it seconds later.
    path = trial.pickled_error_file
    if path is None or not Path(path).exists():
        return False
    try:
        error = cloudpickle.loads(Path(path).read_bytes())
    except Exception:  # an exception class that can't be unpickled here: raised by the trial's own code
        return True
    if isinstance(error, RayTaskError):
        return not isinstance(error.cause, RayActorError | RunnerLost | LearnerLost)
    return "creation task" in str(error)  # `setup` raised: Ray reports the death of the actor
