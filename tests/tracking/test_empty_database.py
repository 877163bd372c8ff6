"""MLflow's empty database: created once for a machine, then copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuneexp.tracking import empty_database
from tuneexp.tracking.store import open_client, prepare


@pytest.fixture
def cache(tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache. MLflow's tables are copied, not created, and each creation is noted in a file."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TUNEEXP_CACHE", str(folder))

    def create(path: Path) -> None:
        path.write_bytes(fresh_database.read_bytes())
        with (tmp_path / "created").open("a") as created:
            created.write("once ")

    monkeypatch.setattr(empty_database, "_create_tables", create)
    return folder


def test_tables_are_created_once_and_a_new_storage_gets_a_copy_with_its_own_addresses(
    cache: Path, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        client = open_client(tmp_path / name)
        experiment = client.get_experiment(client.create_experiment("own"))
        assert [one.name for one in client.search_experiments()] == ["own", "Default"]
        assert str(tmp_path / name) in client.get_experiment("0").artifact_location
        assert experiment is not None
    assert (tmp_path / "created").read_text() == "once "
    assert [path.suffix for path in cache.iterdir() if path.suffix != ".lock"] == [".db"], "nothing else is left"


def test_another_version_of_mlflow_creates_its_own_tables(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path / "first")
    monkeypatch.setattr(empty_database, "version", lambda name: "0.1")
    prepare(tmp_path / "second")
    assert (tmp_path / "created").read_text() == "once once "


def test_without_a_usable_cache_the_tables_are_created_in_place(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUNEEXP_CACHE", str(tmp_path / "file"))
    prepare(tmp_path / "first")
    assert (tmp_path / "first" / "mlflow.db").is_file()
