"""`tuneexp doctor`: each check has a finding, with advice on what is broken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Done
from tests.clocks import set_clock
from tuneexp.cli.diagnosis import machine, packages, stores
from tuneexp.cli.diagnosis.finding import FAIL, OK, WARN, Finding, finding_of

Cli = Callable[..., Done]


def test_this_machine_can_run_sweeps(tmp_path: Path, tuneexp: Cli) -> None:
    done = tuneexp("doctor")
    assert done.code == 0, done
    lines = done.out.splitlines()
    assert len(lines) == 16
    assert all(line.split()[0] in (OK, WARN) and ": " in line for line in lines)
    assert not list(tmp_path.iterdir())


def test_what_can_not_work_fails(tuneexp: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setenv("CXX", "/nowhere/c++")
    done = tuneexp("doctor", "--json", "--storage", "/proc/none")
    assert done.code == 1
    found = json.loads(done.out)
    assert not found["ok"]
    by_name = {one["name"]: one for one in found["checks"]}
    assert [name for name, one in by_name.items() if one["status"] == FAIL] == ["storage", "clock", "MLflow", "Ray"]
    assert by_name["MLflow"]["found"] == "no answer from http://127.0.0.1:9"
    assert "MLFLOW_TRACKING_URI" in by_name["MLflow"]["advice"]
    assert by_name["compiler"]["status"] == WARN
    assert "CXX" in by_name["compiler"]["advice"]
    assert done.err.strip().splitlines()[-1] == "tuneexp: sweeps can't run here: storage, clock, MLflow, Ray"


def test_a_compiler_that_compiles_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho 'fatal error: omp.h: no such file' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    found = packages.compiler()
    assert found.status == WARN
    assert "omp.h" in found.found


def test_other_versions_and_missing_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["optuna<5,>=4", "numpy>=1", "none-such>=2", "ale-py>=99; extra == 'atari'"]
    monkeypatch.setattr(metadata, "requires", lambda name: asked)
    found = packages.packages()
    assert found.status == FAIL
    assert found.found.endswith("none-such is missing")
    assert found.advice == "pip install 'optuna<5,>=4' 'none-such>=2'"


def test_little_room_memory_and_few_files_are_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.resource, "getrlimit", lambda kind: (1024, 4096))
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (999.0, 0.0, 0.0))
    monkeypatch.setattr(stores, "LITTLE_ROOM", 2**60)
    monkeypatch.setattr(machine, "LEAST_SHARED", 2**60)
    checks: list[Any] = [
        machine.open_files,
        machine.cores,
        machine.shared_memory,
        lambda: stores.storage(str(tmp_path)),
    ]
    for check in checks:
        found: Finding = check()
        assert found.status == WARN
        assert found.advice


def test_a_clock_that_differs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = stores.time.time()
    set_clock(monkeypatch, stores, time=lambda: now + 60)
    assert "-60 s apart" in stores.clock(str(tmp_path)).found
    set_clock(monkeypatch, stores, time=lambda: 1e6)
    assert stores.clock(str(tmp_path)).status == WARN


def test_a_key_that_others_can_read_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tuneexp").mkdir()
    (tmp_path / "tuneexp" / "key").write_bytes(os.urandom(32))
    (tmp_path / "tuneexp" / "key").chmod(0o644)
    found = finding_of("trust", stores.key)
    assert (found.status, found.advice.split()[:2]) == (FAIL, ["write:", "chmod"])


def test_a_check_that_raises_has_failed() -> None:
    assert finding_of("x", lambda: 1 / 0).found == "the check failed: ZeroDivisionError: division by zero"  # type: ignore[arg-type, return-value]
