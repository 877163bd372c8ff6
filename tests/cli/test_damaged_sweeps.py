"""`list` and `show` name a damaged sweep with the reason, and show the others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.conftest import Done, assert_refused
from tests.faults.stored import store_sweep
from tuneexp.errors import UserError
from tuneexp.sweep import load_study
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.snapshot import Snapshot

Cli = Callable[..., Done]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two complete sweeps, `good` and `bad`, in the default storage."""
    store_sweep(tmp_path / "runs", "good")
    shutil.copytree(tmp_path / "runs" / "good", tmp_path / "runs" / "bad")
    return tmp_path / "runs"


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "sweep.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_records(folder: Path, records: list[Any]) -> None:
    found = snapshot.load(SweepFolder(folder))
    assert found is not None
    raw: list[Any] = [SimpleNamespace(as_json=lambda record=record: record) for record in records]
    snapshot.commit(SweepFolder(folder), Snapshot(found.state, raw))


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "format_version as text": (lambda bad: change_config(bad, format_version="1"), "format_version"),
    "records of a wrong shape": (lambda bad: change_records(bad, [{"trial_id": 3}]), "0/trial_id"),
    "no records": (lambda bad: change_records(bad, [[]]), "trials.json"),
    "deeply nested JSON": (lambda bad: (bad / "sweep.json").write_text("[" * 100_000), "nested"),
    "a long number": (lambda bad: (bad / "sweep.json").write_text("9" * 10_000), "sweep.json"),
    "not text": (lambda bad: (bad / "sweep.json").write_bytes(b"\xff\xfe"), "sweep.json"),
    "half a snapshot": (lambda bad: (bad / "snapshot.zip").write_bytes(b"PK\x03\x04"), "snapshot.zip"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_sweep_has_a_row_with_the_reason(runs: Path, tuneexp: Cli, name: str) -> None:
    damage, says = DAMAGES[name]
    damage(runs / "bad")
    listed = tuneexp("list")
    assert (listed.code, listed.err) == (0, "")
    assert [line.split()[:2] for line in listed.out.splitlines() if line.split()[0] in ("good", "bad")] == [
        ["bad", "unreadable"],
        ["good", "interrupted"],
    ]
    bad, good = json.loads(tuneexp("list", "--json").out)["sweeps"]
    assert says in bad["reason"]
    assert str(runs / "bad") in bad["reason"]
    assert good["reason"] is None
    assert_refused(tuneexp("show", "bad"), says)


def test_damage_that_delivery_heals_is_reported_and_the_sweep_is_shown(runs: Path, tuneexp: Cli) -> None:
    (runs / "bad" / "outbox" / "delivered.json").write_text('{"offset": "x"}')
    with (runs / "bad" / "outbox" / "records.jsonl").open("a") as file:
        file.write('{"kind": "reported", "trial": "0"}\n')
    shown = tuneexp("show", "bad")
    assert shown.code == 0
    assert "delivered.json is damaged: offset" in shown.err
    assert "records.jsonl is damaged: a record" in shown.err
    assert "per seed    0: 19.0, 1: 21.0" in shown.out


def test_a_snapshot_whose_second_copy_is_read_is_reported_once(runs: Path, tuneexp: Cli) -> None:
    whole = runs / "bad" / "snapshot.zip"
    whole.replace(runs / "bad" / "snapshot.second.zip")
    whole.write_bytes(b"PK\x03\x04")
    shown = tuneexp("show", "bad")
    assert shown.code == 0
    assert shown.err.count("is damaged") == 1


def test_a_folder_that_was_renamed_by_hand_is_shown_and_not_resumed(runs: Path, tuneexp: Cli) -> None:
    (runs / "bad").rename(runs / "[x]")
    shown = tuneexp("show", "[x]")
    assert shown.code == 0
    assert "[x] (interrupted)" in shown.out
    assert_refused(tuneexp("resume", "[x]"), "rename its folder")
    for name in ("ü", "../runs/good", "good/", ".", "", "x" * 5000):
        assert_refused(tuneexp("show", name), "allowed")


def test_a_study_that_is_no_pickle_is_named(runs: Path) -> None:
    found = snapshot.load(SweepFolder(runs / "bad"))
    assert found is not None
    state = {**found.state, snapshot.SEARCHER_STATE: b"no pickle"}
    snapshot.commit(SweepFolder(runs / "bad"), Snapshot(state, found.records))
    with pytest.raises(UserError, match="damaged"):
        load_study("bad", runs)
