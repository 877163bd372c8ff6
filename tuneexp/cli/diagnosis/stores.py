"""Checks of what is stored: the storage, its clock, the signing key, MLflow."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tuneexp.cli.diagnosis.finding import FAIL, GIB, OK, WARN, Finding, existing
from tuneexp.report.formatting import size

LEAST_ROOM, LITTLE_ROOM = GIB // 10, 2 * GIB
MOST_SKEW_S = 2.0
EARLIEST_S = 1.75e9  # before this version was written


def storage(asked: str) -> Finding:
    """The storage folder: a file is written, renamed and locked, in a folder that is removed."""
    from tuneexp.files.locks import is_held, locked
    from tuneexp.sweep.storage.folder import refuse_unwritable, storage_folder

    refuse_unwritable(asked)
    folder = storage_folder(asked)
    here = existing(folder)
    with TemporaryDirectory(prefix=".tuneexp-doctor-", dir=here) as probe:
        written = Path(probe) / "written"
        written.write_bytes(bytes(2**20))
        written.rename(Path(probe) / "renamed")
        with locked(Path(probe) / "lock"):
            if not is_held(Path(probe) / "lock"):
                return Finding("storage", FAIL, f"locks have no effect in {here}", "name a folder on another disk")
    free = shutil.disk_usage(here).free
    found = f"{folder} can be written and locked, {size(free)} free{'' if folder.exists() else ' (it is made)'}"
    if free < LITTLE_ROOM:
        advice = "free space there, or name another folder with --storage"
        return Finding("storage", FAIL if free < LEAST_ROOM else WARN, found, advice)
    return Finding("storage", OK, found)


def clock(asked: str) -> Finding:
    """The clock of this machine, and that of the disk, which another machine may have."""
    from tuneexp.sweep.storage.folder import storage_folder

    with TemporaryDirectory(prefix=".tuneexp-doctor-", dir=existing(storage_folder(asked))) as probe:
        now = time.time()
        (Path(probe) / "now").touch()
        skew = (Path(probe) / "now").stat().st_mtime - now
    if now < EARLIEST_S:
        return Finding("clock", WARN, f"it shows {time.ctime(now)}", "set it: names and times of runs depend on it")
    if abs(skew) > MOST_SKEW_S:
        return Finding("clock", WARN, f"the disk's is {skew:+.0f} s apart", "synchronise both machines (NTP)")
    return Finding("clock", OK, time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(now)))


def key() -> Finding:
    """The key that signs sweeps, and the list of trusted addresses."""
    from tuneexp.security.signatures import require_key
    from tuneexp.security.trust import config_folder, everything_is_trusted

    folder = config_folder()
    if everything_is_trusted():
        return Finding("trust", WARN, "TUNEEXP_TRUST=1: code in stored files runs without a question", "unset it")
    if (folder / "key").exists():
        require_key()
        return Finding("trust", OK, f"the key and the list of trusted addresses are in {folder}")
    if not os.access(existing(folder), os.W_OK | os.X_OK):
        advice = "set XDG_CONFIG_HOME to a folder of yours, or TUNEEXP_TRUST=1 in a container"
        return Finding("trust", WARN, f"{folder} can't be written: a resume will need --trust", advice)
    return Finding("trust", OK, f"the first sweep makes a key in {folder}")


def mlflow(storage: str) -> Finding:
    """MLflow's store, of the storage or of MLFLOW_TRACKING_URI: it has to return its experiments."""
    from tuneexp.security.masking import masked
    from tuneexp.tracking.store import check_store, has_store, open_client, tracking_uri
    from tuneexp.tracking.store_errors import check_sqlite, reason, short_patience

    check_store()
    uri = tracking_uri(Path(storage).expanduser())
    if not has_store(Path(storage).expanduser()):
        return Finding("MLflow", OK, f"the first sweep makes the database {masked(uri)}")
    try:
        check_sqlite(uri)
        with short_patience():
            experiments = open_client(Path(storage).expanduser()).search_experiments()
    except (sqlite3.Error, Exception) as error:
        problem, _, advice = reason(error, uri).partition("; ")
        return Finding("MLflow", FAIL, problem, advice)
    return Finding("MLflow", OK, f"{masked(uri)} answers, {len(experiments)} experiments")
