"""Retries of storage operations (a full disk, an NFS or S3 outage) with exponential backoff and a timeout."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from tuneexp.errors import StorageFault, UserError

logger = logging.getLogger(__name__)

PATIENCE = "TUNEEXP_STORAGE_PATIENCE_S"
DEFAULT_PATIENCE_S = 300.0
FULL = (errno.ENOSPC, errno.EDQUOT)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0

Result = TypeVar("Result")


def patience_s() -> float:
    """Return the timeout of retries in seconds. UserError if the environment variable is no number."""
    text = os.environ.get(PATIENCE, "")
    try:
        seconds = float(text or DEFAULT_PATIENCE_S)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(f"{PATIENCE} is a number of seconds from 0 on, got {text!r}; write {PATIENCE}=300")
    return seconds


class Outage:
    """State of the retries of one operation: call `failed` after each failure and `over` after a success."""

    def __init__(self, what: str) -> None:
        self._what = what  # for messages: "the snapshot can't be written"
        self._since_s: float | None = None
        self._pause_s, self._next_try_s = FIRST_PAUSE_S, 0.0

    @property
    def lasts(self) -> bool:
        return self._since_s is not None

    def due(self) -> bool:
        """Return True if the pause after the last failure has passed."""
        return self._since_s is None or time.monotonic() >= self._next_try_s

    def failed(self, error: BaseException) -> None:
        """Log the first failure. Raises StorageFault after the timeout."""
        now_s, limit_s = time.monotonic(), patience_s()
        reason = f"{self._what}: {' '.join(str(error).split())[:300] or type(error).__name__}"
        if self._since_s is None:
            self._since_s = now_s
            logger.warning("%s; retrying for %.0f s", reason, limit_s)
        if now_s - self._since_s >= limit_s:
            raise StorageFault(f"{reason} (timed out after {limit_s:.0f} s of retries)") from error
        self._next_try_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def over(self) -> None:
        if self._since_s is not None:
            logger.warning("recovered from: %s", self._what)
        self._since_s, self._pause_s = None, FIRST_PAUSE_S

    def wait(self) -> None:
        """Sleep until the next try is due."""
        time.sleep(max(0.0, self._next_try_s - time.monotonic()))


def retried(work: Callable[[], Result], what: str, is_fault: Callable[[Exception], bool]) -> Result:
    """Call `work`, with retries while the storage fails.

    Args:
        work: The operation.
        what: Its failure for messages ("the snapshot can't be written").
        is_fault: Returns True for errors that are retried.

    Returns:
        The result of `work`.

    Raises:
        StorageFault: The retries timed out. Other errors of `work` are raised at once.
    """
    outage = Outage(what)
    while True:
        try:
            result = work()
        except Exception as error:
            if not is_fault(error):
                raise
            outage.failed(error)
        else:
            outage.over()
            return result
        outage.wait()


def of_the_storage(error: BaseException | None) -> bool:
    """Return True if a file system operation failed, except for a missing file."""
    missing = (FileNotFoundError, NotADirectoryError)
    return any(isinstance(one, OSError) and not isinstance(one, missing) for one in _causes(error))


def no_room_in(error: BaseException | None) -> OSError | None:
    """Return the OSError of a full disk among `error` and its causes."""
    return next((one for one in _causes(error) if isinstance(one, OSError) and one.errno in FULL), None)


def advice_for(error: OSError) -> str:
    return "free space there" if error.errno in FULL else "repair the storage"


def storage_fault_in(error: BaseException | None) -> StorageFault | None:
    """Return the StorageFault among `error` and its causes."""
    return next((one for one in _causes(error) if isinstance(one, StorageFault)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error` and the chain of its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
