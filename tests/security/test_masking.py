"""Secrets in addresses are never stored, logged or shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuneexp.cli import run
from tuneexp.security.masking import masked, secrets_of


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:geheim@h:5000", "http://me:***@h:5000"),
        ("https://geheim@host", "https://***@host"),
        ("https://geheim:@host", "https://***@host"),
        ("https://geheim:x-oauth-basic@host", "https://***@host"),
        ("https://host/a?x=1&token=geheim", "https://host/a?x=1&token=***"),
        ("postgresql+psycopg2://h/db?user=u&password=geheim", "postgresql+psycopg2://h/db?user=u&password=***"),
        ("postgresql://u:geh%40e%2Fim@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u:ge/heim@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:geh@eim@h/db", "postgresql://u:***@h/db"),
        ("mysql://h/db?PassWord=geh;eim&x=1", "mysql://h/db?PassWord=***&x=1"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3Dgeheim%3BX%3Dy",
         "mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3D***%3BX%3Dy"),
        ("s3://key:geheim@bucket/x", "s3://***@bucket/x"),
        ("s3://b/x?access_key=geheim&SECRET_KEY=geheim&region=us", "s3://b/x?access_key=***&SECRET_KEY=***&region=us"),
        ("https://h/?X-Amz-Signature=geheim&sig=geheim&Api-Key=geheim",
         "https://h/?X-Amz-Signature=***&sig=***&Api-Key=***"),
        ("connection failed: host=h password='geheim' user=u", "connection failed: host=h password=*** user=u"),
        ("no route to 'http://me:geheim@h/api' or http://h?token=geheim",
         "no route to 'http://me:***@h/api' or http://h?token=***"),
    ],
)  # fmt: skip
def test_secrets_are_masked_and_the_rest_of_an_address_is_shown(address: str, shown: str) -> None:
    assert masked(address) == shown
    assert masked(masked(address)) == masked(address)


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:////a/b@c:d.db",
        "http://host:5000/x:y@z",
        "http://[::1]:5000/a@b",
        "postgresql://user@host/db",
        "postgresql+psycopg2://h:5432/db?user=u&sslmode=require",
        "s3://bucket/x?scheme=http&endpoint_override=h:9000",
        "the key of monkey=1; see http://h and me@x",
    ],
)
def test_an_address_without_secrets_is_shown_as_it_is(address: str) -> None:
    assert masked(address) == address
    assert not secrets_of(address)


def test_a_secret_is_masked_wherever_a_message_repeats_it_also_decoded() -> None:
    secrets = secrets_of("postgresql://u:geh%40eim@h/db")
    assert masked("FATAL: u with geh@eim (geh%40eim) was refused", *secrets) == "FATAL: u with *** (***) was refused"


@pytest.mark.parametrize(
    "args",
    [
        ["evaluate", "s3://k:geheim@b/c?region"],
        ["evaluate", "s3://b/c?access_key=geheim&secret_key=geheim&no_such_option=1"],
        ["sweep", "--name", "x", "--checkpoints", "s3://b/c?access_key=geheim&secret_key=geheim"],
        ["sweep", "--name", "x", "--checkpoints", "s3://k:geheim@b/c"],
        ["sweep", "--name", "x", "--address", "ray://u:geheim@h:10001"],
        ["sweep", "--name", "x", "--address", "https://geheim@h"],
    ],
)
def test_the_command_line_shows_no_key_of_an_address(
    args: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(args) == 2
    assert "geheim" not in "".join(capsys.readouterr())
    assert not list(tmp_path.rglob("sweep.json"))
