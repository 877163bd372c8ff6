"""Outbox of a sweep: an append-only file of records for MLflow in the sweep's folder. Imports neither MLflow nor Ray.

Tune's loop writes only `records.jsonl`, one JSON object a line. `delivered.json` holds the number of delivered bytes.

Durability. One `write` per record puts it into the kernel's page cache in about 20 microseconds, which survives a
SIGKILL of all processes. Only a power cut needs `fsync`, which takes milliseconds: the delivering process calls it
before it advances the position; Tune's loop never does.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from tuneexp.files.json_reading import DamagedFile, checked, parse_json, read_json
from tuneexp.tracking.record_schema import problem_of

log = logging.getLogger(__name__)

FOLDER = "outbox"
Record = dict[str, Any]
Count = Annotated[int, Field(ge=0)]
RunKey = Annotated[str, Field(pattern=r"^\d+\.\d+$")]  # trial.draw


def outbox_folder(sweep_folder: Path | str) -> Path:
    return Path(sweep_folder) / FOLDER


@dataclass
class Position:
    """Position of the delivery. `offset`: bytes of `records.jsonl` that were applied to the store named `store`."""

    store: str = ""
    offset: Count = 0
    refused: Count = 0
    sweep_id: str = ""
    experiment_id: str = ""
    parent_run_id: str = ""
    run_ids: dict[RunKey, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)  # keys of runs that a user deleted; they stay deleted
    last_error: str = ""
    champion: str = ""  # registered model of the winner of a confirmation
    has_view: bool = True  # False if the store refused the sweep's saved view


_POSITION = TypeAdapter(Position)


class Outbox:
    """Records of one sweep: one writer at a time, any number of readers.

    A full disk does not stop the sweep: unwritten records stay in memory and are written with the next one."""

    def __init__(self, sweep_folder: Path | str) -> None:
        self.folder = outbox_folder(sweep_folder)
        self.path = self.folder / "records.jsonl"
        self._handle: int | None = None
        self._unwritten = b""

    def append(self, record: Record) -> None:
        """Write one record. Raises ValueError for NaN or infinity: JSON has no such numbers."""
        line = json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        self._unwritten += line
        self.flush()

    def flush(self) -> None:
        try:
            if self._handle is None:
                self._handle = self._open()
            while self._unwritten:
                written = os.write(self._handle, self._unwritten)
                self._unwritten = self._unwritten[written:]
        except OSError as error:
            log.warning("the report for MLflow can't be written to %s yet: %s", self.path, error)

    def close(self) -> None:
        self.flush()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, offset: int = 0, limit: int | None = None) -> tuple[list[Record], int]:
        """Read at most `limit` records from byte `offset` on. Returns them and the offset after the last one.

        A last line without a newline is incomplete and is not read. An incomplete line in the middle, left by a kill,
        is skipped. So is a damaged record, with a warning."""
        records: list[Record] = []
        if not self.path.exists():
            return records, offset
        with self.path.open("rb") as handle:
            handle.seek(offset)
            for line in handle:
                if not line.endswith(b"\n") or (limit is not None and len(records) >= limit):
                    break
                offset += len(line)
                record = _parse(line)
                if record is not None and (problem := problem_of(record)):
                    _warn_once(self.path, f"a record before byte {offset} is left out ({problem})")
                elif record is not None:
                    records.append(record)
        return records, offset

    def sync(self) -> None:
        """Flush all appended records to the disk."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _open(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(handle).st_size
        # A writer that was killed leaves an incomplete line: end it, so that the next record starts a new one.
        if size and os.pread(handle, 1, size - 1) != b"\n":
            os.write(handle, b"\n")
        return handle

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}


def _parse(line: bytes) -> Any:
    """The record of a line; None for an incomplete one."""
    try:
        return parse_json(line)
    except ValueError:
        return None


@cache
def _warn_once(path: Path, problem: str) -> None:
    log.warning("%s is damaged: %s", path, problem)


def load_position(sweep_folder: Path | str) -> Position:
    """The stored position. If it is missing or damaged: the beginning; delivering again changes nothing."""
    path = _position_path(sweep_folder)
    try:
        return checked(_POSITION, read_json(path), path)
    except FileNotFoundError:
        return Position()
    except DamagedFile as damage:
        _warn_once(path, f"{damage.problem}; MLflow gets all reports again, which changes nothing there")
        return Position()


def save_position(sweep_folder: Path | str, position: Position) -> None:
    """Replace the stored position atomically, by a rename."""
    path = _position_path(sweep_folder)
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("w") as handle:
            json.dump(asdict(position), handle)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # half of it takes the room of the next try
        raise


def append(path: Path, data: bytes) -> None:
    """Append `data` to the file, all of it or nothing. Raises OSError, such as for a full disk."""
    with path.open("ab", buffering=0) as handle:
        before, written = os.fstat(handle.fileno()).st_size, 0
        try:
            while written < len(data):
                written += handle.write(data[written:])
        except OSError:
            handle.truncate(before)
            raise


def _position_path(sweep_folder: Path | str) -> Path:
    return outbox_folder(sweep_folder) / "delivered.json"
