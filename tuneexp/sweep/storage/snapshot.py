"""Snapshot: the state of a sweep in one file that is replaced atomically.

Tune writes its snapshot as four files (experiment, search generator, searcher, callbacks) and copies them into the
sweep's folder in the background, one by one: a SIGKILL can leave them truncated or of different ages. Right after Tune
has staged the four, this module packs them with the trials' records into `snapshot.zip`. A resume restores exactly
that. After a kill, files outside of the zip are ignored.

Only `pack` and `unpack` depend on the format of the file. `second_copy` keeps a copy that survives a power cut.

Tune and Optuna use pickle, so the file is signed with this user's key: only files of this user are unpickled. The
signature is the comment of the archive, at the end of the file, and covers every byte before it."""

from __future__ import annotations

import fnmatch
import io
import json
import logging
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from tuneexp.errors import UserError
from tuneexp.files.atomic import remove, write_atomically
from tuneexp.files.json_reading import DamagedFile, checked, parse_json
from tuneexp.security.signatures import SIGNATURE_BYTES, is_signed, sign
from tuneexp.security.trust import everything_is_trusted
from tuneexp.sweep.search.stopping_rules import SearchState, search_state_of
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.records import TrialRecord
from tuneexp.tracking.member_paths import of_whole

logger = logging.getLogger(__name__)

# Tune's file name patterns; "*" is the local time at which its run began.
SEARCHER_STATE = "searcher-state-*.pkl"
SEARCH_GENERATOR = "search_gen_state-*.json"
STATE_PATTERNS = ("experiment_state-*.json", SEARCH_GENERATOR, SEARCHER_STATE, "callback-states-*.pkl")
RECORDS, SEARCH = "trials.json", "search.json"
_RECORDS = TypeAdapter(list[TrialRecord])
# The time in the names of restored files. Tune restores from the last name in order, and digits come before letters.
RESTORED = "restored"
SIGNED = b"tuneexp-signature:"
# Format of the length of an archive's comment, the last field before the comment itself.
_LENGTH_BYTES = 2


@dataclass(frozen=True)
class Snapshot:
    """Tune's four state files, by pattern, the records of all trials, and the state of the search.

    search: None in a snapshot of an earlier version."""

    state: Mapping[str, bytes]
    records: list[TrialRecord]
    search: SearchState | None = None

    @property
    def checkpoints(self) -> frozenset[str]:
        """Checkpoints that are kept, as names in the checkpoint storage; of members also those that they are in."""
        kept = {one.path for record in self.records for one in record.checkpoints}
        kept |= {record.checkpoint for record in self.records if record.checkpoint}
        return frozenset(kept | set(map(of_whole, kept))) | self.continued

    @property
    def continued(self) -> frozenset[str]:
        """Checkpoints from which other trials continue than those that saved them."""
        return frozenset(record.continues_from for record in self.records if record.continues_from)


def pack(snapshot: Snapshot) -> bytes:
    """Return the bytes of a snapshot file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for pattern, data in snapshot.state.items():
            archive.writestr(_restored(pattern), data)
        archive.writestr(RECORDS, json.dumps([record.as_json() for record in snapshot.records]))
        if snapshot.search is not None:
            archive.writestr(SEARCH, json.dumps(asdict(snapshot.search)))
    return _with_comment(buffer.getvalue())


def _with_comment(archive: bytes) -> bytes:
    """Return an archive with its signature as comment."""
    signed = archive[:-_LENGTH_BYTES]
    signature = sign(signed)
    comment = b"" if signature is None else SIGNED + signature.hex().encode()
    return signed + len(comment).to_bytes(_LENGTH_BYTES, "little") + comment


def _parts(data: bytes) -> tuple[bytes, bytes]:
    """Return the signed bytes, and the signature in hexadecimal digits; b"" without a signature."""
    archive, mark, signature = data[-len(SIGNED) - 2 * SIGNATURE_BYTES :].partition(SIGNED)
    if mark and not archive:
        return data[: -len(SIGNED) - 2 * SIGNATURE_BYTES - _LENGTH_BYTES], signature
    return data[:-_LENGTH_BYTES], b""


def is_own(data: bytes) -> bool:
    """Return True if this user signed the bytes of a snapshot file."""
    signed, signature = _parts(data)
    try:
        return is_signed(signed, bytes.fromhex(signature.decode()))
    except ValueError:  # no digits
        return False


def require_own(path: Path, data: bytes) -> None:
    """Raise UserError if this user didn't sign `data` of the file `path`. Called before unpickling."""
    if not everything_is_trusted() and not is_own(data):
        again = SweepFolder(path.parent).command("resume", "--trust")
        raise UserError(
            f"{path} is not signed with your key, so reading it could run foreign code; files of an earlier tuneexp "
            f"have no signature\nif you trust its author, write: {again} (in Python: trust=True)"
        )


