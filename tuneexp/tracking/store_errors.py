"""Error messages of MLflow's store in one line: the address without secrets, and the setting to change."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from urllib.parse import unquote

from tuneexp.processes import without_proxy_on_loopback
from tuneexp.security.masking import masked, secrets_of
from tuneexp.tracking.store_relocation import BUSY_TIMEOUT_S

_LONGEST = 500
# Environment variables of a process whose requests fail within seconds: MLflow's own retries block one call for minutes
# if the server is down.
SHORT_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
}
_SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY")
_ELSEWHERE = "choose another --storage, or set MLFLOW_TRACKING_URI to a store of yours"
# It would print to standard output, which holds one JSON object with --json.
_SILENT = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


def short_patience() -> AbstractContextManager[None]:
    """Fail within seconds where a server does not answer, and print nothing. MLflow reads these variables at each
    request."""
    return _set(without_proxy_on_loopback({**_SILENT, **SHORT_PATIENCE, **os.environ}))


def silent() -> AbstractContextManager[None]:
    """Context in which MLflow prints nothing."""
    return _set({**_SILENT, **os.environ})


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


# Patterns of messages of MLflow, SQLAlchemy, its drivers and requests; the first match is used.
_REASONS = (
    (r"out-of-date database schema|can't locate revision",
     "{location} has the tables of another MLflow version; copy the database, then: mlflow db upgrade '{store}'"),
    (r"file is not a database|image is malformed|file is encrypted",
     "{location} is no intact SQLite database; move that file away, or set MLFLOW_TRACKING_URI to another one"),
    (r"unable to open database file|readonly database|permission denied|errno 13\b",
     f"{{location}} can't be read and written by this user; {_ELSEWHERE}"),
    (r"\b40[13]\b|password authentication failed|access denied for user|login failed for user",
     "{store} refuses the credentials; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
     "MLFLOW_TRACKING_TOKEN, or write them into MLFLOW_TRACKING_URI"),
    (r"\b404\b.*!= 200|not in the expected json|response body: '?<(!doctype|html)",
     "{store} is no MLflow server; set MLFLOW_TRACKING_URI to its address"),
    (r"failed to establish a new connection|max retries exceeded|timeout exception|connection aborted"
     r"|connection refused|could not translate host|name or service not known|can't connect to",
     "no answer from {store}; start that server, or set MLFLOW_TRACKING_URI to one that runs"),
    (r"no module named '?(?P<module>[\w.]+)", "{store} needs the Python package {module}; install it here"),
)  # fmt: skip


def reason(error: BaseException, store: str) -> str:
    """One line about `error`. store: address of the store with its secrets, which are masked."""
    text = " ".join(str(error).split())
    secrets = [*secrets_of(store), *(os.environ.get(name, "") for name in _SECRET_VARIABLES)]
    for pattern, message in _REASONS:
        found = re.search(pattern, text, re.I)
        if found:
            file = _sqlite_file(store)
            return message.format(store=masked(store), location=file or masked(store), **found.groupdict())
    return masked(text, *secrets)[:_LONGEST] or type(error).__name__


def check_sqlite(uri: str) -> None:
    """Check that a SQLite file can be read and written. MLflow would retry for 100 s.

    Raises:
        sqlite3.Error: It can't."""
    file = _sqlite_file(uri)
    if file is None or not os.path.exists(file):
        return
    with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")  # succeeds on a read-only file, too
        store.execute("CREATE TABLE tuneexp_write_test (x)")
        store.execute("ROLLBACK")


def _sqlite_file(uri: str) -> str | None:
    file = re.fullmatch(r"sqlite(?:\+pysqlite)?:///([^?:]+)", uri)
    return unquote(file[1]) if file else None
