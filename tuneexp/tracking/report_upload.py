"""Upload of a report of a sweep to the sweep's run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuneexp.errors import UserError
from tuneexp.tracking.delivery_process import mlflow_ids
from tuneexp.tracking.store import check_store, has_store, open_client, storage_of, tracking_uri, without_long_retries
from tuneexp.tracking.store_errors import check_sqlite, reason, short_patience

_FOLDER = "report"  # of artifacts


def log_report(storage: str | Path, sweep: str, page: Path, tables: Sequence[Path]) -> str | None:
    """Log a page and its tables as artifacts of a sweep's run.

    Args:
        storage: Folder that holds the sweep's folder.
        sweep: Name of the sweep.
        page: The page.
        tables: Files of its tables, in one folder.

    Returns:
        None, or one line with the reason why it can't be logged.
    """
    folder = Path(storage) / sweep
    storage, ids = storage_of(folder), mlflow_ids(folder)
    if not ids.parent_run_id or not has_store(storage):
        return "nothing of the sweep has reached it yet"
    if not ids.is_there:
        return "the store that MLFLOW_TRACKING_URI names has no run of this sweep"
    uri = tracking_uri(storage)
    try:
        check_store()
        with short_patience():
            check_sqlite(uri)
            without_long_retries()
            client = open_client(storage)
            client.log_artifact(ids.parent_run_id, str(page), _FOLDER)
            for table in tables:
                client.log_artifact(ids.parent_run_id, str(table), f"{_FOLDER}/{table.parent.name}")
    except UserError as error:
        return str(error).splitlines()[0]
    except Exception as error:  # a store can fail in any way, and the report is written
        return reason(error, uri)
    return None
