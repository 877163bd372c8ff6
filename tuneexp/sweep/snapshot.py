"""Where a sweep stands, in one file that is replaced at once.

Tune writes its snapshot as four files (experiment, search generator, searcher, callbacks) and copies them into the
sweep's folder in the background, file by file, in place: a SIGKILL can leave them torn or of different ages. Right
after Tune has staged the four, this module packs them with the trials' records into `snapshot.zip`. A resume puts
exactly that back. Nothing outside the zip is trusted after a kill."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from tuneexp.errors import TuneexpError
from tuneexp.sweep.folder import SweepFolder, write_atomically
from tuneexp.sweep.place import Place

# Tune's file name patterns; "*" is the session's time stamp, which sorts by age.
STATE_PATTERNS = ("experiment_state-*.json", "search_gen_state-*.json", "searcher-state-*.pkl", "callback-states-*.pkl")
RECORDS = "trials.json"


def staged_files(staging: Path) -> list[Path]:
    """Tune's newest four state files, or [] before its first snapshot."""
    newest = [max(staging.glob(pattern), default=None, key=lambda path: path.name) for pattern in STATE_PATTERNS]
    return [path for path in newest if path is not None] if all(newest) else []


def age_of(files: list[Path]) -> tuple[str, int]:
    """Changes whenever Tune stages a new snapshot."""
    return (files[0].name, files[0].stat().st_mtime_ns) if files else ("", 0)


def commit(folder: SweepFolder, files: list[Path], records: list[dict[str, Any]]) -> None:
    """Replace `snapshot.zip` with `files` and the records of all trials."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.name)
        archive.writestr(RECORDS, json.dumps(records))
    write_atomically(folder.snapshot_file, buffer.getvalue())


def read_records(folder: SweepFolder) -> list[dict[str, Any]]:
    """The trials' records as of the last snapshot; [] before the first."""
    try:
        with zipfile.ZipFile(folder.snapshot_file) as archive:
            records: list[dict[str, Any]] = json.loads(archive.read(RECORDS))
            return records
    except FileNotFoundError:
        return []
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise TuneexpError(f"{folder.snapshot_file} is damaged ({error}); nothing was changed") from None


def put_back(folder: SweepFolder, place: Place) -> None:
    """Make Tune's files in its place exactly those of the snapshot; safe to be killed in and repeated."""
    clear_state(place)
    with zipfile.ZipFile(folder.snapshot_file) as archive:
        for name in archive.namelist():
            if name != RECORDS:
                place.write(name, archive.read(name))


def clear_state(place: Place) -> None:
    for pattern in STATE_PATTERNS:
        for name in place.names(pattern):
            place.remove(name)


def read_searcher_state(folder: SweepFolder) -> bytes | None:
    """The pickled searcher of the last snapshot (a file of this package's own making), or None before the first."""
    if not folder.snapshot_file.exists():
        return None
    with zipfile.ZipFile(folder.snapshot_file) as archive:
        name = next(name for name in archive.namelist() if name.startswith("searcher-state-"))
        return archive.read(name)
