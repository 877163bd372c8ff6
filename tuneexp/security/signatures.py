"""Signatures of files that are unpickled later: HMAC-SHA256 with a key that only this user can read."""

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
    """Make the key where there is none. Raises UserError for one that can't be used, with what to do."""
    _key(config_folder() / "key")


def sign(data: bytes) -> bytes | None:
    """32 bytes, or None, with a warning, where no key can be kept."""
    key = _key(config_folder() / "key")
    return None if key is None else hmac.digest(key, data, hashlib.sha256)


def is_signed(data: bytes, signature: bytes) -> bool:
    """Whether `signature` is this user's, of `data`."""
    own = sign(data)
    return own is not None and hmac.compare_digest(own, signature)


@functools.cache
def _key(path: Path) -> bytes | None:
    """Made on first use. Raises UserError for a key that others can read, who could then sign, too."""
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UserError(f"others can read or write the key {path}, with which sweeps are signed; chmod 600 {path}")
        key = path.read_bytes()
    except (OSError, LockError) as error:
        log.warning("no key for signatures (%s): to resume this later takes --trust, or TUNEEXP_TRUST=1", error)
        return None
    if len(key) != KEY_BYTES:
        raise UserError(f"the key {path} is damaged; delete it, and resume sweeps that it signed with --trust, once")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path.with_name(".key.lock")):
        if not path.exists():
            write_atomically(path, os.urandom(KEY_BYTES), private=True)
