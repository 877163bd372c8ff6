"""Signatures of files that are unpickled later: HMAC-SHA256 with a private key of this user."""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import os
import stat
from pathlib import Path

from tuneexp.errors import UserError
from tuneexp.files.atomic import write_atomically
from tuneexp.files.locks import LockError, locked
from tuneexp.security.trust import config_folder

log = logging.getLogger(__name__)

SIGNATURE_BYTES = KEY_BYTES = 32


def require_key() -> None:
    """Create the key if it is missing. UserError if the key can't be used."""
    _key(config_folder() / "key")


def sign(data: bytes) -> bytes | None:
    """Return the signature (32 bytes); None, with a warning, if no key can be stored."""
    key = _key(config_folder() / "key")
    return None if key is None else hmac.digest(key, data, hashlib.sha256)


def is_signed(data: bytes, signature: bytes) -> bool:
    """Return True if `signature` is the signature of `data` with this user's key."""
    own = sign(data)
    return own is not None and hmac.compare_digest(own, signature)


@functools.cache
def _key(path: Path) -> bytes | None:
    """Read the key, which is created on first use. UserError if other users can read it."""
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UserError(f"other users can read or write the key {path} that signs sweeps; write: chmod 600 {path}")
        key = path.read_bytes()
    except (OSError, LockError) as error:
        log.warning("no key for signatures (%s): a later resume needs --trust, or TUNEEXP_TRUST=1", error)
        return None
    if len(key) != KEY_BYTES:
        raise UserError(f"the key {path} is damaged; delete it, then resume sweeps that it signed once with --trust")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path.with_name(".key.lock")):
        if not path.exists():
            write_atomically(path, os.urandom(KEY_BYTES), private=True)
