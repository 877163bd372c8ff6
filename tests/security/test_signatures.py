"""The user's key and signatures of files that are unpickled later."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from tuneexp.errors import UserError
from tuneexp.security import signatures
from tuneexp.security.signatures import is_signed, sign
from tuneexp.security.trust import config_folder


@pytest.fixture(autouse=True)
def fresh_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    signatures._key.cache_clear()


def test_a_signature_is_of_the_bytes_and_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    signature = sign(b"data")
    assert signature is not None
    assert is_signed(b"data", signature)
    assert not is_signed(b"dat", signature)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "somebody else"))
    assert not is_signed(b"data", signature)


def test_the_key_is_private_and_stays() -> None:
    first = sign(b"data")
    key = config_folder() / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    signatures._key.cache_clear()
    assert sign(b"data") == first
    key.chmod(0o644)
    signatures._key.cache_clear()
    with pytest.raises(UserError, match="chmod 600"):
        sign(b"data")


def test_a_key_that_can_not_be_kept_is_reported_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config").write_text("no folder")
    with caplog.at_level(logging.WARNING, "tuneexp"):
        assert sign(b"data") is None
        assert sign(b"more") is None
    assert len([record for record in caplog.records if "--trust" in record.getMessage()]) == 1
