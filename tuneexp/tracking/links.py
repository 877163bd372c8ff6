"""Addresses of a sweep's pages in MLflow. Does not import MLflow."""

from __future__ import annotations

import re
from pathlib import Path

from tuneexp.tracking.delivery_process import mlflow_ids
from tuneexp.tracking.store import storage_of, tracking_uri
from tuneexp.tracking.views import ALL_SWEEPS, experiment_address, experiments_address, sweep_key

HOST, PORT = "127.0.0.1", 5000  # of `tuneexp ui`


def root_of(storage: Path | str, port: int = PORT) -> str:
    """Root address of MLflow's pages: that of MLFLOW_TRACKING_URI without its password, or of `tuneexp ui`."""
    uri = tracking_uri(storage)
    return re.sub(r"(?<=://)[^/@]*@", "", uri) if is_server(uri) else f"http://{HOST}:{port}"


def is_server(uri: str) -> bool:
    return uri.lower().startswith(("http://", "https://"))


def sweep_link(sweep_folder: Path, port: int = PORT, charts: bool = True, has_view: bool | None = None) -> str | None:
    """Address of one sweep's page.

    Args:
        sweep_folder: Folder of the sweep.
        port: Port of `tuneexp ui`.
        charts: Show charts; False shows the table.
        has_view: True if the store keeps the saved view. Without it the page shows all runs. None takes the state of
            the last delivery.
    Returns:
        The address; None if the current store has nothing of the sweep."""
    ids = mlflow_ids(sweep_folder)
    if not ids.is_there:
        return None
    key = sweep_key(ids.sweep_id) if (ids.has_view if has_view is None else has_view) else None
    return experiment_address(root_of(storage_of(sweep_folder), port), ids.experiment_id, key, charts)


def all_sweeps_link(sweep_folder: Path, port: int = PORT) -> str | None:
    """Address of the page that compares the sweeps of one experiment; None as in `sweep_link`."""
    ids = mlflow_ids(sweep_folder)
    root = root_of(storage_of(sweep_folder), port)
    return experiment_address(root, ids.experiment_id, ALL_SWEEPS) if ids.is_there else None


def experiments_link(storage: Path | str, port: int = PORT) -> str:
    return experiments_address(root_of(storage, port))
