"""Errors of a worker process in a form that the driver can unpickle."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tuneexp.errors import TuneexpError, sentence_of
from tuneexp.ray_support.worker_logs import in_worker
from tuneexp.tracebacks import ends_process, travels

log = logging.getLogger(__name__)


@contextmanager
def picklable_errors() -> Iterator[None]:
    """In a worker: replace an error that the driver can't unpickle, or would exit on, with a `TuneexpError`."""
    try:
        yield
    except BaseException as error:
        by_user = isinstance(error, KeyboardInterrupt)  # Ctrl-C doesn't reach workers
        if (
            not in_worker()
            or (ends_process(error) and not by_user)
            or (isinstance(error, Exception) and travels(error))
        ):
            raise
        if isinstance(error, TuneexpError):
            raise type(error)(*error.args) from None
        log.error("the error in full; the driver gets its message only", exc_info=error)
        raise TuneexpError(sentence_of(error)) from None