def check_signatures(folder: SweepFolder, trust: bool = False) -> None:
    """Raise UserError if this user didn't sign a snapshot file. Called before a resume. trust: sign it instead."""
    for path in (folder.snapshot_file, folder.second_snapshot_file):
        try:
            unpack(path)
            data = path.read_bytes()
        except (FileNotFoundError, DamagedFile):
            continue
        if trust and not is_own(data):
            data = _with_comment(_parts(data)[0] + bytes(_LENGTH_BYTES))
            write_atomically(path, data)
        require_own(path, data)


def unpack(path: Path, to_unpickle: bool = False) -> Snapshot:
    """Read a snapshot file and check its checksums. Raises FileNotFoundError or DamagedFile.

    to_unpickle: raise UserError if this user didn't sign it."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFile(path, error.strerror) from None
    found = _unpacked(path, data)
    if to_unpickle:
        require_own(path, data)
    return found


def _unpacked(path: Path, data: bytes) -> Snapshot:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        _require_known(members)
        state = {pattern: _matching(members, pattern) for pattern in STATE_PATTERNS}
        return Snapshot(state, _records(members, path), _search(members, path))
    except DamagedFile:
        raise
    except Exception as error:  # zipfile raises many types: KeyError, zlib.error, RuntimeError, ...
        raise DamagedFile(path, error) from None


def _records(members: Mapping[str, bytes], path: Path) -> list[TrialRecord]:
    return checked(_RECORDS, parse_json(members[RECORDS]), f"{RECORDS} in {path}")


def _search(members: Mapping[str, bytes], path: Path) -> SearchState | None:
    return search_state_of(parse_json(members[SEARCH]), f"{SEARCH} in {path}") if SEARCH in members else None


def _require_known(names: Iterable[str]) -> None:
    for name in names:
        known = name in (RECORDS, SEARCH) or any(fnmatch.fnmatchcase(name, pattern) for pattern in STATE_PATTERNS)
        if not known or "/" in name or "\\" in name:
            raise ValueError(f"it contains {name!r}, which tuneexp does not write")


def _matching(members: Mapping[str, bytes], pattern: str) -> bytes:
    """Return the member that matches the pattern. Earlier versions kept the time in Tune's names."""
    for name, data in members.items():
        if fnmatch.fnmatchcase(name, pattern):
            return data
    raise KeyError(f"no {pattern}")


def _restored(pattern: str) -> str:
    return pattern.replace("*", RESTORED)


def load(folder: SweepFolder, to_unpickle: bool = False) -> Snapshot | None:
    """Return the last snapshot, or its second copy if it is damaged; None before the first one.

    to_unpickle: as in `unpack`."""
    damaged: DamagedFile | None = None
    for path in (folder.snapshot_file, folder.second_snapshot_file):
        try:
            found = unpack(path, to_unpickle)
        except FileNotFoundError:
            continue
        except DamagedFile as error:
            damaged = damaged or error
            continue
        if damaged is not None:
            logger.warning("%s is damaged: reading its second copy, a few seconds older", folder.snapshot_file)
        return found
    if damaged is not None:
        raise damaged
    return None


def commit(folder: SweepFolder, snapshot: Snapshot) -> None:
    """Replace `snapshot.zip` atomically, without fsync. `SecondCopy` syncs."""
    write_atomically(folder.snapshot_file, pack(snapshot), lasting=False)


def read_records(folder: SweepFolder) -> list[TrialRecord]:
    """Return the trials' records in the last snapshot; [] before the first one."""
    found = load(folder)
    return [] if found is None else found.records


def read_searcher_state(folder: SweepFolder, trust: bool = False) -> bytes | None:
    """Return the pickled searcher of the last snapshot, or None before the first one.

    UserError if this user didn't sign the file, unless `trust`."""
    found = load(folder, to_unpickle=not trust)
    return None if found is None else found.state[SEARCHER_STATE]


def staged(staging: Path) -> dict[str, bytes] | None:
    """Return Tune's four state files, or None before it has written all of them.

    The staging area holds one of each, since `clear_staging` removed those that Tune copied there at a restore. Their
    names contain local time, which is no reliable order."""
    files = {pattern: next(staging.glob(pattern), None) for pattern in STATE_PATTERNS}
    found = {pattern: file.read_bytes() for pattern, file in files.items() if file is not None}
    return found if len(found) == len(STATE_PATTERNS) else None


def clear_staging(staging: Path) -> None:
    """Remove Tune's state files of earlier runs, before this run writes its own."""
    for pattern in STATE_PATTERNS:
        for path in staging.glob(pattern):
            remove(path)


def put_back(folder: SweepFolder, store: CheckpointStorage) -> None:
    """Replace Tune's files in its storage by those of the snapshot. Idempotent: it can be repeated after a kill."""
    found = load(folder, to_unpickle=True)
    assert found is not None
    clear_state(store)
    for pattern, data in found.state.items():
        store.write(_restored(pattern), data)


def clear_state(store: CheckpointStorage) -> None:
    for pattern in STATE_PATTERNS:
        for name in store.names(pattern):
            store.remove(name)
